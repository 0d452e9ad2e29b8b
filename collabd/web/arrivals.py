"""Connections that come in masses are taken up in turn."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from collabd.rooms.turns import Turns

ARRIVAL_SECONDS: Final = 0.001
"""What it takes to read a request, upgrade the connection and let it join, about."""


def in_turn(turns: Callable[[], Turns]) -> type[asyncio.Protocol]:
    """uvicorn's HTTP, which does not read what a new connection sends before it is that one's turn."""

    class InTurn(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            # uvicorn takes the transports of a server's connections for nothing else.
            transport = cast(asyncio.Transport, transport)
            super().connection_made(transport)
            transport.pause_reading()
            turns().ask(partial(_take_up, transport))

    return InTurn


def _take_up(transport: asyncio.Transport) -> float:
    if transport.is_closing():
        return 0.0
    transport.resume_reading()
    return ARRIVAL_SECONDS
