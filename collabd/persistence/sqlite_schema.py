"""The schema of the SQLite store, as migrations that sqlite-utils applies at start.

A migration only ever expands: what it makes superfluous is dropped a release later, so that the program
before this one can still use the file after a rollback. ``oldest_program`` in the table ``about`` names the
oldest schema a program must know to write to this file.
"""

import sqlite3
from typing import Final

from sqlite_utils import Database, Migrations

from collabd.errors import StoreError

SCHEMA: Final = 4
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
    # `early` lists, as JSON, the updates up to `seq` that the state does not contain. `at` is when the last
    # of those it contains was committed.
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


@migrations()
def history(db: Database) -> None:
    # `generation` counts what changed about rows that were there before: whoever reads on notices by it.
    db.execute("ALTER TABLE documents ADD COLUMN generation INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE documents ADD COLUMN quarantine TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE log ADD COLUMN authors BLOB NOT NULL DEFAULT x''")
    db.execute("ALTER TABLE snapshots ADD COLUMN packed INTEGER NOT NULL DEFAULT 0")
    # `connection` is random; who it was can be erased without touching what was written.
    db.execute("""
        CREATE TABLE authors (
            id INTEGER PRIMARY KEY,
            connection INTEGER NOT NULL UNIQUE,
            principal TEXT NOT NULL,
            name TEXT NOT NULL,
            address TEXT NOT NULL,
            last_at REAL NOT NULL
        )""")
    db.execute("CREATE INDEX author_principals ON authors (principal)")
    # Rows that compaction took from the log, packed; the last of them has number `seq`.
    db.execute("""
        CREATE TABLE segments (
            document INTEGER NOT NULL REFERENCES documents (id),
            seq INTEGER NOT NULL,
            first INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            meta BLOB NOT NULL,
            payload BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            PRIMARY KEY (document, seq)
        )""")
    db.execute("""
        CREATE TABLE versions (
            document INTEGER NOT NULL REFERENCES documents (id),
            seq INTEGER NOT NULL,
            name TEXT NOT NULL,
            at REAL NOT NULL,
            author INTEGER NOT NULL,
            PRIMARY KEY (document, seq)
        ) WITHOUT ROWID""")
    # What could not be read and was set aside, for somebody to look at: `stored` is the row as JSON, its
    # blobs in base64.
    db.execute("""
        CREATE TABLE damaged (
            id INTEGER PRIMARY KEY,
            document INTEGER NOT NULL REFERENCES documents (id),
            part TEXT NOT NULL,
            seq INTEGER NOT NULL,
            set_aside_at REAL NOT NULL,
            stored TEXT NOT NULL
        )""")
    # Programs of schema 1 would take what is in segments for lost.
    db.execute("UPDATE about SET value = 2 WHERE key = 'oldest_program'")


@migrations()
def log_with_index(db: Database) -> None:
    # In a table without rowid a search reads every row it compares with as a whole, which takes milliseconds
    # where rows are large, also for documents that just lie beside such a row.
    db.execute("""
        CREATE TABLE new_log (
            document INTEGER NOT NULL REFERENCES documents (id),
            seq INTEGER NOT NULL,
            count INTEGER NOT NULL,
            at REAL NOT NULL,
            payload BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            authors BLOB NOT NULL DEFAULT x'',
            PRIMARY KEY (document, seq)
        )""")
    db.execute("""
        INSERT INTO new_log
        SELECT document, seq, count, at, payload, checksum, authors FROM log ORDER BY document, seq""")
    db.execute("DROP TABLE log")
    db.execute("ALTER TABLE new_log RENAME TO log")


@migrations()
def memos(db: Database) -> None:
    # What is remembered of people and their credentials. Programs before this one know nothing of it and need
    # not.
    db.execute("""
        CREATE TABLE memos (
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            subject TEXT NOT NULL,
            value TEXT NOT NULL,
            expires_at REAL NOT NULL,
            PRIMARY KEY (kind, key)
        )""")
    db.execute("CREATE INDEX memo_subjects ON memos (kind, subject)")
    db.execute("CREATE INDEX memo_ends ON memos (expires_at)")


def prepare(connection: sqlite3.Connection) -> bool:
    """Bring the schema up to date.

    Returns:
        whether it was changed. Then go on with another connection: sqlite-utils leaves a statement under way
        over this one until Python collects garbage, and nothing is written back from the log so long.

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
        else:
            # Lets compaction give space back; it can be chosen for an empty file only.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if not migrations.pending(db):
            return False
        migrations.apply(db)
        return True
    except sqlite3.Error as error:
        raise StoreError(f"the file cannot be used: {error}") from error
