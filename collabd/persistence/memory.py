"""A store that forgets everything when the process ends. For tests and for trying things out."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from collabd.errors import DocumentDeleted, NoSuchDocument, StoreUnavailable

from .base import Appended, DocumentInfo, LoggedUpdate, StoredDocument


@dataclass(slots=True)
class _Document:
    id: int
    name: str
    created_at: float
    updated_at: float
    log: list[bytes] = field(default_factory=list)
    rejected: set[int] = field(default_factory=set)
    snapshot: bytes | None = None
    snapshot_seq: int = 0
    early: frozenset[int] = frozenset()
    deleted: bool = False

    @property
    def info(self) -> DocumentInfo:
        return DocumentInfo(self.id, self.name, self.created_at, self.updated_at, len(self.log))


class MemoryStore:
    """Keeps the contract of :class:`~collabd.persistence.base.Store`, except that nothing is durable."""

    def __init__(self) -> None:
        self._by_id: dict[int, _Document] = {}
        self._by_name: dict[str, _Document] = {}
        self._closed = False

    async def start(self) -> None:
        self._closed = False

    async def close(self) -> None:
        self._closed = True

    async def ping(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    async def load(self, name: str) -> StoredDocument | None:
        document = self._find(name)
        if document is None:
            return None
        tail = [
            LoggedUpdate(seq, update)
            for seq, update in enumerate(document.log, 1)
            if (seq > document.snapshot_seq or seq in document.early) and seq not in document.rejected
        ]
        return StoredDocument(document.id, len(document.log), document.snapshot, document.snapshot_seq, tail)

    def append(
        self, name: str, document_id: int | None, updates: Sequence[bytes], *, revive: bool = False
    ) -> asyncio.Future[Appended]:
        if not updates:
            raise ValueError("a batch holds at least one update")
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(StoreUnavailable("the store is closed"))
            return future
        document = self._by_name.get(name) if document_id is None else self._by_id.get(document_id)
        is_there = document is not None and not document.deleted
        may_begin = document_id is None and (document is None or revive)
        if not is_there and not may_begin:
            future.set_exception(DocumentDeleted(f"{name} was deleted"))
            return future
        now = time.time()
        if document is None or document.deleted:
            document = _Document(len(self._by_id) + 1, name, now, now)
            self._by_id[document.id] = self._by_name[name] = document
        document.log.extend(updates)
        document.updated_at = now
        future.set_result(Appended(document.id, len(document.log)))
        return future

    async def reject(self, document_id: int, seqs: Sequence[int]) -> None:
        self._by_id[document_id].rejected.update(seqs)

    async def save_snapshot(self, document_id: int, seq: int, state: bytes, early: Sequence[int]) -> None:
        document = self._by_id[document_id]
        if seq >= document.snapshot_seq:
            document.snapshot, document.snapshot_seq, document.early = state, seq, frozenset(early)

    async def find(self, name: str) -> DocumentInfo | None:
        document = self._find(name)
        return None if document is None else document.info

    async def documents(self, *, prefix: str = "", after: str = "", limit: int = 100) -> list[DocumentInfo]:
        names = sorted(
            name
            for name, document in self._by_name.items()
            if not document.deleted and name.startswith(prefix) and name > after
        )
        return [self._by_name[name].info for name in names[:limit]]

    async def delete(self, name: str) -> None:
        document = self._find(name)
        if document is None:
            raise NoSuchDocument(f"there is no document {name}")
        document.deleted = True

    def _find(self, name: str) -> _Document | None:
        document = self._by_name.get(name)
        if document is not None and document.deleted:
            raise DocumentDeleted(f"{name} was deleted")
        return document
