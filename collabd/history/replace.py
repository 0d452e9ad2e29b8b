"""Making a shared type hold what another holds, with no more change than comparing the two shows."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pycrdt import Array, Map, Text, XmlElement, XmlFragment, XmlText

from collabd.errors import CannotRestore

from .content import (
    SHARED,
    Formats,
    Shared,
    attributes_of,
    content_of,
    entries,
    plain,
    put_in_array,
    put_in_map,
    put_in_text,
    put_in_xml,
    runs_of,
    size_of,
)


def replace(work: Shared, source: Shared) -> None:
    """Make ``work`` hold what ``source`` does: what both begin and end with stays, and of as many parts
    between as both have, each is changed by itself if it can be."""
    match work, source:
        case (Text() | XmlText(), Text() | XmlText()):
            _replace_text(work, source)
        case (XmlElement() | XmlFragment(), XmlElement() | XmlFragment()):
            _replace_sequence(
                list(work.children),
                list(source.children),
                partial(put_in_xml, work),
                work.children.__delitem__,
            )
        case (Array(), Array()):
            _replace_sequence(list(work), list(source), partial(put_in_array, work), work.__delitem__)
        case (Map(), Map()):
            have, want = entries(work), entries(source)
            for key in have.keys() - want.keys():
                del work[key]
            for key, value in want.items():
                if key in have and _may_become(have[key], value):
                    replace(have[key], value)
                elif key not in have or content_of(have[key]) != content_of(value):
                    put_in_map(work, key, value)
        case _:
            raise CannotRestore("a root was used as another type since")
    if isinstance(work, XmlElement | XmlText) and isinstance(source, XmlElement | XmlText):
        _replace_attributes(work, source)


def _may_become(work: object, source: object) -> bool:
    """Whether a type can be made like another by changing what it holds."""
    if not isinstance(work, SHARED) or type(work) is not type(source):
        return False
    return not isinstance(work, XmlElement) or work.tag == getattr(source, "tag", None)


def _replace_attributes(work: XmlElement | XmlText, source: XmlElement | XmlText) -> None:
    have, want = attributes_of(work), attributes_of(source)
    for name in have.keys() - want.keys():
        del work.attributes[name]
    for name, value in want.items():
        if name not in have or content_of(have[name]) != content_of(value):
            work.attributes[name] = plain(value)


def _replace_sequence(
    work: Sequence[Any],
    source: Sequence[Any],
    put: Callable[[int, Any], None],
    remove: Callable[[slice], None],
) -> None:
    have, want = [content_of(value) for value in work], [content_of(value) for value in source]
    begin, end = _in_common(have, want)
    middle = slice(begin, len(have) - end)
    parts = source[begin : len(want) - end]
    if len(parts) == middle.stop - begin and all(map(_may_become, work[middle], parts)):
        for part, value in zip(work[middle], parts, strict=True):
            replace(part, value)
        return
    if middle.start < middle.stop:
        remove(middle)
    for index, value in enumerate(parts, begin):
        put(index, value)


def _replace_text(work: Text | XmlText, source: Text | XmlText) -> None:
    have, want = _units(runs_of(work)), _units(runs_of(source))
    same = [[content_of(value) for value, _ in units] for units in (have, want)]
    begin, end = _in_common(*same)
    start = sum(size_of(value) for value, _ in want[:begin])
    stop = start + sum(size_of(value) for value, _ in have[begin : len(have) - end])
    if start < stop:
        del work[start:stop]
    for value, formats in _joined(want[begin : len(want) - end]):
        put_in_text(work, start, value, formats)
        start += size_of(value)
    format_like(work, runs_of(source))


def _in_common(have: Sequence[Any], want: Sequence[Any]) -> tuple[int, int]:
    """How many are the same at the beginning, and of the others at the end."""
    shorter = min(len(have), len(want))
    begin = 0
    while begin < shorter and have[begin] == want[begin]:
        begin += 1
    end = 0
    while end < shorter - begin and have[-1 - end] == want[-1 - end]:
        end += 1
    return begin, end


def _units(runs: Sequence[tuple[Any, Formats]]) -> list[tuple[Any, Formats]]:
    """The same with each character by itself."""
    units: list[tuple[Any, Formats]] = []
    for value, formats in runs:
        units += [(part, formats) for part in value] if isinstance(value, str) else [(value, formats)]
    return units


def _joined(units: Sequence[tuple[Any, Formats]]) -> list[tuple[Any, Formats]]:
    """Characters beside each other as one run, if they have the same formats."""
    runs: list[tuple[Any, Formats]] = []
    pieces: list[str] = []
    for index, (value, formats) in enumerate(units):
        if not isinstance(value, str):
            runs.append((value, formats))
            continue
        pieces.append(value)
        following = units[index + 1] if index + 1 < len(units) else (None, {})
        if not isinstance(following[0], str) or following[1] is not formats:
            runs.append(("".join(pieces), formats))
            pieces = []
    return runs


def format_like(work: Text | XmlText, runs: Sequence[tuple[Any, Formats]]) -> None:
    """Give a text the formats of these runs, which hold the same text."""
    have = runs_of(work)
    want = iter(runs)
    at = left = 0
    wanted: Formats = {}
    changes: list[tuple[int, int, Formats]] = []
    for value, formats in have:
        size = size_of(value)
        while size:
            while not left:
                value_, wanted = next(want)
                left = size_of(value_)
            step = min(size, left)
            change: Formats = {name: None for name in formats if name not in wanted}
            change |= {
                name: of
                for name, of in wanted.items()
                if name not in formats or content_of(formats[name]) != content_of(of)
            }
            if change:
                changes.append((at, at + step, change))
            at, size, left = at + step, size - step, left - step
    for start, stop, change in changes:
        work.format(start, stop, plain(change))
