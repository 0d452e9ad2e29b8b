import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collabd.errors import MalformedInput
from collabd.protocol import wire

UINTS = st.integers(0, wire.MAX_UINT)


@given(UINTS)
@example(0)
@example(127)
@example(128)
@example(wire.MAX_UINT)
def test_an_integer_comes_back(value: int) -> None:
    reader = wire.Reader(wire.uint(value))
    assert reader.uint() == value
    assert reader.at_end


@given(UINTS, UINTS)
def test_an_integer_beyond_the_limit_is_refused(value: int, limit: int) -> None:
    reader = wire.Reader(wire.uint(value))
    if value <= limit:
        assert reader.uint(limit) == value
    else:
        with pytest.raises(MalformedInput, match="exceeds"):
            reader.uint(limit)


def test_an_integer_may_be_padded_to_eight_bytes_and_no_further() -> None:
    assert wire.Reader(b"\x81" + b"\x80" * 6 + b"\0").uint() == 1
    reader = wire.Reader(b"\xff" * 200_000)
    with pytest.raises(MalformedInput, match="too long"):
        reader.uint()
    assert reader.pos == 8


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("00", 0),
        ("40", 0),
        ("3f", 63),
        ("7f", -63),
        ("8001", 64),
        ("c001", -64),
        ("bfffffffffffff1f", 2**53 - 1),
    ],
)
def test_a_signed_integer_has_its_sign_in_the_first_byte(encoded: str, value: int) -> None:
    reader = wire.Reader(bytes.fromhex(encoded))
    assert reader.sint() == value
    assert reader.at_end


def test_a_signed_integer_is_bounded() -> None:
    with pytest.raises(MalformedInput, match="too long"):
        wire.Reader(b"\xff" * 9).sint()
    with pytest.raises(MalformedInput, match="exceeds"):
        wire.Reader(b"\xff" * 7 + b"\x7f").sint()


@given(st.binary(max_size=300))
def test_a_byte_string_comes_back(value: bytes) -> None:
    reader = wire.Reader(wire.octets(value))
    assert reader.octets() == value
    assert reader.at_end


@given(st.text(st.characters(codec="utf-8"), max_size=100))
def test_a_string_comes_back(value: str) -> None:
    reader = wire.Reader(wire.text(value))
    assert reader.text() == value
    assert reader.at_end


@pytest.mark.parametrize("octets", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"a\xe2\x82"])
def test_a_string_that_is_not_utf8_is_refused(octets: bytes) -> None:
    with pytest.raises(MalformedInput, match="UTF-8"):
        wire.Reader(wire.octets(octets)).text()


@given(st.binary(max_size=40), st.integers(0, 40))
def test_nothing_is_read_beyond_the_end(data: bytes, end: int) -> None:
    end = min(end, len(data))
    for read in (wire.Reader.octet, wire.Reader.uint, wire.Reader.sint, wire.Reader.octets, wire.Reader.text):
        reader = wire.Reader(data, 0, end)
        try:
            read(reader)
        except MalformedInput:
            continue
        assert reader.pos <= end


def test_reading_begins_where_asked() -> None:
    reader = wire.Reader(b"\xff\2ab\7", 1, 4)
    assert reader.octets() == b"ab"
    assert reader.at_end
    with pytest.raises(MalformedInput, match="early"):
        reader.octet()
