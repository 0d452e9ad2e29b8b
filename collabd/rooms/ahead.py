"""Committed updates of other nodes that came before what lies between them and this room's document."""

from collections.abc import Sequence
from typing import Final

MAX_BYTES: Final = 1024 * 1024
MAX_UPDATES: Final = 2_000
"""Beyond either what comes is passed over: the log has it."""


class Ahead:
    """Updates by number, waiting for their turn."""

    __slots__ = ("_size", "_updates", "last")

    def __init__(self) -> None:
        self._updates: dict[int, bytes] = {}
        self._size = 0
        self.last = 0
        """The highest number that was heard of."""

    def reach(self, last: int) -> None:
        """Take note that the log goes up to a number."""
        self.last = max(self.last, last)

    def put(self, first: int, updates: Sequence[bytes]) -> None:
        """Keep updates that follow one another, as far as there is room."""
        self.reach(first + len(updates) - 1)
        for seq, update in enumerate(updates, first):
            if len(self._updates) >= MAX_UPDATES or self._size + len(update) > MAX_BYTES:
                return
            if seq not in self._updates:
                self._updates[seq] = update
                self._size += len(update)

    def take(self, after: int, upto: int | None = None) -> list[bytes] | None:
        """Take out the updates that follow a number, up to another one or as many as there are without a
        gap; None if any of those up to ``upto`` is missing, and then nothing is taken."""
        found: list[bytes] = []
        seq = after + 1
        while (upto is None or seq <= upto) and (update := self._updates.get(seq)) is not None:
            found.append(update)
            seq += 1
        if upto is not None and seq <= upto:
            return None
        return found

    def forget(self, upto: int) -> None:
        """Let go of what the document has by now."""
        for seq in [seq for seq in self._updates if seq <= upto]:
            self._size -= len(self._updates.pop(seq))

    def clear(self) -> None:
        """Let go of everything: it was of another document."""
        self._updates.clear()
        self._size = self.last = 0
