"""Sending edits to a crowd, a few peers at a time, so that the next edit need not wait for all of them.

Those who write are sent an edit at once, the others in slices, between which the event loop does what else
there is: reads, commits, sends the next edit to those who write. Who has not had his turn by then gets both
when it comes, in one write. Every peer gets every frame once and in order, as if all were sent at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol

from .outbox import Frame
from .peer import Peer

CROWD: Final = 32
"""So many peers are still sent everything at once: it takes less than a millisecond."""
PEERS_AT_ONCE: Final = 8
"""How many are sent what they lack before the event loop has a turn; it takes some 0.2 ms."""
WRITERS: Final = 16
"""How many of those who wrote last are sent everything at once. What more wrote together everybody is: where
so much is written, few large frames are the least work."""
COMMIT_SECONDS: Final = 0.001
"""How long the slices wait for a commit under way. Python runs one thread at a time, and between two slices
that of the store would hardly get to run."""


class _News(NamedTuple):
    frames: Sequence[Frame]
    only_author: int | None
    """Who is not sent them."""


class Commits(Protocol):
    """Knows whether something is being committed. :class:`~collabd.rooms.state.RoomState` does."""

    @property
    def in_flight(self) -> object | None:
        """What is; None if nothing is."""


class CrowdRelay:
    """Sends frames to ``peers``, which is the room's own mapping and changes with it: who has left it is sent
    nothing any more, and who has joined it only what is relayed from then on.

    News has numbers in the order in which it came. Since those who lack something stand in the order in which
    they began to, the first of them lacks the oldest.

    Args:
        commits: of the same room; they go first.
        loop: its timers are used, nothing else.
    """

    __slots__ = (
        "_begin",
        "_behind",
        "_commits",
        "_gives_way",
        "_loop",
        "_news",
        "_next",
        "_peers",
        "_then",
        "_writers",
    )

    def __init__(self, peers: Mapping[int, Peer], commits: Commits, loop: asyncio.AbstractEventLoop) -> None:
        self._peers = peers
        self._commits = commits
        self._loop = loop
        self._news: deque[_News] = deque()
        """What somebody lacks."""
        self._begin = 0
        """The number of the first of it."""
        self._behind: dict[int, int] = {}
        """By peer: the number of the first news it lacks."""
        self._writers: dict[int, None] = {}
        """Who wrote last, the latest at the end."""
        self._then: deque[tuple[int, Callable[[], None]]] = deque()
        """What is to be called once all news before a number has been sent."""
        self._next: asyncio.Handle | None = None
        """The next slice, if there is one."""
        self._gives_way = False
        """Whether that waits for a commit."""

    @property
    def is_due(self) -> bool:
        """Whether not everything has been sent to everybody yet."""
        return self._next is not None

    def relay(self, frames: Sequence[Frame], authors: Collection[int]) -> None:
        """Send frames to everybody soon, and at once to those who write; to an author only if there are
        several."""
        number = self._begin + len(self._news)
        self._news.append(_News(frames, next(iter(authors)) if len(authors) == 1 else None))
        behind = self._behind
        for peer in self._peers:
            behind.setdefault(peer, number)
        if len(authors) > WRITERS:
            self.finish()
            return
        writers = self._writers
        for author in authors:
            writers.pop(author, None)
            writers[author] = None
        while len(writers) > WRITERS:
            del writers[next(iter(writers))]
        for writer in writers:
            self._catch_up(writer)
        if self._gives_way:
            self._stop()
        if self._next is None:
            self._go_on()

    def then(self, call: Callable[[], None]) -> None:
        """Have something called when all that was relayed so far has been sent to everybody."""
        if self._next is not None:
            self._then.append((self._begin + len(self._news), call))
        else:
            call()

    def catch_up(self, peer: Peer) -> None:
        """Send a peer at once what it lacks, so that what it is sent next keeps its place."""
        self._catch_up(peer.number)

    def finish(self) -> None:
        """Send everybody at once what they lack."""
        for number in list(self._behind):
            self._catch_up(number)
        self._stop()
        self._go_on()

    def _stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _turn(self) -> None:
        if self._commits.in_flight is None:
            self._go_on()
        else:
            self._gives_way = True
            self._next = self._loop.call_later(COMMIT_SECONDS, self._go_on)

    def _go_on(self) -> None:
        """Send those who lack something longest what they lack, and see to the others afterwards."""
        for number in list(islice(self._behind, PEERS_AT_ONCE)):
            self._catch_up(number)
        self._next = self._loop.call_soon(self._turn) if self._behind else None
        self._gives_way = False
        self._forget_news()

    def _catch_up(self, number: int) -> None:
        first = self._behind.pop(number, None)
        peer = self._peers.get(number)
        if first is None or peer is None:
            return
        for frames, only_author in islice(self._news, first - self._begin, None):
            if number != only_author:
                for frame in frames:
                    peer.send(frame)

    def _forget_news(self) -> None:
        """Drop what everybody has, and say so to those who wait for that."""
        first = next(iter(self._behind.values()), self._begin + len(self._news))
        while self._begin < first:
            self._news.popleft()
            self._begin += 1
        while self._then and self._then[0][0] <= first:
            self._then.popleft()[1]()
