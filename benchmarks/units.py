"""What one of each thing costs that the capacity model counts: memory and processor time.

    .venv/bin/python benchmarks/units.py memory
    .venv/bin/python benchmarks/units.py processor --peers /tmp/peers [--seconds 8]

Memory is what the process takes more (resident set) for each of some thousand of the same kind, in a process
of its own for each kind, without sockets: real rooms of a node on a bridge in the process. Processor time is
that of real servers, with a PostgreSQL and a Valkey, under several loads of the generator in the folder that
setup-peers has filled; what one thing costs is the difference between two loads. The figures stand in
capacity.py, under ``Costs``.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure.load import generator
from benchmarks.measure.servers import COLLABD, SERVERS, Bench, Running, free_port, listening
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
from tests.support import postgres
from tests.support.valkey import ValkeyServer

KEY = b"the key of the cluster"
ROOMS = 4_000
OTHERS = 4
"""People of other nodes in each room, where it is measured what they cost."""
STRUCTS = 50
"""In each document, where it is measured what they cost."""


class Nothing:
    """An outbox that drops what it is given; there is one for all."""

    waiting = 0

    def send(self, frame: Frame) -> None:
        pass

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


def resident() -> int:
    """Bytes of memory this process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
        await site.store.append(name, None, [update], [author])
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


class Used(NamedTuple):
    """Microseconds of processor for each second, or each time something happens."""

    one: float
    """Of the server at the first port,"""
    other: float
    """of that at the other,"""
    database: float
    redis: float
    happened: float
    """How many edits or moves of a cursor there were a second."""

    def each(self, idle: "Used") -> "Used":
        """What it is for each edit, beyond what is used if nothing happens."""
        one, other, database, redis = (
            (used - rest) / self.happened for used, rest in zip(self[:4], idle[:4], strict=True)
        )
        return Used(one, other, database, redis, self.happened)


LOADS = {
    "idle": "--rooms 400 --clients 2 --writers 0",
    "two": "--rooms 400 --clients 2 --writers 1 --rate 3",
    "six": "--rooms 400 --clients 6 --writers 1 --rate 3",
    "apart": "--rooms 400 --clients 2 --writers 1 --rate 3 --other-port {other}",
    "cursors": "--rooms 400 --clients 2 --writers 0 --cursors 1.5",
    "cursors of six": "--rooms 200 --clients 6 --writers 0 --cursors 1",
    "cursors apart": "--rooms 400 --clients 2 --writers 0 --cursors 1.5 --other-port {other}",
}
"""``two`` is an edit with a frame to one other, ``six`` with five, ``apart`` with one to another server."""

SERVE = (
    f"{sys.executable} -m collabd serve --port {{port}} --log-level warning"
    " --store {store} --redis {redis}"
)


@contextlib.contextmanager
def site(peers: Path) -> Iterator[tuple[Bench, list[Running], int, int]]:
    """Two servers of one database and one Valkey; with the process ids of these."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        valkey = stack.enter_context(ValkeyServer())
        database = postgres.new_server()
        stack.callback(database.close)
        database.start()
        nodes = []
        for _ in range(2):
            port = free_port()
            command = SERVE.format(port=port, store=database.url, redis=valkey.url)
            process = stack.enter_context(listening(command, port, folder))
            nodes.append(Running(SERVERS[COLLABD], process, port))
        assert database._process is not None
        assert valkey._process is not None
        yield Bench(peers, folder, 0, False), nodes, database._process.pid, valkey._process.pid


def used_under(options: str, peers: Path, seconds: float) -> Used:
    """What all four use while a load is measured, after it has warmed up."""
    with site(peers) as (bench, nodes, database, valkey):
        samples: dict[str, list[float]] = {}
        found: dict[str, Any] = {}
        given = f"{options.format(other=nodes[1].port)} --seconds {seconds}"
        with generator(bench, nodes[0], given, "units") as process:
            assert process.stdout is not None
            for line in process.stdout:
                found |= json.loads(line)
                pids = [nodes[0].process.pid, nodes[1].process.pid, database, valkey]
                samples[found["phase"]] = [time.monotonic(), *map(processor_of, pids)]
        begin, end = samples["measuring"], samples["measured"]
        took = end[0] - begin[0]
        one, other, its, redis = (
            (late - early) * 1e6 / took for early, late in zip(begin[1:], end[1:], strict=True)
        )
        happened = found.get("moves_per_s") or found["updates_per_s"]
        return Used(one, other, its, redis, happened)


def processor_of(pid: int) -> float:
    """Seconds of processor that a process and its children have used."""
    total = 0.0
    for each in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        with contextlib.suppress(OSError):
            # Nanoseconds on a processor, of each thread: ticks are too coarse for what hardly does anything.
            for task in Path(f"/proc/{each}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return total


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("memory", "processor"))
    parser.add_argument("--one", choices=list(UNITS), help="measure one kind of memory, in this process")
    parser.add_argument("--peers", type=Path, default=Path("/tmp/peers"), help="that setup-peers has filled")
    parser.add_argument("--seconds", type=float, default=8.0, help="that each load is measured")
    given = parser.parse_args()
    if given.one:
        print(asyncio.run(UNITS[given.one]()))
    elif given.what == "memory":
        for name in UNITS:
            print(f"{name}: {unit(name):,.0f} bytes")
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
