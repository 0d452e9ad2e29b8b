"""The schema of the SQLite store, as migrations that sqlite-utils applies at start.

A migration only ever expands: what it makes superfluous is dropped a release later, so that the program
before this one can still use the file after a rollback. ``oldest_program`` in the table ``about`` names the
oldest schema a program must know to write to this file.
"""

import sqlite3
from typing import Final

from sqlite_utils import Database, Migrations

from collabd.errors import StoreError

SCHEMA: Final = 1
"""The schema this program writes."""

migrations = Migrations("collabd")


@migrations()
def first_log(db: Database) -> None:
    db.execute("""
        CREATE TABLE documents (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            created_at REAL NOT NULL,
            deleted_at REAL
        )""")
    db.execute("CREATE UNIQUE INDEX live_documents ON documents (name) WHERE deleted_at IS NULL")
    db.execute("CREATE INDEX document_names ON documents (name)")
    # One row holds what one flush of a room brought: `count` updates, the last of which has number `seq`.
    db.execute("""
        CREATE TABLE log (
            document INTEGER NOT NULL REFERENCES documents (id),
            seq INTEGER NOT NULL,
            count INTEGER NOT NULL,
            at REAL NOT NULL,
            payload BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            PRIMARY KEY (document, seq)
        ) WITHOUT ROWID""")
    db.execute("""
        CREATE TABLE rejected (
            document INTEGER NOT NULL REFERENCES documents (id),
            seq INTEGER NOT NULL,
            PRIMARY KEY (document, seq)
        ) WITHOUT ROWID""")
    # `early` lists, as JSON, the updates up to `seq` that the state does not contain.
    db.execute("""
        CREATE TABLE snapshots (
            document INTEGER PRIMARY KEY REFERENCES documents (id),
            seq INTEGER NOT NULL,
            at REAL NOT NULL,
            early TEXT NOT NULL,
            state BLOB NOT NULL,
            checksum INTEGER NOT NULL
        )""")
    db.execute("CREATE TABLE about (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
    db.execute("INSERT INTO about VALUES ('oldest_program', 1)")


def prepare(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date.

    Raises:
        StoreError: the file was written by a program too new for this one, or is not a collabd database.
    """
    try:
        db = Database(connection)
        # The list of migrations is made on its own, before the first of them.
        tables = set(db.table_names()) - {migrations.migrations_table}
        if tables:
            row = None
            if "about" in tables:
                row = connection.execute("SELECT value FROM about WHERE key = 'oldest_program'").fetchone()
            if row is None:
                raise StoreError("the file is a SQLite database, but not one of collabd's")
            if row[0] > SCHEMA:
                raise StoreError(
                    f"the file needs a program that knows schema {row[0]}; this one knows schema {SCHEMA}"
                )
        migrations.apply(db)
    except sqlite3.Error as error:
        raise StoreError(f"the file cannot be used: {error}") from error
