"""What keeping documents costs: opening them, their size, and how that grows with their number.

    .venv/bin/python benchmarks/store.py [--documents 100000] [--rounds 5]

Figures are medians, on the machine it runs on, with the store's usual promises (WAL, synchronous=FULL).
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pycrdt import Doc, Text

from benchmarks.measure.documents import AUTHOR, edits_of, fill
from collabd.compaction import Compactor
from collabd.persistence.sqlite import SQLiteStore
from collabd.retention import Policy
from collabd.rooms.registry import Registry
from collabd.rooms.room import RoomLimits
from collabd.rooms.snapshot import unpack

NEVER = RoomLimits(snapshot_updates=10**9, snapshot_updates_at_most=10**9)


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("documents.db*"))


async def seconds(rounds: int, work: Callable[[], Awaitable[object]]) -> float:
    """The median time it takes."""
    times = []
    for _ in range(rounds):
        before = time.perf_counter()
        await work()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


async def large_document(directory: Path, trace: str, rounds: int) -> None:
    updates, end = edits_of(trace)
    raw = sum(map(len, updates))
    store = SQLiteStore(directory / "documents.db")
    await store.start()
    await fill(store, "notes", updates)

    async def open_() -> None:
        room = await Registry(store, limits=NEVER).open("notes")
        assert str(room.ydoc.get("content", type=Text)) == end

    bare = await seconds(rounds, open_)
    print(f"{trace}: {len(updates):,} edits, {raw:,} bytes of updates")
    print(f"  opening it from the bare log: {bare:.2f} s")
    before = time.perf_counter()
    await Compactor(store, run=asyncio.to_thread).compact("notes")
    print(f"  compacting all of it at once: {time.perf_counter() - before:.1f} s")
    compacted = await seconds(rounds, open_)
    stored = await store.load("notes")
    assert stored is not None
    assert stored.snapshot is not None
    state = unpack(stored.snapshot).state

    async def bare_pycrdt() -> None:
        Doc().apply_update(state)

    in_pycrdt = await seconds(rounds, bare_pycrdt)
    print(f"  opening it afterwards: {compacted * 1000:.0f} ms, of which pycrdt {in_pycrdt * 1000:.0f} ms")
    await store.close()
    with_history = size_of(directory)
    print(f"  stored with full history: {with_history:,} bytes, {with_history / raw:.2f} x the updates")
    await store.start()
    await store.append("notes", stored.id, [b"\0\0"], [(AUTHOR, 1)])
    await Compactor(store, run=asyncio.to_thread, policy=Policy(keep_history=False)).compact("notes")
    await store.close()
    without = size_of(directory)
    share = without / len(state)
    print(f"  stored without history: {without:,} bytes, {share:.2f} x the state of {len(state):,}")


async def many_documents(directory: Path, count: int, rounds: int) -> None:
    updates = edits_of("rustcode")[0][:50]
    figures: dict[int, tuple[float, float, float]] = {}
    store = SQLiteStore(directory / "documents.db")
    await store.start()
    made = 0
    for total in (100, count):
        waiting = []
        for number in range(made, total):
            waiting.append(
                store.append(f"folder {number // 50}/{number:07}", None, updates, [(AUTHOR, len(updates))])
            )
            if len(waiting) == 2_000:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
        made = total
        names = [f"folder {number // 50}/{number:07}" for number in range(0, total, max(1, total // 100))]

        async def open_all(names: list[str] = names) -> None:
            registry = Registry(store, limits=NEVER)
            for name in names:
                await registry.open(name)

        async def list_page() -> None:
            assert len(await store.documents(limit=50)) == 50

        async def list_folder() -> None:
            await store.documents(prefix="folder 1/", limit=50)

        figures[total] = (
            await seconds(rounds, open_all) / len(names),
            await seconds(rounds * 20, list_page),
            await seconds(rounds * 20, list_folder),
        )
    await store.close()
    for what, few, many in zip(
        ("opening a document", "listing a page of 50", "listing a folder"), *figures.values(), strict=True
    ):
        print(
            f"{what}: {few * 1000:.2f} ms among 100 documents, {many * 1000:.2f} ms among {count:,}"
            f" ({many / few:.2f} x)"
        )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trace", default="automerge-paper")
    given = parser.parse_args()
    print(f"{os.cpu_count()} processors, medians of {given.rounds}")
    with tempfile.TemporaryDirectory() as directory:
        await large_document(Path(directory), given.trace, given.rounds)
    with tempfile.TemporaryDirectory() as directory:
        await many_documents(Path(directory), given.documents, given.rounds)


if __name__ == "__main__":
    asyncio.run(main())
