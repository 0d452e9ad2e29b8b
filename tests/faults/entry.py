"""``collabd`` as it is, except for what the environment asks for:

- ``FAULTS_KILL=point:n``: SIGKILL at the n-th passing of a point of ``tests/faults/points.py``, counted
  from the beginning, or with ``FAULTS_KILL_LATER=1`` from SIGUSR2 on;
- ``FAULTS_LATENESS=path``: how late the event loop was is written there (``tests/faults/lateness.py``);
- ``FAULTS_SYNCHRONOUS=OFF`` or ``NORMAL``: SQLite syncs less than collabd asks it to;
- ``FAULTS_CLOCK=1``: SIGUSR1 sets the clock back by an hour, for this process alone.

Run as ``python -m tests.faults.entry serve …``.
"""

import functools
import os
import signal
import sqlite3
import sys
import time
from typing import Any

HOUR = 3600.0


def let_the_clock_be_set_back() -> None:
    """Before anything of collabd is imported, which may keep ``time.time`` as it finds it."""
    real = time.time
    offset = 0.0

    def set_back(*_: object) -> None:
        nonlocal offset
        offset -= HOUR

    time.time = lambda: real() + offset
    signal.signal(signal.SIGUSR1, set_back)


def sync_less(level: str) -> None:
    """As if the store asked for less."""

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "PRAGMA synchronous = FULL":
                sql = f"PRAGMA synchronous = {level}"
            return super().execute(sql, *parameters)

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]


if __name__ == "__main__":
    if os.environ.get("FAULTS_CLOCK"):
        let_the_clock_be_set_back()

    from collabd.cli import main
    from tests.faults import lateness, points

    if kill := os.environ.get("FAULTS_KILL"):
        point, _, passing = kill.rpartition(":")
        store = sys.argv[sys.argv.index("--store") + 1]
        begin = points.arm(points.points_of(store), point, int(passing))
        if os.environ.get("FAULTS_KILL_LATER"):
            signal.signal(signal.SIGUSR2, lambda *_: begin())
        else:
            begin()
    if level := os.environ.get("FAULTS_SYNCHRONOUS"):
        sync_less(level)
    if path := os.environ.get("FAULTS_LATENESS"):
        lateness.report_to(path)
    sys.exit(main())
