"""What processes that share a store say to each other: what is packed comes out as it was."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd import errors
from collabd.errors import CollabdError
from collabd.memos import Memo
from collabd.persistence import exchange
from collabd.persistence.base import (
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
from collabd.persistence.exchange import Batch, Operation
from collabd.persistence.records import (
    AsideRecord,
    AuthorRecord,
    DocumentRecord,
    EntryRecord,
    RejectedRecord,
    SnapshotRecord,
    VersionRecord,
)

PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
TEXT = st.text(st.characters(codec=None), max_size=8).filter(lambda text: not PAIR.search(text))
"""With surrogates, but for two that make one character."""

AUTHORS = st.builds(Author, st.integers(0, 2**63 - 1), TEXT, TEXT, TEXT)

ADA = Author(2**63 - 1, "ada", "Ada \ud800", "192.0.2.1")
ENTRY = HistoryEntry(7, 3, 1e9 + 0.001, ((ADA, 2), (Author(1, "", ""), 1)), [b"", b"\xff\0", b"x" * 300])
STORED = StoredDocument(
    1, 9, b"state", 6, [LoggedUpdate(2, b""), LoggedUpdate(7, b"7"), LoggedUpdate(9, b"9")]
)
INFO = DocumentInfo(5, "a/é", 1.5, 2.25, 9, "why")
MEMO = Memo("kind", "key", "subject", '{"a": 1}', math.inf)
VERSION = Version(3, "draft", 0.0, ADA)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary() | TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner),
    )
)
def test_values(value: Any) -> None:
    assert exchange.unpack(exchange.pack(value)) == value


@given(
    TEXT,
    st.none() | st.integers(0, 2**63 - 1),
    st.lists(st.binary(max_size=300), min_size=1, max_size=5),
    st.lists(st.tuples(AUTHORS, st.integers(1, 1000)), max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_batches(
    name: str,
    document_id: int | None,
    updates: list[bytes],
    authors: list[tuple[Author, int]],
    revive: bool,
    first: bool,
) -> None:
    batch = Batch(name, document_id, updates, tuple(authors), revive, first)
    assert exchange.unpack_batch(exchange.pack_batch(batch)) == batch


def test_authors_of_a_batch() -> None:
    authors = ((ADA, 2), (Author(1, "", ""), 1), (ADA, 1))
    packed = exchange.pack_batch(Batch("notes", None, [b"1"] * 4, authors, revive=False, first=False))
    assert exchange.unpack_batch(packed).authors == authors


def test_answers_to_batches() -> None:
    answers = [(1, Appended(2**63 - 1, 2**53)), (2**64 - 1, Appended(1, 1))]
    packed = b"".join(exchange.pack_answer(*answer) for answer in answers)
    assert list(exchange.unpack_answers(packed)) == answers


@pytest.mark.parametrize(
    "kind",
    [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CollabdError)],
)
def test_errors(kind: type[CollabdError]) -> None:
    error = exchange.unpack_error(exchange.pack_error(kind("whý \udfff")))
    assert (type(error), str(error)) == (kind, "whý \udfff")


@pytest.mark.parametrize("name", ["Any", "ClassVar", "__builtins__", "OSError", ""])
def test_an_error_of_another_version_is_an_error(name: str) -> None:
    error = exchange.unpack_error(exchange.pack([name, "why"]))
    assert (type(error), str(error)) == (CollabdError, "why")


RESULTS: list[tuple[Operation[Any], Any]] = [
    (exchange.PING, None),
    (exchange.LOAD, None),
    (exchange.LOAD, STORED),
    (exchange.LOAD, STORED._replace(snapshot=None, tail=[])),
    (exchange.FIND, None),
    (exchange.FIND, INFO),
    (exchange.FIND_ALL, {"a/é": INFO, "b": INFO._replace(name="b")}),
    (exchange.DOCUMENTS, [INFO]),
    (exchange.COMPACT, True),
    (exchange.HISTORY, [ENTRY, ENTRY._replace(updates=[], authors=())]),
    (exchange.VERSIONS, [VERSION]),
    (exchange.EXAMINE, [Problem("log", 3, "no")]),
    (exchange.MEMO, MEMO),
    (exchange.MEMOS, [MEMO]),
    (
        exchange.DUMP,
        [
            MEMO,
            AuthorRecord(ADA, 5.5),
            DocumentRecord(1, "notes", 1.0, None, ""),
            RejectedRecord(1, (2, 3)),
            VersionRecord(1, VERSION),
            AsideRecord(1, "log", 4, 5.25, "{}"),
            SnapshotRecord(1, 6, 2.5, (2,), b"state"),
            EntryRecord(1, ENTRY, True),
        ],
    ),
]


def test_results() -> None:
    for operation, result in RESULTS:
        plain = exchange.unpack(exchange.pack(operation.result.plain(result)))
        assert same(operation.result.whole(plain), result), operation.name


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        (exchange.LOAD, {"name": "notes", "whole": True}),
        (exchange.REJECT, {"document_id": 1, "seqs": range(3, 5)}),
        (exchange.FIND_ALL, {"names": ("a", "b\ud800")}),
        (exchange.COMPACT, {"document_id": 1, "compaction": Compaction(0, 6, b"state", [2, 3], False)}),
        (exchange.NAME_VERSION, {"document_id": 1, "version": VERSION}),
        (exchange.REPLACE_HISTORY, {"document_id": 1, "upto": 7, "expected": 1, "entries": [ENTRY]}),
        (exchange.PUT_MEMO, {"memo": MEMO, "fresh": True}),
        (exchange.TAKE_IN, {"records": RESULTS[-1][1]}),
    ],
    ids=lambda each: each.name if isinstance(each, Operation) else "",
)
def test_calls(operation: Operation[Any], arguments: dict[str, Any]) -> None:
    called, given = exchange.unpack_call(exchange.pack_call(operation, arguments))
    assert called is operation
    expected = {
        name: list(value) if name in ("seqs", "names") else value for name, value in arguments.items()
    }
    assert same(given, expected)


def same(one: Any, other: Any) -> bool:
    """Whether they are equal, and made of the same types: tuples of one kind equal those of another."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return all(same(one[key], other[key]) for key in one)
    return not isinstance(one, list | tuple) or all(map(same, one, other))
