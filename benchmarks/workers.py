"""How long an edit takes between two people on one worker of a server, and on two.

    .venv/bin/python benchmarks/workers.py [--edits 300] [--scratch /var/tmp]

A server with two workers; two people in one document write in turns, twenty times a second. Clients are in
Python, and the same for both: what counts is the difference.
"""

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.clients import Client
from tests.support.server import RunningServer, running_server

PAUSE = 0.05


async def pair(server: RunningServer, document: str, *, together: bool) -> tuple[Client, Client]:
    """Two people in a document who are on the same worker, or on two."""
    first = await _joined(server, document)
    while True:
        other = await _joined(server, document)
        if (first[1] == other[1]) == together:
            return first[0], other[0]
        await other[0].close()


async def _joined(server: RunningServer, document: str) -> tuple[Client, str]:
    before = server.log.count(f"event=join document={document} ")
    client = await Client(server.websocket_url(document)).connect()
    await client.synced()
    while server.log.count(f"event=join document={document} ") == before:
        await asyncio.sleep(0.01)
    line = [line for line in server.log.splitlines() if f"event=join document={document} " in line][-1]
    found = re.search(r" worker=(\d+)", line)
    assert found is not None
    return client, found[1]


async def milliseconds(pair: tuple[Client, Client], edits: int) -> list[float]:
    """How long each edit took to be seen."""
    seen: list[float] = []
    for number in range(edits):
        writer, reader = pair if number % 2 else reversed(pair)
        mark = f"<{number}>"
        started = time.perf_counter()
        writer.append(mark)
        await reader.until(lambda reader=reader, mark=mark: str(reader.text).endswith(mark))  # type: ignore[misc]
        seen.append((time.perf_counter() - started) * 1e3)
        await asyncio.sleep(PAUSE)
    return seen


async def measure(server: RunningServer, edits: int) -> None:
    pairs = {
        "the same worker": await pair(server, "together", together=True),
        "two workers": await pair(server, "apart", together=False),
    }
    for round_ in range(3):
        for name, people in pairs.items():
            seen = sorted(await milliseconds(people, edits))
            print(
                f"round {round_ + 1}, {name}: p50 {statistics.median(seen):.2f} ms,"
                f" p99 {seen[len(seen) * 99 // 100]:.2f} ms"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--scratch", type=Path, default=Path("/var/tmp"), help="on the disk to commit to")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=given.scratch) as folder,
        running_server(Path(folder), options=("--workers", "2")) as server,
    ):
        asyncio.run(measure(server, given.edits))


if __name__ == "__main__":
    main()
