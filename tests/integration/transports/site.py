"""A server within the test's process, whose rooms and store can be looked into."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from collabd.app import Service, create_app
from collabd.persistence.memory import MemoryStore
from collabd.protocol import messages
from collabd.protocol.packing import PACKED, unpack
from collabd.rooms.observer import Observer, Silent
from collabd.rooms.room import DocumentRoom
from collabd.settings import Settings
from collabd.tls import Certificate
from tests.support.clients import LARGEST
from tests.support.raw import RawConnection, handshake

PATIENCE = 15.0
"""Seconds after which what did not happen has failed."""

SMALL_BUFFER = 4_096
"""Bytes that a client reads beyond what it was asked for."""


class Goodbyes(Silent):
    """Remembers how connections ended; refusals are counted as usual."""

    def __init__(self, telemetry: Observer) -> None:
        self.all: list[tuple[int, str]] = []
        self._telemetry = telemetry

    def refused(self, code: str) -> None:
        self._telemetry.refused(code)

    def left(
        self, document: str, peer: int, who: str, code: int, reason: str, seconds: float, updates: int
    ) -> None:
        self.all.append((code, reason))


class Site:
    """A running server."""

    def __init__(
        self, server: uvicorn.Server, service: Service, goodbyes: Goodbyes, trust: ssl.SSLContext | None
    ) -> None:
        self.server = server
        self._trust = trust
        self.service = service
        self._goodbyes = goodbyes
        self._clients: list[RawConnection] = []

    @property
    def port(self) -> int:
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    def room(self, name: str = "notes") -> DocumentRoom:
        room = self.service.registry.get(name)
        assert room is not None, "nobody opened it"
        return room

    async def connect(
        self, path: str = "notes", *, subprotocols: list[str] | None = None, origin: str | None = None
    ) -> ClientConnection:
        """Connect as a browser would."""
        return await connect(
            f"{'wss' if self._trust else 'ws'}://127.0.0.1:{self.port}/ws/{path}",
            ssl=self._trust,
            subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
            origin=None if origin is None else Origin(origin),
            compression=None,
            max_size=None,
            max_queue=None,
            ping_interval=None,
            close_timeout=PATIENCE,
            proxy=None,
        )

    async def dial(self, connected: socket.socket | None = None) -> RawConnection:
        """Open a connection and say nothing, over a socket that is ``connected`` already if one is given. It
        ends with the site at the latest."""
        arguments: dict[str, Any] = {"host": "127.0.0.1", "port": self.port}
        if connected is not None:
            arguments = {"sock": connected, "limit": SMALL_BUFFER}
        if self._trust is not None:
            arguments |= {"ssl": self._trust, "server_hostname": "127.0.0.1"}
        connection = RawConnection(*await asyncio.open_connection(**arguments))
        self._clients.append(connection)
        return connection

    async def raw(
        self, path: str = "notes", head: bytes | None = None, connected: socket.socket | None = None
    ) -> RawConnection:
        """Connect and upgrade by hand."""
        connection = await self.dial(connected)
        connection.writer.write(head or handshake(path))
        answer = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        return connection

    async def goodbye(self) -> tuple[int, str]:
        """Wait until a connection has left its room; its close code and reason."""
        async with asyncio.timeout(PATIENCE):
            while not self._goodbyes.all:
                await asyncio.sleep(0.001)
        return self._goodbyes.all.pop(0)

    @property
    def said_goodbye(self) -> bool:
        return bool(self._goodbyes.all)

    def hang_up(self) -> None:
        for connection in self._clients:
            connection.abort()

    async def rest(self) -> None:
        """Return when nothing is left of any connection."""
        async with asyncio.timeout(PATIENCE):
            while self.server.server_state.connections or self.server.server_state.tasks:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(
    layer: str | type[asyncio.Protocol],
    *,
    store: MemoryStore | None = None,
    certificate: Certificate | None = None,
    trust: ssl.SSLContext | None = None,
    **settings: Any,
) -> AsyncIterator[Site]:
    """Run a server for the length of a block, and see that it comes to rest.

    With a ``certificate`` it speaks TLS, and clients trust what ``trust`` says.
    """
    app = create_app(Settings(**settings), store=store or MemoryStore())
    service: Service = app.state.service
    goodbyes = Goodbyes(service.telemetry)
    service.registry._observer = goodbyes
    config = uvicorn.Config(
        app,
        port=0,
        http="httptools",
        ws=layer,
        ws_max_size=service.settings.max_message_bytes,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        ssl_context_factory=(lambda _config, _default: certificate.context) if certificate else None,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # as collabd.telemetry does
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    site = Site(server, service, goodbyes, trust)
    try:
        yield site
    finally:
        for listening in server.servers:
            listening.close()
        await service.drain()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await site.rest()
        await server.lifespan.shutdown()
        site.hang_up()


async def received(connection: ClientConnection) -> list[messages.Message]:
    """The messages of the next frame."""
    data = await asyncio.wait_for(connection.recv(), PATIENCE)
    assert isinstance(data, bytes), "the server sends binary messages only"
    return [unpack(data, LARGEST)] if data[:1] == PACKED else messages.decode(data)


async def until(connection: ClientConnection, kind: type) -> Any:
    """Read up to the first message of a kind."""
    while True:
        for message in await received(connection):
            if isinstance(message, kind):
                return message


async def closed(connection: ClientConnection) -> tuple[int, str]:
    """Read until the server closes; the code and reason it gave (1006 if none)."""
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                await connection.recv()
        except ConnectionClosed as end:
            if end.rcvd is None:
                return 1006, ""
            return end.rcvd.code, end.rcvd.reason
