"""How long things take while something is wrong between servers of one database, and after it.

    python -m tests.faults.between --seconds 60

For each fault: how late an edit is on the same server (p99) before and meanwhile, how long one takes to the
other server meanwhile, at most, and from the end of the fault until edits cross at once again. The last of
them, packets that are lost in a network, takes Linux and root.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.measure.exposition import Histogram, read_exposition
from tests.faults.nodes import Nodes, nodes, nodes_with_cables
from tests.support.clients import Client
from tests.support.server import RunningServer

AT_ONCE: Final = 0.2
"""Seconds in which an edit crosses that is told by the bridge, with much room."""

Doing = Callable[[Nodes], None]


def kill_redis(town: Nodes) -> None:
    town.valkey.kill()


def start_redis(town: Nodes) -> None:
    town.valkey.start()


def freeze_redis(town: Nodes) -> None:
    town.valkey.suspend()


def thaw_redis(town: Nodes) -> None:
    town.valkey.resume()


def cut_silently(town: Nodes) -> None:
    town.proxies[0].swallowing = True


def join_again(town: Nodes) -> None:
    town.proxies[0].swallowing = False


def cut_all_silently(town: Nodes) -> None:
    for proxy in town.proxies:
        proxy.swallowing = True


def join_all_again(town: Nodes) -> None:
    for proxy in town.proxies:
        proxy.swallowing = False


def pull_out(town: Nodes) -> None:
    town.cables[0].pull_out()


def plug_in(town: Nodes) -> None:
    town.cables[0].plug_in()


def nothing(town: Nodes) -> None:
    """What is typed makes documents longer, and edits with them: so late are they when all is well."""


CABLE: Final = "one server's packets lost"
FAULTS: Final[dict[str, tuple[Doing, Doing]]] = {
    "nothing": (nothing, nothing),
    "Redis killed, restarted empty": (kill_redis, start_redis),
    "Redis frozen": (freeze_redis, thaw_redis),
    "one server cut off silently": (cut_silently, join_again),
    "both servers cut off silently": (cut_all_silently, join_all_again),
    CABLE: (pull_out, plug_in),
}


class Lateness:
    """How late edits are that a server passes on, by what it says itself: these typists take longer to read
    what they are sent than it takes to send it."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._before = self._read()

    def take(self) -> float:
        """The 99th percentile since this was asked last, in seconds."""
        before, self._before = self._before, self._read()
        late = (self._before - before).quantile(0.99)
        assert late is not None, "nobody wrote"
        return late

    def _read(self) -> Histogram:
        _, text = self._server.get("/metrics")
        return read_exposition(text).histograms["collabd_edit_seconds"]


class Crossing:
    """Somebody who types on one server, and somebody who only looks on another."""

    def __init__(self, town: Nodes) -> None:
        self._writer, self._reader = (Client(server.websocket_url("quiet")) for server in town.servers[:2])
        self._count = 0

    async def connect(self) -> None:
        for client in (self._writer, self._reader):
            await client.connect()
            await client.synced()

    async def time(self) -> float:
        """The seconds until an edit is seen on the other server."""
        self._count += 1
        mark = f"<{self._count}>"
        started = time.monotonic()
        self._writer.append(mark)
        await self._reader.until(lambda: mark in str(self._reader.text))
        return time.monotonic() - started

    async def dispose(self) -> None:
        await self._writer.dispose()
        await self._reader.dispose()


async def measure(name: str, seconds: float) -> None:
    """Let one thing go wrong for so long, and print how it went."""
    begin, end = FAULTS[name]
    with tempfile.TemporaryDirectory() as folder:
        async with (nodes_with_cables if name == CABLE else nodes)(Path(folder)) as town:
            lateness = Lateness(town.servers[0])
            crossing = Crossing(town)
            await crossing.connect()
            try:
                await town.write_on(seconds / 3)
                before = lateness.take()
                await asyncio.to_thread(begin, town)
                until = time.monotonic() + seconds
                slowest = 0.0
                while time.monotonic() < until:
                    slowest = max(slowest, await crossing.time())
                    await asyncio.sleep(0.3)
                meanwhile = lateness.take()
                await asyncio.to_thread(end, town)
                healed_at = last = time.monotonic()
                at_once = 0
                while at_once < 5:
                    at_once = at_once + 1 if await crossing.time() < AT_ONCE else 0
                    last = time.monotonic() if at_once <= 1 else last
                await town.bridges_are(up=True)
                await town.write_on(seconds / 6)
                after = lateness.take()
            finally:
                await crossing.dispose()
            await town.all_is_there(None)
    print(
        f"| {name} | {before * 1e3:.1f} | {meanwhile * 1e3:.1f} | {after * 1e3:.1f} | {slowest:.2f} |"
        f" {last - healed_at:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each thing is wrong")
    parser.add_argument("--only", nargs="+", choices=[str(number) for number in range(len(FAULTS))])
    given = parser.parse_args()
    print("| wrong | p99 before, ms | meanwhile | after | to the other server, at most, s | healed in, s |")
    print("|---|---:|---:|---:|---:|---:|")
    for number, name in enumerate(FAULTS):
        if given.only is None or str(number) in given.only:
            asyncio.run(measure(name, given.seconds))


if __name__ == "__main__":
    main()
