"""Where the microseconds go that an update costs a document, without any network.

    .venv/bin/python benchmarks/costs.py [--updates 50] [--turns 200] [--peers 9]

Drives a real room turn by turn, as the event loop does: a number of updates arrive, the room hands them over
as one batch, the log commits it, and the room applies it and sends it to its peers. What each of these takes
is told in µs per update, the median over turns. The sockets and the kernel come on top; docs/performance.md
says how to see them.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pycrdt import Doc, Text, TransactionEvent

from collabd.errors import CollabdError
from collabd.persistence.base import Appended, Author
from collabd.persistence.memory import MemoryStore
from collabd.persistence.sqlite import SQLiteStore
from collabd.protocol import messages
from collabd.protocol.update import check_update
from collabd.rooms.outbox import Frame
from collabd.rooms.peer import Peer
from collabd.rooms.registry import Registry
from collabd.rooms.room import DocumentRoom

CLIENT = 12_345_678


class Wire:
    """An outbox that frames what it is given, and drops it."""

    waiting = 0
    write_framed = None

    def send(self, frame: Frame) -> None:
        self.size = len(frame.framed)

    def ping(self, answered: Callable[[], None]) -> None: ...

    def close(self, error: CollabdError, *, discard: bool = False) -> None:
        raise error


class HeldStore(MemoryStore):
    """A store that has committed when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[tuple[asyncio.Future[Appended], Appended]] = []

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
        done = super().append(name, document_id, updates, authors, revive=revive, first=first)
        answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._held.append((answer, done.result()))
        return answer

    def commit(self) -> None:
        """Answer everything that waits."""
        for answer, appended in self._held:
            answer.set_result(appended)
        self._held.clear()


def written(count: int, place: Callable[[int], int]) -> list[bytes]:
    """The updates of somebody who writes a letter at a time, the nth at ``place(n)``."""
    doc: Doc[Text] = Doc(client_id=CLIENT)
    text = doc.get("content", type=Text)
    updates: list[bytes] = []

    def keep(event: TransactionEvent) -> None:
        updates.append(event.update)

    subscription = doc.observe(keep)
    for number in range(count):
        text.insert(place(number), "abcdefghij klmnop"[number % 17])
    doc.unobserve(subscription)
    return updates


WAYS: Mapping[str, Callable[[int], int]] = {
    "typing on": lambda number: number,
    "here and there": lambda number: number * 7919 % (number + 1),
}
"""How somebody writes: one letter behind the other, which is recognised, or each somewhere else."""


async def turn() -> float:
    """Let the event loop do what is due now; the answer is how many seconds that took."""
    begun = time.perf_counter()
    await asyncio.sleep(0)
    return time.perf_counter() - begun


async def in_a_room(updates: list[bytes], at_once: int, peers: int) -> dict[str, float]:
    """Seconds for each turn of a room with one who writes, and ``peers`` others: the median of each step."""
    store = HeldStore()
    room: DocumentRoom = await Registry(store).open("notes")
    writer = Peer(Wire())
    for peer in (writer, *(Peer(Wire()) for _ in range(peers))):
        room.join(peer)
    frames = [messages.update_frame(update) for update in updates]
    taken: dict[str, list[float]] = {"receive": [], "hand over": [], "apply and relay": []}
    for first in range(0, len(frames), at_once):
        begun = time.perf_counter()
        room.receive_all(writer, frames[first : first + at_once])
        taken["receive"].append(time.perf_counter() - begun)
        taken["hand over"].append(await turn())
        store.commit()
        begun = time.perf_counter()
        await turn()
        await room.flushed()  # a crowd takes several turns
        taken["apply and relay"].append(time.perf_counter() - begun)
    await room.flushed()
    assert room.head == len(updates)
    return {step: statistics.median(times) for step, times in taken.items()}


def in_the_check(updates: list[bytes], at_once: int) -> float:
    """Seconds that the structural check takes of all that arrives in a turn, the median of turns."""
    times = []
    for first in range(0, len(updates), at_once):
        begun = time.perf_counter()
        for update in updates[first : first + at_once]:
            check_update(update)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


async def in_the_log(updates: list[bytes], at_once: int, path: Path) -> float:
    """Seconds until a batch is on disk, the median of batches."""
    store = SQLiteStore(path)
    await store.start()
    author = Author(1, "ada@example.com", "Ada", "127.0.0.1")
    document_id: int | None = None
    times = []
    for first in range(0, len(updates), at_once):
        batch = updates[first : first + at_once]
        begun = time.perf_counter()
        document_id, _ = await store.append("notes", document_id, batch, [(author, len(batch))])
        times.append(time.perf_counter() - begun)
    await store.close()
    return statistics.median(times)


def costs(at_once: int, turns: int, peers: int, folder: Path) -> dict[str, list[float]]:
    """Microseconds per update by step, for each of the ways to write.

    Args:
        at_once: how many updates arrive in one turn of the event loop.
        turns: of how many the median is taken.
        peers: how many others there are.
        folder: where the log is written, on the disk to commit to.
    """
    found: dict[str, list[float]] = {}
    for way, place in WAYS.items():
        updates = written(at_once * turns, place)
        alone = asyncio.run(in_a_room(updates, at_once, 0))
        together = asyncio.run(in_a_room(updates, at_once, peers))
        seconds = {
            "receive: check it, decide what is new, queue it": alone["receive"],
            "the structural check alone, where all of it is needed": in_the_check(updates, at_once),
            "hand the batch over": alone["hand over"],
            "apply the batch to the document, and merge it": alone["apply and relay"],
            f"frame it and queue it for {peers} others": together["apply and relay"]
            - alone["apply and relay"],
            "log it to SQLite until it is on disk, in another thread": asyncio.run(
                in_the_log(updates, at_once, folder / f"{way}.db")
            ),
        }
        for step, taken in seconds.items():
            found.setdefault(step, []).append(taken * 1e6 / at_once)
    return found


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=50, help="that arrive in one turn of the event loop")
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--peers", type=int, default=9, help="others who follow the document")
    parser.add_argument("--scratch", type=Path, default=Path("/var/tmp"), help="on the disk to commit to")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        found = costs(given.updates, given.turns, given.peers, Path(folder))
    print(f"| µs per update, {given.updates} in a turn | " + " | ".join(WAYS) + " |")
    print("|---|" + "---:|" * len(WAYS))
    for step, taken in found.items():
        print(f"| {step} | " + " | ".join(f"{value:.2f}" for value in taken) + " |")


if __name__ == "__main__":
    main()
