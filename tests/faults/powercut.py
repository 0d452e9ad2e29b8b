"""What a power cut leaves of files that are written to: what was synced, and anything of the rest."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.syscalls import Call

WRITES = ("pwrite64", "ftruncate")
SYNCS = ("fdatasync", "fsync")
SENDS = ("write", "writev", "sendto", "sendmsg")


class Sent(NamedTuple):
    """A WebSocket message the server sent."""

    at: int
    """The line of the trace at which its first byte began to leave."""
    socket: str
    payload: bytes


def messages_sent(calls: Iterable[Call]) -> list[Sent]:
    """The messages of all WebSocket connections, in order. (The server masks and fragments nothing.)"""
    found = []
    buffers: dict[str, bytearray] = {}
    begins: dict[str, list[tuple[int, int]]] = {}
    for call in calls:
        if call.name not in SENDS or not call.target.startswith("socket:"):
            continue
        buffer = buffers.setdefault(call.target, bytearray())
        begun = begins.setdefault(call.target, [])
        begun.append((len(buffer), call.begun))
        buffer += call.data
    for socket, buffer in buffers.items():
        position = buffer.find(b"\r\n\r\n") + 4
        if not buffer.startswith(b"HTTP/1.1 101"):
            continue
        while position + 2 <= len(buffer):
            start, size = position, buffer[position + 1]
            position += 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size = int.from_bytes(buffer[position : position + width], "big")
                position += width
            payload = bytes(buffer[position : position + size])
            position += size
            at = max(line for offset, line in begins[socket] if offset <= start)
            if buffer[start] == 0x82:
                found.append(Sent(at, socket, payload))
    return sorted(found)


def synced_at(calls: Sequence[Call], path: Path, piece: bytes) -> int | None:
    """The line at which a sync had returned that began after a piece was first written to a file."""
    written = next(
        (
            call.done
            for call in calls
            if call.name in WRITES and call.target == str(path) and piece in call.data
        ),
        None,
    )
    if written is None:
        return None
    return min(
        (
            call.done
            for call in calls
            if call.name in SYNCS and call.target == str(path) and call.begun > written
        ),
        default=None,
    )


def cut(
    calls: Iterable[Call], line: int, base: dict[Path, bytes], chance: random.Random
) -> dict[Path, bytes]:
    """What files hold whose power is cut at a line of the trace.

    ``base`` is what they held before the first of the calls. What was synced is there; of what was written
    since, nothing is, or all, or some of it, torn.
    """
    files = {path: bytearray(content) for path, content in base.items()}
    waiting: dict[Path, list[Call]] = {path: [] for path in base}
    for call in calls:
        path = Path(call.target)
        if call.begun > line or path not in files:
            continue
        if call.name in WRITES:
            waiting[path].append(call)
        elif call.name in SYNCS and call.done <= line:
            kept = [write for write in waiting[path] if write.done >= call.begun]
            for write in waiting[path]:
                if write.done < call.begun:
                    _apply(files[path], write)
            waiting[path] = kept
    whim = chance.choice((0.0, 1.0, 0.5))
    for path, writes in waiting.items():
        for write in writes:
            if chance.random() < whim:
                torn = whim == 0.5 and chance.random() < 0.3
                data = write.data[: chance.randrange(len(write.data) + 1)] if torn else write.data
                _apply(files[path], write._replace(data=data))
    return {path: bytes(content) for path, content in files.items()}


def _apply(content: bytearray, write: Call) -> None:
    if write.name == "ftruncate":
        del content[write.number :]
        content.extend(bytes(write.number - len(content)))
        return
    if write.number > len(content):
        content.extend(bytes(write.number - len(content)))
    content[write.number : write.number + len(write.data)] = write.data
