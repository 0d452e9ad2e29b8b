"""A proxy before a server, over TCP or a Unix socket, that loses what it is told to lose."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Lost = Literal["question", "answer"]

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Connects to the server."""


class Proxy:
    """Passes bytes on between clients and a server.

    When a client sends ``cut_at``, its connection is cut, once: before that is passed on (the question is
    lost), or when the server's answer comes (the answer is lost).
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.cut_at: bytes | None = None
        self.lost: Lost = "answer"
        self.cuts = asyncio.Event()
        """Set once a connection was cut."""
        self.refusing = False
        """Whether new connections are closed at once."""
        self.swallowing = False
        """Whether everything is lost, while connections stay what they are."""
        self.answers: dict[bytes, bytes] = {}
        """What to answer, in the server's place, to questions that contain something."""
        self.flowing = asyncio.Event()
        """Cleared while the server's answers are not even read."""
        self.flowing.set()
        self.on_asked: Callable[[bytes], bool] = lambda _: False
        """Told of everything before it is passed on; whether to lose it."""
        self.on_question: Callable[[bytes], bool] = lambda _: False
        """Whether to cut the connection right after passing this on."""

    async def serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self.refusing:
            answer.close()
            return
        try:
            server, question = await self._connect()
        except OSError:  # there is none at the moment
            answer.close()
            return
        self._connections |= {answer, question}
        losing = asyncio.Event()

        async def ask() -> None:
            while data := await client.read(1 << 16):
                if self.on_asked(data) or self.swallowing:
                    continue
                if known := [reply for asked, reply in self.answers.items() if asked in data]:
                    answer.write(known[0])
                    continue
                if self.cut_at is not None and self.cut_at in data:
                    self.cut_at = None
                    losing.set()
                    if self.lost == "question":
                        break
                question.write(data)
                await question.drain()
                if self.on_question(data):
                    break

        async def reply() -> None:
            while data := await server.read(1 << 16):
                await self.flowing.wait()
                if self.swallowing:
                    continue
                if losing.is_set():
                    break
                answer.write(data)
                await answer.drain()

        tasks = [asyncio.ensure_future(ask()), asyncio.ensure_future(reply())]
        self._tasks.update(tasks)
        with contextlib.suppress(OSError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if losing.is_set():
            self.cuts.set()
        for writer in (answer, question):
            self._connections.discard(writer)
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.difference_update(tasks)

    def cut_all(self) -> None:
        """Cut all connections."""
        for writer in self._connections:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def proxied(url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the server at ``url``, by default a database, and its own URL; with ``tls`` it is spoken
    to over that."""
    parts = urlsplit(url)
    proxy = Proxy(partial(asyncio.open_connection, parts.hostname or "127.0.0.1", parts.port or 5432))
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    user, at, _ = parts.netloc.rpartition("@")
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{port}"))
    finally:
        listening.close()
        proxy.cut_all()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def proxied_socket(server: Path, path: Path) -> AsyncIterator[Proxy]:
    """A proxy at ``path`` before the server at another path."""
    proxy = Proxy(partial(asyncio.open_unix_connection, server))
    listening = await asyncio.start_unix_server(proxy.serve, path)
    try:
        yield proxy
    finally:
        listening.close()
        path.unlink(missing_ok=True)
        proxy.cut_all()
        await asyncio.sleep(0)
