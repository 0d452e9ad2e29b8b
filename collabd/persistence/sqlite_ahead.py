"""The file of SQLite's write-ahead log, at its full length from the start: no commit has to lengthen it.

A commit into pages that the file already has is a sync of what they hold. While the file grows, each sync
also brings its new size into the file system's journal, which takes half as long again, and now and then many
times that.
"""

import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

CHECKPOINT_PAGES: Final = 4_000
"""How far the write-ahead log grows, in pages of 4 KB, before it is copied into the database and begun anew.
Pages that commits write again and again until then are copied once."""
PAGES: Final = CHECKPOINT_PAGES + 100
"""How long the file is made: the last commit before a checkpoint goes as far beyond it as it is large. These
17 MB it would get to anyway, within some two thousand commits."""
CACHED: Final = 2 * 1024 * 1024
"""Bytes of a transaction, about, that SQLite keeps in memory before it begins to write; its default."""


def write_ahead(connection: sqlite3.Connection, database: Path) -> None:
    """Let the file of the write-ahead log of ``database`` have its full length from now on.

    It takes some tens of milliseconds, and the next commit, which is the first to sync it, takes as long: let
    that be one that nobody waits for.

    A transaction larger than SQLite's cache is written and rolled back. So nothing is ever committed by this,
    commits are synced as ever, and the database itself is not written to. What a crash leaves at any moment
    is what it leaves of any transaction: pages after the last commit, which nobody reads, and which the next
    commits write over.

    Where there is no room for it, all is as if it had not been tried, but for a line in the log.
    """
    try:
        # What a process before left there goes into the database, so that this begins where the file does.
        _, logged, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        length = PAGES * page_bytes
        if copied < logged or database.with_name(database.name + "-wal").stat().st_size >= length:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("CREATE TABLE ahead (filling BLOB)")
            connection.execute("INSERT INTO ahead VALUES (zeroblob(?))", (length + CACHED,))
        except sqlite3.Error:
            connection.rollback()
            with contextlib.suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            raise
        connection.rollback()
    except (OSError, sqlite3.Error) as error:
        logger.warning("the write-ahead log is left to grow, so that commits are slower at first: %s", error)
