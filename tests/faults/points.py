"""The points at which the server under test kills itself, by name.

Production code has no hooks: :func:`arm` wraps its functions, by the path they are imported by, in the
process that is to die (see ``tests/faults/entry.py``). SIGKILL comes at the n-th passing of a point.
"""

import asyncio
import functools
import importlib
import inspect
import os
import signal
import sqlite3
from collections.abc import Callable
from typing import Any, Final, NamedTuple

Pass = Callable[[], None]
"""Called when the process comes by the point."""
Install = Callable[[Pass], None]

AT_RANDOM: Final = "at random"
"""No point: the harness kills the server whenever it likes."""


def place(path: str) -> tuple[Any, str]:
    """What holds a function, and its name there, of a path like ``collabd.rooms.room:DocumentRoom.join``.

    Raises:
        AttributeError: there is no such thing any more.
    """
    module, _, within = path.partition(":")
    *holders, name = within.split(".")
    holder: Any = importlib.import_module(module)
    for each in holders:
        holder = getattr(holder, each)
    getattr(holder, name)
    return holder, name


def wrap(path: str, *, before: Pass | None = None, after: Pass | None = None) -> None:
    """Have something called before a function is entered, or after it has returned."""
    holder, name = place(path)
    original = getattr(holder, name)
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            if before is not None:
                before()
            result = await original(*args, **kwargs)
            if after is not None:
                after()
            return result
    else:

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if before is not None:
                before()
            result = original(*args, **kwargs)
            if after is not None:
                after()
            return result

    setattr(holder, name, wrapped)


def before(path: str) -> Install:
    return lambda passing: wrap(path, before=passing)


def after(path: str) -> Install:
    return lambda passing: wrap(path, after=passing)


def once_sent(path: str) -> Install:
    """After a function of the event loop, and after all it wrote to sockets has left the process."""

    def install(passing: Pass) -> None:
        def later() -> None:
            # uvloop writes at the end of a turn of the loop what was sent in it.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, passing)

        wrap(path, after=later)

    return install


def while_awaited(path: str) -> Install:
    """When a coroutine has sent its statement to the server and waits for the answer."""

    def install(passing: Pass) -> None:
        def later() -> None:
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, passing)

        wrap(path, before=later)

    return install


def during(path: str, point: Install) -> Install:
    """A point that counts only once a function has been entered."""

    def install(passing: Pass) -> None:
        entered = False

        def enter() -> None:
            nonlocal entered
            entered = True

        def pass_if_entered() -> None:
            if entered:
                passing()

        wrap(path, before=enter)
        point(pass_if_entered)

    return install


def before_commit_of_updates(passing: Pass) -> None:
    """In a transaction of the SQLite log, when the rows are in and the commit is all that lacks."""

    class Connection(sqlite3.Connection):
        has_rows = False

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and self.has_rows:
                passing()
                self.has_rows = False
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            self.has_rows = sql.lstrip().startswith("INSERT INTO log ")
            return super().executemany(sql, *parameters)

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]


ROOM: Final = "collabd.rooms.room:DocumentRoom"
COMPACTOR: Final = "collabd.compaction:Compactor"
SQLITE: Final = "collabd.persistence.sqlite"
POSTGRES: Final = "collabd.persistence.postgres"

RECEIVED: Final[dict[str, Install]] = {
    "received": before(f"{ROOM}.receive_all"),
    "checked": before(f"{ROOM}._take"),
}
SENT: Final[dict[str, Install]] = {
    "applied, not broadcast": before(f"{ROOM}._relay"),
    "broadcast": once_sent(f"{ROOM}._settle"),
}


class Points(NamedTuple):
    """The points that a server with one kind of store comes by, by what it does."""

    editing: dict[str, Install]
    """With every update."""
    compaction: dict[str, Install]
    restore: dict[str, Install]
    """Going back to a version: each is passed once."""
    migration: dict[str, Install]
    """Every statement of bringing the schema up to date."""

    @property
    def all(self) -> dict[str, Install]:
        return self.editing | self.compaction | self.restore | self.migration


STORES: Final = {
    "sqlite": Points(
        editing={
            **RECEIVED,
            "handed to the log": after(f"{SQLITE}:SQLiteStore.append"),
            "in the transaction": before_commit_of_updates,
            "committed, not answered": after(f"{SQLITE}:SQLiteStore._write"),
            **SENT,
        },
        compaction={
            "compaction begins": before(f"{COMPACTOR}.compact"),
            "compaction, before its transaction": before(f"{SQLITE}:SQLiteStore.compact"),
            "compaction, in its transaction": before(f"{SQLITE}_history:_changed"),
            "compaction, after its transaction": after(f"{SQLITE}_history:compact"),
            "compaction, space given back": after(f"{SQLITE}_history:give_space_back"),
        },
        restore={
            "restore, before it is submitted": before(f"{ROOM}.submit"),
            "restore, in the transaction": during(f"{ROOM}.submit", before_commit_of_updates),
            "restore, committed": during(f"{ROOM}.submit", after(f"{SQLITE}:SQLiteStore._write")),
            "restore, before it is answered": after(f"{ROOM}.submit"),
        },
        migration={"migration": before(f"{SQLITE}_schema:Database.execute")},
    ),
    "postgresql": Points(
        editing={
            **RECEIVED,
            "handed to the log": after(f"{POSTGRES}:PostgresStore.append"),
            "in the transaction": while_awaited(f"{POSTGRES}_write:_append"),
            "committed, not answered": after(f"{POSTGRES}_commit:commit"),
            **SENT,
        },
        compaction={
            "compaction begins": before(f"{COMPACTOR}.compact"),
            "compaction, before its transaction": before(f"{POSTGRES}:PostgresStore.compact"),
            "compaction, in its transaction": after(f"{POSTGRES}_history:compact"),
            "compaction, after its transaction": after(f"{POSTGRES}:PostgresStore.compact"),
        },
        restore={
            "restore, before it is submitted": before(f"{ROOM}.submit"),
            "restore, in the transaction": during(
                f"{ROOM}.submit", while_awaited(f"{POSTGRES}_write:_append")
            ),
            "restore, committed": during(f"{ROOM}.submit", after(f"{POSTGRES}_commit:commit")),
            "restore, before it is answered": after(f"{ROOM}.submit"),
        },
        migration={"migration": before("asyncpg:Connection.execute")},
    ),
}
"""By the scheme of the store's URL."""


def points_of(store: str) -> Points:
    """The points of a server with the store at a URL."""
    return STORES[store.partition(":")[0]]


def arm(points: Points, name: str, passing: int) -> Callable[[], None]:
    """Let this process die at the n-th passing of a point, ``passing`` being n, counted from when what is
    returned is called."""
    has_begun = False
    left = passing

    def begin() -> None:
        nonlocal has_begun
        has_begun = True

    def pass_by() -> None:
        nonlocal left
        if has_begun:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    points.all[name](pass_by)
    return begin
