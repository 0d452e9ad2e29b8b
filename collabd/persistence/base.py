"""The contract every store keeps: a log of updates per document, snapshots over it, and the history under it.

A document comes into being with its first committed update. Each update has a sequence number, gapless per
document and given in commit order, starting at 1. A snapshot is an encoded state that stands for every update
up to its number, except the *early* ones it names: those could not be integrated yet (they build on something
that has not arrived) and are read from the log again.

Compaction moves what a snapshot stands for out of the way of opening, into history, or drops it if no history
is kept. What is early stays in the log, whatever number it has, until a later compaction finds it integrated.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from collabd.memos import Memos

if TYPE_CHECKING:
    from .records import Record


class Author(NamedTuple):
    """Who sent an update, as history tells it."""

    connection: int
    """A random number below 2**63 that stands for one connection, request or command."""

    principal: str
    """The stable id of who was signed in."""

    name: str
    """What people were shown as the name."""

    address: str = ""
    """Where the connection came from."""


UNKNOWN: Final = Author(0, "", "")
"""The author of what was logged before authors were, and of what was erased."""


class DocumentInfo(NamedTuple):
    """One document as listings show it. Times are seconds since the epoch."""

    id: int
    name: str
    created_at: float
    updated_at: float
    head: int
    """Sequence number of the last committed update; also how many were ever committed."""
    quarantine: str = ""
    """Why the document is not opened any more until it is repaired; empty for a sound one."""


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
    """The number of the snapshot that the store has, also if ``snapshot`` is None because it was not to be
    used. A compaction says by it what it replaces."""
    tail: list[LoggedUpdate]
    """Updates after the snapshot, and before them the early ones from under it. Rejected ones are left
    out."""


class Appended(NamedTuple):
    """What a commit gave: the document's id and the number of the last update of the batch."""

    document_id: int
    last_seq: int


class Compaction(NamedTuple):
    """A snapshot that is to take the place of the one before it and of the log up to it."""

    replaces: int
    """``snapshot_seq`` of the stored document it was made from."""
    seq: int
    """The last update it stands for."""
    state: bytes
    """What the document can be rebuilt from; to stores it is just bytes."""
    early: Sequence[int] = ()
    """Numbers up to ``seq`` that it does not stand for."""
    keep_history: bool = True
    """Whether what it stands for goes into history, or goes altogether, history so far included."""


class HistoryEntry(NamedTuple):
    """What one flush of a room brought, or after thinning many of them together.

    It takes up the numbers ``seq - count + 1`` to ``seq``. Before thinning ``updates`` holds as many; a
    thinned entry holds one that stands for all, and the document can be seen as of its last number only.
    """

    seq: int
    count: int  # type: ignore[assignment]  # hides a method of tuples
    at: float
    """When it was committed (the last of it, once thinned), in seconds since the epoch."""
    authors: tuple[tuple[Author, int], ...]
    """Who sent the updates, in order, with how many each; after thinning each author once."""
    updates: list[bytes]
    """Yjs v1; empty if only the rest was asked for."""

    @property
    def first(self) -> int:
        """The number of its first update."""
        return self.seq - self.count + 1


class Version(NamedTuple):
    """A state of a document that somebody gave a name to."""

    seq: int
    name: str
    at: float
    """When it was named, in seconds since the epoch."""
    author: Author


class Problem(NamedTuple):
    """Something about a stored document that is not as it should be."""

    part: str
    """``log``, ``history`` or ``snapshot``."""
    seq: int
    """The number of the last update of the part, or the first of those missing."""
    what: str
    """What is wrong, for people."""


