"""``python -m tests.support.owning FOLDER ANSWERS``: owns a store and serves it until its stdin ends.

Of the batches it commits it answers the first ``ANSWERS`` only.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collabd.persistence.base import Appended
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

    async def start(self, answers: int = sys.maxsize) -> None:
        """Return when it can be connected to. It will answer so many batches."""
        self._process = await asyncio.to_thread(self._launch, answers)

    def _launch(self, answers: int) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.owning", str(self._directory), str(answers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        return process

    def freeze(self) -> None:
        """Let it read nothing more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class _ReticentStore(SQLiteStore):
    def __init__(self, database: Path, answers: int) -> None:
        super().__init__(database)
        self._answers = answers

    def append(
        self, name: str, document_id: int | None, updates: Sequence[bytes], *arguments: Any, **others: Any
    ) -> asyncio.Future[Appended]:
        committed = super().append(name, document_id, updates, *arguments, **others)
        self._answers -= 1
        return committed if self._answers >= 0 else asyncio.get_running_loop().create_future()


async def _own(directory: Path, answers: int) -> None:
    store = _ReticentStore(directory / DATABASE, answers)
    await store.start()
    async with serving(directory / SOCKET, store):
        sys.stdout.write("serving\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_own(Path(sys.argv[1]), int(sys.argv[2])))
