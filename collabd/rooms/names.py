"""What a document may be called, and what people call themselves."""

import json
import unicodedata
from typing import Final

from collabd.errors import InvalidName

MAX_NAME_BYTES: Final = 255
MAX_CLAIMED: Final = 100
"""Characters of a name that somebody gives himself."""


def check_name(name: str) -> str:
    """Return ``name`` if a document may be called so.

    A name is 1 to 255 bytes of UTF-8 in normalization form C, without control characters, and none of the
    segments between its slashes is empty, ``.`` or ``..``.

    Raises:
        InvalidName: it may not.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidName("the name is not valid Unicode") from error
    if not 1 <= size <= MAX_NAME_BYTES:
        raise InvalidName(f"a name has 1 to {MAX_NAME_BYTES} bytes, not {size}")
    if not unicodedata.is_normalized("NFC", name):
        raise InvalidName("the name is not in Unicode normalization form C")
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise InvalidName("the name has a control character")
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise InvalidName("between slashes there must be something other than '.' and '..'")
    return name


def claimed_name(state: str | None) -> str:
    """What somebody calls himself in his presence (``user.name``, as editors' bindings have it); empty if he
    does not."""
    try:
        presence = json.loads(state or "null")
    except ValueError:
        return ""
    user = presence.get("user") if isinstance(presence, dict) else None
    name = user.get("name") if isinstance(user, dict) else None
    return readable(name) if isinstance(name, str) else ""


def readable(name: str) -> str:
    """What is fit to be shown of a name that somebody gives himself."""
    printable = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cs"))
    return printable.strip()[:MAX_CLAIMED]
