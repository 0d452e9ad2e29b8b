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

ASK_SECONDS: Final = 0.005
"""How long after an edit somebody is asked, if nobody is to be asked already."""
LATE_SECONDS: Final = 5.0
"""Answers that take longer are not counted: a machine that slept answers when it wakes up."""


class Deliveries:
    """One for all rooms of a process.

    What a client's edit takes to the server, and from there to another client, the server does not see. So
    it asks one of those who were sent something, now and then: the time until the answer is for both. It is
    asked some time later, when everybody has as much else to do as when an edit comes: just after one they
    are awake, and nothing else is under way.

    Args:
        loop: says when it is time to ask.
        clock: seconds.
        observer: is told.
    """

    __slots__ = ("_asked", "_clock", "_is_to_ask", "_loop", "_observer")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, observer: Observer) -> None:
        self._loop = loop
        self._clock = clock
        self._observer = observer
        self._is_to_ask = False
        self._asked = 0

    def sent(self, turns: Sequence[Turn], peers: Collection[Peer], began_at: float) -> None:
        """The updates of these turns were handed to the transports of all of a room's peers, one after the
        other, from a time on until now. Transports write at once: half of all have it in the middle of that.
        """
        if not turns:
            return
        now = self._clock()
        for updates, seconds in delivered(turns, (began_at + now) / 2):
            self._observer.delivered(updates, seconds)
        if peers and not self._is_to_ask:
            self._is_to_ask = True
            self._loop.call_later(ASK_SECONDS, self._ask, peers)

    def _ask(self, peers: Collection[Peer]) -> None:
        self._is_to_ask = False
        if peers:
            self._asked += 1
            peer = next(islice(peers, self._asked % len(peers), None))
            peer.outbox.ping(partial(self._answered, self._clock()))

    def _answered(self, asked_at: float) -> None:
        seconds = self._clock() - asked_at
        if seconds < LATE_SECONDS:
            self._observer.round_trip(seconds)
