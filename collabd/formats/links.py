"""Which addresses a document may point a reader's browser at."""

import re
from typing import Final

ALLOWED_SCHEMES: Final = frozenset({"http", "https", "mailto"})

_BEFORE_COLON = re.compile(r"([^:/?#]*):")
_SPACE_OR_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f]")


def safe_url(address: object) -> str | None:
    """The address if it is http, https, mailto or relative; None for anything else, ``javascript:`` included.

    Browsers drop some control characters and spaces before they look for a scheme, so an address with any in
    the part that could be one is refused; elsewhere they are percent-encoded.
    """
    if not isinstance(address, str):
        return None
    address = address.strip(" \t\r\n")
    if not address:
        return None
    scheme = _BEFORE_COLON.match(address)
    if scheme is not None and scheme[1].lower() not in ALLOWED_SCHEMES:
        return None
    return _SPACE_OR_CONTROL.sub(_percent, address)


def _percent(character: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in character[0].encode())
