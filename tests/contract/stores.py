"""The stores that keep one contract, for tests that hold for each."""

from collections.abc import Callable, Sequence
from pathlib import Path

from collabd.persistence.base import Compaction, Store
from collabd.persistence.memory import MemoryStore
from collabd.persistence.postgres import PostgresStore
from collabd.persistence.sqlite import SQLiteStore
from tests.support import postgres
from tests.support.served import ServedStore

StoreFactory = Callable[[Path], Store]

STORES: dict[str, StoreFactory] = {
    "memory": lambda directory: MemoryStore(),
    "sqlite": lambda directory: SQLiteStore(directory / "documents.db"),
    "postgres": lambda directory: PostgresStore(postgres.new_database()),
    "remote": ServedStore,
}


async def compact(
    store: Store, name: str, seq: int, state: bytes, early: Sequence[int] = (), *, keep_history: bool = True
) -> None:
    """Put a snapshot in the place of the one the store has."""
    stored = await store.load(name)
    assert stored is not None
    compaction = Compaction(stored.snapshot_seq, seq, state, early, keep_history)
    assert await store.compact(stored.id, compaction)
