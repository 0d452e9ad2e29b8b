"""Which pages may talk to this server.

A browser lets any page connect a WebSocket to any server, also one that only listens on the user's own
machine; it says whose page it is in ``Origin``. A page may also point its own name at this machine (DNS
rebinding), after which the browser takes both for the same site; then ``Host`` has that name.
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1", "[::1]")


def may_come_from(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a page of ``origin`` may connect to a server reached as ``host``.

    ``allowed`` are origins beside the server's own. Other clients than browsers send no origin.
    """
    return origin is None or ANY in allowed or origin in allowed or origin.partition("://")[2] == host


def trusted_hosts(allowed: Collection[str]) -> list[str]:
    """Names under which a server may be reached that only listens on this machine: its own, and those of a
    proxy whose origin is allowed."""
    if ANY in allowed:
        return [ANY]
    return [*LOOPBACK_NAMES, *(urlsplit(origin).hostname or "" for origin in allowed)]
