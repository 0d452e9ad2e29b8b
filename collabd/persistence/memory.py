"""A store that forgets everything when the process ends. For tests and for trying things out."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from collabd.errors import (
    DocumentDamaged,
    DocumentDeleted,
    DocumentExists,
    NoSuchDocument,
    StoreUnavailable,
)
from collabd.memos import Memo

from .base import (
    UNKNOWN,
    Appended,
    Author,
    Compaction,
    DocumentInfo,
    HistoryEntry,
    LoggedUpdate,
    Problem,
    StoredDocument,
    Version,
)
from .records import (
    AsideRecord,
    AuthorRecord,
    DocumentRecord,
    EntryRecord,
    Record,
    RejectedRecord,
    SnapshotRecord,
    VersionRecord,
)


@dataclass(slots=True)
class _Document:
    id: int
    name: str
    created_at: float
    updated_at: float
    head: int = 0
    log: list[HistoryEntry] = field(default_factory=list)
    history: list[HistoryEntry] = field(default_factory=list)
    rejected: set[int] = field(default_factory=set)
    snapshot: bytes | None = None
    snapshot_seq: int = 0
    snapshot_at: float = 0.0
    early: frozenset[int] = frozenset()
    versions: dict[int, Version] = field(default_factory=dict)
    quarantine: str = ""
    deleted_at: float | None = None
    aside: list[AsideRecord] = field(default_factory=list)

    @property
    def deleted(self) -> bool:
        return self.deleted_at is not None

    @property
    def info(self) -> DocumentInfo:
        return DocumentInfo(self.id, self.name, self.created_at, self.updated_at, self.head, self.quarantine)

    @property
    def entries(self) -> list[HistoryEntry]:
        return sorted(self.history + self.log, key=lambda entry: entry.seq)

    def updates(self, entry: HistoryEntry) -> list[LoggedUpdate]:
        first = entry.first if len(entry.updates) == entry.count else entry.seq
        return [
            LoggedUpdate(seq, update)
            for seq, update in enumerate(entry.updates, first)
            if seq not in self.rejected
        ]


class MemoryStore:
    """Keeps the contract of :class:`~collabd.persistence.base.Store`, except that nothing is durable."""

    def __init__(self) -> None:
        self.was_interrupted = False
        self.is_shared = False
        self._by_id: dict[int, _Document] = {}
        self._by_name: dict[str, _Document] = {}
        self._authors: dict[int, tuple[Author, float]] = {}
        self._memos: dict[tuple[str, str], Memo] = {}
        self._closed = False

    async def start(self) -> None:
        self._closed = False

    async def close(self) -> None:
        self._closed = True

    async def ping(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    async def load(self, name: str, *, whole: bool = False) -> StoredDocument | None:
        document = self._find(name)
        if document is None:
            return None
        if document.quarantine:
            raise DocumentDamaged(f"{name} is in quarantine: {document.quarantine}")
        if whole:
            entries = document.entries
            if sum(entry.count for entry in entries) < document.head:
                raise DocumentDamaged(f"not all of the history of {name} is kept")
            tail = [logged for entry in entries for logged in document.updates(entry)]
            return StoredDocument(document.id, document.head, None, document.snapshot_seq, tail)
        tail = [
            logged
            for entry in document.log
            for logged in document.updates(entry)
            if logged.seq > document.snapshot_seq or logged.seq in document.early
        ]
        return StoredDocument(document.id, document.head, document.snapshot, document.snapshot_seq, tail)

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
        if first and is_there and document is not None and document.head > len(document.rejected):
            future.set_exception(DocumentExists(f"{name} already has content"))
            return future
        now = time.time()
        if document is None or document.deleted:
            document = _Document(max(self._by_id, default=0) + 1, name, now, now)
            self._by_id[document.id] = self._by_name[name] = document
        document.head += len(updates)
        for author, _ in authors:
            self._authors[author.connection] = author, now
        document.log.append(HistoryEntry(document.head, len(updates), now, tuple(authors), list(updates)))
        document.updated_at = now
        future.set_result(Appended(document.id, document.head))
        return future

    async def reject(self, document_id: int, seqs: Sequence[int]) -> None:
        self._by_id[document_id].rejected.update(seqs)

    async def find(self, name: str) -> DocumentInfo | None:
        document = self._find(name)
        return None if document is None else document.info

    async def find_all(self, names: Sequence[str]) -> dict[str, DocumentInfo]:
        found = [self._by_name[name] for name in names if name in self._by_name]
        return {document.name: document.info for document in found if not document.deleted}

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
        document.deleted_at = time.time()

    async def compact(self, document_id: int, compaction: Compaction) -> bool:
        document = self._by_id.get(document_id)
        if document is None or document.deleted:
            raise DocumentDeleted("the document was deleted")
        if document.snapshot_seq != compaction.replaces:
            return False
        early = set(compaction.early)
        going = [
            entry
            for entry in document.log
            if entry.seq <= compaction.seq and not early.intersection(range(entry.first, entry.seq + 1))
        ]
        document.log = [entry for entry in document.log if entry not in going]
        document.history = [*document.history, *going] if compaction.keep_history else []
        if not compaction.keep_history:
            document.versions.clear()
        document.snapshot, document.snapshot_seq = compaction.state, compaction.seq
        document.snapshot_at = going[-1].at if going else document.snapshot_at or time.time()
        document.early = frozenset(early)
        return True

    async def history(
        self, document_id: int, *, after: int = 0, upto: int | None = None, updates: bool = True
    ) -> AsyncIterator[list[HistoryEntry]]:
        document = self._by_id[document_id]
        entries = []
        for entry in document.entries:
            if entry.seq > after and (upto is None or entry.first <= upto):
                runs = tuple((self._known(author), count) for author, count in entry.authors)
                held = [logged.update for logged in document.updates(entry)] if updates else []
                entries.append(entry._replace(authors=runs, updates=held))
        if entries:
            yield entries

    async def replace_history(
        self, document_id: int, upto: int, expected: int, entries: Sequence[HistoryEntry]
    ) -> bool:
        document = self._by_id[document_id]
        going = [entry for entry in document.history if entry.seq <= upto]
        if len(going) != expected or any(entry.seq <= upto for entry in document.log):
            return False
        document.history = [*entries, *(entry for entry in document.history if entry.seq > upto)]
        document.rejected = {seq for seq in document.rejected if seq > upto}
        return True

    async def versions(self, document_id: int) -> list[Version]:
        versions = sorted(self._by_id[document_id].versions.values())
        return [version._replace(author=self._known(version.author)) for version in versions]

    async def name_version(self, document_id: int, version: Version) -> None:
        now = time.time()
        self._authors[version.author.connection] = version.author, now
        self._by_id[document_id].versions[version.seq] = version._replace(at=version.at or now)

    async def remove_version(self, document_id: int, seq: int) -> None:
        self._by_id[document_id].versions.pop(seq, None)

    async def erase_authors(self, *, principal: str | None = None, before: float | None = None) -> int:
        if principal is None and before is None:
            raise ValueError("say whom to erase")
        erased = 0
        for connection, (author, last_at) in self._authors.items():
            is_meant = principal in (None, author.principal) and (before is None or last_at < before)
            if is_meant and author != Author(connection, "", ""):
                self._authors[connection] = Author(connection, "", ""), last_at
                erased += 1
        return erased

    async def quarantine(self, document_id: int, reason: str) -> None:
        self._by_id[document_id].quarantine = reason

    async def examine(self, document_id: int) -> list[Problem]:
        return []

    async def set_aside(self, document_id: int) -> list[Problem]:
        return []

    async def put_memo(self, memo: Memo, *, fresh: bool = False) -> bool:
        await self.ping()
        if fresh and await self.memo(memo.kind, memo.key) is not None:
            return False
        self._memos[memo.kind, memo.key] = memo
        return True

    async def memo(self, kind: str, key: str) -> Memo | None:
        memo = self._memos.get((kind, key))
        return memo if memo is not None and memo.expires_at > time.time() else None

    async def memos(
        self, kind: str, *, subject: str | None = None, after: str = "", limit: int = 100
    ) -> list[Memo]:
        now = time.time()
        found = [
            memo
            for memo in self._memos.values()
            if memo.kind == kind and memo.key > after and memo.expires_at > now
            if subject is None or memo.subject == subject
        ]
        return sorted(found)[:limit]

    async def memos_about(self, kind: str, subjects: Sequence[str]) -> list[Memo]:
        wanted, now = set(subjects), time.time()
        return sorted(
            (
                memo
                for memo in self._memos.values()
                if memo.kind == kind and memo.subject in wanted and memo.expires_at > now
            ),
            key=lambda memo: memo.key,
        )

    async def remove_memo(self, kind: str, key: str) -> bool:
        await self.ping()
        was_there = await self.memo(kind, key) is not None
        self._memos.pop((kind, key), None)
        return was_there

    async def remove_expired_memos(self, now: float) -> int:
        expired = [memo for memo in self._memos.values() if memo.expires_at <= now]
        for memo in expired:
            del self._memos[memo.kind, memo.key]
        return len(expired)

    async def dump(self) -> AsyncIterator[list[Record]]:
        yield sorted(self._memos.values())
        known = sorted(self._authors.items())
        yield [AuthorRecord(*author) for connection, author in known if connection != UNKNOWN.connection]
        for document in self._by_id.values():
            records: list[Record] = [
                DocumentRecord(
                    document.id, document.name, document.created_at, document.deleted_at, document.quarantine
                )
            ]
            if document.rejected:
                records.append(RejectedRecord(document.id, tuple(sorted(document.rejected))))
            records += [VersionRecord(document.id, version) for version in await self.versions(document.id)]
            records += document.aside
            if document.snapshot is not None:
                early = tuple(sorted(document.early))
                records.append(
                    SnapshotRecord(
                        document.id, document.snapshot_seq, document.snapshot_at, early, document.snapshot
                    )
                )
            for entries, in_log in ((document.history, False), (document.log, True)):
                for entry in sorted(entries, key=lambda entry: entry.seq):
                    runs = tuple((self._known(author), count) for author, count in entry.authors)
                    records.append(EntryRecord(document.id, entry._replace(authors=runs), in_log))
            yield records

    async def take_in(self, records: Sequence[Record]) -> None:
        for record in records:
            match record:
                case Memo():
                    self._memos[record.kind, record.key] = record
                case AuthorRecord(author, last_at):
                    self._authors[author.connection] = author, last_at
                case DocumentRecord(document_id, name, created_at, deleted_at, quarantine):
                    document = _Document(document_id, name, created_at, created_at)
                    document.deleted_at, document.quarantine = deleted_at, quarantine
                    self._by_id[document_id] = self._by_name[name] = document
                case RejectedRecord(document_id, seqs):
                    self._by_id[document_id].rejected.update(seqs)
                case VersionRecord(document_id, version):
                    self._by_id[document_id].versions[version.seq] = version
                case AsideRecord(document_id):
                    self._by_id[document_id].aside.append(record)
                case SnapshotRecord(document_id, seq, at, early, state):
                    document = self._by_id[document_id]
                    document.snapshot, document.snapshot_seq, document.snapshot_at = state, seq, at
                    document.early = frozenset(early)
                    document.head = max(document.head, seq)
                    document.updated_at = max(document.updated_at, at)
                case EntryRecord(document_id, entry, in_log):
                    document = self._by_id[document_id]
                    (document.log if in_log else document.history).append(entry)
                    document.head = max(document.head, entry.seq)
                    if in_log:
                        document.updated_at = max(document.updated_at, entry.at)

    def _known(self, author: Author) -> Author:
        return self._authors.get(author.connection, (UNKNOWN, 0.0))[0]

    def _find(self, name: str) -> _Document | None:
        document = self._by_name.get(name)
        if document is not None and document.deleted:
            raise DocumentDeleted(f"{name} was deleted")
        return document
