"""WebSocket messages sent from a process of its own, so that what it costs to send them slows nobody down
whose edits are timed."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Final

from scripts.page import ROOT
from tests.support.raw import RawConnection, frame
from tests.support.server import RunningServer, clean_environment

SECONDS: Final = 60.0


async def closing_codes(server: RunningServer, sent: Sequence[tuple[str, bytes]]) -> list[int | None]:
    """Send each message on a connection of its own to the document named with it, one after the other, and
    return the codes with which the server closed them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=clean_environment(),
    )
    work = json.dumps([server.port, [(document, message.hex()) for document, message in sent]])
    answer, _ = await process.communicate(work.encode())
    codes: list[int | None] = json.loads(answer)
    return codes


async def _deliver(port: int, document: str, message: bytes) -> int | None:
    connection = await RawConnection.upgraded_at(port, document)
    connection.writer.write(frame(message))
    return await connection.ended(SECONDS)


async def _main() -> None:
    port, sent = json.load(sys.stdin)
    codes = [await _deliver(port, document, bytes.fromhex(message)) for document, message in sent]
    sys.stdout.write(json.dumps(codes))


if __name__ == "__main__":
    asyncio.run(_main())
