"""What one of each thing costs that the capacity model counts: memory and processor time.

    .venv/bin/python benchmarks/units.py memory
    .venv/bin/python benchmarks/units.py redis
    .venv/bin/python benchmarks/units.py following
    .venv/bin/python benchmarks/units.py sockets --peers /tmp/peers
    .venv/bin/python benchmarks/units.py processor --peers /tmp/peers [--seconds 8]

Memory is what the process takes more (resident set) for each of some thousand of the same kind, in a process
of its own for each kind, without sockets: real rooms of a node on a bridge in the process. Processor time is
that of real servers, with a PostgreSQL and a Valkey, under several loads of the generator in the folder that
setup-peers has filled; what one thing costs is the difference between two loads. The figures stand in
capacity.py, under ``Costs``.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure.resident import resident
from benchmarks.measure.upkeep import LOADS, following_costs, redis_costs, sockets, used_under
from benchmarks.typists import Typist, presence_of, said_by, seed
from collabd.auth.base import Principal
from collabd.bridge.local import Hub, LocalBridge
from collabd.bridge.messages import Alive, Present, encode
from collabd.errors import CollabdError
from collabd.persistence.memory import MemoryStore
from collabd.protocol import messages
from collabd.rooms.cluster import DOCUMENT, Cluster
from collabd.rooms.outbox import Frame
from collabd.rooms.peer import Peer, author_of
from collabd.rooms.registry import Registry

KEY = b"the key of the cluster"
ROOMS = 4_000
OTHERS = 4
"""People of other nodes in each room, where it is measured what they cost."""
STRUCTS = 50
"""In each document, where it is measured what they cost."""


class Nothing:
    """An outbox that drops what it is given; there is one for all."""

    waiting = 0
    write_framed = None

    def send(self, frame: Frame) -> None:
        pass

    def ping(self, answered: Callable[[], None]) -> None: ...

    def close(self, error: CollabdError, *, discard: bool = False) -> None:
        raise error


class Deaf:
    """Listens to a bridge, and does nothing."""

    def received(self, channel: str, node: bytes, payloads: Sequence[bytes], missed: bool) -> None:
        pass

    def subscribed(self, channel: str) -> None:
        pass

    def interrupted(self) -> None:
        pass

    def restored(self) -> None:
        pass


class Site:
    """One node with the rooms of some thousand documents that are in the store; others are its bridge's ends
    alone."""

    def __init__(self) -> None:
        self.names = [f"document {number:06}" for number in range(ROOMS)]
        self.store = MemoryStore()
        self.hub = Hub(KEY)
        self.cluster = Cluster()
        self.registry = Registry(self.store, cluster=self.cluster)
        self.others: list[LocalBridge] = []

    async def start(self, structs: int = 1) -> None:
        for name in self.names:
            await self.store.append(name, None, [seed(structs)])
        await self.cluster.start(self.hub.bridge(), self.registry, lambda: None)
        for _ in range(OTHERS):
            bridge = self.hub.bridge()
            await bridge.start(Deaf())
            self.others.append(bridge)

    async def open(self) -> None:
        for name in self.names:
            await self.registry.open(name)
        await self.cluster.work()
        await asyncio.sleep(0.1)

    async def join(self) -> None:
        """One person in each room, who is seen and types a letter."""
        outbox = Nothing()
        typists = [Typist(number + 1) for number in range(ROOMS)]
        for name, typist in zip(self.names, typists, strict=True):
            peer = Peer(outbox, principal=Principal(str(typist.client), "Ada"))
            room = await self.registry.join(name, peer)
            room.receive(peer, messages.step_1_frame(b"\0"))
            room.receive(peer, presence_of(typist.client, 1))
            room.receive(peer, messages.update_frame(typist.type()))
        await asyncio.sleep(0.2)

    async def hear(self, payload: Callable[[int], bytes]) -> None:
        """Something about each document from each of the others, the nth."""
        for number, bridge in enumerate(self.others):
            for name in self.names:
                bridge.publish(DOCUMENT + name, payload(number))
            await asyncio.sleep(0.1)


async def of_a_room() -> float:
    site = Site()
    await site.start()
    before = resident()
    await site.open()
    return (resident() - before) / ROOMS


async def of_a_struct() -> float:
    """What a room takes more whose document has more structs, for each of these and what is in it."""
    site = Site()
    await site.start(STRUCTS + 1)
    before = resident()
    await site.open()
    return ((resident() - before) / ROOMS - unit("room")) / STRUCTS


async def of_a_peer() -> float:
    """Somebody connected who says nothing: what a server takes more for one is the socket's."""
    site = Site()
    await site.start()
    await site.open()
    outbox = Nothing()
    before = resident()
    for name in site.names:
        peer = Peer(outbox)
        room = await site.registry.join(name, peer)
        room.receive(peer, messages.step_1_frame(b"\0"))
    await asyncio.sleep(0.1)
    return (resident() - before) / ROOMS


