"""Tells how long edits take, in the server and between its clients."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from itertools import islice
from typing import Final

from .delays import Turn, delivered
from .observer import Observer
from .peer import Peer
from .slices import Clock

ASK_SECONDS: Final = 0.1
"""How often somebody is asked while there are edits."""
LATE_SECONDS: Final = 5.0
"""Answers that take longer are not counted: a machine that slept answers when it wakes up."""


class Deliveries:
    """One for all rooms of a process.

    What a client's edit takes to the server, and from there to another client, the server does not see. So
    it asks one of those who were just sent something, now and then: the time until the answer is for both.

    Args:
        loop: calls back once what was sent in a turn of it is written.
        clock: seconds.
        observer: is told.
    """

    __slots__ = ("_ask_at", "_asked", "_clock", "_loop", "_observer", "_peers", "_sent")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, observer: Observer) -> None:
        self._loop = loop
        self._clock = clock
        self._observer = observer
        self._sent: list[tuple[float, Sequence[Turn]]] = []
        self._peers: Collection[Peer] = ()
        self._ask_at = float("-inf")
        self._asked = 0

    def sent(self, turns: Sequence[Turn], peers: Collection[Peer]) -> None:
        """The updates of these turns were handed to the transports of all of a room's peers."""
        if not turns:
            return
        if not self._sent:
            # Transports write at the end of a turn.
            self._loop.call_soon(self._tell)
        self._sent.append((self._clock(), turns))
        self._peers = peers

    def _tell(self) -> None:
        now = self._clock()
        for handed_over_at, turns in self._sent:
            # Transports write to one after the other: half of all have it in the middle of that.
            for updates, seconds in delivered(turns, (handed_over_at + now) / 2):
                self._observer.delivered(updates, seconds)
        self._sent.clear()
        if now >= self._ask_at and self._peers:
            self._ask_at = now + ASK_SECONDS
            self._asked += 1
            peer = next(islice(self._peers, self._asked % len(self._peers), None))
            peer.outbox.ping(partial(self._answered, self._clock()))
        self._peers = ()

    def _answered(self, asked_at: float) -> None:
        seconds = self._clock() - asked_at
        if seconds < LATE_SECONDS:
            self._observer.round_trip(seconds)
