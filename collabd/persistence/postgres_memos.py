"""Memos in a PostgreSQL database."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from collabd.memos import Memo

from .postgres_authors import clean
from .postgres_connection import QUERIES

if TYPE_CHECKING:
    from .postgres_connection import Connection


async def put(connection: "Connection", memo: Memo, *, fresh: bool) -> bool:
    """See ``Memos.put_memo``."""
    *texts, expires_at = memo
    return bool(
        await connection.fetchval(QUERIES["put_memo"], *map(clean, texts), expires_at, fresh, time.time())
    )


async def find(connection: "Connection", kind: str, key: str) -> Memo | None:
    """See ``Memos.memo``."""
    row = await connection.fetchrow(QUERIES["find_memo"], clean(kind), clean(key), time.time())
    return None if row is None else Memo(*row)


async def find_all(
    connection: "Connection", kind: str, subject: str | None, after: str, limit: int
) -> list[Memo]:
    """See ``Memos.memos``."""
    about = None if subject is None else clean(subject)
    found = await connection.fetch(
        QUERIES["list_memos"], clean(kind), about, clean(after), time.time(), limit
    )
    return [Memo(*row) for row in found]


async def find_about(connection: "Connection", kind: str, subjects: Sequence[str]) -> list[Memo]:
    """See ``Memos.memos_about``."""
    about = [*map(clean, subjects)]
    found = await connection.fetch(QUERIES["memos_about"], clean(kind), about, time.time())
    return [Memo(*row) for row in found]


async def remove(connection: "Connection", kind: str, key: str) -> bool:
    """See ``Memos.remove_memo``."""
    until = await connection.fetchval(QUERIES["remove_memo"], clean(kind), clean(key))
    return until is not None and until > time.time()


async def remove_expired(connection: "Connection", now: float) -> int:
    """See ``Memos.remove_expired_memos``."""
    done = await connection.execute(QUERIES["remove_expired_memos"], now)
    return int(done.split()[-1])


async def read_all(connection: "Connection", after: tuple[str, str], limit: int = 1_000) -> list[Memo]:
    """Those of all kinds, expired ones too, by kind and key, beginning after these two."""
    return [Memo(*row) for row in await connection.fetch(QUERIES["dump_memos"], *after, limit)]
