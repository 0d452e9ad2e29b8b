"""Whoever can perform operations on a store: this process, or the server that owns it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from collabd.app import Service, sqlite_file
from collabd.control import Connection, socket_of
from collabd.errors import StoreError, StoreInUse
from collabd.operations import Event, perform
from collabd.settings import Settings

PATIENCE: Final = 5.0
"""Seconds to wait for an owner that does not listen yet, or is about to go."""

Ask = Callable[[str, Mapping[str, Any]], AsyncIterator[Event]]
"""Performs an operation, given its name and arguments."""


@contextlib.asynccontextmanager
async def owner(settings: Settings, *, creates: bool = False) -> AsyncIterator[Ask]:
    """Let operations be performed in the block.

    Args:
        creates: whether a store may come into being by that.

    Raises:
        StoreError: there is no such store, it cannot be opened, or it belongs to a process that does not
            listen.
    """
    path = sqlite_file(settings.store)
    if path is not None and not creates and not path.exists():
        raise StoreError(f"there is no file {path}")
    deadline = asyncio.get_running_loop().time() + PATIENCE
    async with contextlib.AsyncExitStack() as stack:
        while True:
            service = Service(settings)
            try:
                await stack.enter_async_context(service.opened())
            except StoreInUse as error:
                connection = None if path is None else await _connect(path)
                if connection is None and asyncio.get_running_loop().time() < deadline:
                    await asyncio.sleep(0.1)
                    continue
                if connection is None:
                    raise StoreInUse(
                        f"{error} that takes no commands: another command, or an application of its own"
                    ) from None
                stack.callback(connection.close)
                yield connection.perform
            else:
                yield partial(perform, service)
            return


async def _connect(database: Path) -> Connection | None:
    try:
        return await Connection.open(socket_of(database))
    except PermissionError:
        raise StoreError(f"{database} belongs to a server that runs as another user") from None
    except OSError:
        return None
