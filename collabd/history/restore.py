"""Restoring: a forward edit that brings a document's content back to what it was.

It works by ids, so that what was there all the time stays what it is: cursors in it do not move, and edits
made elsewhere at the same time land where they belong. Content that came since is deleted; content that went
since is put in again where it stood, as a copy, since Yjs cannot undelete.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from collabd.errors import CannotRestore
from collabd.formats.loading import loaded
from collabd.formats.shapes import Kind, inspect
from collabd.protocol.ranges import IdRanges
from collabd.protocol.surrogates import tear, torn
from collabd.protocol.update import UpdateSummary, check_update
from collabd.protocol.walk import walk
from collabd.rooms.replica import EMPTY_UPDATE, reraise_unless_pycrdt

from .content import (
    Content,
    Formats,
    Shared,
    attributes_of,
    content_of,
    plain,
    put_in_array,
    put_in_map,
    put_in_text,
    put_in_xml,
    roots_of,
    runs_of,
    size_of,
)
from .differences import Range, deletion, difference, without
from .replace import format_like, replace

Path = tuple[str | int, ...]
"""A root's name, then keys of maps and positions in sequences."""

TELLING: Final = (Kind.TEXT, Kind.XML, Kind.ARRAY, Kind.MAP, Kind.EMPTY)
"""Kinds of roots, those first that there is least doubt about."""

UTF16: Final = "utf-16-le"


def restoring(then: bytes, now: bytes) -> bytes:
    """The update that, applied to the document with the full state ``now``, gives it the content that it had
    when its state was ``then``; ``b"\\0\\0"`` if it has that already.

    Roots in which something was put only since become empty. Takes time that grows with the document.

    Raises:
        UnsupportedFormat: the document nests too deep or has too much formatting to be read.
        CannotRestore: it holds something that cannot be put in by an edit.
        DocumentDamaged: pycrdt cannot read it.
    """
    kinds = _kinds(then, now)
    failure: BaseException | None = None
    with loaded(then) as old:
        wanted = _contents(old, kinds)
        with loaded(now) as current:
            if _contents(current, kinds) == wanted:
                return EMPTY_UPDATE
        for attempt in (_by_ids, _by_content):
            try:
                edit = attempt(then, now, old, kinds)
                check_update(edit)
                with loaded(now) as result:
                    result.apply_update(edit)
                    if _contents(result, kinds) == wanted:
                        return edit
            except BaseException as error:
                reraise_unless_pycrdt(error)
                failure = error
    raise (
        failure
        if isinstance(failure, CannotRestore)
        else CannotRestore("the content as it was then cannot be brought back by an edit")
    )


def _kinds(*states: bytes) -> dict[str, Kind]:
    """What each root is. That shows as long as what was put in does, which may be in one state only; and what
    is embedded in a text looks like part of an array once the text around it is gone."""
    kinds: dict[str, Kind] = {}
    for state in states:
        for name, kind in inspect(state).roots.items():
            kinds[name] = min(kind, kinds.get(name, kind), key=TELLING.index)
    return {name: kind for name, kind in kinds.items() if kind is not Kind.EMPTY}


def _contents(doc: "Doc[Any]", kinds: Mapping[str, Kind]) -> dict[str, Content]:
    return {name: content_of(root) for name, root in roots_of(doc, kinds).items()}


def _by_ids(then: bytes, now: bytes, old: "Doc[Any]", kinds: Mapping[str, Kind]) -> bytes:
    """Delete what came since, and put in what went."""
    was, is_now = walk(then), walk(now)
    deleted = IdRanges(is_now.deletes)
    clocks = {client: end for client, _, end in was.structs}
    came = IdRanges((client, max(start, clocks.get(client, 0)), end) for client, start, end in is_now.structs)
    went = without(IdRanges(_below(clocks, is_now.deletes)), IdRanges(was.deletes))
    losses = _losses(was, then, went, kinds)

    def change(doc: "Doc[Any]") -> None:
        doc.apply_update(deletion(without(came, deleted)))
        work = roots_of(doc, kinds)
        with doc.transaction():
            for name, root in roots_of(old, kinds).items():
                losses.undo(root, work[name], (name,))

    return _edit(now, change)


def _by_content(then: bytes, now: bytes, old: "Doc[Any]", kinds: Mapping[str, Kind]) -> bytes:
    """Replace what differs, whatever its history."""

    def change(doc: "Doc[Any]") -> None:
        work = roots_of(doc, kinds)
        with doc.transaction():
            for name, root in roots_of(old, kinds).items():
                replace(work[name], root)

    return _edit(now, change)


def _edit(now: bytes, change: Callable[["Doc[Any]"], None]) -> bytes:
    with loaded(now) as doc:
        before = doc.get_state()
        change(doc)
        return difference(doc.get_update(before), IdRanges(walk(now).deletes))


