"""What a backup costs those who write meanwhile: how long each waits until an edit of theirs is saved.

.venv/bin/python benchmarks/backup.py [--megabytes 100]
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from collabd.persistence.sqlite import SQLiteStore
from tests.support.clients import Client
from tests.support.commands import Place
from tests.support.server import running_server

ROW = 20_000


async def fill(path: Path, megabytes: int) -> None:
    """Documents nobody opens, of bytes that cannot be compressed."""
    store = SQLiteStore(path)
    await store.start()
    for document in range(megabytes):
        await store.append(f"ballast {document}", None, [os.urandom(ROW) for _ in range(10**6 // ROW)])
    await store.close()


async def delays(client: Client, stopping: asyncio.Event) -> list[float]:
    """Seconds until each of many edits was saved, one after the other, at about 100 a second."""
    taken = []
    while not stopping.is_set():
        before = time.perf_counter()
        client.append("x")
        await client.saved_all()
        taken.append(time.perf_counter() - before)
        await asyncio.sleep(0.01)
    return taken


def told(what: str, taken: list[float]) -> None:
    print(
        f"{what:<16} {len(taken):>6} edits saved: median {statistics.median(taken) * 1e3:6.2f} ms,"
        f" 99% {sorted(taken)[int(len(taken) * 0.99)] * 1e3:6.1f} ms, longest {max(taken) * 1e3:6.1f} ms"
    )


async def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        await fill(Path(folder) / "collabd.db", megabytes)
        with running_server(Path(folder)) as server:
            place = Place(Path(folder), server)
            async with Client(server.websocket_url("notes"), saves=True) as client:
                for what, command in (
                    ("nothing", None),
                    ("backup", ["backup", "copy.db"]),
                    ("check --all", ["check", "--all"]),
                ):
                    stopping = asyncio.Event()
                    measuring = asyncio.create_task(delays(client, stopping))
                    began = time.perf_counter()
                    if command is None:
                        await asyncio.sleep(5)
                    else:
                        # In a process of its own: what it costs there is not to be measured here.
                        done = await asyncio.to_thread(place.end, place.start(*command))
                        print(done.out.splitlines()[-1], f"in {time.perf_counter() - began:.1f} s")
                    stopping.set()
                    told(what, await measuring)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    asyncio.run(main(parser.parse_args().megabytes))
