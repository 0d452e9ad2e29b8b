"""The nodes that serve the same store, as the rooms of one of them see them.

The log is the truth. What is committed here is told to the others at once, and what they tell is taken in if
it is next; whatever is missed is read from the log. Presence is in no log: each node speaks for its own
clients, says again who they are when it is asked, and takes them with it when it is not heard of any more.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

from collabd.bridge.base import Bridge
from collabd.bridge.messages import (
    Alive,
    Changed,
    Committed,
    Leaving,
    Look,
    Message,
    Only,
    Person,
    Present,
    Reached,
    Who,
    decode,
    encode,
)
from collabd.errors import MalformedInput, StoreUnavailable
from collabd.protocol.awareness import Entry

from .presence import Presence

logger = logging.getLogger(__name__)

EVERYONE: Final = "nodes"
"""The channel that all nodes follow."""
DOCUMENT: Final = "document:"
"""What the channel of a document begins with; its name follows."""
SAID_WHOLE: Final = 8 * 1024
"""Bytes of updates that are sent over the bridge. What is more is told of, and read from the log: there it is
checked in another process."""
BEAT_SECONDS: Final = 2.0
"""From one sign of life to the next."""
SILENT_SECONDS: Final = 7.0
"""After which a node that was not heard of counts as dead."""
LOST_REMEMBERED: Final = 256
PRESENCE_SECONDS: Final = 0.05
"""From one message on a document's presence to the next, at least."""
WHOLE_SECONDS: Final = 0.5
"""From telling of everybody in a document to the next time, at least. Who asks meanwhile is answered then:
when nodes come back together, each asks, and each hears all answers."""
PEOPLE_AT_ONCE: Final = 64
"""Clients in one message."""
CAUGHT_UP_AT_ONCE: Final = 1_000
"""Documents that are looked at together after an interruption, each beat."""


class Neighbour(Protocol):
    """A room, as far as it has to do with those of other nodes."""

    name: str

    def hear(self, message: Committed | Reached) -> None:
        """Another node committed something."""

    def hear_of(self, node: bytes, people: Sequence[Person]) -> None:
        """Another node says who is there."""

    def lose(self, node: bytes, but: Collection[int] = ()) -> None:
        """Another node is gone from here, or all of its clients but these."""

    def say_who(self) -> None:
        """Tell the other nodes who is here."""


class Place(Protocol):
    """Where the rooms of this node are."""

    def get(self, name: str) -> Neighbour | None:
        """The open room of a document."""

    def neighbours(self) -> Iterable[Neighbour]:
        """All open rooms."""

    async def follow(self, names: Sequence[str] | None = None) -> None:
        """Let rooms take in what the store has and they have not."""