def _below(clocks: Mapping[int, int], ranges: Iterable[Range]) -> Iterator[Range]:
    for client, start, end in ranges:
        yield client, start, min(end, clocks.get(client, 0))


def _losses(was: UpdateSummary, then: bytes, went: IdRanges, kinds: Mapping[str, Kind]) -> "_Losses":
    """Let pycrdt tell from where in the old document something went, by deleting it there."""
    losses = _Losses()
    ranges = [(client, start, end) for client in went.clients() for start, end in went.intervals(client)]
    cut = torn(set(was.pairs), (), ranges)
    with loaded(tear(then, cut) if cut else then) as doc:
        roots = roots_of(doc, kinds)
        subscriptions = [(root, root.observe_deep(losses.noting(name))) for name, root in roots.items()]
        try:
            doc.apply_update(deletion(went))
        finally:
            for root, subscription in subscriptions:
                root.unobserve(subscription)
    return losses


class _Losses:
    """What went from where. Paths are those of the document without it."""

    def __init__(self) -> None:
        self._deltas: dict[Path, list[dict[str, Any]]] = {}
        self._keys: dict[Path, list[str]] = {}
        self._within: dict[Path, dict[str | int, None]] = {}
        """Below which of a type's own parts there are losses, too."""

    def noting(self, name: str) -> Callable[[Sequence[Any]], None]:
        """A callback for events below a root."""

        def note(events: Sequence[Any]) -> None:
            for event in events:
                path = (name, *event.path)
                self._deltas[path] = list(getattr(event, "delta", None) or ())
                self._keys[path] = list(getattr(event, "keys", None) or ())
                for depth in range(1, len(path)):
                    self._within.setdefault(path[:depth], {})[path[depth]] = None

        return note

    def undo(self, old: Shared, work: Shared, path: Path) -> None:
        """Put into ``work``, which lacks it, what ``old`` has and lost at ``path``."""
        if path not in self._deltas and path not in self._within:
            return
        match old, work:
            case (Text() | XmlText(), Text() | XmlText()):
                self._undo_text(old, work, path)
            case (XmlElement() | XmlFragment(), XmlElement() | XmlFragment()):
                self._undo_sequence(list(old.children), list(work.children), path, partial(put_in_xml, work))
            case (Array(), Array()):
                self._undo_sequence(list(old), list(work), path, partial(put_in_array, work))
            case (Map(), Map()):
                for key in self._within.get(path, ()):
                    self.undo(old[str(key)], work[str(key)], (*path, key))
                for key in self._keys.get(path, ()):
                    put_in_map(work, key, old[key])
        if isinstance(old, XmlElement | XmlText) and isinstance(work, XmlElement | XmlText):
            attributes = attributes_of(old)
            for name in self._keys.get(path, ()):
                work.attributes[name] = plain(attributes[name])

    def _undo_sequence(
        self, old: Sequence[Any], work: Sequence[Any], path: Path, put: Callable[[int, Any], None]
    ) -> None:
        within = self._within.get(path, {})
        at = kept = 0
        for op in (*self._deltas.get(path, ()), {"retain": len(old)}):
            for _ in range(op.get("retain", 0)):
                if kept == len(work):
                    break
                if kept in within:
                    self.undo(old[at], work[kept], (*path, kept))
                at += 1
                kept += 1
            for _ in range(op.get("delete", 0)):
                put(at, old[at])
                at += 1

    def _undo_text(self, old: Text | XmlText, work: Text | XmlText, path: Path) -> None:
        within = self._within.get(path, {})
        embedded = iter([value for value, _ in runs_of(work) if not isinstance(value, str)])
        at = units = 0
        runs = list(_cut(runs_of(old), self._deltas.get(path, ())))
        for value, formats, is_kept in runs:
            if not is_kept:
                put_in_text(work, at, value, formats)
            elif isinstance(value, str):
                units += len(value.encode(UTF16)) // 2
            else:
                twin = next(embedded)
                if units in within:
                    self.undo(value, twin, (*path, units))
                units += 1
            at += size_of(value)
        format_like(work, [(value, formats) for value, formats, _ in runs])


def _cut(
    runs: Iterable[tuple[Any, Formats]], delta: Iterable[dict[str, Any]]
) -> Iterator[tuple[Any, Formats, bool]]:
    """The runs of a text, cut where something went, and whether each is still there."""
    ops = iter(delta)
    left, is_kept = 0, True

    def following() -> tuple[int, bool]:
        for op in ops:
            if op.get("retain") or op.get("delete"):
                return (op["retain"], True) if "retain" in op else (op["delete"], False)
        return sys.maxsize, True

    for value, formats in runs:
        rest = value.encode() if isinstance(value, str) else value
        while not isinstance(rest, bytes) or rest:
            if not left:
                left, is_kept = following()
            if not isinstance(rest, bytes):
                left -= 1
                yield value, formats, is_kept
                break
            yield rest[:left].decode(), formats, is_kept
            rest, left = rest[left:], left - min(left, len(rest))
