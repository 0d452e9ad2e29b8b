"""On which nodes the people of a document are, if each is on any."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import comb


def copies(nodes: int, people: int) -> float:
    """On how many of the nodes so many people are."""
    return float(nodes * (1 - (1 - 1 / nodes) ** people))


def spread(n: int, k: int) -> Iterator[tuple[float, int, float]]:
    """Of somebody: how likely it is that so many people of the document are on the same node, with himself;
    and on how many other nodes the others are then."""
    for beside in range(k):
        likely = comb(k - 1, beside) * (1 / n) ** beside * (1 - 1 / n) ** (k - 1 - beside)
        rest = k - 1 - beside
        yield likely, beside + 1, copies(n - 1, rest) if n > 1 else 0.0


def mean(weighted: Iterable[tuple[float, float]]) -> float:
    total = weight = 0.0
    for likely, value in weighted:
        total += likely * value
        weight += likely
    return total / weight if weight else 0.0


def per_edit(
    others_of: Sequence[tuple[float, int, float]], latest: Callable[[float], float]
) -> Iterator[tuple[float, float]]:
    """When the last of the other copies has an edit, for those edits of which there is another copy."""
    for likely, _, others in others_of:
        if others:
            yield likely, latest(others)
