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
