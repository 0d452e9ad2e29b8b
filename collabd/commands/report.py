"""How a command says what it does: for people line by line, for programs as one JSON object at the end."""

import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from collabd.errors import CollabdError
from collabd.operations import Event, OperationFailed

AGAIN_AFTER: Final = 1.0
"""Seconds between two lines of progress where they stay."""

FAILURES: Final = (CollabdError, OperationFailed)
"""What can be told by its code."""

Show = Callable[[Event], str]


class Report:
    """What a command has to say.

    Args:
        as_json: for programs.
        progress: tell of progress on stderr even if that is no terminal.
    """

    def __init__(self, *, as_json: bool, progress: bool) -> None:
        self._as_json = as_json
        self._is_terminal = sys.stderr.isatty()
        self._tells_progress = progress or self._is_terminal
        self._progress = ""
        self._told_at = 0.0
        self._rows: list[dict[str, Any]] = []
        self._result: dict[str, Any] = {}
        self.rows_as = ""
        """What the rows are called in JSON; a command that has any says so."""
        self.has_failed = False
        """Whether something was wrong about any row."""

    async def follow(
        self, events: AsyncIterator[Event], show: Show | None = None, end: Show | None = None
    ) -> Event:
        """Tell of an operation while it goes on, and return its result.

        Args:
            show: a row, for people; rows about a failure are shown alike by all.
            end: the result, for people.
        """
        outcome: Event = {}
        async for event in events:
            match event["event"]:
                case "progress":
                    self.progress(event["what"], event["done"], event["total"])
                case "row":
                    self.row(event, show)
                case "result":
                    outcome = event
        self.result(outcome, end)
        return outcome

    def row(self, event: Event, show: Show | None) -> None:
        """One of several answers."""
        fields = _fields(event)
        self._rows.append(fields)
        if "error" in event:
            self.has_failed = True
            if not self._as_json:
                self._say(f"{event['name']}: {event['message']}", to_stderr=True)
        elif show is not None and not self._as_json:
            self._say(show(event))

    def result(self, event: Event, end: Show | None) -> None:
        """The outcome of it all."""
        self._result |= _fields(event)
        if end is not None and not self._as_json:
            self._say(end(event))

    def progress(self, what: str, done: int, total: int | None) -> None:
        """How far it has come."""
        if not self._tells_progress:
            return
        told = f"{what} {done}" if total is None else f"{what} {done} of {total}"
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[K{told}")
            self._progress = told
        elif time.monotonic() - self._told_at >= AGAIN_AFTER:
            self._told_at = time.monotonic()
            sys.stderr.write(f"{told}\n")
        sys.stderr.flush()

    def finish(self, error: CollabdError | OperationFailed | None = None) -> None:
        """Say the last words; ``error`` is why the command failed, if it did."""
        self._clear()
        if self._as_json:
            answer = ({self.rows_as: self._rows} if self.rows_as else {}) | self._result
            if error is not None:
                answer |= {"error": error.code, "message": str(error)}
            sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
        elif error is not None:
            sys.stderr.write(f"collabd: {error}\n")
        sys.stdout.flush()

    def _say(self, line: str, *, to_stderr: bool = False) -> None:
        self._clear()
        (sys.stderr if to_stderr else sys.stdout).write(f"{line}\n")

    def _clear(self) -> None:
        if self._progress:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._progress = ""


def _fields(event: Event) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "event"}


def size_of(count: int) -> str:
    """An amount of bytes for people."""
    amount = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


def counted(count: int, what: str) -> str:
    """``1 document``, ``2 documents``."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
