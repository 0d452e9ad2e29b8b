"""The pycrdt document of a room, and the knowledge of how pycrdt fails."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pycrdt import Doc, merge_updates

from collabd.errors import DocumentDamaged, MalformedInput, UpdateRejected
from collabd.protocol.intake import Intake, Known, Step
from collabd.protocol.surrogates import tear
from collabd.protocol.update import UpdateSummary

from .state import Early

MERGE_AT_ONCE: Final = 128
"""Merging takes time that grows faster than the number of updates: 100 take 0.1 ms, 10,000 take 0.4 s."""

PIECE_BYTES: Final = 4096
"""Updates are merged up to this size before they are applied: about a hundred structs."""
LARGE_SNAPSHOT: Final = 16 * 1024
"""Bytes from which on a snapshot is read in a thread; it takes about 0.5 ms per 1,000 bytes."""
EMPTY_STATE_VECTOR: Final = b"\x00"
EMPTY_UPDATE: Final = b"\x00\x00"


class ReplicaBroken(Exception):
    """pycrdt failed in a way that leaves the document damaged: it must be rebuilt from the log."""


class Replica:
    """A document that only ever holds updates that are committed, and is given none that would harm it.

    Args:
        snapshot: the full state to begin with, as :meth:`state` gave it.
        intake: what ``Intake(snapshot)`` gave, if that was made before (in another thread: it may take long).

    Raises:
        DocumentDamaged: the snapshot cannot be used.
    """

    def __init__(self, snapshot: bytes = EMPTY_UPDATE, intake: Intake | None = None) -> None:
        self.doc: Doc[Any] = Doc()
        self.rejected: list[int] = []
        """Sequence numbers that :meth:`build` found it could not apply."""
        try:
            self._intake = intake or Intake(snapshot)
            if snapshot != EMPTY_UPDATE:
                self.doc.apply_update(snapshot)
        except (MalformedInput, UpdateRejected) as error:
            raise DocumentDamaged(f"the snapshot cannot be used: {error}") from error
        except _FAILURES as error:
            reraise_unless_pycrdt(error)
            raise DocumentDamaged(f"the snapshot cannot be applied: {error}") from error

    @staticmethod
    async def read(snapshot: bytes | None) -> Intake | None:
        """Make the intake for a snapshot without holding up the event loop, unless that is quickly done.

        Raises:
            DocumentDamaged: the snapshot cannot be used.
        """
        if snapshot is None or len(snapshot) < LARGE_SNAPSHOT:
            return None
        try:
            return await asyncio.to_thread(Intake, snapshot)
        except (MalformedInput, UpdateRejected) as error:
            raise DocumentDamaged(f"the snapshot cannot be used: {error}") from error

    @classmethod
    def build(cls, snapshot: bytes, tail: Sequence[Early], intake: Intake | None = None) -> "Replica":
        """Make the document from its snapshot and log. Updates that cannot be applied are left out and
        reported.

        Raises:
            DocumentDamaged: the snapshot itself cannot be applied.
        """
        replica = cls(snapshot, intake)
        try:
            _, refused = replica.apply([update for _, update, _ in tail], [summary for _, _, summary in tail])
            replica.rejected = [tail[position].seq for position in refused]
            return replica
        except ReplicaBroken:
            pass
        rejected: list[int] = []
        while True:
            replica = cls(snapshot)
            replica.rejected = rejected
            culprits = replica._apply_singly(tail)
            if not culprits:
                return replica
            rejected += culprits

    def apply(
        self, updates: Sequence[bytes], summaries: Sequence[UpdateSummary]
    ) -> tuple[bytes | None, list[int]]:
        """Take in checked, committed updates: those that can be are applied, the others wait for what they
        build on.

        Returns:
            One update that stands for all of them, or None if some were refused; and the positions of those,
            which left no trace.

        Raises:
            ReplicaBroken: the document must be rebuilt.
        """
        steps: list[Step] = []
        refused: list[int] = []
        for position, (update, summary) in enumerate(zip(updates, summaries, strict=True)):
            try:
                steps += self._intake.offer(update, summary)
            except UpdateRejected:
                refused.append(position)
        applied = self._carry_out(steps)
        if applied is not None and [step.update for step in steps] == updates:
            return applied, refused
        try:
            return None if refused else merge(updates), refused
        except _FAILURES as error:
            reraise_unless_pycrdt(error)
            return None, refused

    @property
    def known(self) -> Known:
        """What is integrated and what waits. It goes on changing."""
        return self._intake.known

    def state_vector(self) -> bytes:
        """The encoded state vector."""
        return self.doc.get_state()

    def state(self, since: bytes = EMPTY_STATE_VECTOR) -> bytes:
        """All that is integrated and not covered by the (checked) state vector ``since``, as one update."""
        return self.doc.get_update(since)

    def _carry_out(self, steps: Sequence[Step]) -> bytes | None:
        """Do what the intake found safe; what was applied, as one update, if it was applied in one go."""
        if not steps:
            return None
        try:
            if not any(step.torn for step in steps):
                pieces = [merge(piece) for piece in _pieces([step.update for step in steps])]
                for piece in pieces:
                    self.doc.apply_update(piece)
                return pieces[0] if len(pieces) == 1 else None
            for step in steps:
                if step.torn:
                    state = tear(self.state(), step.torn)
                    self.doc = Doc()
                    self.doc.apply_update(state)
                self.doc.apply_update(step.update)
        except _FAILURES as error:
            reraise_unless_pycrdt(error)
            raise ReplicaBroken(str(error)) from error
        return None

    def _apply_singly(self, tail: Sequence[Early]) -> list[int]:
        """Apply update by update; return the numbers of those by which pycrdt failed, if it did: the document
        cannot be used any more then."""
        waiting: list[Early] = []
        for logged in tail:
            seq, update, summary = logged
            if seq in self.rejected:
                continue
            try:
                steps = self._intake.offer(update, summary)
            except UpdateRejected:
                self.rejected.append(seq)
                continue
            try:
                self._carry_out(steps)
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


def _pieces(updates: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Updates in groups to be merged and applied at once. The time pycrdt takes for an update grows with the
    square of its structs."""
    piece: list[bytes] = []
    size = 0
    for update in updates:
        if piece and (size + len(update) > PIECE_BYTES or len(piece) == MERGE_AT_ONCE):
            yield piece
            piece, size = [], 0
        piece.append(update)
        size += len(update)
    if piece:
        yield piece


def merge(updates: Sequence[bytes]) -> bytes:
    """One update that stands for all of ``updates``."""
    if len(updates) == 1:
        return updates[0]
    while len(updates) > MERGE_AT_ONCE:
        updates = [
            merge_updates(*updates[start : start + MERGE_AT_ONCE])
            for start in range(0, len(updates), MERGE_AT_ONCE)
        ]
    return merge_updates(*updates)
