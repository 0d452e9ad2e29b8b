"""What shares a message, and how long what comes must wait."""

from math import ceil, exp
from typing import Final, NamedTuple

from collabd.persistence.postgres import POOL_SIZE
from collabd.rooms.cluster import CAUGHT_UP_AT_ONCE
from collabd.rooms.registry import FOLLOW_ALONE_SECONDS, FOLLOW_AT_ONCE

from .figures import Load

STEPS: Final = 400
"""Of numerical integrals."""


def shared(rate: float, seconds: float) -> float:
    """Messages for each event, if after a message the next one waits ``seconds`` and carries all that has
    come by then: it carries ``max(1, events meanwhile)``, which is ``x + e^-x`` on average."""
    x = rate * seconds
    return 1 / (x + exp(-x))


def commit_wait(load: Load, edits: float) -> float:
    """How long a flush is in flight: a commit, and what is left of the one before."""
    idle = exp(-edits * load.commit) / edits if edits else float("inf")
    return load.commit * (1 + load.commit / (load.commit + idle) / 2)


class FifoLink(NamedTuple):
    """A way to a node on which what comes later never overtakes: a message waits for those before it."""

    least: float
    most: float
    rate: float
    """Messages a second."""

    def mean(self) -> float:
        """Seconds a message takes."""
        return self.latest(1)

    def latest(self, ways: float) -> float:
        """Seconds until it has come on so many ways that do not depend on each other."""
        width = (self.most - self.least) / STEPS
        late = (1.0 - self._arrived(step * width) ** ways for step in range(STEPS))
        return float(self.least + sum(late) * width)

    def _arrived(self, beyond: float) -> float:
        """How likely it has come so long after the least time: it and all that were sent before have."""
        span = self.most - self.least
        if not span:
            return 1.0
        return beyond / span * exp(-self.rate * (span - beyond) ** 2 / 2 / span)


class HeldUp(NamedTuple):
    """What a message waits that comes while something of the same document is being committed."""

    likely: float
    commit: float

    def latest(self, ways: float) -> float:
        """Seconds that the last of so many wait."""
        if not self.likely:
            return 0.0
        likely = min(self.likely, 1.0)
        none = (1 - (1 - likely) ** (ways + 1)) / likely / (ways + 1)
        return float(self.commit * (1 - none))


class Alone(NamedTuple):
    """A node that hears of the others by the store alone. It asks every ``period``, and reads then what it
    lacks; and what its own people write finds that something is missing."""

    period: float
    reading: float
    """Until what is missing of a document is read, on average: many are asked for at once."""
    reading_all: float
    reads: float
    """Documents that are to be read when the store was asked."""
    own: float
    """Edits a second of a document's people on the same node,"""
    commit: float
    """and how long it takes until they are committed."""
    queries: float

    @property
    def mean(self) -> float:
        return self.latest(1)

    @property
    def worst(self) -> float:
        return self.period + self.reading_all

    def latest(self, nodes: float) -> float:
        """Until so many nodes have it, which ask at times that do not depend on each other."""
        width = self.period / STEPS
        late = (1.0 - (1.0 - self._lacks(step * width)) ** nodes for step in range(STEPS))
        return float(sum(late) * width + self.reading)

    def _lacks(self, after: float) -> float:
        """How likely a node lacks an edit so long after."""
        return float((1 - after / self.period) * exp(-self.own * max(0.0, after - self.commit)))


def left_alone(load: Load, rooms: float, commit: float) -> Alone:
    parts = ceil(rooms / FOLLOW_AT_ONCE)
    beside = load.connections / rooms
    own, others = load.edits * beside, load.edits * (load.people - beside)
    period, reads, found = FOLLOW_ALONE_SECONDS + parts * load.query, 0.0, 0.0
    # The next documents are asked about when a connection to the database is free again.
    for _ in range(10):
        reads, found = _gaps(own, others, period)
        reads, found = rooms * reads, rooms * found
        waits = reads * (parts - 1) / parts * load.read / POOL_SIZE
        period = FOLLOW_ALONE_SECONDS + parts * load.query + waits
    at_once = reads / parts
    return Alone(
        period=period,
        reading=load.read * (max(at_once, POOL_SIZE) / POOL_SIZE + 1) / 2,
        reading_all=load.read * ceil(at_once / POOL_SIZE),
        reads=reads,
        own=own,
        commit=commit,
        queries=load.nodes * (reads + found + parts) / period,
    )


def _gaps(own: float, others: float, period: float) -> tuple[float, float]:
    """How likely a copy lacks something when the store is asked, ``period`` after it was the last time; and
    how often its own commits found that out meanwhile."""
    rate = own + others
    if not rate:
        return 0.0, 0.0
    lacks = others / rate * (1 - exp(-rate * period))
    return lacks, own * (others / rate * period - lacks / rate)


def healed(load: Load, rooms: float, alone: Alone) -> float:
    """Up to so many documents a node looks at them at once; with more it does so at its next signs of life,
    and what it asks the store anyway is faster."""
    if rooms <= CAUGHT_UP_AT_ONCE:
        # Where something is being committed just then, the commit's answer tells that something is missing.
        return load.query + load.read * ceil(alone.reads / POOL_SIZE) + 2 * load.commit + load.read
    return alone.period * load.nodes / (load.nodes + 1) + alone.reading_all
