"""What a room decides, without doing any of it: no I/O, no clock, no document.

An update goes through four states here, always in this order::

    receive() -> pending -> take_batch() -> in flight -> settle() -> integrated, early or rejected

The document itself lives with the actor in :mod:`collabd.rooms.room`, which tells this state what came of
applying a batch. Peers are numbers. Updates are bytes (Yjs v1) that passed the structural check, with their
summaries.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from collabd.errors import Overloaded
from collabd.protocol.intake import Known
from collabd.protocol.ranges import IdRanges
from collabd.protocol.runs import SHORT, Run, Spot
from collabd.protocol.update import UpdateSummary, check_update
from collabd.protocol.waiting import Waiting

NOBODY: Final = 0
"""The author of what did not come from a peer."""
MAX_EARLY: Final = 2_000
"""Updates that may wait for one they build on. Each is looked at whenever something else was applied."""


class Early(NamedTuple):
    """A committed update that waits for one it builds on."""

    seq: int
    update: bytes
    summary: UpdateSummary


class Piece:
    """Some updates of a batch that follow each other, as one update.

    Args:
        author: who sent them.
        first: the position of the first of them.
        size: how many they are.
        run: what was typed, if that is what they are: then the update and its summary are made when somebody
            wants them. Else both must be given.
    """

    __slots__ = ("_summary", "_update", "author", "first", "run", "size")

    def __init__(
        self,
        author: int,
        first: int,
        size: int,
        update: bytes | None = None,
        summary: UpdateSummary | None = None,
        run: Run | None = None,
    ) -> None:
        self.author = author
        self.first = first
        self.size = size
        self.run = run
        self._update = update
        self._summary = summary

    @property
    def update(self) -> bytes:
        if self._update is None:
            assert self.run is not None, "it has the one or the other"
            self._update = self.run.update()
        return self._update

    @property
    def summary(self) -> UpdateSummary:
        if self._summary is None:
            assert self.run is not None, "it has the one or the other"
            self._summary = self.run.summary()
        return self._summary


class Batch:
    """Updates that are committed together, in this order."""

    __slots__ = (
        "counts",
        "early",
        "early_size",
        "first",
        "missed",
        "missed_size",
        "pieces",
        "run",
        "run_author",
        "run_first",
        "runs",
        "size",
        "updates",
    )

    def __init__(self) -> None:
        self.updates: list[bytes] = []
        self.pieces: list[Piece] = []
        """All updates, those together that were typed one behind the other by one author."""
        self.counts: dict[int, int] = {}
        """For each peer, how many of its sync messages are safe once this batch is."""
        self.size = 0
        self.early = 0
        """How many of the updates wait for one that is neither applied nor about to be."""
        self.early_size = 0
        self.first = 0
        """The number of its first update, once it is committed."""
        self.missed = 0
        """How many of the updates, at its beginning, others committed."""
        self.missed_size = 0
        self.run: Run | None = None
        """The strings at the end of the batch that are not a piece of it yet."""
        self.run_author = NOBODY
        """Who typed them."""
        self.run_first = 0
        """The position of the first of them."""
        self.runs: list[Run] = []
        """Those of the pieces that are such strings."""

    @property
    def authors(self) -> list[tuple[int, int]]:
        """Who sent the updates, in order, with how many each."""
        authors: list[tuple[int, int]] = []
        before, size = NOBODY, 0
        for piece in self.pieces:
            if piece.author == before and size:
                size += piece.size
                authors[-1] = before, size
            else:
                before, size = piece.author, piece.size
                authors.append((before, size))
        return authors

    @property
    def is_typed(self) -> bool:
        """Whether it holds nothing but strings that were typed on."""
        return len(self.runs) == len(self.pieces)

    def end_run(self) -> None:
        """Make a piece of what was typed: what comes next does not belong to it."""
        run = self.run
        if run is not None:
            self.run = None
            self.runs.append(run)
            first = self.run_first
            self.pieces.append(Piece(self.run_author, first, len(self.updates) - first, run=run))

    def take_apart(self, begin: int = 0) -> None:
        """Make a piece of each update from a piece on."""
        rest = self.pieces[begin:]
        del self.pieces[begin:]
        for piece in rest:
            if piece.size == 1:
                self.pieces.append(piece)
                continue
            for position in range(piece.first, piece.first + piece.size):
                update = self.updates[position]
                self.pieces.append(Piece(piece.author, position, 1, update, check_update(update)))


class Settled(NamedTuple):
    """What follows from a batch that was committed and applied."""

    relay: list[Piece]
    """What everybody else shall have, in order."""
    acknowledge: Mapping[int, int]
    """For each peer, how many of its sync messages are committed."""
    refuse: list[int]
    """Peers whose update was rejected."""
    integrated: list[bytes]
    """Updates of earlier batches that were early and are not any more."""
    dropped: list[int]
    """Numbers of early updates that were dropped when their time came."""


class RoomState:
    """Bookkeeping of one document.

    What is acknowledged is in the log: an update may only pass for redundant if all it brings is integrated,
    or logged byte for byte among what is early. Ids say nothing before they are integrated: anybody may have
    claimed them for something else. What is pending may yet be rejected, so it counts for nothing, and what
    comes twice within a batch is logged twice.

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
        self._deletes = IdRanges()
        self._waiting = Waiting()

    def restore(self, head: int, known: Known, unsettled: Sequence[Early]) -> None:
        """Begin from a document as it was loaded: what it has, and which updates may be early in it."""
        self.head = head
        self._know(known)
        self._keep_early([each for each in unsettled if self._is_early(each, self._first_gap(each.summary))])

    def distrust(self) -> None:
        """Until the document is restored, count on no more than it surely had before the batch in flight.

        What is known of a document goes on changing with it, and some of what it says now may be rejected.
        """
        clocks = dict(self.clocks)
        summaries = [early.summary for early in self.early]
        if self._in_flight is not None:
            summaries += [piece.summary for piece in self._in_flight.pieces]
        for summary in summaries:
            for client, start, _ in summary.structs:
                if client in clocks:
                    clocks[client] = min(clocks[client], start)
        self._know(Known(clocks, IdRanges(), Waiting()))

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever written that the document could take, nor is about to be."""
        return self.is_settled and not self.early and not self._deletes and not any(self.clocks.values())

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
    def pending(self) -> int:
        """Updates that are not handed out yet."""
        return len(self._pending.updates)

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
            None if it will be committed and acknowledged with a batch. Else it brings nothing new: the count
            to acknowledge at once, or 0 if it will be acknowledged with what its author sent before.

        Raises:
            Overloaded: it would exceed a bound. It was not taken.
        """
        if not self.is_new(update, summary):
            count = self._counts[author] = self._counts.get(author, 0) + 1
            for batch in (self._pending, self._in_flight):
                if batch is not None and author in batch.counts:
                    batch.counts[author] = count
                    return 0
            return count
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
        pending.end_run()
        pending.pieces.append(Piece(author, len(pending.updates), 1, update, summary))
        self._add(author, (update,))
        return None

    def type(self, author: int, messages: Sequence[bytes], begin: int, spot: Spot) -> int:
        """Take in messages, from one on as long as their updates put a text at a spot: what :meth:`receive`
        would do with each, only quicker. The spot moves with them.

        Returns:
            How many were taken. What comes next is to be fed to :meth:`receive`.
        """
        if self.backlog + SHORT * (len(messages) - begin) > self._max_backlog:
            return 0
        pending = self._pending
        run = pending.run
        if run is None or run.spot is not spot or run.end != spot.end:
            if not self._may_begin(spot):
                return 0
            run = Run(spot)
        updates = run.take(messages, begin)
        if not updates:
            return 0
        if run is not pending.run:
            pending.end_run()
            pending.run, pending.run_author, pending.run_first = run, author, len(pending.updates)
        self._expected[spot.client] = run.end
        self._add(author, updates)
        return len(updates)

    def _may_begin(self, spot: Spot) -> bool:
        """Whether it is sure that what is put at a spot is new, and waits for nothing."""
        expected = self._expected
        client, end = spot.client, spot.end
        if expected.get(client, 0) != end or self.clocks.get(client, 0) > end or self._waiting:
            return False
        return not spot.needs or all(clock < expected.get(other, 0) for other, clock in spot.needs)

    def _add(self, author: int, updates: Sequence[bytes]) -> None:
        pending = self._pending
        pending.counts[author] = self._counts[author] = self._counts.get(author, 0) + len(updates)
        pending.updates += updates
        pending.size += sum(map(len, updates))

    def is_new(self, update: bytes, summary: UpdateSummary) -> bool:
        """Whether the update brings anything that is neither integrated nor logged as early."""
        clocks = self.clocks
        for client, _, end in summary.structs:
            if end > clocks.get(client, 0):
                return not self._waiting.repeats(update, summary, clocks, self._deletes)
        covers = self._deletes.covers
        for client, start, end in summary.deletes:
            if not covers(client, start, end):
                return not self._waiting.repeats(update, summary, clocks, self._deletes)
        return False

    def take_batch(self) -> Batch | None:
        """Hand out everything pending, to be committed; None while the batch before is in flight or nothing
        is pending."""
        if self._in_flight is not None or not self._pending.updates:
            return None
        batch = self._in_flight = self._pending
        self._pending = Batch()
        batch.end_run()
        return batch

    def hold(self) -> Batch:
        """Hand nothing out until :meth:`settle`: it is as if an empty batch was in flight."""
        assert self._in_flight is None, "something is in flight"
        self._in_flight = Batch()
        return self._in_flight

    def put_before(self, missed: Sequence[Early]) -> Batch:
        """Make what others committed right before the batch in flight a part of that batch."""
        batch = self._in_flight
        assert batch is not None, "no batch is in flight"
        pieces = [Piece(NOBODY, at, 1, logged.update, logged.summary) for at, logged in enumerate(missed)]
        for piece in batch.pieces:
            piece.first += len(missed)
        batch.pieces = pieces + batch.pieces
        batch.updates = [logged.update for logged in missed] + batch.updates
        batch.missed = len(missed)
        batch.missed_size = sum(len(logged.update) for logged in missed)
        batch.size += batch.missed_size
        for logged in missed:
            if not self._surely_waits(logged.summary):
                self._expect(logged.summary)
        self._pending.end_run()
        return batch

    def settle(self, last_seq: int, known: Known, rejected: Sequence[int] = ()) -> Settled:
        """Take note that the batch in flight was committed and applied, as far as it could be.

        Args:
            last_seq: the number of its last update.
            known: what the document has afterwards.
            rejected: positions in the batch of updates that the document cannot take. Each is a piece.
        """
        batch = self._in_flight
        assert batch is not None, "no batch is in flight"
        self._in_flight = None
        # What is known of the clocks changes, and with it whether the next string would be new.
        self._pending.end_run()
        self.head = max(self.head, last_seq)
        self._know(known)
        first = batch.first = last_seq - len(batch.updates) + 1
        early: list[Early] = []
        integrated: list[bytes] = []
        dropped: list[int] = []
        for waiting in self.early:
            gap = self._first_gap(waiting.summary)
            if self._is_early(waiting, gap):
                early.append(waiting)
            elif gap is None:
                integrated.append(waiting.update)
            else:
                dropped.append(waiting.seq)
        restored = {waiting.seq for waiting in early} if early else ()
        relay = []
        for piece in batch.pieces:
            position = piece.first
            if rejected and position in rejected:
                continue
            relay.append(piece)
            gap = self._gap_of(piece)
            seq = first + position
            if (gap is None and not self._waiting) or seq in restored:
                continue
            if self._is_early(piece, gap):
                early.append(Early(seq, piece.update, piece.summary))
            elif gap is not None:
                dropped.append(seq)
        if early or self.early or rejected:
            self._keep_early(early)
        refuse = [piece.author for piece in batch.pieces if piece.first in rejected] if rejected else []
        acknowledge = batch.counts
        if refuse:
            acknowledge = {peer: count for peer, count in batch.counts.items() if peer not in refuse}
        return Settled(relay, acknowledge, refuse, integrated, dropped)

    def whom_to_ask(self, batch: Batch) -> list[int]:
        """The authors of early updates in the batch settled last, each once per gap.

        They hold what the update builds on: send them step 1.
        """
        ask: list[int] = []
        authors = {batch.first + piece.first: piece.author for piece in batch.pieces}
        for early in self.early:
            author = authors.get(early.seq)
            if author is None:
                continue
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

    def _know(self, known: Known) -> None:
        self.clocks, self._deletes, self._waiting = known

    def _keep_early(self, early: list[Early]) -> None:
        self.early = early
        self._early_size = sum(len(update) for _, update, _ in early)
        self._pending.end_run()
        self._expected = dict(self.clocks)
        for batch in filter(None, (self._in_flight, self._pending)):
            for piece in batch.pieces:
                if not self._surely_waits(piece.summary):
                    self._expect(piece.summary)

    def _is_early(self, logged: Early | Piece, gap: tuple[int, int] | None) -> bool:
        """Whether the update, which has this first gap, still waits, and for something that would be new."""
        if gap is not None:
            return logged.update in self._waiting
        if self._waiting:
            # Others brought the same ids meanwhile, so nothing of it is waited for.
            self._waiting.drop(logged.update)
        return False

    def _gap_of(self, piece: Piece) -> tuple[int, int] | None:
        """What :meth:`_first_gap` says of a piece."""
        run = piece.run
        if run is None:
            return self._first_gap(piece.summary)
        have = self.clocks.get(run.client, 0)
        return (run.client, have) if run.end > have else None

    def _first_gap(self, summary: UpdateSummary) -> tuple[int, int] | None:
        """The client, and the clock it is known up to, where the update is not yet integrated; None if it
        is."""
        clocks = self.clocks
        for ranges in (summary.structs, summary.deletes):
            for client, _, end in ranges:
                have = clocks.get(client, 0)
                if end > have:
                    return client, have
        return None
