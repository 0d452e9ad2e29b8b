"""The schema of the PostgreSQL store, and which processes use it.

A migration only ever expands: what it makes superfluous is dropped a release later, so that programs before
and after it can use the database at the same time. ``oldest_program`` in the table ``about`` names the oldest
schema a program must know to write here.
"""

from typing import TYPE_CHECKING, Final

from collabd.errors import StoreError

from . import sql
from .postgres_connection import LOCK_CLASS, QUERIES, SCHEMA_NAME, UNAVAILABLE, connect, reason

if TYPE_CHECKING:
    from .postgres_connection import Connection

MIGRATIONS: Final = sql.migrations()

SCHEMA: Final = MIGRATIONS[-1].number
"""The schema this program writes."""

PATIENCE: Final = 60.0
"""Seconds to wait for another process that brings the schema up to date, and for one migration."""

CREATE_SCHEMA: Final = f"CREATE SCHEMA {SCHEMA_NAME}"
CREATE_MIGRATIONS: Final = """
    CREATE TABLE migrations (
        number int8 PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    )"""


async def prepare(url: str) -> bool:
    """Bring the schema up to date, one process at a time.

    Returns:
        whether a process that used the database ended without saying so.

    Raises:
        StoreError: the database cannot be used, or was written by a program too new for this one.
    """
    try:
        connection = await connect(url)
    except (*UNAVAILABLE, ValueError) as error:
        raise StoreError(f"PostgreSQL cannot be reached: {reason(error)}") from error
    try:
        if await connection.fetchval("SHOW server_encoding") != "UTF8":
            raise StoreError("the database must have the encoding UTF8")
        while await _next_step(connection):
            pass
        async with connection.transaction():
            await connection.execute(QUERIES["lock_schema"], LOCK_CLASS, 0)
            return bool(await connection.fetch(QUERIES["interrupted_processes"], LOCK_CLASS))
    except UNAVAILABLE as error:
        raise StoreError(f"the database cannot be used: {reason(error)}") from error
    finally:
        connection.terminate()


async def _next_step(connection: "Connection") -> bool:
    """Apply the next migration that is due, in a transaction; False if there is none."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{PATIENCE}s'; SET LOCAL statement_timeout = 0")
        await connection.execute(QUERIES["lock_schema"], LOCK_CLASS, 0, timeout=PATIENCE)
        if not await connection.fetchval(QUERIES["schema_exists"], SCHEMA_NAME):
            await connection.execute(CREATE_SCHEMA)
        tables = {name for (name,) in await connection.fetch(QUERIES["tables_of_schema"], SCHEMA_NAME)}
        if not tables:
            await connection.execute(CREATE_MIGRATIONS)
            applied = set()
        elif "about" not in tables or "migrations" not in tables:
            raise StoreError(f"the schema {SCHEMA_NAME} of the database holds something else")
        else:
            oldest = await connection.fetchval(QUERIES["oldest_program"])
            if oldest is None or oldest > SCHEMA:
                raise StoreError(
                    f"the database needs a program that knows schema {oldest}; this one knows schema {SCHEMA}"
                )
            applied = {number for (number,) in await connection.fetch(QUERIES["applied_migrations"])}
        for migration in MIGRATIONS:
            if migration.number not in applied:
                await connection.execute(migration.statements, timeout=PATIENCE)
                await connection.execute(QUERIES["record_migration"], migration.number, migration.name)
                return True
        return False


async def begin_process(connection: "Connection") -> int:
    """Say that this process uses the database, as long as the connection lives; the number of its row."""
    async with connection.transaction():
        # Nobody sees the row before its lock is held.
        number: int = await connection.fetchval(QUERIES["begin_process"])
        await connection.execute(QUERIES["hold_process"], LOCK_CLASS, number)
    return number


async def end_process(connection: "Connection", number: int) -> None:
    """Say that it does not any more."""
    await connection.execute(QUERIES["end_process"], number)
