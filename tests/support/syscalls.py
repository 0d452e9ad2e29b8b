"""What a process asked of the system, in order, as strace saw it."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.server import RunningServer
from tests.support.watching import children

TRACED: Final = "write,writev,sendto,sendmsg,pwrite64,ftruncate,fdatasync,fsync"
STRING_BYTES: Final = 1 << 20
"""How much of what is written gets into the trace: all."""

_BEGUN: Final = re.compile(r"(\d+) +(\w+)\(\d+<([^>]*)>(.*)")
_RESUMED: Final = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>.*= (-?\d+)")
_RESULT: Final = re.compile(r"\) += (-?\d+)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_UNFINISHED: Final = "<unfinished ...>"


class Call(NamedTuple):
    """One system call on a file or socket."""

    begun: int
    """The line of the trace where it began."""
    done: int
    """And where it had returned."""
    name: str
    target: str
    """The path of the file, or ``socket:[number]``."""
    data: bytes
    """What was written of what it was given."""
    number: int
    """The last argument: where in the file, or its new length."""


def strace(trace: Path, *options: str) -> list[str]:
    """What to put before a command so that its calls are written to a file. Skips if strace is not here."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("no strace on PATH: run scripts/test once as root, or install it")
    return [program, "-f", "-y", "-xx", "-s", str(STRING_BYTES), "-o", str(trace), *options]


def stop_traced(server: RunningServer) -> None:
    """Stop a server that runs under strace, which does not hand signals on."""
    for pid in children(server.process.pid):
        os.kill(pid, signal.SIGTERM)
    server.process.wait(30)
    server.kill()


def kill_traced(server: RunningServer) -> None:
    """End a server that runs under strace, by SIGKILL, and strace with it."""
    for pid in children(server.process.pid):
        os.kill(pid, signal.SIGKILL)
    server.kill()


def calls(trace: Path) -> Iterator[Call]:
    """The calls that returned, in the order in which they did."""
    unfinished: dict[str, tuple[int, str, str, str]] = {}
    with trace.open(encoding="ascii") as lines:
        for number, line in enumerate(lines):
            if begun := _BEGUN.match(line):
                thread, name, target, rest = begun.groups()
                if rest.endswith(_UNFINISHED):
                    unfinished[thread] = number, name, target, rest
                elif result := _RESULT.search(rest):
                    yield _call(number, number, name, target, rest, int(result[1]))
            elif (resumed := _RESUMED.match(line)) and resumed[1] in unfinished:
                first, name, target, rest = unfinished.pop(resumed[1])
                yield _call(first, number, name, target, rest, int(resumed[3]))


def _call(begun: int, done: int, name: str, target: str, rest: str, result: int) -> Call:
    data = b"".join(bytes.fromhex(text.replace("\\x", "")) for text in _STRING.findall(rest))
    if result >= 0:
        data = data[:result]
    arguments = re.findall(r", (\d+)(?=\)| <unf)", rest)
    path = bytes.fromhex(target.replace("\\x", "")).decode(errors="replace")
    return Call(begun, done, name, path, data, int(arguments[-1]) if arguments else 0)
