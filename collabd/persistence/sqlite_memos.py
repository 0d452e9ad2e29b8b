"""Memos in an SQLite file, in the thread that owns the connection."""

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from collabd.memos import Memo

_PUT: Final = """
    INSERT INTO memos (kind, key, subject, value, expires_at)
    VALUES (:kind, :key, :subject, :value, :expires_at)
    ON CONFLICT (kind, key) DO UPDATE
    SET subject = excluded.subject, value = excluded.value, expires_at = excluded.expires_at
    WHERE NOT :fresh OR expires_at <= :now"""
_COLUMNS: Final = "SELECT kind, key, subject, value, expires_at FROM memos "
_LIST: Final = """
    WHERE kind = :kind AND key > :after AND expires_at > :now AND (:subject IS NULL OR subject = :subject)
    ORDER BY key LIMIT :limit"""


def put(connection: sqlite3.Connection, memo: Memo, fresh: bool) -> bool:
    """See ``Memos.put_memo``."""
    parameters = {**memo._asdict(), "fresh": fresh, "now": time.time()}
    return connection.execute(_PUT, parameters).rowcount > 0


def find(connection: sqlite3.Connection, kind: str, key: str) -> Memo | None:
    """See ``Memos.memo``."""
    which = "WHERE kind = ? AND key = ? AND expires_at > ?"
    row = connection.execute(_COLUMNS + which, (kind, key, time.time())).fetchone()
    return None if row is None else Memo(*row)


def find_all(
    connection: sqlite3.Connection, kind: str, subject: str | None, after: str, limit: int
) -> list[Memo]:
    """See ``Memos.memos``."""
    parameters = {"kind": kind, "subject": subject, "after": after, "now": time.time(), "limit": limit}
    return [Memo(*row) for row in connection.execute(_COLUMNS + _LIST, parameters)]


def find_about(connection: sqlite3.Connection, kind: str, subjects: Sequence[str]) -> list[Memo]:
    """See ``Memos.memos_about``."""
    which = "WHERE kind = ? AND expires_at > ? AND subject IN (SELECT value FROM json_each(?)) ORDER BY key"
    parameters = kind, time.time(), json.dumps(list(subjects))
    return [Memo(*row) for row in connection.execute(_COLUMNS + which, parameters)]


def remove(connection: sqlite3.Connection, kind: str, key: str) -> bool:
    """See ``Memos.remove_memo``."""
    was_there = find(connection, kind, key) is not None
    connection.execute("DELETE FROM memos WHERE kind = ? AND key = ?", (kind, key))
    return was_there


def remove_expired(connection: sqlite3.Connection, now: float) -> int:
    """See ``Memos.remove_expired_memos``."""
    return connection.execute("DELETE FROM memos WHERE expires_at <= ?", (now,)).rowcount


def read_all(connection: sqlite3.Connection, after: tuple[str, str], limit: int = 1_000) -> list[Memo]:
    """Those of all kinds, expired ones too, by kind and key, beginning after these two."""
    which = "WHERE (kind, key) > (?, ?) ORDER BY kind, key LIMIT ?"
    return [Memo(*row) for row in connection.execute(_COLUMNS + which, (*after, limit))]
