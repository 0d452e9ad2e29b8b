import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import MalformedInput
from collabd.protocol.values import MAX_NESTING, check_json, measure, object_keys, skip_any
from collabd.protocol.walk import walk

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_every_json_text_is_accepted(value: object, ascii_only: bool) -> None:
    check_json(json.dumps(value, ensure_ascii=ascii_only).encode())


NO_JSON = {
    "nothing": b"",
    "undefined": b"undefined",
    "not a number": b"NaN",
    "infinity": b"Infinity",
    "less than any number": b"-Infinity",
    "a float beyond 64 bits": b"1e999",
    "an integer beyond 64-bit floats": b"9" * 309,
    "more digits than Python converts": b"9" * 5_000,
    "a leading zero": b"01",
    "single quotes": b"'x'",
    "a line break in a string": b'"a\nb"',
    "an unknown escape": b'"\\x"',
    "a trailing comma": b"[1,]",
    "two values": b"{} {}",
    "not UTF-8": b'"\xff"',
    "a byte order mark": b"\xef\xbb\xbf1",
    "too many levels": b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1),
}


@pytest.mark.parametrize("octets", NO_JSON.values(), ids=NO_JSON)
def test_what_rust_or_javascript_cannot_read_is_refused(octets: bytes) -> None:
    with pytest.raises(MalformedInput):
        check_json(octets)


def test_brackets_in_strings_and_beside_each_other_do_not_nest() -> None:
    check_json(b'"' + b"[" * 500 + b'\\"{"')
    check_json(b"[" + b",".join([b"[]"] * 500) + b"]")
    check_json(b"[" * MAX_NESTING + b"]" * MAX_NESTING)


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_text_is_measured_as_javascript_does(text: str) -> None:
    length, seconds = measure(text.encode())
    units = text.encode("utf-16-le")
    assert length == len(units) // 2
    assert seconds == [at for at in range(length) if units[2 * at + 1] & 0xFC == 0xDC]


def nested_any(levels: int, kind: bytes = b"\x75\1") -> bytes:
    return kind * levels + b"\x7e"


def test_values_nest_so_deep() -> None:
    assert skip_any(nested_any(MAX_NESTING), 0) == 2 * MAX_NESTING + 1
    with pytest.raises(MalformedInput, match="nested"):
        skip_any(nested_any(MAX_NESTING + 1), 0)
    with pytest.raises(MalformedInput, match="nested"):
        skip_any(nested_any(MAX_NESTING + 1, b"\x76\1\1k"), 0)


@pytest.mark.parametrize(
    "value",
    [
        "00",
        "80",
        "73",
        "7f7f",
        "77",
        "77056162",
        "7400ff",
        "7b0000",
        "7d80",
        "7dff" + "ff" * 8,
        "7502",
        "760101",
        "7601ff61",
    ],
)
def test_damaged_values_are_refused(value: str) -> None:
    # Bytes left over belong to what follows: here a struct's content, which has to end with the update.
    content = b"\1" + bytes.fromhex(value)
    with pytest.raises(MalformedInput):
        walk(b"\1\1\1\0\x08\1\1t" + content + b"\0")


def test_the_keys_of_an_object() -> None:
    data = b"\0\x76\2\1a\x76\1\1x\x7e\2bc\x75\1\x78\0"
    assert object_keys(data, 1) == (["a", "bc"], len(data) - 1)
    with pytest.raises(MalformedInput):
        object_keys(b"\x75\0", 0)
