"""API keys and document tokens: making, listing and revoking them."""

import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

from collabd.auth.base import Principal, Scope
from collabd.auth.keys import Key
from collabd.auth.tokens import DEFAULT_SECONDS
from collabd.errors import MalformedInput

from .base import Event, Host, result, row, time_of


async def keys(host: Host) -> AsyncIterator[Event]:
    """The API keys, a row each."""
    found = await host.gate.keys.all()
    for key in found:
        yield row(**_told(key))
    yield result(count=len(found))


async def create_key(
    host: Host, *, label: str, allow: list[str], mints: bool = False, seconds: float | None = None
) -> AsyncIterator[Event]:
    """Make an API key; ``allow`` is what it is good for, as ``access:document`` or ``access:pattern``."""
    lasting = math.inf if seconds is None else seconds
    text, key = await host.gate.keys.create(label, scope_of(allow), mints=mints, seconds=lasting)
    yield result(key=text, **_told(key))


async def revoke_key(host: Host, *, key_id: str) -> AsyncIterator[Event]:
    """Let an API key be good for nothing any more."""
    if not await host.gate.revoke_key(key_id):
        raise MalformedInput(f"there is no key {key_id!r:.50}")
    yield result(id=key_id)


async def mint_token(
    host: Host,
    *,
    user: str,
    name: str,
    allow: list[str],
    seconds: float = DEFAULT_SECONDS,
    connection_seconds: float | None = None,
) -> AsyncIterator[Event]:
    """Make a document token for somebody."""
    token, identity = host.gate.tokens.mint(
        Principal(user, name), scope_of(allow), seconds=seconds, connection_seconds=connection_seconds
    )
    yield result(
        token=token,
        token_id=identity.credential_id,
        connections_end_at=time_of(identity.expires_at),
    )


def scope_of(allow: Sequence[str]) -> Scope:
    """A scope as people write it: ``write:notes`` or ``read:team/**``.

    Raises:
        MalformedInput: it is none.
    """
    parts = []
    for each in allow:
        access, colon, documents = each.partition(":")
        if not colon:
            raise MalformedInput(f"{each!r:.50} is not an access, a colon, and a document or a pattern")
        parts.append({"access": access, "pattern" if "*" in documents else "document": documents})
    return Scope.parse(parts)


def _told(key: Key) -> dict[str, Any]:
    told = key.told()
    expires_at = told["expires_at"]
    return told | {
        "created_at": time_of(key.created_at),
        "expires_at": None if expires_at is None else time_of(expires_at),
    }
