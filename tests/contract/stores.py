"""The stores that keep one contract, for tests that hold for each."""

from collections.abc import Callable
from pathlib import Path

from collabd.persistence.base import Store
from collabd.persistence.memory import MemoryStore
from collabd.persistence.sqlite import SQLiteStore

StoreFactory = Callable[[Path], Store]

STORES: dict[str, StoreFactory] = {
    "memory": lambda directory: MemoryStore(),
    "sqlite": lambda directory: SQLiteStore(directory / "documents.db"),
}
