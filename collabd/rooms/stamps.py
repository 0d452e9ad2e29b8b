"""Who somebody is, in what they say of themselves: the server vouches for it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from collabd.auth.base import ANONYMOUS, Principal
from collabd.protocol.awareness import Entry


def stamped(entries: Sequence[Entry], principal: Principal) -> Sequence[Entry]:
    """Presence entries with ``user`` (as editors' bindings have it) saying who it is: the ``id``; the
    ``name``, which is up to those who did not sign in; and the ``color``, if that is not up to them."""
    return [replace(entry, state=_stamp(entry.state, principal)) for entry in entries]


def _stamp(state: str | None, principal: Principal) -> str | None:
    if state is None:
        return None
    presence: dict[str, Any] = json.loads(state)
    said = presence.get("user")
    user = dict(said) if isinstance(said, dict) else {}
    user["id"] = principal.id
    if principal.id != ANONYMOUS.id:
        user["name"] = principal.name
    if principal.color:
        user["color"] = principal.color
    # Escaped, since half of a surrogate pair is good JSON and no good UTF-8.
    return json.dumps(presence | {"user": user}, separators=(",", ":"))
