"""How updates are packed into rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import DocumentDamaged
from collabd.persistence import rows


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_what_was_packed_is_unpacked(updates: list[bytes]) -> None:
    assert rows.unpack(rows.pack(updates)) == updates


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.data())
def test_what_was_cut_short_is_damage_or_fewer_updates(updates: list[bytes], data: st.DataObject) -> None:
    payload = rows.pack(updates)
    kept = payload[: data.draw(st.integers(0, len(payload) - 1))]
    try:
        assert rows.unpack(kept) == updates[: len(rows.unpack(kept))] != updates
    except DocumentDamaged:
        pass


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_changed_byte_is_noticed(payload: bytes, data: st.DataObject) -> None:
    expected = rows.checksum(payload)
    assert rows.verify(payload, expected, "the row") == payload
    position = data.draw(st.integers(0, len(payload) - 1))
    changed = bytearray(payload)
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DocumentDamaged, match="the row does not match its checksum"):
        rows.verify(bytes(changed), expected, "the row")


ROWS = st.lists(
    st.builds(
        rows.Row,
        st.integers(1, 1000),
        st.integers(1, 1000),
        st.integers(0, 2**41).map(lambda milliseconds: milliseconds / 1000),
        st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 1000)), max_size=5).map(rows.pack_authors),
        st.lists(st.binary(max_size=50), max_size=5).map(rows.pack),
    ),
    min_size=1,
    max_size=20,
).map(lambda some: [row._replace(seq=sum(r.seq for r in some[: n + 1])) for n, row in enumerate(some)])
"""Rows in ascending order, whose clock may go back."""


@given(ROWS)
def test_a_segment_holds_its_rows(some: list[rows.Row]) -> None:
    segment = rows.pack_segment(some)
    assert (segment.first, segment.seq, segment.rows) == (some[0].first, some[-1].seq, len(some))
    assert rows.unpack_segment(segment.meta, segment.payload, "it") == some
    without = [row._replace(payload=b"") for row in some]
    assert rows.unpack_segment(segment.meta, None, "it") == without


@given(ROWS, st.data())
def test_a_segment_cut_short_is_damage(some: list[rows.Row], data: st.DataObject) -> None:
    segment = rows.pack_segment(some)
    meta = segment.meta[: data.draw(st.integers(0, len(segment.meta) - 1))]
    payload = segment.payload[: data.draw(st.integers(0, len(segment.payload) - 1))]
    for broken in ((meta, segment.payload), (segment.meta, payload)):
        with pytest.raises(DocumentDamaged, match="it cannot be read"):
            rows.unpack_segment(*broken, "it")


def test_rows_go_into_as_many_segments_as_it_takes() -> None:
    some = [rows.Row(seq, 1, 0.0, b"", rows.pack([bytes(200_000)])) for seq in range(1, 8)]
    packed = list(rows.segments(some))
    assert [(segment.first, segment.seq) for segment in packed] == [(1, 3), (4, 6), (7, 7)]
    assert [r for s in packed for r in rows.unpack_segment(s.meta, s.payload, "it")] == some
    assert list(rows.segments([])) == []


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 2**20))))
def test_authors_are_kept(authors: list[tuple[int, int]]) -> None:
    assert rows.unpack_authors(rows.pack_authors(authors)) == authors


def test_authors_that_are_none_are_damage() -> None:
    with pytest.raises(DocumentDamaged):
        rows.unpack_authors(b"\x01")


def test_a_changed_author_is_noticed() -> None:
    authors = rows.pack_authors([(1, 2), (2, 1)])
    expected = rows.checksum(b"payload", authors)
    assert rows.verify(b"payload", expected, "the row", authors) == b"payload"
    with pytest.raises(DocumentDamaged):
        rows.verify(b"payload", expected, "the row", rows.pack_authors([(1, 1), (2, 2)]))


@given(st.one_of(st.binary(max_size=50), st.binary(min_size=1, max_size=20).map(lambda some: some * 50)))
def test_a_state_is_stored_as_it_is_or_compressed(state: bytes) -> None:
    stored = rows.pack_state(state)
    assert len(stored.stored) <= len(state)
    assert rows.unpack_state(stored, "it") == state
    broken = b"\0" + stored.stored
    with pytest.raises(DocumentDamaged, match="it does not match"):
        rows.unpack_state(stored._replace(stored=broken), "it")
    if stored.packed:
        with pytest.raises(DocumentDamaged, match="it cannot be read"):
            rows.unpack_state(rows.State(1, broken, rows.checksum(broken)), "it")
