"""What messages between nodes take over a real server, and how soon they come.

    .venv/bin/python benchmarks/bridge.py [--url redis://127.0.0.1:6379] [--rounds 5]

Two processes with a bridge each: one publishes payloads of 100 bytes on 20 channels, the other follows them.
At 200 a second it is timed from the call of ``publish`` until the listener has the payload, beside what the
same takes over the same server by two bare connections of the same event loop: what is between them is the
bridge's own. Then as many are sent as go through. Processor times are of the two processes, without the
server's. Figures are medians of the rounds. Without a URL a server is started.
"""

import argparse
import asyncio
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hiredis
import uvloop

from collabd.bridge.redis import RedisBridge
from collabd.bridge.redis_link import pack
from tests.support.valkey import ValkeyServer

KEY: Final = b"the key of a cluster that is measured"
CHANNELS: Final = 20
RATE: Final = 200
PACED: Final = 1_000
FLOOD: Final = 50_000
WAITING: Final = 2_000
"""How many are on their way at most when as many are sent as go through."""
PAD: Final = b"x" * 92


class Outcome(NamedTuple):
    """What the follower found. Seconds."""

    delays: list[float]
    processor: float

    def told(self) -> str:
        ordered = sorted(self.delays)
        places = (len(ordered) // 2, len(ordered) * 99 // 100)
        return " ".join(map(str, (*(ordered[place] for place in places), self.processor / len(ordered))))


class Follower:
    """Notes how long payloads took, until there are enough."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._delays: list[float] = []
        self._done = asyncio.Event()
        self._began = 0.0

    def take(self, payload: bytes) -> None:
        if not self._delays:
            self._began = time.process_time()
        self._delays.append(time.perf_counter() - struct.unpack_from("d", payload)[0])
        if len(self._delays) == self._expected:
            self._done.set()

    def received(self, channel: str, node: bytes, payloads: Sequence[bytes], missed: bool) -> None:
        for payload in payloads:
            self.take(payload)

    def subscribed(self, channel: str) -> None: ...
    def interrupted(self) -> None: ...
    def restored(self) -> None: ...

    async def outcome(self) -> Outcome:
        await self._done.wait()
        return Outcome(self._delays, time.process_time() - self._began)


class Bare(asyncio.Protocol):
    """A connection without a bridge."""

    def __init__(self, follower: Follower | None) -> None:
        self._follower = follower
        self._parser = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        while (reply := self._parser.gets()) is not False:
            if self._follower is not None and reply[0] == b"message":
                self._follower.take(reply[2])


def payload() -> bytes:
    """One that knows when it was made."""
    return struct.pack("d", time.perf_counter()) + PAD


async def connect_bare(url: str, follower: Follower | None) -> asyncio.Transport:
    place = urlsplit(url)
    loop = asyncio.get_running_loop()
    connection = await loop.create_connection(
        lambda: Bare(follower), place.hostname or "", place.port or 6379
    )
    return connection[0]


async def follow(url: str, bare: bool, expected: int) -> None:
    """The second process: it says when it is ready, and then what it found."""
    follower = Follower(expected)
    names = [f"document {number}" for number in range(CHANNELS)]
    bridge = RedisBridge(url, KEY)
    if bare:
        transport = await connect_bare(url, follower)
        transport.write(pack(b"SUBSCRIBE", *(name.encode() for name in names)))
        await asyncio.sleep(0.2)
    else:
        await bridge.start(follower)
        assert all(await asyncio.gather(*map(bridge.subscribe, names)))
    print("ready", flush=True)
    print((await follower.outcome()).told(), flush=True)
    await bridge.close()


async def publish(url: str, bare: bool, count: int) -> tuple[list[float], float, float]:
    """What the follower found, the publisher's processor time for each, and how many a second went by."""
    following = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--url", url, "--follow", str(count), *["--bare"] * bare,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert following.stdout is not None
    assert await following.stdout.readline() == b"ready\n"
    bridge = RedisBridge(url, KEY)
    transport = await connect_bare(url, None)
    if not bare:
        await bridge.start(Follower(1))
    began, began_processor = time.perf_counter(), time.process_time()
    for number in range(count):
        name = f"document {number % CHANNELS}"
        if bare:
            transport.write(pack(b"PUBLISH", name.encode(), payload()))
        else:
            bridge.publish(name, payload())
        if count == PACED:
            await asyncio.sleep(max(0.0, began + (number + 1) / RATE - time.perf_counter()))
        elif number % WAITING == WAITING - 1:
            await asyncio.gather(*(shard.flush() for shard in bridge._shards.values()))
    processor = (time.process_time() - began_processor) / count
    found = [float(word) for word in (await following.stdout.readline()).split()]
    rate = count / (time.perf_counter() - began)
    assert bare or bridge.figures.commands <= bridge.figures.published == count
    transport.abort()
    await bridge.close()
    await following.wait()
    return found, processor, rate


def measure(url: str, rounds: int) -> None:
    figures: dict[str, list[Any]] = {"bare": [], "bridge": [], "flood": []}
    for _ in range(rounds):
        figures["bare"].append(uvloop.run(publish(url, True, PACED)))
        figures["bridge"].append(uvloop.run(publish(url, False, PACED)))
        figures["flood"].append(uvloop.run(publish(url, False, FLOOD)))
    for way in ("bare", "bridge"):
        p50, p99, cpu = (
            statistics.median([found[place] for found, _, _ in figures[way]]) * 1e6 for place in range(3)
        )
        sending = statistics.median([processor for _, processor, _ in figures[way]]) * 1e6
        print(f"{way} at {RATE}/s: p50 {p50:.0f} µs, p99 {p99:.0f} µs; ", end="")
        print(f"processor: {sending:.0f} µs to publish (the pace included), {cpu:.0f} µs to receive")
    sending = statistics.median([processor for _, processor, _ in figures["flood"]]) * 1e6
    cpu = statistics.median([found[2] for found, _, _ in figures["flood"]]) * 1e6
    rate = statistics.median([rate for _, _, rate in figures["flood"]])
    print(f"as many as go through: {rate:,.0f}/s; ", end="")
    print(f"processor: {sending:.1f} µs to publish, {cpu:.1f} µs to receive")


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a server that may be used")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--follow", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.follow:
        uvloop.run(follow(given.url, given.bare, given.follow))
        return
    with ExitStack() as stack:
        measure(given.url or stack.enter_context(ValkeyServer()).url, given.rounds)


if __name__ == "__main__":
    main()
