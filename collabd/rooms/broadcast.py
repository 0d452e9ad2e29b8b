"""Telling the peers of a room who is here: at a bounded rate, of each client what is latest, and nobody who
lags behind.

Presence gives way to edits. News goes out at once if nothing did just before, and else together with what
comes meanwhile. A peer with much to read already is told nothing until it has caught up, and then only how
things stand: presence closes nobody.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Final

from collabd.protocol import awareness, messages
from collabd.protocol.awareness import Entry

from .outbox import Frame
from .peer import Peer
from .presence import Presence

SECONDS_BETWEEN: Final = 0.05
"""From one broadcast to the next, at least."""
LARGEST: Final = 7 * 1024
"""Bytes of entries in one frame, if it has more than one. Stock providers say again what they hear, frame by
frame, and a larger message of theirs would be checked in another process."""
BEHIND: Final = 64 * 1024
"""Bytes waiting for a peer beyond which it is told nothing of presence."""
PEERS_AT_ONCE: Final = 8
"""How many are told before there is a pause, so that an edit need not wait for a whole broadcast."""
SECONDS_PER_PEER: Final = 0.001
"""How long the pause is for each who was told. That takes some 0.1 ms; stock providers answer, which takes as
long again; edits have the rest of the time."""
WORTH_REMEMBERING: Final = 1024
"""Bytes from which on it is cheaper to find out that a message repeats what was broadcast than to read it."""
LENGTHS_MAY_SHRINK_BY: Final = 4
"""Bytes by which a message gets shorter, beside an entry, when it is left out: its length and count do."""
REMEMBERED: Final = 32
"""Frames that are recognized when they come back."""


class PresenceFrame:
    """Entries on their way to any number of peers, each encoded once.

    Args:
        at: when it was made, on the clock of :class:`Presence`.
    """

    __slots__ = ("_entries", "_places", "at", "frame")

    def __init__(self, encoded: dict[int, bytes], at: int) -> None:
        self._entries = b"".join(encoded.values())
        ends = accumulate(map(len, encoded.values()))
        self._places = {
            client: (end - len(encoded[client]), end) for client, end in zip(encoded, ends, strict=True)
        }
        self.at = at
        self.frame = _frame(len(encoded), self._entries)

    @property
    def clients(self) -> Collection[int]:
        return self._places.keys()

    def without(self, client: int) -> Frame | None:
        """The frame without the entry of one of its clients; None if that leaves nothing."""
        start, end = self._places[client]
        others = self._entries[:start] + self._entries[end:]
        return _frame(len(self._places) - 1, others) if others else None

    def is_repeated_by(self, data: bytes, client: int | None) -> bool:
        """Whether the bytes are this frame, without what the peer itself said that speaks for ``client``."""
        if client is None or client not in self._places:
            return data == self.frame.payload
        start, end = self._places[client]
        shorter = len(self.frame.payload) - (end - start) - len(data)
        if not 0 <= shorter <= LENGTHS_MAY_SHRINK_BY:
            return False
        others = self.without(client)
        return others is not None and data == others.payload


def _frame(count: int, entries: bytes) -> Frame:
    return Frame(messages.awareness_frame(awareness.with_count(count, entries)))


class PresenceBroadcast:
    """Sends what is new in ``presence`` to ``peers``, which is the room's own mapping and changes with it.

    Args:
        loop: its clock and timers are used, nothing else.
    """

    def __init__(
        self, presence: Presence, peers: Mapping[int, Peer], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._presence = presence
        self._peers = peers
        self._loop = loop
        self._news: dict[int, None] = {}
        """Clients of which there is news, in order."""
        self._owed: dict[int, set[int]] = {}
        """By peer that lags: the clients it was not told of."""
        self._recent: tuple[PresenceFrame, ...] = ()  # a deque takes 1.3 KB even if it is empty
        self._began_at = float("-inf")
        self._next: asyncio.Handle | None = None
        """The next broadcast, or the rest of the one under way."""

    @property
    def is_due(self) -> bool:
        """Whether somebody is still to be told something."""
        return self._next is not None

    def spread(self, changes: Iterable[Entry]) -> None:
        """Tell everybody, soon, of what :class:`Presence` says has changed."""
        for entry in changes:
            self._news[entry.client] = None
        if not self._peers:
            self._news.clear()
        elif self._news:
            self._schedule()

    def tell(self, peer: Peer, entries: Sequence[Entry]) -> None:
        """Tell one peer of these clients at once, or when it has caught up."""
        self._send(peer, self._frames(entry.client for entry in entries))
        if self._owed:
            self._schedule()

    def forget(self, peer: Peer) -> None:
        """A peer has left, and is told nothing any more."""
        self._owed.pop(peer.number, None)

    def close(self) -> None:
        """Tell nobody anything any more."""
        self._peers = {}
        self._news.clear()
        self._owed.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def is_hearsay(self, peer: Peer, data: bytes) -> bool:
        """Whether a message only repeats a broadcast, as stock providers do with every one: then there is
        nothing in it that :meth:`Presence.receive` would take for news."""
        if len(data) < WORTH_REMEMBERING:
            return False
        since = self._presence.joined_at(peer.number)
        client = self._presence.client_of(peer.number)
        return any(
            frame.at >= since and frame.is_repeated_by(data, client) for frame in reversed(self._recent)
        )

    def _schedule(self) -> None:
        if self._next is not None:
            return
        wait = self._began_at + SECONDS_BETWEEN - self._loop.time()
        if wait > 0:
            self._next = self._loop.call_later(wait, self._begin)
        else:
            self._next = self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._began_at = self._loop.time()
        frames = self._frames(self._news)
        large = [frame for frame in frames if len(frame.frame.payload) >= WORTH_REMEMBERING]
        if large:
            self._recent = (*self._recent, *large)[-REMEMBERED:]
        numbers = list(self._peers if frames else self._owed)
        self._news.clear()
        self._go_on(iter(numbers), frames)

    def _go_on(self, numbers: Iterator[int], frames: Sequence[PresenceFrame]) -> None:
        told = 0
        for number in islice(numbers, PEERS_AT_ONCE):
            told += 1
            if number in self._peers:
                self._catch_up(self._peers[number], frames)
        self._next = None
        if told == PEERS_AT_ONCE:
            self._next = self._loop.call_later(told * SECONDS_PER_PEER, self._go_on, numbers, frames)
        elif self._news or self._owed:
            self._schedule()

    def _catch_up(self, peer: Peer, frames: Sequence[PresenceFrame]) -> None:
        owed = self._owed.pop(peer.number, None)
        if owed is None:
            self._send(peer, frames)
            return
        owed.update(*(frame.clients for frame in frames))
        if peer.outbox.waiting > BEHIND:
            self._owed[peer.number] = owed & self._presence.known
        else:
            self._send(peer, self._frames(owed))

    def _send(self, peer: Peer, frames: Sequence[PresenceFrame]) -> None:
        own = self._presence.client_of(peer.number)
        may_echo = self._presence.may_echo(peer.number)
        for position, each in enumerate(frames):
            if peer.outbox.waiting > BEHIND:
                self._owed[peer.number] = {client for later in frames[position:] for client in later.clients}
                return
            if own is None or may_echo or own not in each.clients:
                peer.send(each.frame)
            elif (others := each.without(own)) is not None:
                peer.send(others)

    def _frames(self, clients: Iterable[int]) -> list[PresenceFrame]:
        """How things stand with these clients. Who has left comes last, as when a provider says it again."""
        entries = [entry for client in clients if (entry := self._presence.latest(client)) is not None]
        entries.sort(key=lambda entry: entry.state is None)
        frames: list[PresenceFrame] = []
        encoded: dict[int, bytes] = {}
        size = 0
        for entry in entries:
            octets = awareness.encode_entry(entry)
            size += len(octets)
            if encoded and size > LARGEST:
                frames.append(PresenceFrame(encoded, self._presence.time))
                encoded, size = {}, len(octets)
            encoded[entry.client] = octets
        if encoded:
            frames.append(PresenceFrame(encoded, self._presence.time))
        return frames