class Link:
    """What one room tells the others."""

    __slots__ = (
        "_cluster",
        "_name",
        "_news",
        "_presence",
        "_timer",
        "_told_at",
        "_told_whole_at",
        "_whole_timer",
    )

    def __init__(self, cluster: "Cluster", name: str, presence: Presence) -> None:
        self._cluster = cluster
        self._name = name
        self._presence = presence
        self._news: dict[int, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = float("-inf")
        self._whole_timer: asyncio.TimerHandle | None = None
        self._told_whole_at = float("-inf")

    def close(self) -> None:
        """The room has ended: do not say that nobody is here, once another one is there."""
        if self._whole_timer is not None:
            self._whole_timer.cancel()

    def committed(self, document_id: int, first: int, updates: Sequence[bytes]) -> None:
        """Updates were committed here."""
        if sum(map(len, updates)) <= SAID_WHOLE:
            self._say(Committed(document_id, first, updates))
        else:
            self._say(Reached(document_id, first + len(updates) - 1))

    def spread(self, changes: Iterable[Entry]) -> None:
        """Tell, soon, of clients of which there is news here."""
        for entry in changes:
            self._news[entry.client] = None
        if self._news and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(
                max(loop.time(), self._told_at + PRESENCE_SECONDS), self._tell_news, loop
            )

    def say_who(self) -> None:
        """Tell of everybody who is connected here, and that there is nobody else; soon, if that was told just
        before."""
        if self._whole_timer is None:
            loop = asyncio.get_running_loop()
            wait = self._told_whole_at + WHOLE_SECONDS - loop.time()
            if wait > 0:
                self._whole_timer = loop.call_later(wait, self._tell_whole, loop)
            else:
                self._tell_whole(loop)

    def catch_up(self) -> None:
        """What was told is not of this document: look what the store says."""
        self._cluster.fall_behind(self._name)

    def _tell_whole(self, loop: asyncio.AbstractEventLoop) -> None:
        self._whole_timer = None
        self._told_whole_at = loop.time()
        people = [person for person in self._presence.told() if person.state is not None]
        self._tell(people)
        self._say(Only([person.client for person in people]))

    def _tell_news(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._told_at = loop.time()
        people = self._presence.told(self._news)
        self._news.clear()
        self._tell(people)

    def _tell(self, people: Sequence[Person]) -> None:
        for start in range(0, len(people), PEOPLE_AT_ONCE):
            self._say(Present(people[start : start + PEOPLE_AT_ONCE]))

    def _say(self, message: Message) -> None:
        self._cluster.publish(DOCUMENT + self._name, message)


class Cluster:
    """This node among the others; it listens to the bridge.

    Args:
        clock: seconds, on any clock that only goes forward.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.bridge: Bridge
        """To be used once it is started."""
        self._clock = clock
        self._place: Place
        self._on_changed: Callable[[], None]
        self._heard_at: dict[bytes, float] = {}
        """When each other node was heard of last."""
        self._lost: dict[bytes, None] = {}
        """Nodes that counted as dead: should one come back, it is asked who is there."""
        self._opening: dict[str, Reached] = {}
        """What was heard of documents that are being loaded."""
        self._behind: set[str] = set()
        self._asking: set[str] = set()
        self._coming_back: list[str] = []
        self._has_work = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether what is committed elsewhere is heard of at once."""
        return self.bridge.is_up

    @property
    def nodes(self) -> int:
        """How many other nodes are there."""
        return len(self._heard_at)

    async def start(self, bridge: Bridge, place: Place, on_changed: Callable[[], None]) -> None:
        """Begin to listen. ``on_changed`` is called when something was revoked or shared elsewhere."""
        self.bridge = bridge
        self._place = place
        self._on_changed = on_changed
        await self.bridge.start(self)
        await self.bridge.subscribe(EVERYONE)

    async def close(self) -> None:
        """Leave."""
        self.publish(EVERYONE, Leaving())
        await self.bridge.close()

    def publish(self, channel: str, message: Message) -> None:
        """Tell all other nodes something."""
        self.bridge.publish(channel, encode(message))

    def tell_changed(self) -> None:
        """Something was revoked or shared here."""
        self.publish(EVERYONE, Changed())

    def tell_to_look(self, name: str) -> None:
        """Something has become of a document that the store tells."""
        self.publish(DOCUMENT + name, Look())

    async def enter(self, name: str) -> None:
        """Listen to what becomes of a document, from before it is loaded."""
        self._opening[name] = Reached(0, 0)
        await self.bridge.subscribe(DOCUMENT + name)

    def link(self, name: str, presence: Presence) -> Link:
        """What the document's room tells the others by."""
        return Link(self, name, presence)

    def entered(self, room: Neighbour) -> None:
        """The document is loaded: what was heard of it meanwhile is looked at now."""
        heard = self._opening.pop(room.name, None)
        if heard is not None and heard.head:
            room.hear(heard)
        self._asking.add(room.name)
        self._has_work.set()

    def leave(self, name: str) -> None:
        """The document is closed here."""
        self._opening.pop(name, None)
        self._asking.discard(name)
        self._behind.discard(name)
        self.bridge.unsubscribe(DOCUMENT + name)

    def fall_behind(self, name: str) -> None:
        """Let a document's room take in, soon, what the store has and it has not."""
        self._behind.add(name)
        self._has_work.set()

    async def run(self) -> None:
        """Give signs of life, look for those of others, and catch up, until cancelled."""
        # Not one after the other: the store may be slow to say what is new.
        await asyncio.gather(self._beat_on(), self._work_on())

    async def _beat_on(self) -> None:
        while True:
            self.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def _work_on(self) -> None:
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            await self.work()

    def beat(self) -> None:
        """Give a sign of life, and see who gave none."""
        self.publish(EVERYONE, Alive())
        now = self._clock()
        for node in [node for node, at in self._heard_at.items() if now - at > SILENT_SECONDS]:
            self._lose(node)
            self._lost[node] = None
        while len(self._lost) > LOST_REMEMBERED:
            del self._lost[next(iter(self._lost))]
        some, self._coming_back = (
            self._coming_back[:CAUGHT_UP_AT_ONCE],
            self._coming_back[CAUGHT_UP_AT_ONCE:],
        )
        for name in some:
            self._come_back(name)

    async def work(self) -> None:
        """Do what is to be done now: ask who is there, and read the log where something was missed."""
        asking, self._asking = self._asking, set()
        for name in sorted(asking):
            self.publish(DOCUMENT + name, Who())
        behind, self._behind = self._behind, set()
        if not behind:
            return
        try:
            await self._place.follow(sorted(behind))
        except StoreUnavailable:
            pass  # looked at again before long, as everything is
        except Exception:
            logger.exception("documents could not be brought up to date")

    # What the bridge tells

    def received(self, channel: str, node: bytes, payloads: Sequence[bytes], missed: bool) -> None:
        self._heard_at[node] = self._clock()
        if node in self._lost:
            del self._lost[node]
            self._catch_up_with_all()
        name = channel.removeprefix(DOCUMENT)
        if missed and channel == EVERYONE:
            self._on_changed()
        elif missed:
            self._look_again(name)
        for payload in payloads:
            try:
                message = decode(payload)
            except MalformedInput as error:
                logger.warning("a node says what makes no sense: %s", error)
                continue
            if channel == EVERYONE:
                self._hear(node, message)
            else:
                self._hear_of_document(name, node, message)

    def subscribed(self, channel: str) -> None:
        if channel != EVERYONE:
            self._come_back(channel.removeprefix(DOCUMENT))

    def interrupted(self) -> None:
        logger.warning("the bridge is down: other nodes are followed by the log. %s", self.bridge.trouble)

    def restored(self) -> None:
        logger.info("the bridge is up")
        self._on_changed()
        self._catch_up_with_all()

    def _hear(self, node: bytes, message: Message | None) -> None:
        if isinstance(message, Changed):
            self._on_changed()
        elif isinstance(message, Leaving):
            self._lose(node)

    def _hear_of_document(self, name: str, node: bytes, message: Message | None) -> None:
        room = self._place.get(name)
        if isinstance(message, Committed | Reached):
            if room is not None:
                room.hear(message)
            elif name in self._opening:
                last = message.last if isinstance(message, Committed) else message.head
                if last > self._opening[name].head:
                    self._opening[name] = Reached(message.document_id, last)
        elif isinstance(message, Look):
            self.fall_behind(name)
        elif room is not None and isinstance(message, Present):
            room.hear_of(node, message.people)
        elif room is not None and isinstance(message, Only):
            room.lose(node, but=frozenset(message.clients))
        elif room is not None and isinstance(message, Who):
            room.say_who()

    def _lose(self, node: bytes) -> None:
        if self._heard_at.pop(node, None) is not None:
            for room in self._place.neighbours():
                room.lose(node)

    def _catch_up_with_all(self) -> None:
        self._coming_back = [room.name for room in self._place.neighbours()]
        if len(self._coming_back) <= CAUGHT_UP_AT_ONCE:
            for name in self._coming_back:
                self._come_back(name)
            self._coming_back = []

    def _come_back(self, name: str) -> None:
        """Make up for what may have been missed of a document, in both directions."""
        room = self._place.get(name)
        if room is not None:
            room.say_who()
            self._look_again(name)

    def _look_again(self, name: str) -> None:
        """Make up for what may have been missed of a document here."""
        if self._place.get(name) is not None:
            self._asking.add(name)
            self.fall_behind(name)
