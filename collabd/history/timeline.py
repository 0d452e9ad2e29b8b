"""History as people think of it: who worked on a document, and when."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from collabd.persistence.base import Author, HistoryEntry, Version

QUIET_SECONDS: Final = 300.0
"""Who writes nothing for so long has left off."""

LONGEST_SECONDS: Final = 1800.0
"""Where people go on and on, they are shown one change for each such stretch."""

Person = tuple[str, str]
"""A principal and a name. Connections don't matter: the same person has many."""


class Part(NamedTuple):
    """What one person has in a change."""

    principal: str
    name: str
    updates: int


class Change(NamedTuple):
    """What the same people did without a long pause. Times are seconds since the epoch."""

    first: int
    """The number of its first update."""
    seq: int
    """The number of its last update."""
    started_at: float
    ended_at: float
    parts: tuple[Part, ...]
    """Who took part, those with the most updates first."""
    versions: tuple[Version, ...]
    """The named versions it contains."""


def timeline(entries: Sequence[HistoryEntry], versions: Iterable[Version] = ()) -> list[Change]:
    """History as changes, newest first.

    A change is made by the same people, each of whom pauses for less than five minutes, and is at most half
    an hour long.

    Args:
        entries: all of history, or what :func:`begins_at` leaves of its end; ``updates`` may be empty.
    """
    groups = _groups(entries)
    named = sorted(versions)
    changes: list[Change] = []
    for group in reversed(groups):
        first, last = group[0], group[-1]
        within: list[Version] = []
        while named and named[-1].seq >= first.first:
            version = named.pop()
            if version.seq <= last.seq:
                within.insert(0, version)
        changes.append(Change(first.first, last.seq, first.at, last.at, _parts(group), tuple(within)))
    return changes


def begins_at(entries: Sequence[HistoryEntry]) -> int | None:
    """The first entry of an end of history that is sure to begin a change: one after a pause of everybody.

    None if there is no such pause.
    """
    for position in range(1, len(entries)):
        if entries[position].at - entries[position - 1].at >= QUIET_SECONDS:
            return position
    return None


def _groups(entries: Sequence[HistoryEntry]) -> list[list[HistoryEntry]]:
    """Stretches in which the same people are at work, whoever of them is just typing."""
    begins: dict[int, set[Person]] = {}
    ends: dict[int, set[Person]] = {}
    spans: dict[Person, tuple[int, float]] = {}
    """For each person at work, the position and time of what they wrote last."""
    for position, entry in enumerate(entries):
        for author, _ in entry.authors:
            person = _person(author)
            last = spans.get(person)
            if last is None or entry.at - last[1] >= QUIET_SECONDS:
                if last is not None:
                    ends.setdefault(last[0] + 1, set()).add(person)
                begins.setdefault(position, set()).add(person)
            spans[person] = (position, entry.at)
    for person, (position, _) in spans.items():
        ends.setdefault(position + 1, set()).add(person)

    groups: list[list[HistoryEntry]] = []
    working: set[Person] = set()
    before: set[Person] = set()
    for position, entry in enumerate(entries):
        if position in begins or position in ends:
            working -= ends.get(position, set())
            working |= begins.get(position, set())
        if groups:
            group = groups[-1]
            pause, length = entry.at - group[-1].at, entry.at - group[0].at
            if working == before and pause < QUIET_SECONDS and length < LONGEST_SECONDS:
                group.append(entry)
                continue
        groups.append([entry])
        before = working.copy()
    return groups


def _parts(group: Iterable[HistoryEntry]) -> tuple[Part, ...]:
    counts: dict[Person, int] = {}
    for entry in group:
        for author, times in entry.authors:
            person = _person(author)
            counts[person] = counts.get(person, 0) + times
    parts = [Part(principal, name, updates) for (principal, name), updates in counts.items()]
    return tuple(sorted(parts, key=lambda part: -part.updates))


def _person(author: Author) -> Person:
    return author.principal, author.name
