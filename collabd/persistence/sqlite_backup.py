"""A copy of an SQLite file, made while a server writes to it."""

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import Final, NamedTuple

from collabd.errors import StoreError

ABOUT: Final = "SELECT value FROM about WHERE key = 'oldest_program'"


class Copied(NamedTuple):
    """A copy that was checked and is on disk."""

    bytes: int
    documents: int
    updates: int


class Progress:
    """How far a copy has come; may be read from another thread."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.total = 0
        """Bytes the copy will have, about."""

    @property
    def done(self) -> int:
        """Bytes written so far."""
        try:
            return self._target.stat().st_size
        except OSError:
            return 0


def partial_of(target: Path) -> Path:
    """What the copy that this process makes is called until it is whole."""
    return target.with_name(f"{target.name}.{os.getpid()}.partial")


def copy(source: Path, target: Path, progress: Progress, stopping: threading.Event) -> Copied:
    """Write what is committed in ``source`` now to ``target``, check it, and be sure that it is on disk.

    It is read over a connection of its own that cannot write, so that whoever owns the file goes on. Takes
    long: call it in a thread. Under its name the copy appears only once it is whole.

    Args:
        stopping: set it to give up.

    Raises:
        StoreError: there is no such file, ``target`` exists, or the copy is not sound.
    """
    if not source.is_file():
        raise StoreError(f"there is no file {source}")
    if target.exists():
        raise StoreError(f"{target} exists, and no backup is written over another file")
    partial = partial_of(target)
    try:
        with contextlib.closing(read_only(source)) as connection:
            if connection.execute(ABOUT).fetchone() is None:
                raise StoreError(f"{source} is a SQLite database, but not one of collabd's")
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            progress.total = (pages - free) * page_size
            # It keeps whoever it belongs to from reading half a copy, and the copy as private as the file.
            partial.unlink(missing_ok=True)
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, source.stat().st_mode & 0o666))
            connection.set_progress_handler(lambda: int(stopping.is_set()), 10_000)
            connection.execute("VACUUM INTO ?", (str(partial),))
        copied = _check(partial, stopping)
        _sync(partial)
        if stopping.is_set():
            raise StoreError("the backup was given up")
        if target.exists():
            raise StoreError(f"{target} was made by somebody else meanwhile")
        partial.rename(target)
        _sync(target.parent)
    except sqlite3.Error as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"{source} could not be copied: {error}") from error
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"{target} could not be written: {error.strerror}") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return copied


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside the one of the owner."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)


def _check(path: Path, stopping: threading.Event) -> Copied:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_progress_handler(lambda: int(stopping.is_set()), 10_000)
        # It was copied from a server that runs; nobody was interrupted in writing this.
        connection.execute("UPDATE about SET value = 0 WHERE key = 'running'")
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            raise StoreError(f"the copy is not sound: {'; '.join(map(str, found[:5]))}")
        (documents,) = connection.execute(
            "SELECT count(*) FROM documents WHERE deleted_at IS NULL"
        ).fetchone()
        (updates,) = connection.execute("SELECT coalesce(sum(count), 0) FROM log").fetchone()
    return Copied(path.stat().st_size, documents, updates)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
