"""Which representation a request asks for, and whether the client has it already."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

ANYTHING: Final = "*/*"


def best_format(accept: str, media_types: Mapping[str, str], default: str) -> str | None:
    """The format whose media type an ``Accept`` header likes best, or None (RFC 9110, section 12.5.1).

    Of formats with the same media type the first stands for it. ``default`` is for clients that take
    anything.
    """
    wanted = sorted(map(_preference, filter(str.strip, accept.split(","))), key=lambda pair: -pair[1])
    if not wanted:
        return default
    for media_range, quality in wanted:
        if quality <= 0:
            continue
        if media_range == ANYTHING:
            return default
        for name, media_type in media_types.items():
            plain = media_type.partition(";")[0]
            if media_range in (plain, f"{plain.partition('/')[0]}/*"):
                return name
    return None


def _preference(part: str) -> tuple[str, float]:
    media_range, *parameters = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
    return media_range.lower(), quality


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether an ``If-None-Match`` header names the entity tag (RFC 9110, section 13.1.2)."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags


def attachment(filename: str) -> str:
    """A ``Content-Disposition`` that saves the answer under that name (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
