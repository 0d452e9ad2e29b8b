"""Finding and setting aside what cannot be read in a PostgreSQL database."""

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from collabd.errors import DocumentDamaged

from . import postgres_log, rows
from .base import Problem
from .postgres_connection import QUERIES

if TYPE_CHECKING:
    from .postgres_connection import Connection

KEEP: Final = {
    "log": QUERIES["keep_damaged_log"],
    "history": QUERIES["keep_damaged_history"],
    "snapshot": QUERIES["keep_damaged_snapshot"],
}


class _Stretch(NamedTuple):
    """Numbers of which something is stored, or should be."""

    first: int
    seq: int


async def examine(connection: "Connection", document_id: int) -> list[Problem]:
    """See ``Store.examine``. Within a transaction that sees one state of the database."""
    problems = [problem for problem, _ in await _unreadable(connection, document_id)]
    problems += [
        Problem("log", gap.first, f"updates {gap.first} to {gap.seq} are missing")
        for gap in await _gaps(connection, document_id)
    ]
    return problems


async def set_aside(connection: "Connection", document_id: int) -> list[Problem]:
    """See ``Store.set_aside``. Within a transaction."""
    await connection.fetch(QUERIES["lock_documents"], [document_id])
    problems = await examine(connection, document_id)
    if not problems:
        return []
    now = time.time()
    for problem, stretch in await _unreadable(connection, document_id):
        await connection.execute(KEEP[problem.part], document_id, problem.seq, now)
        if stretch is not None:
            await _fill(connection, document_id, stretch, now)
    for gap in await _gaps(connection, document_id):
        await _fill(connection, document_id, gap, now)
    await connection.execute(QUERIES["rows_changed"], document_id)
    return problems


async def _unreadable(connection: "Connection", document_id: int) -> list[tuple[Problem, _Stretch | None]]:
    """What is stored and cannot be read, and the numbers it took up that nothing else stands for."""
    found: list[tuple[Problem, _Stretch | None]] = []
    snapshot = await connection.fetchrow(QUERIES["read_snapshot"], document_id)
    if snapshot is not None:
        seq, _, *stored = snapshot
        try:
            await asyncio.to_thread(rows.unpack_state, rows.State(*stored), "the snapshot")
        except DocumentDamaged as error:
            found.append((Problem("snapshot", seq, str(error)), None))
    after = 0
    while records := await connection.fetch(
        QUERIES["read_log"], document_id, after, None, postgres_log.CHUNK_ROWS
    ):
        for *row, expected in records:
            logged = rows.Row(*row)
            try:
                rows.checked(logged, expected)
            except DocumentDamaged as error:
                found.append((Problem("log", logged.seq, str(error)), _Stretch(logged.first, logged.seq)))
            after = logged.seq
        await asyncio.sleep(0)
    for first, seq in await postgres_log.read_parts(connection, document_id):
        try:
            await postgres_log.read_segments(connection, document_id, [seq])
        except DocumentDamaged as error:
            found.append((Problem("history", seq, str(error)), _Stretch(first, seq)))
    return found


async def _gaps(connection: "Connection", document_id: int) -> list[_Stretch]:
    """Numbers missing where none may be: above the snapshot, or if there is none above nothing."""
    place = await connection.fetchrow(QUERIES["read_place"], document_id)
    if place is None:
        return []
    _, head, reached = place
    there = [_Stretch(*row) for row in await connection.fetch(QUERIES["stretches_of_log"], document_id)]
    there += [_Stretch(*part) for part in await postgres_log.read_parts(connection, document_id)]
    gaps = []
    for first, seq in [*sorted(there), (head + 1, head)]:
        if first > reached + 1:
            gaps.append(_Stretch(reached + 1, first - 1))
        reached = max(reached, seq)
    return gaps


async def _fill(connection: "Connection", document_id: int, stretch: _Stretch, now: float) -> None:
    """Let an update that changes nothing take up these numbers, in history."""
    row = rows.Row(stretch.seq, stretch.seq - stretch.first + 1, now, b"", rows.pack([rows.NOTHING]))
    await connection.execute(QUERIES["fill_gap"], document_id, *rows.pack_segment([row]))
