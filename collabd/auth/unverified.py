"""What JSON Web Tokens (RFC 7519) say before anybody has looked at their signature: good for nothing but
finding out who could."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from collabd.errors import MalformedInput

HEADER, CLAIMS = 0, 1


def part_of(token: str, part: int) -> Mapping[str, Any]:
    """The header or the claims of a token.

    Raises:
        MalformedInput: they cannot be read.
    """
    text = token.split(".", part + 1)[part : part + 1]
    try:
        encoded = "".join(text).encode("ascii")
        found = json.loads(base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError) as error:
        raise MalformedInput("what a token consists of is JSON, in base64url") from error
    if not isinstance(found, dict):
        raise MalformedInput("what a token consists of are objects")
    return found


def time_in(claims: Mapping[str, Any], name: str) -> float | None:
    """A time in claims, in seconds since the epoch; None if there is none."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def kind_in(header: Mapping[str, Any]) -> str:
    """What a header says that its token is (``typ``), in small letters; empty if it does not."""
    return str(header.get("typ", "")).lower().removeprefix("application/")
