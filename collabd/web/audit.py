"""The audit log: who signed in, restored, deleted, made and revoked tokens; lines that begin with an event.

They go to the logger ``collabd.audit``, at the level of information: whoever runs collabd decides where they
are kept.
"""

import logging

from starlette.requests import HTTPConnection

from .identity import address_of

logger = logging.getLogger("collabd.audit")


def note(event: str, request: HTTPConnection, **about: object) -> None:
    """Write a line. ``about`` holds ids and names, never credentials."""
    told = " ".join(f"{name}={value!r}" for name, value in about.items())
    logger.info("%s %s", event, told, extra={"event": event, "address": address_of(request), **about})
