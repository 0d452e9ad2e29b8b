"""The contract every store keeps: a log of updates per document, and snapshots over it.

A document comes into being with its first committed update. Each update has a sequence number, gapless per
document and given in commit order, starting at 1. A snapshot is an encoded state that stands for every update
up to its number, except the *early* ones it names: those could not be integrated yet (they build on something
that has not arrived) and are read from the log again.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class DocumentInfo(NamedTuple):
    """One document as listings show it. Times are seconds since the epoch."""

    id: int
    name: str
    created_at: float
    updated_at: float
    head: int
    """Sequence number of the last committed update; also how many were ever committed."""


class LoggedUpdate(NamedTuple):
    """One update (Yjs v1 encoding) and its sequence number."""

    seq: int
    update: bytes


class StoredDocument(NamedTuple):
    """All it takes to rebuild a document: apply ``snapshot``, then every update of ``tail`` in order."""

    id: int
    head: int
    snapshot: bytes | None
    snapshot_seq: int
    tail: list[LoggedUpdate]
    """Updates after the snapshot, and before them the early ones from under it. Rejected ones are left
    out."""


class Appended(NamedTuple):
    """What a commit gave: the document's id and the number of the last update of the batch."""

    document_id: int
    last_seq: int


class Store(Protocol):
    """A place where updates are durable once :meth:`append` has answered.

    All methods are called on one event loop, after :meth:`start` and before :meth:`close`.
    """

    async def start(self) -> None:
        """Open the store and bring its schema up to date.

        Raises:
            StoreError: it cannot be opened, belongs to another process, or was written by a newer program.
        """

    async def close(self) -> None:
        """Commit what was handed over and release everything. Calling it twice does nothing."""

    async def ping(self) -> None:
        """Return when the store can commit.

        Raises:
            StoreUnavailable: it cannot at the moment.
        """

    async def load(self, name: str) -> StoredDocument | None:
        """Read a document back; None if nothing was ever committed under ``name``.

        Raises:
            DocumentDeleted: the name holds a tombstone.
            DocumentDamaged: a row does not match its checksum.
        """

    def append(
        self, name: str, document_id: int | None, updates: Sequence[bytes], *, revive: bool = False
    ) -> asyncio.Future[Appended]:
        """Hand over a batch of at least one update (Yjs v1) to be committed in this order, all or nothing.

        ``document_id`` is None for a document not seen in the store so far: the commit creates it. The future
        is done once the batch survives a power cut. It stays pending while the store cannot commit, and is
        retried until it can. A caller may hand over the next batch before the last is committed.

        Set ``revive`` to create a new document under a deleted name.

        Raises (in the future):
            DocumentDeleted: the document, or the name, was deleted.
            StoreUnavailable: the store was closed before it could commit.
        """

    async def reject(self, document_id: int, seqs: Sequence[int]) -> None:
        """Mark committed updates as not applicable: they keep their numbers, loading skips them."""

    async def save_snapshot(self, document_id: int, seq: int, state: bytes, early: Sequence[int]) -> None:
        """Keep ``state`` as standing for all updates up to ``seq`` but those numbered in ``early``.

        An older snapshot than the one stored is ignored.
        """

    async def find(self, name: str) -> DocumentInfo | None:
        """Look one document up without loading it; None if it does not exist.

        Raises:
            DocumentDeleted: the name holds a tombstone.
        """

    async def documents(self, *, prefix: str = "", after: str = "", limit: int = 100) -> list[DocumentInfo]:
        """List live documents whose name starts with ``prefix``, by name, beginning after the name
        ``after``."""

    async def delete(self, name: str) -> None:
        """Leave a tombstone under ``name``. What was committed is no longer served.

        Raises:
            NoSuchDocument: there is no such document.
            DocumentDeleted: it was deleted before.
        """
