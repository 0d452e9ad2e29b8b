"""A document out of the store, without holding up the event loop."""

import logging
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from collabd.errors import DocumentDamaged, MalformedInput, UpdateRejected
from collabd.persistence.base import LoggedUpdate, Store, StoredDocument
from collabd.protocol.intake import Intake
from collabd.protocol.squash import squash
from collabd.protocol.update import UpdateSummary, check_large_update, check_update
from collabd.worker import Runner

from .replica import EMPTY_UPDATE, Replica
from .slices import Clock, Pause, Slices
from .snapshot import unpack
from .state import Early

logger = logging.getLogger(__name__)

LARGE_UPDATE: Final = 8 * 1024
"""Bytes from which on an update is checked in another process: that takes up to 2 ms per 1,000 bytes."""
LARGE_SNAPSHOT: Final = 16 * 1024
"""Bytes from which on a snapshot is read there; it takes about 0.5 ms per 1,000 bytes."""
MANY_UPDATES: Final = 200
"""Updates from which on a log is squashed first."""
MANY_MISSED: Final = 1_000
"""Updates from which on it is faster to load the document anew than to apply what it lacks."""


class Loaded(NamedTuple):
    """A document as the store had it."""

    stored: StoredDocument
    replica: Replica
    unsettled: list[Early]
    """What of the log behind the snapshot may not be integrated yet."""


async def checked(update: bytes, runner: Runner) -> UpdateSummary:
    """Check an update; raises what ``check_update`` and the runner raise."""
    if len(update) > LARGE_UPDATE:
        return await runner.run(check_large_update, update)
    return check_update(update)


async def load(name: str, stored: StoredDocument, runner: Runner, clock: Clock = time.perf_counter) -> Loaded:
    """Make a replica of what is stored.

    Raises:
        DocumentDamaged: the snapshot cannot be used.
        WorkFailed: the runner failed.
    """
    snapshot = stored.snapshot or EMPTY_UPDATE
    if len(stored.tail) >= MANY_UPDATES:
        intake = await read_snapshot(snapshot, runner)
        replica = await _squashed(snapshot, intake, stored.tail, runner, clock)
        if replica is not None:
            return Loaded(stored, replica, [])
    tail: list[Early] = []
    pause = Pause(clock)
    for seq, update in stored.tail:
        try:
            tail.append(Early(seq, update, await checked(update, runner)))
        except MalformedInput:
            logger.warning("document %s has update %d that is refused today", name, seq)
        await pause.if_due()
    intake = await read_snapshot(snapshot, runner)
    replica = await Slices(Replica.building(snapshot, tail, intake, clock=clock), clock).finished()
    return Loaded(stored, replica, [early for early in tail if early.seq not in replica.rejected])


async def _squashed(
    snapshot: bytes, intake: Intake | None, tail: Sequence[LoggedUpdate], runner: Runner, clock: Clock
) -> Replica | None:
    """The replica, made in a tenth of the time; None if one must look at each update by itself, since one is
    refused or waits."""
    squashed: list[Early] = []
    pause = Pause(clock)
    for update in squash(update for _, update in tail):
        try:
            squashed.append(Early(0, update, await checked(update, runner)))
        except MalformedInput:
            return None
        await pause.if_due()
    replica = await Slices(Replica.building(snapshot, squashed, intake, clock=clock), clock).finished()
    return None if replica.rejected or replica.early else replica


async def read_missed(
    store: Store, document_id: int, after: int, upto: int, runner: Runner, clock: Clock = time.perf_counter
) -> list[Early] | None:
    """Read the updates with numbers above ``after`` and up to ``upto``; None if a room that lacks them is
    better made anew: they are too many, or some were rejected, are refused today or are not kept any more.

    Raises:
        DocumentDamaged: a row cannot be read.
        StoreUnavailable: the store does not answer.
    """
    if upto - after > MANY_MISSED:
        return None
    missed: list[Early] = []
    pause = Pause(clock)
    async for entries in store.history(document_id, after=after, upto=upto):
        for entry in entries:
            if len(entry.updates) != entry.count:
                return None
            for seq, update in enumerate(entry.updates, entry.first):
                if not after < seq <= upto:
                    continue
                try:
                    missed.append(Early(seq, update, await checked(update, runner)))
                except MalformedInput:
                    return None
                await pause.if_due()
    return missed if len(missed) == upto - after else None


class Rebuilt(NamedTuple):
    """What came of a stored document."""

    replica: Replica
    logged: list[Early]
    """The updates behind its snapshot that pass today's check."""
    refused: list[int]
    """The numbers of those that do not."""


def rebuild(snapshot: bytes | None, tail: Sequence[LoggedUpdate]) -> Rebuilt:
    """Make a replica of what is stored, update by update, without a break.

    Raises:
        DocumentDamaged: the snapshot cannot be used.
    """
    logged: list[Early] = []
    refused: list[int] = []
    for seq, update in tail:
        try:
            logged.append(Early(seq, update, check_update(update)))
        except MalformedInput:
            refused.append(seq)
    return Rebuilt(Replica.build(snapshot or EMPTY_UPDATE, logged), logged, refused)


def try_out(snapshot: bytes | None, tail: Sequence[LoggedUpdate]) -> None:
    """Make a replica of what is stored, and forget it: in another process, from which none can be sent."""
    rebuild(snapshot, tail)


async def read_snapshot(snapshot: bytes, runner: Runner) -> Intake | None:
    """Make the intake for a snapshot; None if that is so quickly done that it can wait.

    Raises:
        DocumentDamaged: the snapshot cannot be used.
    """
    try:
        state, intake = unpack(snapshot)
        if intake is not None or len(state) < LARGE_SNAPSHOT:
            return intake
        return await runner.run(Intake, state)
    except (MalformedInput, UpdateRejected) as error:
        raise DocumentDamaged(f"the snapshot cannot be used: {error}") from error
