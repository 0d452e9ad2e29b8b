"""What a room decides, without doing any of it: no I/O, no clock, no document.

An update goes through four states here, always in this order::

    receive() -> pending -> take_batch() -> in flight -> settle() -> integrated, early or rejected

The document itself lives with the actor in :mod:`collabd.rooms.room`, which tells this state what came of
applying a batch. Peers are numbers. Updates are bytes (Yjs v1) that passed the structural check, with their
summaries.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from collabd.errors import Overloaded
from collabd.protocol.ranges import IdRanges
from collabd.protocol.update import UpdateSummary

MAX_EARLY: Final = 2_000
"""Updates that may wait for one they build on. Each is looked at whenever something else was applied."""


class Early(NamedTuple):
    """A committed update that waits for one it builds on."""

    seq: int
    update: bytes
    summary: UpdateSummary


@dataclass(slots=True)
class Batch:
    """Updates that are committed together, in this order."""

    updates: list[bytes] = field(default_factory=list)
    summaries: list[UpdateSummary] = field(default_factory=list)
    authors: list[int] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    """For each peer, how many of its sync messages are safe once this batch is."""
    size: int = 0
    early: int = 0
    """How many of the updates wait for one that is neither applied nor about to be."""
    early_size: int = 0


class Settled(NamedTuple):
    """What follows from a batch that was committed and applied."""

    relay: list[tuple[int, bytes]]
    """Author and update, in order, for everybody else to have."""
    acknowledge: Mapping[int, int]
    """For each peer, how many of its sync messages are committed."""
    refuse: list[int]
    """Peers whose update was rejected."""
    integrated: list[bytes]
    """Updates of earlier batches that were early and are not any more."""


class RoomState:
    """Bookkeeping of one document.

    Args:
        max_backlog: bytes that may wait to be committed.
        max_early: bytes of updates that may wait for one they build on. What may be just what they wait for
            is taken beyond this bound.
    """

    def __init__(self, *, max_backlog: int, max_early: int) -> None:
        self._max_backlog = max_backlog
        self._max_early = max_early
        self._pending = Batch()
        self._in_flight: Batch | None = None
        self._counts: dict[int, int] = {}
        self._asked: dict[int, set[tuple[int, int]]] = {}
        self.head = 0
        self.clocks: Mapping[int, int] = {}
        self._expected: dict[int, int] = {}
        """What the clocks will be once all that was received is applied."""
        self.early: list[Early] = []
        self._early_size = 0
        self._structs = IdRanges()
        self._deletes = IdRanges()

    def restore(
        self, head: int, clocks: Mapping[int, int], deletes: IdRanges, unsettled: Sequence[Early]
    ) -> None:
        """Begin from a document as it was loaded: its state vector, its delete set, and what may be early in
        it."""
        self.head = head
        self._structs = IdRanges()
        self._deletes = deletes
        for client, clock in clocks.items():
            self._structs.add(client, 0, clock)
        self.clocks = clocks
        self._keep_early(early for early in unsettled if self._first_gap(early.summary) is not None)
        for batch in filter(None, (self._in_flight, self._pending)):
            for summary in batch.summaries:
                self._remember(summary)

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever written that the document could take, nor is about to be."""
        return not self._structs and not self._deletes

    @property
    def is_settled(self) -> bool:
        """Whether everything received is committed and applied."""
        return self._in_flight is None and not self._pending.updates

    @property
    def in_flight(self) -> Batch | None:
        """The batch handed out by :meth:`take_batch` and not settled yet."""
        return self._in_flight

    @property
    def has_pending(self) -> bool:
        """Whether a batch could be taken now."""
        return self._in_flight is None and bool(self._pending.updates)

    @property
    def backlog(self) -> int:
        """Bytes received and not yet committed."""
        return self._pending.size + (self._in_flight.size if self._in_flight else 0)

    @property
    def is_full(self) -> bool:
        """Whether no more may be received until something was committed."""
        return self.backlog >= self._max_backlog

    def receive(self, author: int, update: bytes, summary: UpdateSummary) -> int | None:
        """Take in one update.

        Returns:
            None if it will be acknowledged with a batch; else the count to acknowledge at once, because it
            brings nothing new and all before it is committed.

        Raises:
            Overloaded: it would exceed a bound. It was not taken.
        """
        if not self.is_new(summary):
            count = self._counts[author] = self._counts.get(author, 0) + 1
            last = self._pending if self._pending.updates else self._in_flight
            if last is None:
                return count
            last.counts[author] = count
            return None
        pending = self._pending
        if self.backlog + len(update) > self._max_backlog:
            raise Overloaded("too much waits to be saved in this document")
        if self._surely_waits(summary):
            early, early_size = len(self.early) + pending.early, self._early_size + pending.early_size
            if self._in_flight is not None:
                early, early_size = early + self._in_flight.early, early_size + self._in_flight.early_size
            if early >= MAX_EARLY or early_size + len(update) > self._max_early:
                raise Overloaded("too many updates wait for one they build on")
            pending.early += 1
            pending.early_size += len(update)
        else:
            self._expect(summary)
        count = self._counts[author] = self._counts.get(author, 0) + 1
        self._remember(summary)
        pending.updates.append(update)
        pending.summaries.append(summary)
        pending.authors.append(author)
        pending.counts[author] = count
        pending.size += len(update)
        return None

    def is_new(self, summary: UpdateSummary) -> bool:
        """Whether the update brings anything not received before."""
        covers = self._structs.covers
        for client, start, end in summary.structs:
            if not covers(client, start, end):
                return True
        covers = self._deletes.covers
        return any(not covers(client, start, end) for client, start, end in summary.deletes)

    def take_batch(self) -> Batch | None:
        """Hand out everything pending, to be committed; None while the batch before is in flight or nothing
        is pending."""
        if self._in_flight is not None or not self._pending.updates:
            return None
        batch = self._in_flight = self._pending
        self._pending = Batch()
        return batch

    def settle(self, last_seq: int, clocks: Mapping[int, int], rejected: Sequence[int] = ()) -> Settled:
        """Take note that the batch in flight was committed and applied, as far as it could be.

        Args:
            last_seq: the number of its last update.
            clocks: the document's state vector afterwards.
            rejected: positions in the batch of updates that the document cannot take.
        """
        batch = self._in_flight
        assert batch is not None, "no batch is in flight"
        self._in_flight = None
        self.head = last_seq
        self.clocks = clocks
        first = last_seq - len(batch.updates) + 1
        early: list[Early] = []
        integrated: list[bytes] = []
        for waiting in self.early:
            if self._first_gap(waiting.summary) is None:
                integrated.append(waiting.update)
            else:
                early.append(waiting)
        known = {waiting.seq for waiting in early}
        for position, summary in enumerate(batch.summaries):
            seq = first + position
            if self._first_gap(summary) is not None and seq not in known and position not in rejected:
                early.append(Early(seq, batch.updates[position], summary))
        if early or self.early:
            self._keep_early(early)
        refuse = [batch.authors[position] for position in rejected]
        return Settled(
            relay=[
                (author, update)
                for position, (author, update) in enumerate(zip(batch.authors, batch.updates, strict=True))
                if position not in rejected
            ],
            acknowledge=batch.counts
            if not refuse
            else {peer: count for peer, count in batch.counts.items() if peer not in refuse},
            refuse=refuse,
            integrated=integrated,
        )

    def whom_to_ask(self, batch: Batch) -> list[int]:
        """The authors of early updates in the batch settled last, each once per gap.

        They hold what the update builds on: send them step 1.
        """
        first = self.head - len(batch.updates) + 1
        ask = []
        for early in self.early:
            if early.seq < first:
                continue
            author = batch.authors[early.seq - first]
            gap = self._first_gap(early.summary)
            if author in self._counts and gap is not None:
                asked = self._asked.setdefault(author, set())
                if gap not in asked:
                    asked.add(gap)
                    if author not in ask:
                        ask.append(author)
        return ask

    def abandon(self) -> Batch:
        """Give up the batch in flight, which will never be committed."""
        batch = self._in_flight
        assert batch is not None, "no batch is in flight"
        self._in_flight = None
        return batch

    def leave(self, peer: int) -> None:
        """Forget a peer. What it sent stays."""
        self._counts.pop(peer, None)
        self._asked.pop(peer, None)

    def _surely_waits(self, summary: UpdateSummary) -> bool:
        """Whether the update builds on something that is neither applied nor about to be."""
        expected = self._expected
        reached: dict[int, int] = {}
        for client, start, end in summary.structs:
            if start > reached.get(client, expected.get(client, 0)):
                return True
            reached[client] = end
        for client, clock in summary.needs or ():
            if clock >= expected.get(client, 0):
                return True
        return any(
            end > max(reached.get(client, 0), expected.get(client, 0)) for client, _, end in summary.deletes
        )

    def _expect(self, summary: UpdateSummary) -> None:
        expected = self._expected
        for client, _, end in summary.structs:
            if end > expected.get(client, 0):
                expected[client] = end

    def _remember(self, summary: UpdateSummary) -> None:
        for client, start, end in summary.structs:
            self._structs.add(client, start, end)
        for client, start, end in summary.deletes:
            self._deletes.add(client, start, end)

    def _keep_early(self, early: Iterable[Early]) -> None:
        self.early = list(early)
        self._early_size = sum(len(update) for _, update, _ in self.early)
        for _, _, summary in self.early:
            self._remember(summary)
        self._expected = dict(self.clocks)
        for batch in filter(None, (self._in_flight, self._pending)):
            for summary in batch.summaries:
                if not self._surely_waits(summary):
                    self._expect(summary)

    def _first_gap(self, summary: UpdateSummary) -> tuple[int, int] | None:
        """The client, and the clock it is known up to, where the update is not yet integrated; None if it
        is."""
        for client, _, end in (*summary.structs, *summary.deletes):
            have = self.clocks.get(client, 0)
            if end > have:
                return client, have
        return None
