"""Values of shared types as JSON."""

import base64
import json
import math
from typing import Any, Final

from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from collabd.errors import UnsupportedFormat

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

MAX_SLOW_ARRAY: Final = 20_000
"""Elements that are read one by one, each of which takes a walk from the array's start."""

_LARGEST_EXACT = 2**53
"""JavaScript has one kind of number; below this, one without a fraction is an integer."""


def plain(value: object) -> Json:
    """A value that pycrdt gave out of an ``Any``, an embed or a format, as JSON. Bytes turn to base64."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                return None
            return int(value) if value.is_integer() and abs(value) < _LARGEST_EXACT else value
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
        case dict():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case Doc():
            return {"guid": value.guid}
        case _:
            return None


def container(shared: "Map[Any] | Array[Any]", *, holds_binary: bool) -> Json:
    """A map or an array with all that is in it; XML inside is given as its text.

    ``holds_binary`` says whether there may be binary values anywhere in it. pycrdt's own JSON is quick, but
    makes these indistinguishable from lists of numbers.
    """
    if not holds_binary:
        value: Json = json.loads(str(shared))
        return value
    return _read(shared)


def _read(value: object) -> Json:
    match value:
        case Map():
            return {key: _read(inner) for key, inner in _entries(value)}
        case Array():
            if len(value) > MAX_SLOW_ARRAY:
                raise UnsupportedFormat(
                    f"an array of over {MAX_SLOW_ARRAY:,} elements cannot be shown beside binary values"
                )
            return [_read(inner) for inner in value]
        case Text() | XmlText() | XmlElement() | XmlFragment():
            return str(value)
        case _:
            return plain(value)


def _entries(shared: "Map[Any]") -> list[tuple[str, object]]:
    entries = []
    for key in shared.keys():  # noqa: SIM118 - a pycrdt Map is no dict
        try:
            entries.append((key, shared[key]))
        except KeyError:  # nothing that has a value
            continue
    return entries
