"""The servers that are compared: how each is started, reached, and looked at from outside."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .exposition import Figures, read_exposition

BENCHMARKS = Path(__file__).resolve().parent.parent

SERVERS_ON, LOAD_ON = 0, 1
"""Processors."""
START_SECONDS = 20.0

COLLABD = "collabd"
NO_LOG = "collabd-without-log"
"""What the log costs is the difference."""
Y_WEBSOCKET = "y-websocket"
HOCUSPOCUS = "Hocuspocus"
PYCRDT_WEBSOCKET = "pycrdt-websocket"
RELAY = "C relay"
"""No document, no log, no checks: the limit of what the wire allows."""

PEERS = (Y_WEBSOCKET, HOCUSPOCUS, PYCRDT_WEBSOCKET)


@dataclass(frozen=True)
class Server:
    """One server: the command that starts it, and how the load generator reaches it.

    ``{folder}``, ``{peers}`` and ``{port}`` in the command stand for a folder of its own on the disk to
    commit to, the folder that setup-peers has filled, and the port to listen on.
    """

    name: str
    command: str
    path: str = "/%s"
    protocol: str = "y-websocket"

    @property
    def has_metrics(self) -> bool:
        return self.name in {COLLABD, NO_LOG}


_SERVE = f"{sys.executable} -m collabd serve --port {{port}} --log-level warning"

SERVERS = {
    server.name: server
    for server in (
        Server(COLLABD, f"{_SERVE} --store sqlite:///{{folder}}/collabd.db", "/ws/%s"),
        Server(NO_LOG, f"{_SERVE} --store memory:", "/ws/%s"),
        Server(
            Y_WEBSOCKET,
            "env HOST=127.0.0.1 PORT={port} {peers}/node"
            " {peers}/y-websocket/node_modules/y-websocket/bin/server.cjs",
        ),
        Server(
            HOCUSPOCUS,
            f"{{peers}}/node {BENCHMARKS}/peers/hocuspocus.mjs {{peers}} {{port}}",
            "/",
            "hocuspocus",
        ),
        Server(
            PYCRDT_WEBSOCKET, f"{{peers}}/python/bin/python {BENCHMARKS}/peers/pycrdt_websocket.py {{port}}"
        ),
        Server(RELAY, "{peers}/relay {port}"),
    )
}


@dataclass(frozen=True)
class Bench:
    """What all measurements of a run have in common.

    Args:
        peers: the folder that setup-peers has filled.
        scratch: a folder for this run, on the disk to commit to.
        seconds: how long it is measured, once it is warm.
        quick: whether to find out only if everything works.
    """

    peers: Path
    scratch: Path
    seconds: float
    quick: bool

    def pick(self, full: int, quick: int) -> int:
        """An amount, by whether the run is quick."""
        return quick if self.quick else full


class Sample(NamedTuple):
    """A server at one moment: seconds of processor time it has used, and its memory in bytes."""

    at: float
    user: float
    system: float
    resident: int
    """Of all its processes."""
    own_resident: int
    """Of the first."""


@dataclass
class Running:
    """A server that runs."""

    server: Server
    process: "subprocess.Popen[bytes]"
    port: int

    def sample(self) -> Sample:
        """Look at the process and its children."""
        user = system = 0.0
        resident: list[int] = []
        processes = [self.process.pid]
        while processes:
            pid = processes.pop()
            try:
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                processes += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                continue
            user += int(stat[11]) / _TICKS
            system += int(stat[12]) / _TICKS
            resident.append(int(stat[21]) * _PAGE)
        return Sample(time.monotonic(), user, system, sum(resident), resident[0] if resident else 0)

    def figures(self) -> Figures:
        """What a collabd says of itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=START_SECONDS) as answer:
            return read_exposition(answer.read().decode())


_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(bench: Bench, name: str, stored: Path | None = None) -> Iterator[Running]:
    """Run a server for the length of a block, on a processor and in a folder of its own.

    Args:
        stored: a database that collabd shall find; it gets a copy.

    Raises:
        RuntimeError: it did not start.
    """
    server, port = SERVERS[name], free_port()
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        if stored is not None:
            shutil.copy(stored, Path(folder) / "collabd.db")
        command = server.command.format(port=port, folder=folder, peers=bench.peers)
        with listening(command, port, Path(folder)) as process:
            yield Running(server, process, port)


@contextmanager
def listening(command: str, port: int, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run what listens on a port, for the length of a block, on the servers' processor.

    Raises:
        RuntimeError: it did not start.
    """
    log_path = folder / f"log-{port}"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVERS_ON), *shlex.split(command)],
            cwd=folder,
            env=_environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} did not start:\n{log_path.read_text()}")
            time.sleep(0.05)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


def _environment() -> dict[str, str]:
    """This process's environment without settings of collabd, which is found in this checkout."""
    kept = {name: value for name, value in os.environ.items() if not re.match("COLLABD_", name)}
    return kept | {"PYTHONPATH": str(BENCHMARKS.parent)}
