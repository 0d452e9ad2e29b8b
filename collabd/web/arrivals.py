"""Connections that come in masses are taken up in turn."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from collabd.rooms.turns import Turns

ARRIVAL_SECONDS: Final = 0.001
"""What it takes to read a request, upgrade the connection and let it join, about."""


def in_turn(turns: Callable[[], Turns]) -> type[asyncio.Protocol]:
    """uvicorn's HTTP, which does not take up what a new connection sends before it is that one's turn."""

    class InTurn(HttpToolsProtocol):
        _waits = True
        _sent: bytes | None = None
        """What came while it waited. It is not read on then; to pause before there is anything has no effect
        in uvloop, which begins to read once ``connection_made`` has returned."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            # uvicorn takes the transports of a server's connections for nothing else.
            super().connection_made(cast(asyncio.Transport, transport))
            turns().ask(self._take_up)

        def data_received(self, data: bytes) -> None:
            if self._waits:
                self._sent = data if self._sent is None else self._sent + data
                self.transport.pause_reading()
            else:
                self._read(data)

        def _take_up(self) -> float:
            self._waits = False
            if self.transport.is_closing():
                return 0.0
            if self._sent is not None:
                sent, self._sent = self._sent, None
                self.transport.resume_reading()
                try:
                    self._read(sent)
                except BaseException:
                    # As the event loop does where it reads: it ends the one connection.
                    self.transport.abort()
                    raise
            return ARRIVAL_SECONDS

        def _read(self, data: bytes) -> None:
            super().data_received(data)
            if self.transport.get_protocol() is not self:
                # Both hold each other, and Python would look for such circles only after a while, or late:
                # a WebSocket's connection needs neither.
                del self.parser

    return InTurn
