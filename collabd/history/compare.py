"""What changed between two texts: by lines, and within lines by words."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Final, NamedTuple

MOST_PAIRS: Final = 4_000_000
"""Lines of one text times lines of the other that are compared in one go, at most. Takes below a second."""

MOST_WORD_PAIRS: Final = 200_000
"""The same for words of a changed stretch."""

CONTEXT: Final = 3
"""Unchanged lines in front of and behind what changed, as ``diff -u`` has them."""

WORDS: Final = re.compile(r"\w+|\s+|.", re.DOTALL)

Marks = list[tuple[int, int]]
Opcode = tuple[str, int, int, int, int]


class Line(NamedTuple):
    """One line of a hunk."""

    kind: str
    """``same``, ``removed`` or ``added``."""
    text: str
    marks: Marks
    """Which of its characters changed (start and end), if it stands in the place of another line; else
    empty: all of a removed or added line did."""


class Hunk(NamedTuple):
    """Lines that changed, and some around them. Line numbers count from 1."""

    from_line: int
    to_line: int
    lines: list[Line]


def compare(before: str, after: str) -> list[Hunk]:
    """What to do to one text to get the other. Takes time in bounds: large texts that have little in common
    are compared less closely."""
    old, new = _lines(before), _lines(after)
    hunks: list[Hunk] = []
    for group in _grouped(list(_opcodes(old, new))):
        lines: list[Line] = []
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                lines += [Line("same", text, []) for text in old[old_start:old_end]]
            else:
                lines += _changed(old[old_start:old_end], new[new_start:new_end])
        hunks.append(Hunk(group[0][1] + 1, group[0][3] + 1, lines))
    return hunks


def _lines(text: str) -> list[str]:
    """What stands between line ends; nothing stands in an empty text."""
    return text.split("\n") if text else []


def unified(hunks: Sequence[Hunk], before: str, after: str) -> str:
    """Hunks as ``diff -u`` shows them; ``before`` and ``after`` are what to call the texts."""
    if not hunks:
        return ""
    signs = {"same": " ", "removed": "-", "added": "+"}
    lines = [f"--- {before}", f"+++ {after}"]
    for hunk in hunks:
        removed = sum(line.kind != "added" for line in hunk.lines)
        added = sum(line.kind != "removed" for line in hunk.lines)
        lines.append(f"@@ -{_range(hunk.from_line, removed)} +{_range(hunk.to_line, added)} @@")
        lines += [signs[line.kind] + line.text for line in hunk.lines]
    return "\n".join(lines) + "\n"


def _range(start: int, count: int) -> str:
    """Where nothing stands, ``diff -u`` names the line in front."""
    return f"{start if count else start - 1},{count}"


def _opcodes(old: Sequence[str], new: Sequence[str]) -> Iterator[Opcode]:
    """As difflib's, but in bounded time."""
    shorter = min(len(old), len(new))
    begin = 0
    while begin < shorter and old[begin] == new[begin]:
        begin += 1
    end = 0
    while end < shorter - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    if begin:
        yield "equal", 0, begin, 0, begin
    old_end, new_end = len(old) - end, len(new) - end
    yield from _between(old[begin:old_end], new[begin:new_end], begin, begin)
    if end:
        yield "equal", old_end, len(old), new_end, len(new)


def _between(old: Sequence[str], new: Sequence[str], old_at: int, new_at: int) -> Iterator[Opcode]:
    start_old = start_new = 0
    anchors = [] if len(old) * len(new) <= MOST_PAIRS else _anchors(old, new)
    for end_old, end_new in [*anchors, (len(old), len(new))]:
        part_old, part_new = old[start_old:end_old], new[start_new:end_new]
        if len(part_old) * len(part_new) <= MOST_PAIRS:
            opcodes: Sequence[Opcode] = SequenceMatcher(None, part_old, part_new).get_opcodes()
        else:
            opcodes = [("replace", 0, len(part_old), 0, len(part_new))]
        for tag, i, j, k, m in opcodes:
            yield (
                tag,
                old_at + start_old + i,
                old_at + start_old + j,
                new_at + start_new + k,
                new_at + start_new + m,
            )
        start_old, start_new = end_old, end_new


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Where both have a line that neither has twice, as many as come in the same order in both."""
    places = {line: position for position, line in enumerate(new)}
    twice = {line for counted in (old, new) for line, count in Counter(counted).items() if count > 1}
    pairs = [(at, places[line]) for at, line in enumerate(old) if line in places and line not in twice]
    # The longest ascending sequence, by patience sorting.
    tops: list[int] = []
    piles: list[int] = []
    before: list[int | None] = []
    for index, (_, position) in enumerate(pairs):
        pile = bisect_left(tops, position)
        before.append(piles[pile - 1] if pile else None)
        tops[pile : pile + 1] = [position]
        piles[pile : pile + 1] = [index]
    chosen: list[tuple[int, int]] = []
    at = piles[-1] if piles else None
    while at is not None:
        chosen.append(pairs[at])
        at = before[at]
    return chosen[::-1]


def _grouped(opcodes: Sequence[Opcode]) -> Iterator[list[Opcode]]:
    """Changes with some unchanged lines around them, those close to each other together."""
    group: list[Opcode] = []
    for index, (tag, i, j, k, m) in enumerate(opcodes):
        if tag != "equal":
            group.append((tag, i, j, k, m))
            continue
        is_first, is_last = index == 0, index == len(opcodes) - 1
        if not is_first and not is_last and j - i <= 2 * CONTEXT:
            group.append((tag, i, j, k, m))
            continue
        if not is_first:
            size = min(CONTEXT, j - i)
            group.append((tag, i, i + size, k, k + size))
            yield group
        size = min(CONTEXT, j - i)
        group = [] if is_last else [(tag, j - size, j, m - size, m)]
    if any(op[0] != "equal" for op in group):
        yield group


def _changed(old: Sequence[str], new: Sequence[str]) -> list[Line]:
    """Removed lines, then those in their place, with the words that differ marked."""
    if not old or not new:
        return [Line("removed", text, []) for text in old] + [Line("added", text, []) for text in new]
    ours, theirs = WORDS.findall("\n".join(old)), WORDS.findall("\n".join(new))
    if len(ours) * len(theirs) > MOST_WORD_PAIRS:
        return [Line("removed", text, []) for text in old] + [Line("added", text, []) for text in new]
    removed, added = [], []
    opcodes = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    starts = [0, *accumulate(map(len, ours))], [0, *accumulate(map(len, theirs))]
    for tag, i, j, k, m in opcodes:
        if tag != "equal":
            removed.append((starts[0][i], starts[0][j]))
            added.append((starts[1][k], starts[1][m]))
    return [*_marked("removed", old, removed), *_marked("added", new, added)]


def _marked(kind: str, texts: Sequence[str], marks: Marks) -> Iterator[Line]:
    """Lines with those parts of the marks in them, which are given for all of them joined."""
    start = 0
    for text in texts:
        end = start + len(text)
        inside = [(max(a, start) - start, min(b, end) - start) for a, b in marks if a < end and b > start]
        yield Line(kind, text, inside)
        start = end + 1
