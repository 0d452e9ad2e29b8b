"""How late an event loop is: a task wakes up every few milliseconds and sees how much later it is."""

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Final, NamedTuple

from collabd.server import Server

TICK: Final = 0.005
BOUND: Final = 0.05
"""Seconds that nothing may hold the loop up."""
NOISE_SHARE: Final = 0.05
NOISE_SECONDS: Final = 1.0
"""By how much a busy machine may exceed it, all in all: that much of the time, and a while."""


class Lateness(NamedTuple):
    """What was seen of a loop since the process began or since somebody asked last."""

    worst: float
    """Seconds."""
    over: float
    """All that went over the bound, together (seconds)."""
    watched: float
    """Seconds it was watched."""

    @property
    def is_bounded(self) -> bool:
        """Whether nothing held the loop up.

        A machine that does other things lets any process wait now and then, for longer than the bound; a
        loop that waits for its disk does so again and again.
        """
        return self.over < NOISE_SHARE * self.watched + NOISE_SECONDS


def report_to(path: str) -> None:
    """Watch the loop of the server that this process will run, and write what was seen to a file."""
    original = Server.startup
    watching: list[asyncio.Task[None]] = []

    async def startup(self: Server, sockets: list[socket.socket] | None = None) -> None:
        await original(self, sockets)
        watching.append(asyncio.create_task(_watch(Path(path))))

    Server.startup = startup  # type: ignore[method-assign]


def read(path: Path) -> Lateness:
    """What was seen, as of a moment ago; from now on it is counted anew."""
    reset = path.with_suffix(".reset")
    reset.touch()
    deadline = time.monotonic() + 10
    while reset.exists():
        assert time.monotonic() < deadline, "the server's loop does not turn"
        time.sleep(TICK)
    return Lateness(*json.loads(path.read_text()))


async def _watch(path: Path) -> None:
    reset = path.with_suffix(".reset")
    began = due = time.monotonic()
    worst = over = 0.0
    while True:
        due = time.monotonic() + TICK
        await asyncio.sleep(TICK)
        now = time.monotonic()
        late = now - due
        worst = max(worst, late)
        over += max(0.0, late - BOUND)
        if reset.exists():
            path.write_text(json.dumps([worst, over, now - began]))
            reset.unlink()
            began, worst, over = now, 0.0, 0.0
