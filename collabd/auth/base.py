"""Who a connection speaks for, and what they may do with a document."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum


class Access(IntEnum):
    """Rights on one document, each containing those before it."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who connects. ``id`` is stable and meant for programs, ``name`` is shown to people."""

    id: str
    name: str


ANONYMOUS = Principal("anonymous", "Anonymous")

Authorize = Callable[[Principal, str], Awaitable[Access]]
"""Decides what a principal may do with the document of that name."""


async def allow_everyone(principal: Principal, document: str) -> Access:
    """The rule of a server that asks nobody to sign in."""
    return Access.ADMIN
