"""``python -m tests.support.owning FOLDER``: owns a store and serves it until its stdin ends."""

import asyncio
import subprocess
import sys
from pathlib import Path

from collabd.persistence.served import serving
from collabd.persistence.sqlite import SQLiteStore
from tests.support.server import clean_environment

SOCKET = "owner.sock"
DATABASE = "documents.db"


class OwningProcess:
    """Such a process, which can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / SOCKET
        self.database = directory / DATABASE
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        """Return when it can be connected to."""
        self._process = await asyncio.to_thread(self._launch)

    def _launch(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.owning", str(self._directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        return process

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


async def _own(directory: Path) -> None:
    store = SQLiteStore(directory / DATABASE)
    await store.start()
    async with serving(directory / SOCKET, store):
        sys.stdout.write("serving\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_own(Path(sys.argv[1])))
