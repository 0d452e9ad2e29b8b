"""What a store consists of, piece by piece, for copying it into another one.

A document is known by its id, so that documents deleted under the same name stay apart.
"""

from typing import Final, NamedTuple

from collabd.memos import Memo

from .base import Author, HistoryEntry, Version
from .reading import Parts


class AuthorRecord(NamedTuple):
    """An author, erased or not."""

    author: Author
    last_at: float
    """When its connection was last heard of, in seconds since the epoch."""


class DocumentRecord(NamedTuple):
    """A document, deleted or not. Comes before whatever belongs to it."""

    id: int
    name: str
    created_at: float
    deleted_at: float | None
    quarantine: str


class RejectedRecord(NamedTuple):
    """Numbers of updates that are not applicable, ascending; at least one."""

    document: int
    seqs: tuple[int, ...]


class VersionRecord(NamedTuple):
    """A named version."""

    document: int
    version: Version


class AsideRecord(NamedTuple):
    """Something that could not be read and was set aside."""

    document: int
    part: str
    seq: int
    at: float
    """When it was set aside, in seconds since the epoch."""
    stored: str
    """What was stored, as the store it came from noted it."""


class EntryRecord(NamedTuple):
    """What one flush brought, or a thinned entry, with all its updates, rejected ones too."""

    document: int
    entry: HistoryEntry
    in_log: bool
    """Whether it is in the log still, not in history."""


class SnapshotRecord(NamedTuple):
    """The snapshot a document has."""

    document: int
    seq: int
    at: float
    """When the last update it stands for was committed."""
    early: tuple[int, ...]
    state: bytes


Record = (
    Memo
    | AuthorRecord
    | DocumentRecord
    | RejectedRecord
    | VersionRecord
    | AsideRecord
    | EntryRecord
    | SnapshotRecord
)


AUTHORS: Final = 5_000
"""Authors that are read at a time."""


class DumpPlace(NamedTuple):
    """How far a reader has come."""

    author: int | None
    """The connection of the last author read; None once all were."""
    document: int
    """The document that is read, or was read last."""
    parts: Parts
    """Segments of it still to be read."""
    row: int | None
    """Number of the last row of its log that was read; None once all were."""


BEGINNING: Final = DumpPlace(0, 0, [], None)
