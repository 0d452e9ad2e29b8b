"""What a process that owns a store and those that use it say to each other, as bytes.

Batches and the answers to them, of which there are many, have a form of their own. Everything else is JSON;
bytes in it stand behind it, and an object ``{"": [start, stop]}`` in their place.
"""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, TypeVar

from collabd import errors
from collabd.errors import CollabdError
from collabd.memos import Memo
from collabd.protocol import wire

from . import records, rows
from .base import (
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
from .records import EntryRecord, Record

T = TypeVar("T")

VERSION: Final = 1
"""Changes when the two ends would misunderstand each other."""


class Kind(IntEnum):
    """What a message is."""

    HELLO = 1
    """Comes first: the version. The answer says whether somebody was interrupted."""
    APPEND = 2
    CALL = 3
    """An operation and its arguments. If it gives things one after the other, it is to give the first."""
    MORE = 4
    """The next one, please."""
    STOP = 5
    """No more, please."""
    BYE = 6
    """Answered once everything is committed that can be."""
    APPENDED = 7
    """Answers to batches."""
    RESULT = 8
    FAILED = 9


# Values

_LENGTH: Final = struct.Struct(">I")


def pack(value: Any) -> bytes:
    """Encode what JSON can say, and bytes."""
    held: list[bytes] = []
    size = 0

    def hold(found: bytes) -> dict[str, tuple[int, int]]:
        nonlocal size
        start = size
        size += len(found)
        held.append(found)
        return {"": (start, size)}

    text = json.dumps(value, default=hold, separators=(",", ":")).encode()
    return b"".join((_LENGTH.pack(len(text)), text, *held))


def unpack(data: bytes) -> Any:
    """Decode what :func:`pack` made; all sequences are lists then."""
    (length,) = _LENGTH.unpack_from(data)
    begin = _LENGTH.size + length

    def fetch(found: dict[str, Any]) -> Any:
        if "" not in found:
            return found
        start, stop = found[""]
        return data[begin + start : begin + stop]

    return json.loads(data[_LENGTH.size : begin], object_hook=fetch)


def pack_error(error: CollabdError) -> bytes:
    """Encode an error."""
    return pack([type(error).__name__, str(error)])


def unpack_error(data: bytes) -> CollabdError:
    """Decode what :func:`pack_error` made."""
    name, message = unpack(data)
    found = vars(errors).get(name)
    return found(message) if isinstance(found, type(CollabdError)) else CollabdError(message)


# Batches


class Batch(NamedTuple):
    """What :meth:`~collabd.persistence.base.Store.append` is given."""

    name: str
    document_id: int | None
    updates: Sequence[bytes]
    authors: Sequence[tuple[Author, int]]
    revive: bool
    first: bool


_BATCH: Final = struct.Struct(">BqII")
_HAS_ID: Final = 1
_REVIVE: Final = 2
_FIRST: Final = 4
_APPENDED: Final = struct.Struct(">QQQ")


def pack_batch(batch: Batch) -> bytes:
    """Encode a batch."""
    name = batch.name.encode(errors="surrogatepass")
    authors = _pack_authors(batch.authors)
    flags = _REVIVE * batch.revive | _FIRST * batch.first | _HAS_ID * (batch.document_id is not None)
    header = _BATCH.pack(flags, batch.document_id or 0, len(name), len(authors))
    return b"".join((header, name, authors, rows.pack(batch.updates)))


def unpack_batch(data: bytes) -> Batch:
    """Decode what :func:`pack_batch` made."""
    flags, document_id, name_length, authors_length = _BATCH.unpack_from(data)
    name_stop = _BATCH.size + name_length
    authors_stop = name_stop + authors_length
    return Batch(
        data[_BATCH.size : name_stop].decode(errors="surrogatepass"),
        document_id if flags & _HAS_ID else None,
        rows.unpack(data[authors_stop:]),
        _unpack_authors(data[name_stop:authors_stop]),
        bool(flags & _REVIVE),
        bool(flags & _FIRST),
    )


def pack_answer(number: int, appended: Appended) -> bytes:
    """Encode what became of a batch; several may stand one after the other."""
    return _APPENDED.pack(number, *appended)


def unpack_answers(data: bytes) -> Iterator[tuple[int, Appended]]:
    """Decode several of what :func:`pack_answer` made: the batches' numbers, and what became of them."""
    for number, document_id, last_seq in _APPENDED.iter_unpack(data):
        yield number, Appended(document_id, last_seq)


def _pack_authors(authors: Sequence[tuple[Author, int]]) -> bytes:
    return b"".join(part for author, count in authors for part in (wire.uint(count), _author_bytes(author)))


@lru_cache(1024)  # the same few write again and again
def _unpack_authors(data: bytes) -> tuple[tuple[Author, int], ...]:
    reader = wire.Reader(data)
    authors: list[tuple[Author, int]] = []
    while not reader.at_end:
        count = reader.uint()
        authors.append((Author(*json.loads(reader.octets())), count))
    return tuple(authors)


@lru_cache(4096)
def _author_bytes(author: Author) -> bytes:
    return wire.octets(json.dumps(author).encode())


# Operations


class Shape(NamedTuple, Generic[T]):
    """How a value is turned into what :func:`pack` takes, and back from what :func:`unpack` gives."""

    plain: Callable[[T], Any]
    whole: Callable[[Any], T]


def _many(shape: Shape[T]) -> Shape[list[T]]:
    return Shape(
        lambda values: [shape.plain(value) for value in values],
        lambda values: [shape.whole(value) for value in values],
    )


def _optional(shape: Shape[T]) -> Shape[T | None]:
    return Shape(
        lambda value: None if value is None else shape.plain(value),
        lambda value: None if value is None else shape.whole(value),
    )


def _as_it_is(value: Any) -> Any:
    return value


def _plain_stored(stored: StoredDocument) -> Any:
    seqs = [logged.seq for logged in stored.tail]
    return (*stored[:4], seqs, rows.pack([logged.update for logged in stored.tail]))


def _whole_stored(plain: Any) -> StoredDocument:
    document_id, head, snapshot, snapshot_seq, seqs, updates = plain
    tail = list(map(LoggedUpdate, seqs, rows.unpack(updates)))
    return StoredDocument(document_id, head, snapshot, snapshot_seq, tail)


def _plain_entry(entry: HistoryEntry) -> Any:
    return (*entry[:4], rows.pack(entry.updates))


def _whole_entry(plain: Any) -> HistoryEntry:
    seq, count, at, authors, updates = plain
    runs = tuple((Author(*author), run) for author, run in authors)
    return HistoryEntry(seq, count, at, runs, rows.unpack(updates))


def _whole_version(plain: Any) -> Version:
    seq, name, at, author = plain
    return Version(seq, name, at, Author(*author))


def _plain_record(record: Record) -> Any:
    if isinstance(record, EntryRecord):
        record = record._replace(entry=_plain_entry(record.entry))
    return (type(record).__name__, *record)


def _whole_record(plain: Any) -> Record:
    name, *fields = plain
    record: Record = getattr(records, name)(*fields)
    match record:
        case records.AuthorRecord(author):
            return record._replace(author=Author(*author))
        case records.VersionRecord(_, version):
            return record._replace(version=_whole_version(version))
        case records.EntryRecord(_, entry):
            return record._replace(entry=_whole_entry(entry))
        case records.RejectedRecord(_, seqs):
            return record._replace(seqs=tuple(seqs))
        case records.SnapshotRecord():
            return record._replace(early=tuple(record.early))
    return record


_AS_IT_IS: Final[Shape[Any]] = Shape(_as_it_is, _as_it_is)
_NOTHING: Final[Shape[None]] = Shape(_as_it_is, _as_it_is)
_TRUTH: Final[Shape[bool]] = Shape(_as_it_is, _as_it_is)
_NUMBER: Final[Shape[int]] = Shape(_as_it_is, _as_it_is)
_INFO: Final[Shape[DocumentInfo]] = Shape(_as_it_is, lambda plain: DocumentInfo(*plain))
_MEMO: Final[Shape[Memo]] = Shape(_as_it_is, lambda plain: Memo(*plain))
_PROBLEM: Final[Shape[Problem]] = Shape(_as_it_is, lambda plain: Problem(*plain))
_VERSION: Final[Shape[Version]] = Shape(_as_it_is, _whole_version)
_STORED: Final[Shape[StoredDocument]] = Shape(_plain_stored, _whole_stored)
_ENTRY: Final[Shape[HistoryEntry]] = Shape(_plain_entry, _whole_entry)
_RECORD: Final[Shape[Record]] = Shape(_plain_record, _whole_record)
_COMPACTION: Final[Shape[Compaction]] = Shape(
    lambda compaction: compaction._replace(early=list(compaction.early)), lambda plain: Compaction(*plain)
)
_INFOS: Final[Shape[dict[str, DocumentInfo]]] = Shape(
    lambda infos: list(infos.values()), lambda plain: {info[1]: DocumentInfo(*info) for info in plain}
)


class Operation(NamedTuple, Generic[T]):
    """One of a store's methods."""

    name: str
    result: Shape[T]
    """Of those that give things one after the other: each of them."""
    is_stream: bool
    """Whether it does."""


OPERATIONS: Final[dict[str, Operation[Any]]] = {}


def _operation(name: str, result: Shape[T], *, is_stream: bool = False) -> Operation[T]:
    OPERATIONS[name] = operation = Operation(name, result, is_stream)
    return operation


PING: Final = _operation("ping", _NOTHING)
LOAD: Final = _operation("load", _optional(_STORED))
REJECT: Final = _operation("reject", _NOTHING)
FIND: Final = _operation("find", _optional(_INFO))
FIND_ALL: Final = _operation("find_all", _INFOS)
DOCUMENTS: Final = _operation("documents", _many(_INFO))
DELETE: Final = _operation("delete", _NOTHING)
COMPACT: Final = _operation("compact", _TRUTH)
HISTORY: Final = _operation("history", _many(_ENTRY), is_stream=True)
REPLACE_HISTORY: Final = _operation("replace_history", _TRUTH)
VERSIONS: Final = _operation("versions", _many(_VERSION))
NAME_VERSION: Final = _operation("name_version", _NOTHING)
REMOVE_VERSION: Final = _operation("remove_version", _NOTHING)
ERASE_AUTHORS: Final = _operation("erase_authors", _NUMBER)
QUARANTINE: Final = _operation("quarantine", _NOTHING)
EXAMINE: Final = _operation("examine", _many(_PROBLEM))
SET_ASIDE: Final = _operation("set_aside", _many(_PROBLEM))
DUMP: Final = _operation("dump", _many(_RECORD), is_stream=True)
TAKE_IN: Final = _operation("take_in", _NOTHING)
PUT_MEMO: Final = _operation("put_memo", _TRUTH)
MEMO: Final = _operation("memo", _optional(_MEMO))
MEMOS: Final = _operation("memos", _many(_MEMO))
MEMOS_ABOUT: Final = _operation("memos_about", _many(_MEMO))
REMOVE_MEMO: Final = _operation("remove_memo", _TRUTH)
REMOVE_EXPIRED_MEMOS: Final = _operation("remove_expired_memos", _NUMBER)

_ARGUMENTS: Final[dict[str, Shape[Any]]] = {
    "compaction": _COMPACTION,
    "entries": _many(_ENTRY),
    "version": _VERSION,
    "memo": _MEMO,
    "records": _many(_RECORD),
    "seqs": Shape(list, _as_it_is),
    "names": Shape(list, _as_it_is),
    "subjects": Shape(list, _as_it_is),
}
"""How arguments are turned that are no plain values, by their name."""


def pack_call(operation: Operation[Any], arguments: dict[str, Any]) -> bytes:
    """Encode a call of one of a store's methods."""
    plain = {name: _ARGUMENTS.get(name, _AS_IT_IS).plain(value) for name, value in arguments.items()}
    return pack([operation.name, plain])


def unpack_call(data: bytes) -> tuple[Operation[Any], dict[str, Any]]:
    """Decode what :func:`pack_call` made.

    Raises:
        KeyError: there is no such operation.
    """
    name, plain = unpack(data)
    return OPERATIONS[name], {
        argument: _ARGUMENTS.get(argument, _AS_IT_IS).whole(value) for argument, value in plain.items()
    }
