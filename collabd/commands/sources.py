"""Where imported documents come from, and where exported ones go."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from collabd.errors import CollabdError, MalformedInput, TooLarge, UnsupportedFormat
from collabd.operations import OperationFailed

MAX_CONTENT: Final = 40 * 1024 * 1024
"""Bytes of a document that is imported, at most: in base64 they fit into a request."""

MEDIA_TYPES: Final = {
    "text": "text/plain",
    "markdown": "text/markdown",
    "ipynb": "application/x-ipynb+json",
    "update": "application/octet-stream",
}
"""What can be imported, by the names that exports have."""

ENDINGS: Final = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".ipynb": "ipynb",
    ".yjs": "update",
    ".bin": "update",
}


class Source(NamedTuple):
    """A document to be made."""

    name: str
    media_type: str
    content: bytes | CollabdError | OperationFailed
    """What it is made from, or why it cannot be."""


def read_file(path: Path, form: str | None, name: str | None) -> Source:
    """A file as a document, called like the file without its ending if no name is given."""
    form = form or ENDINGS.get(path.suffix.lower())
    name = name or path.stem
    if form is None:
        known = ", ".join(ENDINGS)
        return Source(name, "", UnsupportedFormat(f"{path} ends with none of {known}; say --format"))
    media_type = MEDIA_TYPES[form]
    try:
        if path.stat().st_size > MAX_CONTENT:
            return Source(name, media_type, TooLarge(f"{path} has more than {MAX_CONTENT} bytes"))
        return Source(name, media_type, path.read_bytes())
    except OSError as error:
        return Source(name, media_type, OperationFailed("file", f"{path} cannot be read: {error.strerror}"))


def read_hocuspocus(path: Path) -> Iterator[Source]:
    """The documents of a database of Hocuspocus' SQLite extension. It is not changed.

    Raises:
        OperationFailed: the file is no such database.
    """
    if not path.is_file():
        raise OperationFailed("file", f"there is no file {path}")
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            for name, data in connection.execute("SELECT name, data FROM documents ORDER BY name"):
                content: bytes | CollabdError = data
                if not isinstance(data, bytes):
                    content = MalformedInput("what is stored of it is no update")
                elif len(data) > MAX_CONTENT:
                    content = TooLarge(f"it has more than {MAX_CONTENT} bytes")
                yield Source(str(name), MEDIA_TYPES["update"], content)
    except sqlite3.Error as error:
        raise OperationFailed("file", f"{path} is not a database of Hocuspocus: {error}") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OperationFailed: it cannot be written there.
    """
    partial = path.with_name(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OperationFailed("file", f"{path} cannot be written: {error.strerror}") from error
