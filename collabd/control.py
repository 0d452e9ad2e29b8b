"""A socket beside the database, over which commands ask the server that owns the file.

A request is one line of JSON, ``{"operation": …, "arguments": {…}}``; the answer is one line for each event
of the operation, and after the last ``{"event": "end"}`` or ``{"event": "error", "error": code, "message":
…}``. Then the next request may follow. Whoever closes the connection gives up what it asked for. Only the
user that the server runs as can connect (and root).
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from collabd.errors import CollabdError, MalformedInput, ShuttingDown, StoreError
from collabd.operations import Event, Host, OperationFailed, perform
from collabd.sockets import private, short

logger = logging.getLogger(__name__)

MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes of a request, and of an event."""


def socket_of(database: Path) -> Path:
    """Where the socket of a database's owner is."""
    return database.with_name(database.name + ".sock")


@contextlib.asynccontextmanager
async def taking_commands(path: Path, host: Host) -> AsyncIterator[None]:
    """Listen for commands in the block. The caller owns the database: a socket that is there is a dead one's.

    If no socket can be made there, the log says so, and nobody listens.
    """
    server = _Server(host)
    async with contextlib.AsyncExitStack() as stack:
        try:
            listener = stack.enter_context(private(path))
            listening = await asyncio.start_unix_server(server.serve, sock=listener, limit=MAX_LINE)
        except (OSError, StoreError) as error:
            logger.warning("commands cannot reach this server: %s: %s", path, error)
            yield
            return
        try:
            yield
        finally:
            listening.close()
            path.unlink(missing_ok=True)  # before what goes on now is given up
            await server.close()


class _Server:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._serving.add(task)
        try:
            await self._answer_all(reader, writer)
        except asyncio.CancelledError:
            with contextlib.suppress(ConnectionError):
                await _say(writer, _error(ShuttingDown("the server stops")))
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # it went, or sent a line beyond all bounds
        except Exception:
            logger.exception("a command's connection is closed")
        finally:
            self._serving.discard(task)
            writer.close()

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        while line.endswith(b"\n"):
            try:
                operation, arguments = _request(line)
                events = perform(self._host, operation, arguments)
            except MalformedInput as error:
                await _say(writer, _error(error))
                return
            following = asyncio.create_task(reader.readline())
            answering = asyncio.create_task(_answer(writer, events))
            try:
                await asyncio.wait({following, answering}, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done() and not following.result():
                    logger.info("a command went before its %s was done", operation)
                    return
                await answering
                line = await following
            finally:
                for task in (following, answering):
                    task.cancel()
                await asyncio.gather(following, answering, return_exceptions=True)


async def _answer(writer: asyncio.StreamWriter, events: AsyncIterator[Event]) -> None:
    try:
        async with contextlib.aclosing(cast("AsyncGenerator[Event]", events)):
            async for event in events:
                await _say(writer, event)
        await _say(writer, {"event": "end"})
    except CollabdError as error:
        await _say(writer, _error(error))
    except ConnectionError:
        raise
    except Exception:
        logger.exception("a command's operation failed")
        await _say(writer, _error(CollabdError("the server failed; its log says how")))


async def _say(writer: asyncio.StreamWriter, event: Event) -> None:
    writer.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    await writer.drain()


def _error(error: CollabdError) -> Event:
    return {"event": "error", "error": error.code, "message": str(error)}


def _request(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise MalformedInput("a request is one line of JSON") from None
    if isinstance(request, dict):
        operation, arguments = request.get("operation"), request.get("arguments")
        if isinstance(operation, str) and isinstance(arguments, dict):
            return operation, arguments
    raise MalformedInput("a request has an operation and arguments")


class Connection:
    """A command's connection to the server that owns the store."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path: Path) -> "Connection":
        """Connect to the socket at ``path``.

        Raises:
            OSError: nobody listens there.
            StoreError: the path is too long for this system.
        """
        with short(path) as address:
            return cls(*await asyncio.open_unix_connection(address, limit=MAX_LINE))

    async def perform(self, operation: str, arguments: Mapping[str, Any]) -> AsyncGenerator[Event]:
        """Let the server perform an operation, and give out its events.

        Raises:
            OperationFailed: it could not.
            StoreError: the server ended, or closed the connection, before it was done.
        """
        try:
            await _say(self._writer, {"operation": operation, "arguments": arguments})
            while line := await self._reader.readline():
                event: Event = json.loads(line)
                if event["event"] == "end":
                    return
                if event["event"] == "error":
                    raise OperationFailed(event["error"], event["message"])
                yield event
        except (ConnectionError, ValueError):
            pass
        raise StoreError("the server went before it was done; what it did until then is kept")

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
