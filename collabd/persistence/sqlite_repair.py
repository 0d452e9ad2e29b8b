"""Finding and setting aside what cannot be read in an SQLite file, in the thread that owns the connection."""

import base64
import json
import sqlite3
import time
from typing import NamedTuple

from collabd.errors import DocumentDamaged

from . import rows, sqlite_log
from .base import Problem
from .rows import Row


class _Stretch(NamedTuple):
    """Numbers of which something is stored."""

    first: int
    seq: int


def examine(connection: sqlite3.Connection, document_id: int) -> list[Problem]:
    """See ``Store.examine``."""
    problems = [problem for problem, _ in _unreadable(connection, document_id)]
    problems += [
        Problem("log", gap.first, f"updates {gap.first} to {gap.seq} are missing")
        for gap in _gaps(connection, document_id)
    ]
    return problems


def set_aside(connection: sqlite3.Connection, document_id: int) -> list[Problem]:
    """See ``Store.set_aside``."""
    problems = examine(connection, document_id)
    if not problems:
        return []
    now = time.time()
    connection.execute("BEGIN IMMEDIATE")
    for problem, stretch in _unreadable(connection, document_id):
        table = {"log": "log", "history": "segments", "snapshot": "snapshots"}[problem.part]
        which = f"FROM {table} WHERE document = ? AND seq = ?"
        cursor = connection.execute(f"SELECT * {which}", (document_id, problem.seq))
        names = [column[0] for column in cursor.description]
        stored = {name: _as_text(value) for name, value in zip(names, cursor.fetchone(), strict=True)}
        connection.execute(
            "INSERT INTO damaged (document, part, seq, set_aside_at, stored) VALUES (?, ?, ?, ?, ?)",
            (document_id, problem.part, problem.seq, now, json.dumps(stored)),
        )
        connection.execute(f"DELETE {which}", (document_id, problem.seq))
        if stretch is not None:
            _fill(connection, document_id, stretch, now)
    for gap in _gaps(connection, document_id):
        _fill(connection, document_id, gap, now)
    connection.execute("UPDATE documents SET generation = generation + 1 WHERE id = ?", (document_id,))
    connection.execute("COMMIT")
    return problems


def _unreadable(connection: sqlite3.Connection, document_id: int) -> list[tuple[Problem, _Stretch | None]]:
    """What is stored and cannot be read, and the numbers it took up that nothing else stands for."""
    found: list[tuple[Problem, _Stretch | None]] = []
    row = connection.execute(
        "SELECT seq, packed, state, checksum FROM snapshots WHERE document = ?", (document_id,)
    ).fetchone()
    if row is not None:
        try:
            rows.unpack_state(rows.State(*row[1:]), "the snapshot")
        except DocumentDamaged as error:
            found.append((Problem("snapshot", row[0], str(error)), None))
    for seq, count, at, authors, payload, expected in connection.execute(
        "SELECT seq, count, at, authors, payload, checksum FROM log WHERE document = ? ORDER BY seq",
        (document_id,),
    ).fetchall():
        try:
            rows.checked(Row(seq, count, at, authors, payload), expected)
        except DocumentDamaged as error:
            found.append((Problem("log", seq, str(error)), _Stretch(seq - count + 1, seq)))
    for first, seq in sqlite_log.read_parts(connection, document_id):
        try:
            sqlite_log.read_segments(connection, document_id, [seq])
        except DocumentDamaged as error:
            found.append((Problem("history", seq, str(error)), _Stretch(first, seq)))
    return found


def _gaps(connection: sqlite3.Connection, document_id: int) -> list[_Stretch]:
    """Numbers missing where none may be: above the snapshot, or if there is none above nothing."""
    snapshot = connection.execute("SELECT seq FROM snapshots WHERE document = ?", (document_id,)).fetchone()
    reached = snapshot[0] if snapshot else 0
    there = connection.execute(
        "SELECT seq - count + 1, seq FROM log WHERE document = ?", (document_id,)
    ).fetchall()
    there += sqlite_log.read_parts(connection, document_id)
    gaps = []
    for first, seq in sorted(there):
        if first > reached + 1:
            gaps.append(_Stretch(reached + 1, first - 1))
        reached = max(reached, seq)
    return gaps


def _fill(connection: sqlite3.Connection, document_id: int, stretch: _Stretch, now: float) -> None:
    """Let an update that changes nothing take up these numbers, in history."""
    row = Row(stretch.seq, stretch.seq - stretch.first + 1, now, b"", rows.pack([rows.NOTHING]))
    segment = rows.pack_segment([row])
    connection.execute(
        """INSERT OR IGNORE INTO segments (document, first, seq, rows, meta, payload, checksum)
        VALUES (?, ?, ?, ?, ?, ?, ?)""",
        (document_id, *segment),
    )


def _as_text(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
