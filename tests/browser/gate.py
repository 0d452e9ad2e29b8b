"""A network that can be unplugged: a TCP relay in front of a server."""

import asyncio
import contextlib

CHUNK = 65536


class Gate:
    """Relays ``port`` to the server while plugged in; unplugged, it cuts what is open and refuses the rest.

    with a server's port:
        async with Gate(server.port) as gate:
            ...                      # gate.url
            await gate.unplug()
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """The address that leads through the gate, with no slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    async def plug_in(self) -> None:
        """Let connections through, on the same port as before."""
        self._listener = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Cut every connection and refuse new ones."""
        assert self._listener is not None
        self._listener.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._listener.wait_closed()
        self._listener = None

    async def __aenter__(self) -> "Gate":
        await self.plug_in()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._listener is not None:
            await self.unplug()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            self._open.add(writer)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            self._open.add(server_writer)
            await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer))
            self._open -= {writer, server_writer}
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
