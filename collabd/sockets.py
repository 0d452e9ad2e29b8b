"""Sockets in the file system, which only the user who made them can connect to (and root)."""

import contextlib
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Final

from collabd.errors import StoreError

MAX_ADDRESS: Final = 107
"""Bytes of a socket's path that the system takes."""

DESCRIPTORS: Final = Path("/proc/self/fd")
"""Where Linux shows open folders under short paths."""


@contextlib.contextmanager
def private(path: Path) -> Generator[socket.socket]:
    """A socket at ``path`` for the block, bound and yet to listen. One that is there is taken for a dead
    process's, and replaced.

    Raises:
        OSError: none can be made there.
        StoreError: the path is too long for this system.
    """
    with short(path) as address, socket.socket(socket.AF_UNIX) as listener:
        path.unlink(missing_ok=True)
        listener.bind(address)
        try:
            path.chmod(0o600)  # before anybody can connect
            yield listener
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def short(path: Path) -> Generator[str]:
    """A name for a socket's path that the system takes, valid in the block.

    Raises:
        StoreError: there is none.
    """
    if len(os.fsencode(path)) <= MAX_ADDRESS:
        yield str(path)
        return
    if not DESCRIPTORS.is_dir():
        raise StoreError(f"the path of a socket has at most {MAX_ADDRESS} bytes, and {path} has more")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        address = str(DESCRIPTORS / str(folder) / path.name)
        if len(os.fsencode(address)) > MAX_ADDRESS:
            raise StoreError(f"the name of a socket has at most {MAX_ADDRESS - 20} bytes: {path.name}")
        yield address
    finally:
        os.close(folder)
