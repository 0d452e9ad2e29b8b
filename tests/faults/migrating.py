"""Kill a server while it brings a schema up to date."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pycrdt import Doc, Text
from sqlite_utils import Database

from collabd.persistence import rows, sqlite_schema
from tests.faults.series import COMMAND, DOCUMENT, Kill, fresh, unsound
from tests.faults.typists import marks
from tests.support.clients import ROOT
from tests.support.server import RunningServer

POINT: Final = "migration"
UPDATES: Final = 40
SNAPSHOT: Final = 25
"""The last update that the old file's snapshot stands for."""


def make_old_file(path: Path) -> str:
    """Make a file as the first program made it, with one document; return its text."""
    doc: Doc[Any] = Doc()
    text = doc.get(ROOT, type=Text)
    with closing(sqlite3.connect(path)) as connection:
        sqlite_schema.migrations.apply(Database(connection), stop_before="history")
        connection.execute("INSERT INTO documents VALUES (1, ?, 1.0, NULL)", (DOCUMENT,))
        for seq in range(1, UPDATES + 1):
            before = doc.get_state()
            text += f"<old{seq}>"
            payload = rows.pack([doc.get_update(before)])
            row = (1, seq, 1, 1.0, payload, rows.checksum(payload))
            connection.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", row)
            if seq == SNAPSHOT:
                state = doc.get_update()
                connection.execute(
                    "INSERT INTO snapshots VALUES (1, ?, 1.0, '[]', ?, ?)", (seq, state, rows.checksum(state))
                )
        connection.commit()
        connection.execute("PRAGMA journal_mode = WAL")
    return str(text)


async def kill_migrating(
    directory: Path, passing: int, *, old: bool = True, store: str | None = None
) -> Kill | None:
    """Kill the first start of a server at the n-th statement, on an old file or on a store that is empty, and
    start it again.

    None if there are not that many.
    """
    directory.mkdir()
    text = make_old_file(directory / "collabd.db") if old else ""
    server = RunningServer(directory, command=COMMAND, store=store)
    try:
        await asyncio.to_thread(server.start, {"FAULTS_KILL": f"{POINT}:{passing}"})
    except AssertionError:
        if server.process.returncode != -9:
            raise
    else:
        await asyncio.to_thread(server.terminate)
        return None
    await asyncio.to_thread(server.start)
    found = "".join(run for run, _ in await asyncio.to_thread(fresh, server))
    await asyncio.to_thread(server.terminate)
    lost = sorted(set(marks(text)) - set(marks(found))) + await unsound(server.store)
    doubled = [mark for mark, count in marks(found).items() if count > 1]
    return Kill(POINT, 0, lost, doubled)
