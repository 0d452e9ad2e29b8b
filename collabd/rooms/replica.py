"""The pycrdt document of a room, and the knowledge of how pycrdt fails."""

import heapq
import time
from collections import deque
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

from pycrdt import Doc, merge_updates

from collabd.errors import DocumentDamaged, MalformedInput, UpdateRejected
from collabd.protocol import wire
from collabd.protocol.causality import MAX_STRUCTS, cut
from collabd.protocol.intake import Intake, Known, Step
from collabd.protocol.runs import Run, update_of
from collabd.protocol.surrogates import tear
from collabd.protocol.update import UpdateSummary, encode_state_vector

from .slices import Clock, Pace, Work, at_once
from .snapshot import unpack
from .state import Early, Piece

MERGE_AT_ONCE: Final = 128
"""Merging takes time that grows faster than the number of updates: 100 take 0.1 ms, 10,000 take 0.4 s."""

STRUCT_BYTES: Final = 20
"""What a struct takes about, in an update of many or of one; what is longer costs no more for it."""
STRUCT_MEMORY: Final = 300
"""Bytes of memory a struct takes beside its content: 220 to 250 in text, 400 in maps and what is nested."""
DOCUMENT_MEMORY: Final = 8_000
"""Bytes of memory a document takes beside what is in it, with its room."""
CLIENTS_COUNTED: Final = 16
"""Clients whose structs are counted to estimate how many a document has."""
MOST_BEHIND: Final = 65_536
"""Characters that the document may lack which were typed on."""
MOST_WRITERS: Final = 256
"""Clients of whom it may lack some. Where one goes on, pycrdt finds at once."""
EMPTY_STATE_VECTOR: Final = b"\x00"
EMPTY_UPDATE: Final = b"\x00\x00"


class ReplicaBroken(Exception):
    """pycrdt failed in a way that leaves the document damaged: it must be rebuilt from the log."""


