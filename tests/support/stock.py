"""Stock Yjs clients: y-websocket's provider in Node.js, driven from Python (tests/node/client.mjs)."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.clients import WAIT_SECONDS
from tests.support.server import RunningServer

SCRIPTS = Path(__file__).parent.parent / "node"


class StockClients:
    """Any number of stock clients in one Node.js process."""

    def __init__(self, process: "asyncio.subprocess.Process") -> None:
        self._process = process

    async def __call__(
        self, command: str, client: str = "", *, within: float = WAIT_SECONDS, **rest: Any
    ) -> Any:
        """Have a command of client.mjs carried out and return its result.

        One is done after the other. TimeoutError if it takes more than ``within`` seconds.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, "client": client, **rest}).encode() + b"\n")
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]


@asynccontextmanager
async def stock_clients(
    node: str,
    server: RunningServer | None = None,
    clock: float = 1,
    *,
    url: str = "",
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[StockClients]:
    """Run Node.js for the length of a block, with clients of a server or of a ``url``.

    Time passes ``clock`` times faster in there. ``environment`` is added to this process's.
    """
    if server is not None:
        url = f"ws://127.0.0.1:{server.port}/ws"
    process = await asyncio.create_subprocess_exec(
        node,
        str(SCRIPTS / "client.mjs"),
        url,
        str(clock),
        env=os.environ | dict(environment or {}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    try:
        yield StockClients(process)
    finally:
        process.kill()
        await process.communicate()
