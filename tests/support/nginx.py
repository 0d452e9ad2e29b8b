"""A real nginx with the configuration of deploy/, before servers of a test."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from scripts.page import ROOT
from tests.support.certificates import Authority

CONFIGURATION: Final = ROOT / "deploy" / "nginx.conf"
START_SECONDS: Final = 20.0
TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""What nginx keeps files of for a while; all want a folder that it may write to, whoever runs it."""


def program() -> str:
    """The path of nginx; skips the test if there is none."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("no nginx on PATH, nor in /usr/sbin")
    return found


class Nginx:
    """The balancer of deploy/, with ports and paths of this machine in the place of its own.

    Args:
        servers: ports of those in the place of ``collabd-1`` and ``collabd-2``.
        changes: what else is replaced in the file; all of it has to be there.
    """

    def __init__(
        self, directory: Path, servers: Sequence[int], changes: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        authority = Authority()
        self.trust: ssl.SSLContext = authority.trust
        self.authority_path = directory / "authority.pem"
        authority.write_to(self.authority_path)
        files = authority.issue(directory)
        folders = " ".join(f"{name}_temp_path {directory / name};" for name in TEMPORARY)
        replaced = {
            "http {": f"http {{ {folders}",
            "listen 8443": f"listen 127.0.0.1:{self.port}",
            "/secrets/server.pem": str(files.certificate),
            "/secrets/server.key": str(files.key),
            "http://keycloak:8080": f"http://127.0.0.1:{self.port}",
        }
        replaced |= {f"collabd-{number}:8000": f"127.0.0.1:{port}" for number, port in enumerate(servers, 1)}
        text = CONFIGURATION.read_text()
        for old, new in (replaced | dict(changes or {})).items():
            assert old in text, f"deploy/nginx.conf has no {old!r}"
            text = text.replace(old, new)
        self.configuration = directory / "nginx.conf"
        self.configuration.write_text(text)
        self.log_path = directory / "access.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """nginx with this configuration, in the foreground."""
        own = f"daemon off; pid {self.directory / 'nginx.pid'};"
        if os.geteuid() == 0:
            own += " user root;"  # or its workers could not write into folders of tests
        return [
            *(program(), "-p", str(self.directory), "-c", str(self.configuration)),
            *("-e", str(self.directory / "error.log"), "-g", own),
        ]

    @property
    def url(self) -> str:
        """The address, with no slash at the end."""
        return f"https://127.0.0.1:{self.port}"

    def websocket_url(self, document: str) -> str:
        """Where a y-websocket client finds a document."""
        return f"wss://127.0.0.1:{self.port}/ws/{quote(document)}"

    @property
    def log(self) -> str:
        """What nginx wrote of requests and errors."""
        return self.log_path.read_text() + (self.directory / "error.log").read_text()

    def request(
        self, verb: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Ask for a path; the status and the body."""
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self.trust)
        try:
            connection.request(verb, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def start(self) -> None:
        """Start it, and return when it listens."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                assert self._process.poll() is None, f"nginx does not start: {self.log}"
                assert time.monotonic() < deadline, f"nginx does not listen: {self.log}"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it, its workers too."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_SECONDS)


@contextmanager
def running_nginx(
    directory: Path, servers: Sequence[int], changes: Mapping[str, str] | None = None
) -> Iterator[Nginx]:
    """Run nginx for the length of a block, with the arguments of :class:`Nginx`."""
    directory.mkdir()
    nginx = Nginx(directory, servers, changes)
    nginx.start()
    try:
        yield nginx
    finally:
        nginx.stop()
