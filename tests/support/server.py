"""A real collabd in a process of its own, which can be stopped, killed and started again.

with running_server(tmp_path) as server:
    ...                          # server.url, server.websocket_url("notes")
    server.kill()                # SIGKILL: as a power cut leaves it
    server.start()               # on the same port, with the same store
"""

import http.client
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from scripts.page import ROOT

START_SECONDS = 30.0
STOP_SECONDS = 30.0
COMMAND = (sys.executable, "-m", "collabd")
WORKERS = os.environ.get("TESTS_WITH_WORKERS", "")
"""How many workers servers have that are not told by the test; one process if it is empty. With several, what
a test asks of one process (its metrics, its memory) may be told by another."""


def clean_environment() -> dict[str, str]:
    """This process's environment without settings, and in which this checkout's collabd is found."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COLLABD_")}
    return inherited | {"PYTHONPATH": str(ROOT)}


class RunningServer:
    """One collabd process after another, on one port and one store."""

    def __init__(
        self,
        directory: Path,
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        store: str | None = None,
        command: Sequence[str] = COMMAND,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """``directory`` gets the log and the store (unless ``store`` names another), and is worked in.

        ``options`` are further arguments of ``collabd serve``. Of this process's environment no COLLABD_*
        variable is handed on; ``environment`` is added to the rest. ``command`` is what stands for
        ``collabd``. ``trust`` is for one that speaks TLS: whose certificates are believed.
        """
        self.directory = directory
        self.store = store or f"sqlite:///{directory / 'collabd.db'}"
        self.log_path = directory / "server.log"
        self.port = 0
        self.greeting = ""
        self.trust = trust
        self._command = tuple(command)
        self._options = tuple(options)
        if WORKERS and "--workers" not in options:
            self._options += ("--workers", WORKERS)
        self._environment = clean_environment() | dict(environment or {})
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> "subprocess.Popen[str]":
        """The process that runs, or ran last."""
        assert self._process is not None, "the server was never started"
        return self._process

    @property
    def url(self) -> str:
        """The server's address, with no slash at the end."""
        return f"http{'s' if self.trust else ''}://127.0.0.1:{self.port}"

    def websocket_url(self, document: str) -> str:
        """Where a y-websocket client finds a document."""
        return f"ws{'s' if self.trust else ''}://127.0.0.1:{self.port}/ws/{quote(document)}"

    @property
    def log(self) -> str:
        """Everything the processes wrote to stderr so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start a process and return once it is ready to serve.

        The first one chooses its port, the later ones get the same. ``environment`` is added to what all
        have.
        """
        assert self._process is None or self._process.poll() is not None, "the server is running"
        arguments = ["serve", "--port", str(self.port), "--store", self.store, *self._options]
        with self.log_path.open("a") as log:
            self._process = subprocess.Popen(
                [*self._command, *arguments],
                cwd=self.directory,
                env=self._environment | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        too_late = threading.Timer(START_SECONDS, self._process.kill)
        too_late.start()
        try:
            self.greeting = self._process.stdout.readline()
        finally:
            too_late.cancel()
        address = re.search(r"https?://\S+:(\d+)/", self.greeting)
        if address is None:
            self.kill()
            raise AssertionError(f"the server did not start:\n{self.greeting}{self.log}")
        self.port = int(address[1])
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        answer = ""
        while time.monotonic() < deadline and self.process.poll() is None:
            status, answer = self.get("/readyz")
            if status == 200:
                return
            time.sleep(0.05)
        raise AssertionError(f"the server did not become ready: {answer}\n{self.log}")

    def get(self, path: str) -> tuple[int, str]:
        """GET a path; return the status and the body as text."""
        status, body = self.get_bytes(path)
        return status, body.decode(errors="replace")

    def get_bytes(self, path: str) -> tuple[int, bytes]:
        """GET a path; return the status and the body."""
        connection = self._connection()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def patch(self, document: str, update: bytes) -> None:
        """Write an update to a document."""
        connection = self._connection()
        try:
            connection.request("PATCH", f"/api/v1/documents/{quote(document)}", update)
            response = connection.getresponse()
            assert response.status == 200, response.read()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.trust is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=START_SECONDS, context=self.trust)

    def kill(self) -> None:
        """End the process with SIGKILL and wait until it is gone."""
        self.process.kill()
        self._reap()

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the process to stop, wait until it did and return its exit code."""
        self.process.send_signal(number)
        return self._reap()

    def _reap(self) -> int:
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop within {STOP_SECONDS:g} s:\n{self.log}") from None
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()


@contextmanager
def running_server(
    directory: Path,
    *,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    store: str | None = None,
    command: Sequence[str] = COMMAND,
    trust: ssl.SSLContext | None = None,
) -> Iterator[RunningServer]:
    """Run a server for the length of a block, with the arguments of :class:`RunningServer`."""
    server = RunningServer(
        directory, options=options, environment=environment, store=store, command=command, trust=trust
    )
    server.start()
    try:
        yield server
    finally:
        server.kill()
