"""Nodes with the real rooms, registry, cluster and bridge, over one store whose answers take their time."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from benchmarks.model.figures import Load
from benchmarks.model.sizes import COMMAND
from collabd.bridge.base import Listener
from collabd.bridge.local import Faults, Hub, LocalBridge
from collabd.persistence.base import Appended, Author, DocumentInfo, HistoryEntry, StoredDocument
from collabd.persistence.memory import MemoryStore
from collabd.persistence.postgres import POOL_SIZE
from collabd.rooms.cluster import Cluster
from collabd.rooms.registry import Registry

T = TypeVar("T")

KEY = b"the key of the cluster"
STARTED_WITHIN = 2.0
"""Seconds: nodes do at different times what they do every few seconds."""

OnCommit = Callable[[int, str, int, int], None]
"""Told the node, the document, and the first and last number of what was committed."""


class _Append(NamedTuple):
    answer: "asyncio.Future[Appended]"
    name: str
    document_id: int | None
    updates: Sequence[bytes]
    authors: Sequence[tuple[Author, int]]
    options: dict[str, bool]


class NodeStore(MemoryStore):
    """A node's way to the store that all share: like PostgreSQL's, it has one connection that commits,
    together all that was handed over meanwhile, and a few that read."""

    def __init__(self, shared: MemoryStore, load: Load, number: int, on_commit: OnCommit) -> None:
        super().__init__()
        self._by_id, self._by_name = shared._by_id, shared._by_name
        self._authors, self._memos = shared._authors, shared._memos
        self.is_shared = True
        self.counts: Counter[str] = Counter()
        self._load = load
        self._number = number
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._pool = asyncio.Semaphore(POOL_SIZE)
        self._waiting: list[_Append] = []
        self._is_committing = False

    def append(
        self,
        name: str,
        document_id: int | None,
        updates: Sequence[bytes],
        authors: Sequence[tuple[Author, int]] = (),
        *,
        revive: bool = False,
        first: bool = False,
    ) -> asyncio.Future[Appended]:
        answer: asyncio.Future[Appended] = self._loop.create_future()
        options = {"revive": revive, "first": first}
        self._waiting.append(_Append(answer, name, document_id, updates, authors, options))
        if not self._is_committing:
            self._is_committing = True
            self._loop.call_soon(self._begin)
        return answer

    def _begin(self) -> None:
        group, self._waiting = self._waiting, []
        self._loop.call_later(self._load.commit, self._commit, group)

    def _commit(self, group: Sequence[_Append]) -> None:
        self.counts["commits"] += 1
        for append in group:
            self.counts["rows"] += 1
            outcome = MemoryStore.append(
                self, append.name, append.document_id, append.updates, append.authors, **append.options
            )
            error = outcome.exception()
            if error is not None:
                append.answer.set_exception(error)
                continue
            last = outcome.result().last_seq
            self._on_commit(self._number, append.name, last - len(append.updates) + 1, last)
            append.answer.set_result(outcome.result())
        self._is_committing = bool(self._waiting)
        if self._is_committing:
            self._loop.call_soon(self._begin)

    async def load(self, name: str, *, whole: bool = False) -> StoredDocument | None:
        async with self._pool:
            await asyncio.sleep(self._load.read)
            return await super().load(name, whole=whole)

    async def find_all(self, names: Sequence[str]) -> dict[str, DocumentInfo]:
        self.counts["queries"] += 1
        async with self._pool:
            await asyncio.sleep(self._load.query)
            return await super().find_all(names)

    async def history(
        self, document_id: int, *, after: int = 0, upto: int | None = None, updates: bool = True
    ) -> AsyncIterator[list[HistoryEntry]]:
        self.counts["queries"] += 1
        async with self._pool:
            await asyncio.sleep(self._load.read)
            found = super().history(document_id, after=after, upto=upto, updates=updates)
            entries = [entry async for part in found for entry in part]
        yield entries


class CountingHub(Hub):
    """Counts what Redis would get and send."""

    def __init__(self, key: bytes, **given: Any) -> None:
        super().__init__(key, **given)
        self.counts: Counter[str] = Counter()

    def send(self, sender: LocalBridge, channel: str, data: bytes) -> None:
        size = COMMAND + len(channel.partition(":")[2]) + len(data)
        # The sender too gets what it publishes, if it follows the channel.
        followers = sum(bridge.follows(channel) for bridge in self._bridges)
        self.counts.update(commands=1, bytes_in=size, deliveries=followers, bytes_out=size * followers)
        super().send(sender, channel, data)


class Meter:
    """Stands between a node and its bridge, in both directions, and counts payloads by their kind."""

    def __init__(self, bridge: LocalBridge, published: "Counter[int]", received: "Counter[int]") -> None:
        self.bridge = bridge
        self.figures = bridge.figures
        self._listener: Listener
        self._published = published
        self._received = received

    @property
    def is_up(self) -> bool:
        return self.bridge.is_up

    @property
    def trouble(self) -> str:
        return self.bridge.trouble

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        await self.bridge.start(self)

    async def close(self) -> None:
        await self.bridge.close()

    def publish(self, channel: str, payload: bytes) -> None:
        self._published[payload[0]] += 1
        self.bridge.publish(channel, payload)

    async def subscribe(self, channel: str) -> bool:
        return await self.bridge.subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        self.bridge.unsubscribe(channel)

    # For the bridge

    def received(self, channel: str, node: bytes, payloads: Sequence[bytes], missed: bool) -> None:
        for payload in payloads:
            self._received[payload[0]] += 1
        self._listener.received(channel, node, payloads, missed)

    def subscribed(self, channel: str) -> None:
        self._listener.subscribed(channel)

    def interrupted(self) -> None:
        self._listener.interrupted()

    def restored(self) -> None:
        self._listener.restored()


class AtOnce:
    """A runner that does it here and now: there are no threads in simulated time."""

    async def run(self, function: Callable[..., T], *args: Any, seconds: float = 0.0) -> T:
        return function(*args)


class Node:
    """One of them."""

    def __init__(self, number: int, town: "Town") -> None:
        self.store = NodeStore(town.store, town.load, number, town.on_commit)
        self.bridge = town.hub.bridge()
        clock = asyncio.get_running_loop().time
        self.cluster = Cluster(clock=clock)
        self.registry = Registry(self.store, cluster=self.cluster, clock=clock, checker=AtOnce())
        self._meter = Meter(self.bridge, town.published, town.received)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.cluster.start(self._meter, self.registry, lambda: None)
        self._running = asyncio.create_task(self.registry.run())

    async def stop(self) -> None:
        """Leave as a server does that is stopped."""
        if self._running is not None:
            self._running.cancel()
        await self.registry.drain(10.0)
        await self.cluster.close()


class Town:
    """The nodes, their store, and what lies between.

    Args:
        on_commit: is told of every commit.
    """

    def __init__(self, load: Load, seed: int, on_commit: OnCommit) -> None:
        self.load = load
        self.on_commit = on_commit
        self.store = MemoryStore()
        self.chance = random.Random(seed)
        self.hub = CountingHub(KEY, seed=seed, clock=asyncio.get_running_loop().time)
        self.hub.faults = Faults(delay=load.bridge)
        self.published: Counter[int] = Counter()
        """Payloads by their kind."""
        self.received: Counter[int] = Counter()
        self.nodes: list[Node] = []

    async def start(self) -> None:
        """Start all nodes, each at another time."""
        self.nodes = [Node(number, self) for number in range(self.load.nodes)]
        async with asyncio.TaskGroup() as group:
            for node in self.nodes:
                group.create_task(self._start(node, self.chance.uniform(0, STARTED_WITHIN)))

    async def _start(self, node: Node, after: float) -> None:
        await asyncio.sleep(after)
        await node.start()

    async def stop(self) -> None:
        for node in self.nodes:
            await node.stop()

    def cut(self) -> None:
        """Let the bridge be gone for everybody."""
        for node in self.nodes:
            self.hub.cut(node.bridge)

    def heal(self) -> None:
        for node in self.nodes:
            self.hub.heal(node.bridge)

    def counts(self) -> "Counter[str]":
        """All that was counted so far."""
        total = Counter(self.hub.counts)
        for node in self.nodes:
            total.update(node.store.counts)
        total.update({f"published {kind}": count for kind, count in self.published.items()})
        total.update({f"received {kind}": count for kind, count in self.received.items()})
        return total
