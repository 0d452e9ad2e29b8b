"""The people of a town: each on a node by chance, with a connection that counts what comes."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from benchmarks.typists import Typist, presence_of
from collabd.auth.base import Principal
from collabd.errors import CollabdError
from collabd.protocol import messages, wire
from collabd.protocol.session import KEEP_ALIVE
from collabd.rooms.outbox import Frame
from collabd.rooms.peer import Peer
from collabd.rooms.room import DocumentRoom

from .nodes import Town
from .watch import Watched

STEP_1, STEP_2, UPDATE, PRESENCE, QUIET, SAVED = "step 1", "step 2", "update", "presence", "quiet", "saved"
NOTHING: Final = messages.step_2_frame(b"\0\0")
_SYNC: Final = (STEP_1, STEP_2, UPDATE)


class Person(Typist):
    """Somebody, and the outbox of the connection."""

    __slots__ = (
        "_saved",
        "clock",
        "crowd",
        "document",
        "moved_at",
        "node",
        "peer",
        "room",
        "said",
        "watched",
    )

    waiting = 0
    write_framed = None

    def __init__(
        self, number: int, node: int, document: str, crowd: "Crowd", watched: Watched | None
    ) -> None:
        super().__init__(number)
        self.node = node
        self.document = document
        self.crowd = crowd
        self.watched = watched
        self.peer: Peer | None = None
        self.room: DocumentRoom
        self.clock = 0
        """Of the presence."""
        self.moved_at = 0.0
        self.said = 0
        """Sync messages so far."""
        self._saved = b""

    @property
    def saved(self) -> int:
        """How many of them are saved, by what came last."""
        return wire.Reader(self._saved, 1).uint() if self._saved else 0

    async def join(self) -> None:
        """Connect as a stock provider does, be seen, and write the first letter."""
        self.peer = Peer(
            self,
            principal=Principal(str(self.client % 100_000), "Somebody"),
            acknowledges=self.crowd.town.load.acknowledged,
        )
        registry = self.crowd.town.nodes[self.node].registry
        self.room = await registry.join(self.document, self.peer)
        if self.watched is not None:
            self.watched.follow(self.node, self.room.head)
        self.room.receive(self.peer, messages.step_1_frame(b"\0"))
        self.show()
        self.write()
        # As if everybody had been here for long: so the cursor last moved at any time.
        self.moved_at -= self.crowd.town.load.since_news(self.crowd.town.chance.random())
        self.crowd.renew(self)

    def write(self) -> None:
        """Write a letter."""
        self._say(messages.update_frame(self.type()))

    def show(self) -> None:
        """Say where the cursor is."""
        self.clock += 1
        self.moved_at = self.crowd.loop.time()
        self.crowd.counts["news"] += 1
        assert self.peer is not None
        self.room.receive(self.peer, presence_of(self.client, self.clock))

    def _say(self, frame: bytes) -> None:
        self.said += 1
        assert self.peer is not None
        self.room.receive(self.peer, frame)

    # The outbox

    def send(self, frame: Frame) -> None:
        payload = frame.payload
        kind = payload[0]
        if kind == messages.SYNC:
            what = _SYNC[payload[1]]
            if what is UPDATE and self.watched is not None:
                self.watched.reached(self.node, self.room.head, self.crowd.loop.time())
            elif what is STEP_1:
                self.crowd.loop.call_soon(self._say, NOTHING)
        elif kind == messages.SAVED:
            what = SAVED
            self._saved = payload
        elif payload == KEEP_ALIVE:
            what = QUIET
        else:
            what = PRESENCE
            if self.crowd.town.load.echoes:
                self.crowd.loop.call_soon(self._echo, payload)
        self.crowd.counts[what] += 1

    def _echo(self, payload: bytes) -> None:
        """Say again what was heard, as stock providers do."""
        self.crowd.counts["echoes"] += 1
        assert self.peer is not None
        self.room.receive(self.peer, payload)

    def ping(self, answered: Callable[[], None]) -> None: ...

    def close(self, error: CollabdError, *, discard: bool = False) -> None:
        self.crowd.counts["closed"] += 1


class Crowd:
    """Everybody.

    Args:
        watched: documents whose edits are followed one by one.
    """

    def __init__(self, town: Town, documents: Iterable[str], watched: dict[str, Watched]) -> None:
        self.town = town
        self.loop = asyncio.get_running_loop()
        self.counts: Counter[str] = Counter()
        load = town.load
        seats = [node for node in range(load.nodes) for _ in range(load.connections)]
        town.chance.shuffle(seats)
        places = (document for document in documents for _ in range(load.people))
        self.people = [
            Person(number, node, document, self, watched.get(document))
            for number, (node, document) in enumerate(zip(seats, places, strict=False))
        ]
        self._may_act = False

    async def join(self, seconds: float) -> None:
        """Let all come, in any order, one after the other."""
        coming = list(self.people)
        self.town.chance.shuffle(coming)
        async with asyncio.TaskGroup() as group:
            for number, person in enumerate(coming):
                group.create_task(person.join())
                if number % 10 == 9:
                    await asyncio.sleep(10 * seconds / len(coming))

    def begin(self) -> None:
        """Let everybody write and move from now on."""
        load = self.town.load
        self._may_act = True
        self._at_random(len(self.people) * load.edits, lambda person: person.write())
        self._at_random(len(self.people) * load.moves, lambda person: person.show())

    def rest(self) -> None:
        """Let nobody write or move any more."""
        self._may_act = False

    def _at_random(self, rate: float, act: Callable[[Person], None]) -> None:
        """Let somebody do something so often a second, each time somebody else."""
        if not rate:
            return
        chance = self.town.chance

        def happen() -> None:
            if self._may_act:
                self.loop.call_later(chance.expovariate(rate), happen)
                self.counts["acts"] += 1
                act(chance.choice(self.people))

        self.loop.call_later(chance.expovariate(rate), happen)

    def renew(self, person: Person) -> None:
        """Let somebody say again where the cursor is if it has not moved for long, and look again then."""
        left = person.moved_at + self.town.load.renewal - self.loop.time()
        if left <= 1e-6:
            person.show()
            left = self.town.load.renewal
        self.loop.call_later(left, self.renew, person)