class Store(Memos, Protocol):
    """A place where updates are durable once :meth:`append` has answered.

    All methods are called on one event loop, after :meth:`start` and before :meth:`close`.
    """

    was_interrupted: bool
    """Whether a process that used the store before ended without closing it. Known after :meth:`start`."""

    is_shared: bool
    """Whether other processes may write to it at the same time."""

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

    # What rooms need

    async def load(self, name: str, *, whole: bool = False) -> StoredDocument | None:
        """Read a document back; None if nothing was ever committed under ``name``.

        With ``whole`` the snapshot is passed over and the tail is all of history and the log; so it is also
        if the snapshot does not match its checksum and nothing of the history is missing.

        Raises:
            DocumentDeleted: the name holds a tombstone.
            DocumentDamaged: a row does not match its checksum, numbers are missing (with ``whole``: also
                because no history is kept), or the document is in quarantine.
        """

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
        """Hand over a batch of at least one update (Yjs v1) to be committed in this order, all or nothing.

        ``authors`` says who sent them, in order, with how many each, neighbours not the same; empty if nobody
        knows. ``document_id`` is None for a document not seen in the store so far: the commit creates it. The
        future is done once the batch survives a power cut. It stays pending while the store cannot commit,
        and is retried until it can, never so that it is committed twice: if that cannot be told for certain
        any more, it is given up. A caller may hand over the next batch before the last is committed.

        Set ``revive`` to create a new document under a deleted name, ``first`` to commit only if nothing was
        committed to the document before but what was rejected.

        Raises (in the future):
            DocumentDeleted: the document, or the name, was deleted.
            DocumentExists: ``first`` was set, and something else was faster.
            StoreUnavailable: the store was closed before it could commit, or the batch was given up.
        """

    async def reject(self, document_id: int, seqs: Sequence[int]) -> None:
        """Mark committed updates as not applicable: they keep their numbers, loading skips them."""

    async def find(self, name: str) -> DocumentInfo | None:
        """Look one document up without loading it; None if it does not exist.

        Raises:
            DocumentDeleted: the name holds a tombstone.
        """

    async def find_all(self, names: Sequence[str]) -> dict[str, DocumentInfo]:
        """Look up, by name, the live documents that are called one of these. What was handed over to be
        committed may or may not be told of yet."""

    async def documents(self, *, prefix: str = "", after: str = "", limit: int = 100) -> list[DocumentInfo]:
        """List live documents whose name starts with ``prefix``, by name, beginning after the name
        ``after``."""

    async def delete(self, name: str) -> None:
        """Leave a tombstone under ``name``. What was committed is no longer served.

        Raises:
            NoSuchDocument: there is no such document.
            DocumentDeleted: it was deleted before.
        """

    # Compaction and history

    async def compact(self, document_id: int, compaction: Compaction) -> bool:
        """Put a snapshot in the place of the one before and of the log up to it, in one transaction. If no
        history is kept, what goes is overwritten where it was stored, as far as the database can see to it.

        False, and nothing is changed, if the store's snapshot is not the one it replaces any more: another
        compaction was faster.

        Raises:
            DocumentDeleted: the document was deleted.
            DocumentDamaged: a row that would go into history does not match its checksum.
            StoreUnavailable: the store cannot commit at the moment.
        """

    def history(
        self, document_id: int, *, after: int = 0, upto: int | None = None, updates: bool = True
    ) -> AsyncIterator[list[HistoryEntry]]:
        """Read history and log in order, some entries at a time: those that hold numbers above ``after`` and
        up to ``upto`` (whole entries: the first and last may reach beyond). Rejected updates are left out of
        their entry's ``updates`` (so that these are fewer than its ``count``).

        ``updates`` False leaves out their bytes, which is much faster.

        Raises:
            DocumentDamaged: a row does not match its checksum.
        """

    async def replace_history(
        self, document_id: int, upto: int, expected: int, entries: Sequence[HistoryEntry]
    ) -> bool:
        """Put ``entries`` in the place of all history entries that end at or below ``upto``, if these are
        ``expected`` in number and all in history (not in the log); else False, and nothing is changed."""

    async def versions(self, document_id: int) -> list[Version]:
        """The document's named versions, oldest first."""

    async def name_version(self, document_id: int, version: Version) -> None:
        """Give the state after an update a name, in the place of the one it had; ``at`` is now if it is 0."""

    async def remove_version(self, document_id: int, seq: int) -> None:
        """Take the name away again; do nothing if there is none."""

    async def erase_authors(self, *, principal: str | None = None, before: float | None = None) -> int:
        """Erase who authors were (principal, name, address): those of one principal, those whose connection
        was last heard of before a time (seconds since the epoch), or those for whom both hold. At least one
        must be given. Which updates came from the same connection stays known.

        Returns:
            how many connections were erased.
        """

    # Damage

    async def quarantine(self, document_id: int, reason: str) -> None:
        """Let the document not be loaded any more, for ``reason``; an empty reason lets it be loaded."""

    async def examine(self, document_id: int) -> list[Problem]:
        """Read everything stored of a document and say what is wrong with it, whether it is in quarantine or
        not."""

    async def set_aside(self, document_id: int) -> list[Problem]:
        """Move rows that cannot be read out of the way (they are kept, for somebody to look at), and fill the
        numbers they took up with nothing, so that the rest can be loaded again. A snapshot set aside is only
        gone if history is whole without it, or if ``examine`` found nothing else to go by.

        Returns:
            what was set aside, as :meth:`examine` told it.
        """

    # Copying a store into another, while nothing else writes to either

    def dump(self) -> "AsyncIterator[list[Record]]":
        """All there is, some at a time: authors by the numbers of their connections; then each document by
        its id, deleted ones too, followed by what belongs to it: what was rejected, versions by number, what
        was set aside in its order, the snapshot, entries of history by number, and entries of the log by
        number. Times come out as they were put in (those of history in milliseconds).

        Raises:
            DocumentDamaged: something does not match its checksum.
        """

    async def take_in(self, records: "Sequence[Record]") -> None:
        """Put in, in one transaction, some of what another store's :meth:`dump` gave, in its order. Ids,
        numbers and times stay what they are; ids given later are higher. The store held nothing before the
        first call.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
