"""The commands, run as people run them, beside a running server or on a file at rest."""

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from collabd.cli import main
from tests.support.server import RunningServer, clean_environment

SECONDS = 60.0
"""How long a command may take."""


class Done(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object that --json answers with."""
        return json.loads(self.out)


class Place:
    """A folder with a store, which a server owns or not.

    Args:
        server: one that runs there.
    """

    def __init__(self, folder: Path, server: RunningServer | None = None) -> None:
        self.folder = folder
        self.server = server
        self.database = folder / "collabd.db"

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "collabd", *arguments],
            cwd=self.folder,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Done:
        """Run a command to its end, in this process, which starts faster."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.dict(os.environ, clean_environment(), clear=True),
        ):
            try:
                code = main(arguments)
            except SystemExit as stop:
                code = int(stop.code or 0)
        texts = []
        for stream in (out, err):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode())
        return Done(code, *texts)

    def end(self, process: "subprocess.Popen[str]") -> Done:
        """Wait for a command that was begun."""
        with process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            return Done(process.returncode, out, err)

    async def ask(self, *arguments: str) -> Done:
        """Run a command while others go on."""
        return await asyncio.to_thread(self.run, *arguments)

    def ok(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it says."""
        done = self.run(*arguments)
        assert done.code == 0, done
        return done.out
