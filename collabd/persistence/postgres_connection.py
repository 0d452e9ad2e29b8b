"""Connections to PostgreSQL: how a session is set up, and what it means when a statement fails."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from . import sql

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Record: TypeAlias = asyncpg.Record
    Connection: TypeAlias = asyncpg.Connection[Record] | PoolConnectionProxy[Record]
    Pool: TypeAlias = asyncpg.Pool[Record]

QUERIES: Final = sql.queries()
"""The statements in ``sql/queries.sql`` by name."""

SCHEMA_NAME: Final = "collabd"
"""The schema that holds the tables, so that they may share a database with others."""

LOCK_CLASS: Final = 0x636F6C6C
"""First half of the keys of advisory locks; the second is a process's row, or 0 for the schema."""

CONNECT_TIMEOUT: Final = 5.0
LOCK_TIMEOUT: Final = 2.0
"""Seconds after which a group of commits gives up on a document that somebody else has locked."""
COMMAND_TIMEOUT: Final = 30.0
"""Seconds after which a server that does not answer is given up."""

UNAVAILABLE: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What statements raise if the server refuses them, does not answer or cannot be reached."""


def session_settings() -> dict[str, str]:
    """What every session sets, whatever the server's defaults are.

    The server ends what takes longer than this process waits for it, so that a process that hangs, or that
    the network was cut off from, does not keep its locks for ever.
    """
    return {
        "application_name": "collabd",
        "search_path": SCHEMA_NAME,
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        "client_encoding": "utf-8",
        "statement_timeout": f"{COMMAND_TIMEOUT * 800:.0f}ms",
        "lock_timeout": f"{LOCK_TIMEOUT * 1000:.0f}ms",
        "idle_in_transaction_session_timeout": f"{COMMAND_TIMEOUT * 800:.0f}ms",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "jit": "off",
    }


async def connect(url: str) -> "asyncpg.Connection[Record]":
    """A connection of its own. Raises what is in :data:`UNAVAILABLE`."""
    return await asyncpg.connect(
        url, timeout=CONNECT_TIMEOUT, command_timeout=COMMAND_TIMEOUT, server_settings=session_settings()
    )


async def open_pool(url: str, size: int) -> "Pool":
    """A pool whose connections are made when they are needed."""
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        server_settings=session_settings(),
        reset=_nothing_to_reset,
    )


async def _nothing_to_reset(connection: Any) -> None:
    """Sessions are never changed beyond a transaction."""
    await asyncio.sleep(0)


def pairs(records: "Iterable[Record]") -> dict[Any, Any]:
    """Records of two columns, by the first."""
    return {record[0]: record[1] for record in records}


def reason(error: BaseException) -> str:
    """What an error says, for people, also if it says nothing itself."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