class Replica:
    """A document that only ever holds updates that are committed, and is given none that would harm it.

    Args:
        snapshot: what to begin with: a full state, alone or with an index (see ``snapshot``).
        intake: what ``Intake(state)`` gave, if that was made before (elsewhere: it may take long).
        clock: seconds, by which the replica learns how much pycrdt takes in at once.

    Raises:
        DocumentDamaged: the snapshot cannot be used.
    """

    def __init__(
        self,
        snapshot: bytes = EMPTY_UPDATE,
        intake: Intake | None = None,
        *,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.rejected: list[int] = []
        """Sequence numbers that :meth:`build` found it could not apply."""
        self._pace = Pace(clock)
        self._behind: dict[int, Run] = {}
        """What the document is to be given before anybody looks at it, by client."""
        self._size_behind = 0
        try:
            state, indexed = unpack(snapshot)
            self._intake = intake or indexed or Intake(state)
            if state != EMPTY_UPDATE:
                self._doc.apply_update(state)
        except (MalformedInput, UpdateRejected) as error:
            raise DocumentDamaged(f"the snapshot cannot be used: {error}") from error
        except _FAILURES as error:
            reraise_unless_pycrdt(error)
            raise DocumentDamaged(f"the snapshot cannot be applied: {error}") from error

    @cached_property
    def _doc(self) -> Doc[Any]:
        """Made when it is asked for: nobody may ever write to it."""
        return Doc()

    @property
    def doc(self) -> Doc[Any]:
        """The pycrdt document, with all that was taken in.

        Raises:
            ReplicaBroken: it must be rebuilt.
        """
        self.catch_up()
        return self._doc

    @classmethod
    def build(cls, snapshot: bytes, tail: Sequence[Early], intake: Intake | None = None) -> "Replica":
        """Make the document from its snapshot and log. Updates that cannot be applied are left out and
        reported.

        Raises:
            DocumentDamaged: the snapshot itself cannot be applied.
        """
        return at_once(cls.building(snapshot, tail, intake))

    @classmethod
    def building(
        cls,
        snapshot: bytes,
        tail: Sequence[Early],
        intake: Intake | None = None,
        *,
        clock: Clock = time.perf_counter,
    ) -> "Work[Replica]":
        """Do what :meth:`build` does, in slices."""
        replica = cls(snapshot, intake, clock=clock)
        yield
        try:
            _, refused = yield from replica.applying(
                [update for _, update, _ in tail], [summary for _, _, summary in tail], merges=False
            )
            replica.rejected = [tail[position].seq for position in refused]
            return replica
        except ReplicaBroken:
            pass
        rejected: list[int] = []
        while True:
            replica = cls(snapshot, clock=clock)
            replica.rejected = rejected
            culprits = yield from replica._apply_singly(tail)
            if not culprits:
                return replica
            rejected += culprits

    def apply(
        self, updates: Sequence[bytes], summaries: Sequence[UpdateSummary]
    ) -> tuple[bytes | None, list[int]]:
        """Take in checked, committed updates: those that can be are applied, the others wait for what they
        build on.

        Returns:
            One update that stands for all of them, or None if some were refused or they are large; and the
            positions of those refused, which left no trace.

        Raises:
            ReplicaBroken: the document must be rebuilt.
        """
        if len(updates) == 1 and self.apply_simply(updates[0], summaries[0]):
            return updates[0], []
        return at_once(self.applying(updates, summaries))

    def apply_simply(self, update: bytes, summary: UpdateSummary) -> bool:
        """Take in a single update if it is a simple one, as nearly all are, else do nothing.

        Raises:
            ReplicaBroken: the document must be rebuilt.
        """
        if not self._intake.takes_simply(summary):
            return False
        with _breaking:
            self.doc.apply_update(update)
        return True

    def take_simply(self, pieces: Iterable[Piece]) -> int:
        """Find as many pieces, from the first on, as are simple ones, and count on them: :meth:`applying`
        must be asked next, for these and the rest."""
        count = 0
        intake = self._intake
        for piece in pieces:
            run = piece.run
            if not (intake.takes_simply(piece.summary) if run is None else intake.types_on(run)):
                break
            count += 1
        return count

    def put_off(self, runs: Sequence[Run]) -> bytes:
        """Give the document later what :meth:`take_simply` has counted on. For a string pycrdt looks through
        all that its client typed right before, 0.7 ms for a million characters, however short it is.

        Returns:
            One update that stands for all of them.

        Raises:
            ReplicaBroken: the document must be rebuilt.
        """
        merged = update_of(runs)
        if merged is None:
            with _breaking:
                merged = merge([run.update() for run in runs])
        behind = self._behind
        for run in runs:
            before = behind.get(run.client)
            if before is None:
                behind[run.client] = run.copy()
            elif before.is_right_before(run):
                before.take_over(run)
            else:
                self.catch_up()
                behind[run.client] = run.copy()
            self._size_behind += run.end - run.start
        if self._size_behind >= MOST_BEHIND or len(behind) >= MOST_WRITERS:
            self.catch_up()
        return merged

    def catch_up(self) -> None:
        """Give the document what was put off.

        Raises:
            ReplicaBroken: it must be rebuilt.
        """
        if not self._behind:
            return
        update = update_of(self._behind.values())
        assert update is not None, "there is one for each client"
        with _breaking:
            self._doc.apply_update(update)
        self._behind.clear()
        self._size_behind = 0

    def applying(
        self,
        updates: Sequence[bytes],
        summaries: Sequence[UpdateSummary],
        *,
        merges: bool = True,
        taken: int = 0,
    ) -> Work[tuple[bytes | None, list[int]]]:
        """Do what :meth:`apply` does, in slices. Until it has ended the document holds some of it.

        What was put off before is given to the document first.

        Args:
            merges: whether the one update is wanted.
            taken: for how many of them :meth:`take_simply` has done its part.
        """
        self.catch_up()
        steps = [Step(frozenset(), update) for update in updates[:taken]]
        refused: list[int] = []
        for position in range(taken, len(updates)):
            update, summary = updates[position], summaries[position]
            try:
                steps += yield from self._intake.offering(update, summary)
            except UpdateRejected:
                refused.append(position)
        applied = yield from self._carry_out(steps)
        if refused or not merges or any(summary.pieces for summary in summaries):
            return None, refused
        if applied is not None and [step.update for step in steps] == updates:
            return applied, refused
        try:
            merged = yield from _merging(updates)
        except _FAILURES as error:
            reraise_unless_pycrdt(error)
            return None, refused
        return merged, refused

    @property
    def known(self) -> Known:
        """What is integrated and what waits. It goes on changing."""
        return self._intake.known

    @property
    def early(self) -> list[bytes]:
        """What waits for what it builds on: those parts of updates that do."""
        return self._intake.waiting.pieces

    def state_vector(self) -> bytes:
        """The encoded state vector."""
        return self.doc.get_state() if self._intake.clocks else EMPTY_STATE_VECTOR

    def state(self, since: bytes = EMPTY_STATE_VECTOR) -> bytes:
        """All that is integrated and not covered by the (checked) state vector ``since``, as one update."""
        return self.doc.get_update(since) if self._intake.clocks else EMPTY_UPDATE

    def memory(self) -> int:
        """About how many bytes of memory the document takes, by its state and how many structs that has.

        It takes about three times as long as :meth:`state`.
        """
        clocks = self._intake.clocks
        written = sum(clocks.values())
        if not written:
            return DOCUMENT_MEMORY
        structs = counted = 0
        for client in heapq.nlargest(CLIENTS_COUNTED, clocks, key=clocks.__getitem__):
            alone = wire.Reader(self.state(encode_state_vector({**clocks, client: 0})))
            if alone.uint():
                structs += alone.uint()
                counted += clocks[client]
        return DOCUMENT_MEMORY + len(self.state()) + STRUCT_MEMORY * structs * written // max(counted, 1)

    def _carry_out(self, steps: Sequence[Step]) -> Work[bytes | None]:
        """Do what the intake found safe; what was applied, as one update, if it was applied in one go."""
        updates = [step.update for step in steps]
        if not any(step.torn for step in steps):
            return (yield from self._give(updates))
        for step in steps:
            if step.torn:
                with _breaking:
                    state = tear(self.state(), step.torn)
                    self._doc = Doc()
                    self._doc.apply_update(state)
                yield
            yield from self._give([step.update])
        return None

    def _give(self, updates: Sequence[bytes]) -> Work[bytes | None]:
        """Have pycrdt apply safe updates, as many at once as it takes in quickly; all of it, as one update,
        if it was applied in one go."""
        pace = self._pace
        clock = pace.clock
        pace.begin(is_large=len(updates) > MERGE_AT_ONCE)
        left = deque(updates)
        merged = None
        is_whole = True
        while left:
            piece = _next_piece(left, pace.structs)
            is_whole = is_whole and not left and merged is None
            started = clock()
            with _breaking:
                merged = merge(piece)
                self._doc.apply_update(merged)
            pace.took(clock() - started, is_full=bool(left))
            if left:
                yield
        return merged if is_whole else None

    def _apply_singly(self, tail: Sequence[Early]) -> Work[list[int]]:
        """Apply update by update; return the numbers of those by which pycrdt failed, if it did: the document
        cannot be used any more then."""
        waiting: list[Early] = []
        for logged in tail:
            seq, update, summary = logged
            if seq in self.rejected:
                continue
            try:
                steps = yield from self._intake.offering(update, summary)
            except UpdateRejected:
                self.rejected.append(seq)
                continue
            try:
                yield from self._carry_out(steps)
            except ReplicaBroken:
                # What it has set free is suspected first; without that, the next try tells.
                return [early.seq for early in waiting if self._holds(early.summary)] or [seq]
            waiting = [early for early in (*waiting, logged) if not self._holds(early.summary)]
        return []

    def _holds(self, summary: UpdateSummary) -> bool:
        clocks = self._intake.clocks
        return all(end <= clocks.get(client, 0) for client, _, end in (*summary.structs, *summary.deletes))


_FAILURES: Final = BaseException
"""A Rust panic reaches Python as an exception that derives from BaseException alone."""


def reraise_unless_pycrdt(error: BaseException) -> None:
    """Raise again what is no failure of pycrdt: a cancellation, a keyboard interrupt, a lack of memory."""
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    if isinstance(error, MemoryError):
        raise error


class _Breaking:
    """What pycrdt fails by in the block is raised as ReplicaBroken."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, _FAILURES):
            reraise_unless_pycrdt(error)
            raise ReplicaBroken(str(error)) from error


_breaking: Final = _Breaking()


def _next_piece(left: deque[bytes], structs: int) -> list[bytes]:
    """The next updates to be merged and applied at once: about so many structs. The time pycrdt takes for an
    update grows with the square of its structs."""
    first = left.popleft()
    if structs < MAX_STRUCTS and len(first) > structs * STRUCT_BYTES:
        smaller = cut(first, structs)
        if smaller:
            first = smaller[0]
            left.extendleft(reversed(smaller[1:]))
    piece = [first]
    size = len(first)
    while left and len(piece) < min(structs, MERGE_AT_ONCE):
        size += len(left[0])
        if size > structs * STRUCT_BYTES:
            break
        piece.append(left.popleft())
    return piece


def merge(updates: Sequence[bytes]) -> bytes:
    """One update that stands for all of ``updates``."""
    return at_once(_merging(updates))


def _merging(updates: Sequence[bytes]) -> Work[bytes]:
    if len(updates) == 1:
        return updates[0]
    while len(updates) > MERGE_AT_ONCE:
        merged = []
        for start in range(0, len(updates), MERGE_AT_ONCE):
            merged.append(merge_updates(*updates[start : start + MERGE_AT_ONCE]))
            yield
        updates = merged
    return merge_updates(*updates)
