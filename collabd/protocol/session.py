"""One connection's side of the y-websocket protocol, sans-IO: bytes in, events out.

Feed every WebSocket message to :meth:`Session.receive` and act on the events in order. Nothing a client sends
reaches a document unless it came out of here, checked.

The protocol: https://github.com/yjs/y-protocols/blob/master/PROTOCOL.md
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from collabd.errors import MalformedInput

from . import awareness, messages
from .packing import PACKED, inflated_size, unpack
from .runs import Spot
from .update import UpdateSummary, check_large_update, check_state_vector, check_update

KEEP_ALIVE: Final = messages.encode(messages.AwarenessMessage(awareness.encode([])))
"""A message that changes nothing. Stock providers close a connection on which nothing came for 30 s."""

ACKNOWLEDGED: Final = "collabd.1"
"""Clients that offer this WebSocket subprotocol are told what is committed (:class:`~.messages.Saved`)."""
PLAIN: Final = "collabd.0"
"""Stock clients that offer a token as a subprotocol offer this one beside it: browsers want one agreed on."""
COMPRESSED: Final = "collabd.2"
"""The same, and what is large may be sent compressed in both directions (``packing``)."""


class StateRequested(NamedTuple):
    """The client asks for all that its (checked) state vector does not cover."""

    state_vector: bytes


class UpdateReceived(NamedTuple):
    """The client sent an update that passed the structural check."""

    update: bytes
    summary: UpdateSummary


class PresenceReceived(NamedTuple):
    """The client says who is here, as far as it knows."""

    entries: list[awareness.Entry]


class PresenceRequested(NamedTuple):
    """The client asks who is here."""


Event = StateRequested | UpdateReceived | PresenceReceived | PresenceRequested


def subprotocol_among(offered: Collection[str]) -> str | None:
    """The subprotocol to agree on: the highest that both sides speak, or None."""
    return next((spoken for spoken in (COMPRESSED, ACKNOWLEDGED, PLAIN) if spoken in offered), None)


class Session:
    """Turns what one client sends into events.

    After :meth:`receive` has raised, the session must not be fed any more: close the connection with the
    error's code.

    Args:
        inflates: bytes that a compressed message may inflate to; 0 if none were agreed on.
    """

    __slots__ = ("_last", "_spot", "inflates")

    def __init__(self, inflates: int = 0) -> None:
        self.inflates = inflates
        self._last: UpdateSummary | None = None
        self._spot: Spot | None = None

    @property
    def spot(self) -> Spot | None:
        """Where the client goes on typing, if the last update that :meth:`receive` was fed was typed there.

        Messages that a run takes there (``runs``) need not be fed to the session.
        """
        if self._spot is None and self._last is not None:
            self._spot = Spot(self._last)
        return self._spot

    def size_of(self, data: bytes) -> int:
        """Bytes that there are to be looked at in a message: those it inflates to, if it is compressed.

        Raises what :meth:`receive` would of a compressed message that says too much, or nothing.
        """
        if data[:1] == PACKED and self.inflates:
            return max(len(data), inflated_size(data, self.inflates))
        return len(data)

    def receive(self, data: bytes) -> Sequence[Event]:
        """Decode and check one WebSocket message, which may pack several protocol messages.

        Raises:
            MalformedInput: it breaks the protocol. Nothing in it counts.
            TooLarge: it exceeds a bound.
        """
        update = messages.sole_update(data)
        if update is not None:
            summary = check_update(update)
            self._spot = None
            self._last = summary if summary.typed is not None else None
            return (UpdateReceived(update, summary),)
        return [_event(message, check_update) for message in _messages(data, self.inflates)]


def check_large_message(data: bytes, inflates: int = 0) -> Sequence[Event]:
    """What :meth:`Session.receive` makes of a message, updates cut into pieces (``check_large_update``)."""
    return [_event(message, check_large_update) for message in _messages(data, inflates)]


def _messages(data: bytes, inflates: int) -> Sequence[messages.Message]:
    if data[:1] == PACKED and inflates:
        return (unpack(data, inflates),)
    return messages.decode(data)


def _event(message: messages.Message, check: Callable[[bytes], UpdateSummary]) -> Event:
    match message:
        case messages.Update(update) | messages.SyncStep2(update):
            return UpdateReceived(update, check(update))
        case messages.SyncStep1(state_vector):
            check_state_vector(state_vector)
            return StateRequested(state_vector)
        case messages.AwarenessMessage(payload):
            return PresenceReceived(awareness.decode(payload))
        case messages.QueryAwareness():
            return PresenceRequested()
        case _:
            raise MalformedInput(f"a client does not send {type(message).__name__}")
