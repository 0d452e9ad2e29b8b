"""pycrdt-websocket's own ASGI server on uvicorn, keeping documents in memory.

    python pycrdt_websocket.py PORT

Rooms are opened under a lock, as two clients that open one at the same moment break it otherwise.
"""

import sys

import anyio
import uvicorn
import uvloop
from pycrdt.websocket import ASGIServer, WebsocketServer, YRoom


class Rooms(WebsocketServer):
    """One room for each document, opened once."""

    def __init__(self) -> None:
        super().__init__(auto_clean_rooms=False)
        self._lock = anyio.Lock()

    async def get_room(self, name: str) -> YRoom:
        async with self._lock:
            return await super().get_room(name)


async def serve(port: int) -> None:
    async with Rooms() as rooms:
        config = uvicorn.Config(ASGIServer(rooms), port=port, log_level="warning", lifespan="off")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
