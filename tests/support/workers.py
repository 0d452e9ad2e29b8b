"""The processes of a server that has several, as the system knows them."""

from pathlib import Path

from tests.support.server import RunningServer


def workers_of(server: RunningServer) -> list[int]:
    """The ids of the processes that serve."""
    supervisor = server.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [pid for pid in map(int, children) if b"collabd.serving" in _command_of(pid)]


def has_ended(pid: int) -> bool:
    """Whether a process is not there any more, or waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
