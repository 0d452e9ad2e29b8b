"""What can be seen of a running server from outside: metrics, log lines, memory, its database."""

import asyncio
import contextlib
import json
import math
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families

from tests.support.clients import WAIT_SECONDS
from tests.support.server import WORKERS, RunningServer

HELPER_BYTES = 40 * 2**20
"""About what a process takes that works for a server and was given nothing yet: 34 MB. They come when there
is something to do and go later, so whether one is there just then says nothing about what was sent."""

ServerFactory = Callable[..., RunningServer]
"""The type of the fixture ``server``."""


def figures(server: RunningServer) -> dict[str, float]:
    """All metrics, by name; one with labels as ``name{code=1000}``."""
    status, text = server.get("/metrics")
    assert status == 200
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def becomes(look: Callable[[], object], expected: object, seconds: float = WAIT_SECONDS) -> None:
    """Return once ``look()`` gives what is expected; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while (seen := await asyncio.to_thread(look)) != expected:
        assert time.monotonic() < deadline, f"{seen!r} did not become {expected!r}"
        await asyncio.sleep(0.02)


async def figure_becomes(
    server: RunningServer, name: str, expected: float, seconds: float = WAIT_SECONDS
) -> None:
    """Return once a metric has the value expected."""
    await becomes(lambda: figures(server).get(name, 0.0), expected, seconds)


def copies(seen: dict[str, float]) -> float:
    """On how many processes the one document that anybody has open is, by the server's figures. One, unless
    the server has workers: see ``tests.support.server.WORKERS``."""
    most = max(1, int(WORKERS or 1))
    # Figures of a worker that was too slow to say them are missing.
    return seen["collabd_rooms"] if 1 <= seen["collabd_rooms"] <= most else math.nan


def log_lines(server: RunningServer, event: str | None = None) -> list[dict[str, Any]]:
    """The log of a server that runs with ``--log-format json``, or the lines of one event of it."""
    lines = [json.loads(line) for line in server.log.splitlines()]
    return [line for line in lines if event is None or line.get("event") == event]


def exported_text(server: RunningServer, document: str) -> str:
    """The document's text as the HTTP interface gives it out."""
    status, text = server.get(f"/api/v1/documents/{quote(document, safe='')}?format=text&root=content")
    assert status == 200, text
    return text


def resident_bytes(server: RunningServer, *, helpers: bool = True) -> int:
    """Memory the server's process has in use, with what helpers have beyond ``HELPER_BYTES``."""
    pid = server.process.pid
    own = _resident_bytes(pid)
    assert own, "the server is not running"
    beside = map(_resident_bytes, children(pid) if helpers else ())
    return own + sum(max(0, taken - HELPER_BYTES) for taken in beside)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            found += map(int, tasks.read_text().split())
    return found


def _resident_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def database(server: RunningServer) -> Path:
    """Where the server's SQLite file is."""
    return Path(server.store.removeprefix("sqlite:///"))


def select(server: RunningServer, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Look something up in the database without touching it, also while the server runs."""
    with sqlite3.connect(f"file:{database(server)}?mode=ro", uri=True) as connection:
        found = connection.execute(query, parameters).fetchall()
    connection.close()
    return found


def logged_updates(server: RunningServer, document: str) -> int:
    """How many updates of a document are in the log."""
    query = """
        SELECT coalesce(sum(log.count), 0) FROM log JOIN documents ON documents.id = log.document
        WHERE documents.name = ?"""
    return int(select(server, query, document)[0][0])


def snapshot_seq(server: RunningServer, document: str) -> int:
    """Up to which update the snapshot of a document goes; 0 if there is none."""
    query = """
        SELECT coalesce(max(snapshots.seq), 0) FROM snapshots
        JOIN documents ON documents.id = snapshots.document WHERE documents.name = ?"""
    return int(select(server, query, document)[0][0])
