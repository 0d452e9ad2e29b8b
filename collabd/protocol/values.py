"""Values inside updates and awareness: lib0's ``Any`` and JSON texts.

Both nest, and decoders recurse into them (yrs overflows its stack at some 30,000 levels), so nesting is
bounded here and never walked by recursion.
"""

import json
import re
from typing import NoReturn

from collabd.errors import MalformedInput

MAX_NESTING = 100
"""Levels of arrays and objects one value may have."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_FIXED_SIZES = {127: 0, 126: 0, 124: 4, 123: 8, 122: 8, 121: 0, 120: 0}
_INTEGER, _STRING, _OBJECT, _ARRAY, _BINARY = 125, 119, 118, 117, 116
_PLAIN_JSON = re.compile(rb'(?:true|false|null|"[ !#-\[\]-~]*")\Z')
_ASTRAL = re.compile("[\U00010000-\U0010ffff]").finditer
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """The varUint at ``pos`` and the position behind it; IndexError if the bytes end early.

    For loops too hot for a Reader; those turn the IndexError into MalformedInput once, around the loop.
    """
    octet = data[pos]
    if octet < 0x80:
        return octet, pos + 1
    value = octet & 0x7F
    for at in range(1, 8):
        octet = data[pos + at]
        value |= (octet & 0x7F) << 7 * at
        if octet < 0x80:
            return value, pos + at + 1
    raise MalformedInput("an integer is too long")


def skip_text(data: bytes, pos: int) -> int:
    """The position behind the varString at ``pos``, which must be UTF-8."""
    length, pos = varint(data, pos)
    end = pos + length
    if end > len(data):
        raise MalformedInput("a string is longer than the message")
    text = data[pos:end]
    if not text.isascii():
        utf8(text)
    return end


def utf8(octets: bytes) -> str:
    """The bytes as text; MalformedInput if they are not UTF-8 (lone surrogates are not)."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise MalformedInput("a string is not UTF-8") from None


def measure(octets: bytes) -> tuple[int, list[int]]:
    """The length of a string as Yjs counts it, in UTF-16 code units, and where its surrogate pairs have their
    second halves. MalformedInput if it is not UTF-8."""
    text = utf8(octets)
    seconds = [match.start() + before + 1 for before, match in enumerate(_ASTRAL(text))]
    return len(text) + len(seconds), seconds


def skip_any(data: bytes, pos: int) -> int:
    """The position behind the ``Any`` at ``pos``; IndexError or MalformedInput if there is none."""
    pending = 1
    in_object = False
    enclosing: list[tuple[int, bool]] = []
    while True:
        if not pending:
            if not enclosing:
                return pos
            pending, in_object = enclosing.pop()
            continue
        pending -= 1
        if in_object:
            pos = skip_text(data, pos)
        kind = data[pos]
        pos += 1
        if kind == _STRING:
            pos = skip_text(data, pos)
        elif kind == _INTEGER:
            pos = _skip_varint_signed(data, pos)
        elif kind in (_OBJECT, _ARRAY):
            enclosing.append((pending, in_object))
            if len(enclosing) > MAX_NESTING:
                raise MalformedInput(f"a value is nested deeper than {MAX_NESTING} levels")
            pending, pos = varint(data, pos)
            in_object = kind == _OBJECT
            if pending > len(data) - pos:
                raise MalformedInput("a value announces more than the message holds")
        elif kind == _BINARY:
            length, pos = varint(data, pos)
            pos += length
        elif (size := _FIXED_SIZES.get(kind)) is not None:
            pos += size
        else:
            raise MalformedInput(f"unknown kind of value {kind}")
        if pos > len(data):
            raise MalformedInput("a value is longer than the message")


def object_keys(data: bytes, pos: int) -> tuple[list[str], int]:
    """The keys of the ``Any`` at ``pos``, which must be an object, and the position behind it."""
    end = skip_any(data, pos)
    if data[pos] != _OBJECT:
        raise MalformedInput("a value is not the object it has to be")
    count, pos = varint(data, pos + 1)
    keys = []
    for _ in range(count):
        length, start = varint(data, pos)
        keys.append(data[start : start + length].decode())
        pos = skip_any(data, start + length)
    return keys, end


def _skip_varint_signed(data: bytes, pos: int) -> int:
    for at in range(pos, pos + 8):
        if data[at] < 0x80:
            return at + 1
    raise MalformedInput("an integer is too long")


def check_json(octets: bytes) -> None:
    """MalformedInput unless the bytes are one JSON text, as ``parse_json`` has it."""
    if not _PLAIN_JSON.match(octets):
        parse_json(utf8(octets))


def parse_json(text: str) -> Json:
    """The JSON value of ``text``; MalformedInput if it is none, nests too deep or has numbers beyond 64-bit
    floats (NaN and Infinity are none)."""
    if text.count("[") + text.count("{") > MAX_NESTING and _nesting(text) > MAX_NESTING:
        raise MalformedInput(f"a JSON text is nested deeper than {MAX_NESTING} levels")
    try:
        value: Json = _DECODER.decode(text)
    except ValueError:
        raise MalformedInput("a JSON text is not valid") from None
    return value


def _nesting(text: str) -> int:
    depth = deepest = 0
    for match in _BRACKETS.finditer(text):
        if match[1]:
            depth += 1
            deepest = max(deepest, depth)
        elif match[2]:
            depth -= 1
    return deepest


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(digits)
    return value


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(digits)
    return int(digits)


_LONGEST_INTEGER = 308
"""Digits, with the sign, that always fit a double; longer integers have no meaning to JavaScript."""

_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, parse_int=_integer)
