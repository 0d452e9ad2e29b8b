"""WebSocket connections as bytes, for what no well-behaved library would send."""

import asyncio
import os
import socket
import struct
from typing import Final

from tests.support.server import RunningServer

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PONG: Final = 10

FIN: Final = 0x80


def handshake(document: str) -> bytes:
    """The request that asks for an upgrade."""
    return (
        f"GET /ws/{document} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


def frame(payload: bytes, kind: int = BINARY, *, fin: bool = True, size: int | None = None) -> bytes:
    """A masked frame; ``size`` is what its header says if that is not the truth."""
    size = len(payload) if size is None else size
    first = bytes((kind | (FIN if fin else 0),))
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = b"\xfe" + struct.pack(">H", size)
    else:
        length = b"\xff" + struct.pack(">Q", size)
    return first + length + bytes(4) + payload  # masked with zeros


class RawConnection:
    """One TCP connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._has_ended = False

    @classmethod
    async def open(cls, server: RunningServer) -> "RawConnection":
        """Connect, and send nothing."""
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    @classmethod
    async def upgraded(cls, server: RunningServer, document: str) -> "RawConnection":
        """Connect and have the connection upgraded."""
        return await cls.upgraded_at(server.port, document)

    @classmethod
    async def upgraded_at(cls, port: int, document: str) -> "RawConnection":
        """As :meth:`upgraded`, where there is only a port."""
        connection = cls(*await asyncio.open_connection("127.0.0.1", port))
        connection.writer.write(handshake(document))
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return connection

    async def ended(self, seconds: float = 20.0) -> int | None:
        """Read until the server ends the connection; return the code of its close frame if there was one.

        The close frame is answered, as the protocol wants, unless we have ended our side.
        """
        code = None
        async with asyncio.timeout(seconds):
            try:
                while True:
                    first, size = await self.reader.readexactly(2)
                    if size == 126:
                        (size,) = struct.unpack(">H", await self.reader.readexactly(2))
                    elif size == 127:
                        (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
                    payload = await self.reader.readexactly(size)
                    if first & 0x0F == CLOSE:
                        (code,) = struct.unpack(">H", payload[:2])
                        if not self._has_ended:
                            self.writer.write(frame(payload, kind=CLOSE))
            except (asyncio.IncompleteReadError, ConnectionError):
                return code
            finally:
                self.abort()

    def end(self) -> None:
        """Say that nothing more will come, and leave the other direction open."""
        self._has_ended = True
        if self.writer.can_write_eof():
            self.writer.write_eof()
            return
        # TLS has no such end; what is below it has.
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as below:
            below.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Vanish."""
        self.writer.transport.abort()
