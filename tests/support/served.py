"""Stores that another owns: another event loop in a thread, or another process that can be killed."""

import asyncio
import threading
from contextlib import AsyncExitStack
from pathlib import Path

from collabd.persistence.base import Store
from collabd.persistence.remote import RemoteStore
from collabd.persistence.served import serving
from collabd.persistence.sqlite import SQLiteStore

SOCKET = "owner.sock"


class Owner:
    """Serves a store in ``directory`` from an event loop of its own."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / SOCKET
        self.store: Store = SQLiteStore(directory / "documents.db")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Return when it can be connected to."""
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thread = threading.Thread(target=asyncio.run, args=[self._run(started)], daemon=True)
        self._thread.start()
        await started

    async def stop(self) -> None:
        """End it as a process ends that is told to."""
        assert self._loop is not None
        assert self._stopped is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stopped.set)
        await asyncio.to_thread(self._thread.join)

    async def _run(self, started: "asyncio.Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        async with AsyncExitStack() as stack:
            try:
                await self.store.start()
                stack.push_async_callback(self.store.close)
                await stack.enter_async_context(serving(self.socket, self.store))
            except Exception as error:
                started.get_loop().call_soon_threadsafe(started.set_exception, error)
                return
            started.get_loop().call_soon_threadsafe(started.set_result, None)
            await self._stopped.wait()


class ServedStore(RemoteStore):
    """A remote store that brings its owner along."""

    def __init__(self, directory: Path) -> None:
        self._server = Owner(directory)
        super().__init__(self._server.socket)

    async def start(self) -> None:
        """Start the owner too."""
        await self._server.start()
        await super().start()

    async def close(self) -> None:
        """End the owner too."""
        if not self._is_closed:
            await super().close()
            await self._server.stop()
