"""Work that takes long, done in a process of its own, so that nobody else waits for it.

A thread would not do: it takes turns with the event loop's, each several milliseconds long. ::

    worker = Worker()
    summary = await worker.run(check_update, data)

The process is this module, run as ``python -m collabd.worker``. It imports what the functions need and
nothing of the program that embeds collabd (``multiprocessing`` would run its main module again). Both ends
are ours, so they speak pickle, each message preceded by its length.
"""

import asyncio
import contextlib
import logging
import math
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final, Protocol, TypeVar

from collabd.errors import CollabdError, ShuttingDown, WorkEnded, WorkFailed

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS: Final = 120.0
"""What a call may take: far more than the largest message does."""
IDLE_SECONDS: Final = 60.0
"""After so long without work the process ends, and its memory is free."""
MEMORY: Final = 96 * 2**20
"""Bytes at which the process ends after a call: what Python once took it hardly gives back."""
NICENESS: Final = 5
"""Of a process that somebody waits for, beside the server."""
LATE_NICENESS: Final = 10
"""Of one that nobody waits for and for which no time was left over: about a tenth of a processor that is
wanted by all."""
PATIENCE: Final = 1.0
"""Seconds for which a call that nobody waits for may get nowhere: it is begun anew with more priority..."""
STARVED: Final = 0.25
"""...if it had less than this share of a processor in that time."""
_LENGTH: Final = struct.Struct(">Q")


class Runner(Protocol):
    """What carries out functions away from the event loop, one after the other."""

    async def run(self, function: Callable[..., T], *args: Any, seconds: float = SECONDS) -> T:
        """Return what ``function(*args)`` does, or raise what it raises.

        Args:
            function: one found by name in its module.
            args: what can be pickled, like the result.
            seconds: what it may take.

        Raises:
            WorkEnded: it took longer, or ended its process.
            WorkFailed: it raised what is no error of collabd's.
            ShuttingDown: nothing is done any more.
        """


class _Starved(Exception):
    """A call got nowhere with the time that was left over."""


class _Watch:
    """Kills a process that takes too long for a call.

    Args:
        starves: also, and sooner, if it hardly has any time of the processor for a while.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", seconds: float, *, starves: bool) -> None:
        self.late = self.starved = False
        self._process = process
        self._seconds = seconds
        self._starves = starves
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._look_after_it, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """The call has ended; the process is not killed from now on."""
        self._has_ended.set()
        self._thread.join()

    def _look_after_it(self) -> None:
        until = time.monotonic() + self._seconds
        had = _processor_seconds(self._process.pid) if self._starves else 0.0
        while (left := until - time.monotonic()) > 0:
            if self._has_ended.wait(min(PATIENCE, left) if self._starves else left):
                return
            if self._starves and left > PATIENCE:
                has = _processor_seconds(self._process.pid)
                if has - had < PATIENCE * STARVED:
                    self.starved = True
                    break
                had = has
        self.late = not self.starved
        self._process.kill()


def _processor_seconds(pid: int) -> float:
    """What a process has had of a processor; infinite where that cannot be told."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError):
        return math.inf


class ThreadRunner:
    """A runner where there can be no process. What takes too long is not ended."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "collabd-work")

    async def run(self, function: Callable[..., T], *args: Any, seconds: float = SECONDS) -> T:
        """See :class:`Runner`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)


