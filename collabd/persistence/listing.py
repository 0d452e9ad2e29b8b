"""Which names a listing by prefix covers."""

from typing import Final

_LAST: Final = "\U0010ffff"
_BEFORE_SURROGATES: Final = "\ud7ff"
_AFTER_SURROGATES: Final = "\ue000"


def beyond(prefix: str) -> str | None:
    """The first string, by code points, behind all those that begin with ``prefix``; None if there is none.

    With it a database reads the names of a prefix from its index and no others.
    """
    prefix = prefix.rstrip(_LAST)
    if not prefix:
        return None
    last = prefix[-1]
    return prefix[:-1] + (_AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1))
