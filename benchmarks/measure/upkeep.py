"""What real servers, PostgreSQL and Valkey use under a load: processor time, and memory for connections."""

import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.typists import seed
from collabd.bridge.redis_link import pack
from collabd.persistence.base import UNKNOWN
from collabd.persistence.postgres import PostgresStore
from collabd.rooms.registry import FOLLOW_AT_ONCE
from tests.support import postgres
from tests.support.valkey import ValkeyServer

from .load import generator, put_load
from .servers import COLLABD, SERVERS, Bench, Running, free_port, listening, running

CONNECTIONS = 2_000
FOLLOWED = 20_000
"""Documents that a node asks about."""
PUBLISHED, PUBLISHED_AT_ONCE, PUBLISHED_EACH_SECOND = 50_000, 5, 10_000
ENVELOPE_BYTES = 150
"""Of what is published to measure Redis."""


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
    "two": "--rooms 400 --clients 2 --writers 1 --rate 4",
    "eleven": "--rooms 100 --clients 11 --writers 1 --rate 4",
    "apart": "--rooms 400 --clients 2 --writers 1 --rate 4 --other-port {other}",
    "cursors": "--rooms 400 --clients 2 --writers 0 --cursors 2",
    "cursors of eleven": "--rooms 50 --clients 11 --writers 0 --cursors 1",
    "cursors apart": "--rooms 400 --clients 2 --writers 0 --cursors 2 --other-port {other}",
}
"""``two`` is an edit with a frame to one other, ``eleven`` with ten, ``apart`` with one to another server.
With cursors it is the same, and who hears of one says it again."""

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
    samples: dict[str, list[float]] = {}
    found: dict[str, Any] = {}
    with site(peers) as (bench, nodes, database, valkey):
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


def sockets(peers: Path) -> tuple[float, float]:
    """Bytes a server takes for an empty document with nobody in it, and for each connection that says
    nothing: from as many connections, one or five in each document."""
    each = []
    for people in (1, 5):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            bench = Bench(peers, Path(folder), 1, False)
            with running(bench, COLLABD) as run:
                before = run.sample()
                options = f"--rooms {CONNECTIONS // people} --clients {people} --writers 0"
                after = put_load(bench, run, options, prefix="units").samples["measured"]
                each.append((after.resident - before.resident) / CONNECTIONS)
    room = (each[0] - each[1]) / (1 - 1 / 5)
    return room, each[0] - room


async def published(port: int, followers: int) -> None:
    """Sends envelopes at a pace over one connection, to channels that so many others follow."""
    channels = [f"collabd:document:{number:06}".encode() for number in range(100)]
    sockets = []
    for _ in range(followers):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(pack(b"SUBSCRIBE", channel) for channel in channels))
        sockets.append((asyncio.create_task(_read_on(reader)), writer))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sockets.append((asyncio.create_task(_read_on(reader)), writer))
    began = time.monotonic()
    for number in range(PUBLISHED):
        writer.write(pack(b"PUBLISH", channels[number % len(channels)], b"x" * ENVELOPE_BYTES))
        if number % PUBLISHED_AT_ONCE == 0:
            await asyncio.sleep(max(0.0, began + number / PUBLISHED_EACH_SECOND - time.monotonic()))
    await asyncio.sleep(0.5)
    for task, writer in sockets:
        task.cancel()
        writer.close()


async def _read_on(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


def redis_costs() -> tuple[float, float]:
    """Microseconds of a Valkey's processor for each message, and for each node that gets it."""
    each = []
    for followers in (1, 9):
        with ValkeyServer() as valkey:
            assert valkey._process is not None
            before = processor_of(valkey._process.pid)
            asyncio.run(published(valkey.port, followers))
            each.append((processor_of(valkey._process.pid) - before) * 1e6 / PUBLISHED)
    delivery = (each[1] - each[0]) / 8
    return each[0] - delivery, delivery


def following_costs() -> tuple[float, float]:
    """Microseconds of PostgreSQL's processor, and of the node's, for each document that is asked about."""

    async def ask(url: str, database: int) -> tuple[float, float]:
        store = PostgresStore(url)
        await store.start()
        names = [f"document {number:06}" for number in range(FOLLOWED)]
        for start in range(0, FOLLOWED, FOLLOW_AT_ONCE):
            part = names[start : start + FOLLOW_AT_ONCE]
            await asyncio.gather(*(store.append(name, None, [seed(1)], [(UNKNOWN, 1)]) for name in part))
        random.Random(1).shuffle(names)
        its, own = processor_of(database), time.process_time()
        for start in range(0, FOLLOWED, FOLLOW_AT_ONCE):
            found = await store.find_all(names[start : start + FOLLOW_AT_ONCE])
            assert len(found) == FOLLOW_AT_ONCE
        own, its = time.process_time() - own, processor_of(database) - its
        await store.close()
        return its * 1e6 / FOLLOWED, own * 1e6 / FOLLOWED

    with contextlib.ExitStack() as stack:
        database = postgres.new_server()
        stack.callback(database.close)
        database.start()
        assert database._process is not None
        return asyncio.run(ask(database.url, database._process.pid))


def processor_of(pid: int) -> float:
    """Seconds of processor that a process and its children have used."""
    total = 0.0
    for each in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        with contextlib.suppress(OSError):
            # Nanoseconds on a processor, of each thread: ticks are too coarse for what hardly does anything.
            for task in Path(f"/proc/{each}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return total
