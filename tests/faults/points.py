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
from typing import Any, Final

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
SQLITE: Final = "collabd.persistence.sqlite"

EDITING: Final[dict[str, Install]] = {
    "received": before(f"{ROOM}.receive"),
    "checked": before(f"{ROOM}._take"),
    "handed to the log": after(f"{SQLITE}:SQLiteStore.append"),
    "in the transaction": before_commit_of_updates,
    "committed, not answered": after(f"{SQLITE}:SQLiteStore._write"),
    "applied, not broadcast": before(f"{ROOM}._relay"),
    "broadcast": once_sent(f"{ROOM}._settle"),
}
"""Points that every update comes by."""

COMPACTION: Final[dict[str, Install]] = {
    "compaction begins": before("collabd.compaction:Compactor.compact"),
    "compaction, before its transaction": before(f"{SQLITE}:SQLiteStore.compact"),
    "compaction, in its transaction": before("collabd.persistence.sqlite_history:_changed"),
    "compaction, after its transaction": after("collabd.persistence.sqlite_history:compact"),
    "compaction, space given back": after("collabd.persistence.sqlite_history:give_space_back"),
}
"""Points that every compaction comes by."""

RESTORE: Final[dict[str, Install]] = {
    "restore, before it is submitted": before(f"{ROOM}.submit"),
    "restore, in the transaction": during(f"{ROOM}.submit", before_commit_of_updates),
    "restore, committed": during(f"{ROOM}.submit", after(f"{SQLITE}:SQLiteStore._write")),
    "restore, before it is answered": after(f"{ROOM}.submit"),
}
"""Points of going back to a version, each passed once."""

MIGRATION: Final[dict[str, Install]] = {
    "migration": before("collabd.persistence.sqlite_schema:Database.execute"),
}
"""Every statement of bringing an old file's schema up to date."""

POINTS: Final[dict[str, Install]] = {**EDITING, **COMPACTION, **RESTORE, **MIGRATION}


def arm(name: str, passing: int) -> Callable[[], None]:
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

    POINTS[name](pass_by)
    return begin
