"""The audit log: who signed in, shared, restored, deleted, revoked; lines that begin with an event.

They go to the logger ``collabd.audit``, at the level of information: whoever runs collabd decides where they
are kept.
"""

import logging

from starlette.requests import HTTPConnection

logger = logging.getLogger("collabd.audit")


class Audit:
    """Notes what was done, by whom and from where."""

    def note(self, event: str, request: HTTPConnection, **about: object) -> None:
        """Write a line. ``about`` holds ids and names, never credentials."""
        address = request.client.host if request.client else ""
        told = " ".join(f"{name}={value!r}" for name, value in about.items())
        logger.info("%s %s", event, told, extra={"event": event, "address": address, **about})
