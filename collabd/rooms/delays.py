"""How long edits take from their coming to their being on the way to everybody else."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Turn(NamedTuple):
    """A turn of the event loop in which updates came."""

    began_at: float
    pending: int
    """How many updates wait to be committed at its end, those from before among them."""


class Delays:
    """Knows when the updates of a batch came, to the turn of the event loop: all of one turn count as its
    first. Times are seconds on any one clock."""

    __slots__ = ("_began_at", "_in_flight", "_turns")

    def __init__(self) -> None:
        self._began_at = 0.0
        self._turns: tuple[Turn, ...] = ()
        self._in_flight: tuple[Turn, ...] = ()

    def begin_turn(self, now: float) -> None:
        """The first update of a turn is here."""
        self._began_at = now

    def end_turn(self, pending: int) -> None:
        """So many updates wait to be committed now."""
        self._turns = (*self._turns, Turn(self._began_at, pending))

    def hand_over(self) -> None:
        """What waited is being committed."""
        self._in_flight, self._turns = self._turns, ()

    def settle(self) -> Sequence[Turn]:
        """What was handed over is committed. The answer is for :func:`delivered`, once it is on its way."""
        turns, self._in_flight = self._in_flight, ()
        return turns


def delivered(turns: Sequence[Turn], now: float) -> Iterator[tuple[int, float]]:
    """How many updates took how long that are on their way to everybody now."""
    before = 0
    for turn in turns:
        if turn.pending > before:
            yield turn.pending - before, now - turn.began_at
        before = turn.pending
