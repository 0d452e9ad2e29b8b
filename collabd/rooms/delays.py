"""How long edits take from their coming to their being on the way to everybody else."""

from collections.abc import Sequence

Turn = tuple[float, int]
"""A turn of the event loop in which updates came: when it began, and how many wait to be committed at its
end, those from before among them."""


class Delays:
    """Knows when the updates of a batch came, to the turn of the event loop: all of one turn count as its
    first. Times are seconds on any one clock."""

    __slots__ = ("_began_at", "_in_flight", "_turns")

    def __init__(self) -> None:
        self._began_at = 0.0
        self._turns: tuple[Turn, ...] = ()
        self._in_flight: tuple[Turn, ...] = ()

    def begin_turn(self, now: float) -> None:
        """What comes from now on is of a new turn, if anything does."""
        self._began_at = now

    def end_turn(self, pending: int) -> None:
        """So many updates wait to be committed now."""
        self._turns += ((self._began_at, pending),)

    def hand_over(self) -> None:
        """What waited is being committed."""
        self._in_flight, self._turns = self._turns, ()

    def settle(self) -> Sequence[Turn]:
        """What was handed over is committed. The answer is for :func:`delivered`, once it is on its way."""
        turns, self._in_flight = self._in_flight, ()
        return turns


def delivered(turns: Sequence[Turn], now: float) -> list[tuple[int, float]]:
    """How many updates took how long that are on their way to everybody now."""
    took = []
    before = 0
    for began_at, pending in turns:
        if pending > before:
            took.append((pending - before, now - began_at))
        before = pending
    return took
