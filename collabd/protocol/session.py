"""One connection's side of the y-websocket protocol, sans-IO: bytes in, events out.

Feed every WebSocket message to :meth:`Session.receive` and act on the events in order. Nothing a client sends
reaches a document unless it came out of here, checked.

The protocol: https://github.com/yjs/y-protocols/blob/master/PROTOCOL.md
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from collabd.errors import MalformedInput

from . import awareness, messages
from .update import UpdateSummary, check_large_update, check_state_vector, check_update

KEEP_ALIVE: Final = messages.encode(messages.AwarenessMessage(awareness.encode([])))
"""A message that changes nothing. Stock providers close a connection on which nothing came for 30 s."""

SUBPROTOCOL: Final = "collabd.1"
"""Clients that offer this WebSocket subprotocol are told what is committed (:class:`~.messages.Saved`)."""


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


class Session:
    """Turns what one client sends into events.

    After :meth:`receive` has raised, the session must not be fed any more: close the connection with the
    error's code.
    """

    __slots__ = ()

    def receive(self, data: bytes) -> Sequence[Event]:
        """Decode and check one WebSocket message, which may pack several protocol messages.

        Raises:
            MalformedInput: it breaks the protocol. Nothing in it counts.
            TooLarge: it exceeds a bound.
        """
        update = messages.sole_update(data)
        if update is not None:
            return (UpdateReceived(update, check_update(update)),)
        return [_event(message, check_update) for message in messages.decode(data)]


def check_large_message(data: bytes) -> Sequence[Event]:
    """What :meth:`Session.receive` makes of a message, updates cut into pieces (``check_large_update``)."""
    return [_event(message, check_large_update) for message in messages.decode(data)]


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