class Worker:
    """A runner that has a process, from the first call on until it has been idle for long.

    Call :meth:`close` in the end. The process ends with ours in any case.

    Args:
        awaited: whether somebody waits for what it does. If not, the process takes what time of the processor
            is left over, so that one who types does not notice it; only when a call gets nowhere like that
            is it begun anew, and gets a little in any case.
        idle_seconds: after so long without work the process ends.
        executable: the Python to run; None if there can be no process.
    """

    def __init__(
        self,
        *,
        awaited: bool = True,
        idle_seconds: float = IDLE_SECONDS,
        executable: str | None = sys.executable,
    ) -> None:
        self._awaited = awaited
        self._is_late = False
        """Whether what nobody waits for got nowhere, and is begun anew."""
        self._idle_seconds = idle_seconds
        self._executable = executable
        self._thread = ThreadPoolExecutor(1, "collabd-worker")
        """Talks to the process, so that nothing depends on the event loop's kind; it starts and stops it."""
        self._process: subprocess.Popen[bytes] | None = None
        self._calls = 0
        self._idle: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """The id of the process, if there is one at the moment."""
        process = self._process
        return None if process is None else process.pid

    async def run(self, function: Callable[..., T], *args: Any, seconds: float = SECONDS) -> T:
        """See :class:`Runner`."""
        if self._is_closed:
            raise ShuttingDown("nothing more is begun")
        loop = asyncio.get_running_loop()
        if self._idle is not None:
            self._idle.cancel()
        self._calls += 1
        try:
            succeeded, outcome = await loop.run_in_executor(self._thread, self._call, function, args, seconds)
        finally:
            self._calls -= 1
            if not self._calls and not self._is_closed:
                self._idle = loop.call_later(self._idle_seconds, self._on_idle)
        if succeeded:
            return outcome  # type: ignore[no-any-return]
        raise outcome

    async def close(self) -> None:
        """End the process at once; who waits for it gets ShuttingDown."""
        self._is_closed = True
        if self._idle is not None:
            self._idle.cancel()
        process = self._process
        if process is not None:
            process.kill()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._stop)
        self._thread.shutdown(wait=False)

    def _on_idle(self) -> None:
        if not self._calls and not self._is_closed:
            self._thread.submit(self._stop)

    # In the thread

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...], seconds: float) -> tuple[bool, Any]:
        """Whether it went well, and the result or the error."""
        if self._awaited:
            return self._ask(function, args, seconds)
        with contextlib.suppress(_Starved):
            return self._ask(function, args, seconds)
        self._is_late = True
        try:
            return self._ask(function, args, seconds)
        finally:
            self._is_late = False
            self._stop()

    def _ask(self, function: Callable[..., Any], args: tuple[Any, ...], seconds: float) -> tuple[bool, Any]:
        if self._is_closed:
            raise ShuttingDown("nothing more is begun")
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        process = self._process or self._start()
        if process is None:
            return True, function(*args)
        watch = _Watch(process, seconds, starves=not self._awaited and not self._is_late)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            _write(process.stdin, pickle.dumps((function, args), pickle.HIGHEST_PROTOCOL))
            answer = _read(process.stdout)
        except OSError:
            answer = None
        finally:
            watch.end()
        if answer is None:
            code = self._stop()
            if self._is_closed:
                raise ShuttingDown("the work was given up")
            if watch.starved:
                raise _Starved
            reason = f"took longer than {seconds:g} s" if watch.late else f"ended its process ({code})"
            logger.error("%s %s", function.__qualname__, reason)
            raise WorkEnded(f"the work {reason}")
        succeeded, outcome, is_last = pickle.loads(answer)  # noqa: S301 (our own process wrote it)
        if is_last or watch.late or watch.starved:
            self._stop()
        return succeeded, outcome

    def _start(self) -> "subprocess.Popen[bytes] | None":
        if not self._executable or getattr(sys, "frozen", False):
            return None  # a program in one file, or one that embeds Python
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            self._process = subprocess.Popen(
                [self._executable, "-P", "-m", "collabd.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                # Not a session of its own: Linux shares the processor out among sessions first, and then it
                # would have as much of it as the server, whatever its priority.
                process_group=0,
            )
        except OSError as error:
            logger.warning("heavy work is done in a thread: no process can be started: %s", error)
            self._executable = None
            return None
        self._step_back(self._process.pid)
        if self._is_closed:
            self._process.kill()
        return self._process

    def _step_back(self, pid: int) -> None:
        """Let the process yield to ours, already while it starts."""
        with contextlib.suppress(AttributeError, OSError):
            if self._awaited or self._is_late or not hasattr(os, "SCHED_IDLE"):
                os.setpriority(os.PRIO_PROCESS, pid, NICENESS if self._awaited else LATE_NICENESS)
            else:
                os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))

    def _stop(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _write(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(_LENGTH.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """The next message; None at the end."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = pipe.read(length)
    return message if len(message) == length else None


# In the process


def _main() -> None:
    """Answer calls until stdin ends, which it does at the latest when the server is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server needs us until it has drained
    calls, answers = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints must not get in between
    while (call := _read(calls)) is not None:
        succeeded, outcome = _outcome(call)
        is_last = _memory() > MEMORY
        _write(answers, pickle.dumps((succeeded, outcome, is_last), pickle.HIGHEST_PROTOCOL))
        del outcome, call


def _outcome(call: bytes) -> tuple[bool, Any]:
    try:
        function, args = pickle.loads(call)  # noqa: S301 (our own server wrote it)
        return True, function(*args)
    except CollabdError as error:
        return False, error.with_traceback(None)
    except BaseException as error:  # a panic of pycrdt's is no Exception
        return False, WorkFailed(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")


def _memory() -> int:
    """Bytes this process has in use; 0 where that cannot be told. (``getrusage`` counts the server's.)"""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    _main()
