"""Sets of Yjs ids: which clocks of which clients.

Adding the same twice changes nothing: this is what lets a room decide whether an update brings anything new
without asking the document.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, KeysView


class IdRanges:
    """Client ids mapped to clock intervals, half-open, sorted, disjoint and never touching."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, runs: Iterable[tuple[int, int, int]] = ()) -> None:
        self._starts: dict[int, list[int]] = {}
        self._ends: dict[int, list[int]] = {}
        for client, start, end in runs:
            self.add(client, start, end)

    def add(self, client: int, start: int, end: int) -> None:
        """Adds the clocks ``start <= clock < end`` of ``client``; an empty interval adds nothing."""
        if start >= end:
            return
        ends = self._ends.get(client)
        if ends is None:
            self._starts[client] = [start]
            self._ends[client] = [end]
            return
        starts = self._starts[client]
        last = ends[-1]
        if start == last:
            ends[-1] = end
            return
        if start > last:
            starts.append(start)
            ends.append(end)
            return
        first = bisect_left(ends, start)
        beyond = bisect_right(starts, end)
        if first < beyond:
            start = min(start, starts[first])
            end = max(end, ends[beyond - 1])
        starts[first:beyond] = [start]
        ends[first:beyond] = [end]

    def covers(self, client: int, start: int, end: int) -> bool:
        """Whether every clock ``start <= clock < end`` of ``client`` is in the set."""
        if start >= end:
            return True
        ends = self._ends.get(client)
        if ends is None:
            return False
        at = bisect_right(ends, start)
        return at < len(ends) and self._starts[client][at] <= start and end <= ends[at]

    def contains(self, other: "IdRanges") -> bool:
        """Whether everything in ``other`` is in the set."""
        return all(
            self.covers(client, start, end)
            for client in other.clients()
            for start, end in other.intervals(client)
        )

    def update(self, other: "IdRanges") -> None:
        """Adds everything that is in ``other``."""
        for client in other.clients():
            for start, end in other.intervals(client):
                self.add(client, start, end)

    def clients(self) -> KeysView[int]:
        """The clients of which at least one clock is in the set."""
        return self._ends.keys()

    def intervals(self, client: int) -> list[tuple[int, int]]:
        """The client's intervals, half-open and ascending."""
        return list(zip(self._starts.get(client, ()), self._ends.get(client, ()), strict=True))

    def all_intervals(self) -> list[tuple[int, list[int], list[int]]]:
        """Each client with the starts and the ends of its intervals, for :meth:`from_intervals`."""
        return [(client, starts, self._ends[client]) for client, starts in self._starts.items()]

    @classmethod
    def from_intervals(cls, intervals: Iterable[tuple[int, list[int], list[int]]]) -> "IdRanges":
        """The set that :meth:`all_intervals` told; the lists belong to it from then on."""
        ranges = cls()
        for client, starts, ends in intervals:
            ranges._starts[client] = starts
            ranges._ends[client] = ends
        return ranges

    def copy(self) -> "IdRanges":
        """An independent copy."""
        twin = IdRanges()
        twin._starts = {client: starts.copy() for client, starts in self._starts.items()}
        twin._ends = {client: ends.copy() for client, ends in self._ends.items()}
        return twin

    def __bool__(self) -> bool:
        return bool(self._ends)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdRanges):
            return NotImplemented
        return self._starts == other._starts and self._ends == other._ends

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        runs = [(client, start, end) for client in self.clients() for start, end in self.intervals(client)]
        return f"IdRanges({runs})"