async def of_a_connection() -> float:
    site = Site()
    await site.start()
    await site.open()
    before = resident()
    await site.join()
    # The store keeps what was typed.
    return (resident() - before) / ROOMS - unit("logged")


async def of_what_is_logged() -> float:
    """What the store takes for an update and its author."""
    site = Site()
    await site.start()
    updates = [Typist(number + 1).type() for number in range(ROOMS)]
    authors = [author_of(Principal(str(number), "Ada")) for number in range(ROOMS)]
    before = resident()
    for name, update, author in zip(site.names, updates, authors, strict=True):
        await site.store.append(name, None, [update], [(author, 1)])
    return (resident() - before) / ROOMS


async def of_a_channel() -> float:
    """What is remembered of each other node that says something about a document."""
    site = Site()
    await site.start()
    await site.open()
    before = resident()
    await site.hear(lambda number: encode(Alive()))
    return (resident() - before) / ROOMS / OTHERS


async def of_a_person() -> float:
    """What a person who is connected to another node takes in a room."""
    site = Site()
    await site.start()
    await site.open()
    await site.hear(lambda number: encode(Alive()))
    before = resident()
    await site.hear(lambda number: encode(Present([said_by(100 + number)])))
    return (resident() - before) / ROOMS / OTHERS


UNITS: dict[str, Callable[[], Coroutine[None, None, float]]] = {
    "room": of_a_room,
    "peer": of_a_peer,
    "struct": of_a_struct,
    "connection": of_a_connection,
    "logged": of_what_is_logged,
    "channel": of_a_channel,
    "person": of_a_person,
}


def unit(name: str) -> float:
    """Measure one in a process of its own: memory that was once used is used again."""
    command = [sys.executable, __file__, "memory", "--one", name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("memory", "sockets", "redis", "following", "processor"))
    parser.add_argument("--one", choices=list(UNITS), help="measure one kind of memory, in this process")
    parser.add_argument("--peers", type=Path, default=Path("/tmp/peers"), help="that setup-peers has filled")
    parser.add_argument("--seconds", type=float, default=8.0, help="that each load is measured")
    given = parser.parse_args()
    if given.one:
        print(asyncio.run(UNITS[given.one]()))
    elif given.what == "memory":
        for name in UNITS:
            print(f"{name}: {unit(name):,.0f} bytes")
    elif given.what == "sockets":
        room, connection = sockets(given.peers)
        print(f"an empty document: {room:,.0f} bytes; a connection: {connection:,.0f} bytes")
    elif given.what == "following":
        its, own = following_costs()
        print(f"PostgreSQL: {its:.1f} µs for each document asked about; the node: {own:.1f} µs")
    elif given.what == "redis":
        message, delivery = redis_costs()
        print(f"Valkey: {message:.1f} µs for each message, {delivery:.1f} µs for each node that gets it")
    else:
        idle = used_under(LOADS["idle"], given.peers, given.seconds)
        print("µs of processor: one server, the other, PostgreSQL, Valkey; how many a second")
        print(f"idle, a second: {', '.join(f'{value:.0f}' for value in idle)}")
        for name, options in LOADS.items():
            if name != "idle":
                each = used_under(options, given.peers, given.seconds).each(idle)
                print(f"{name}, each: {', '.join(f'{value:.1f}' for value in each)}", flush=True)


if __name__ == "__main__":
    main()
