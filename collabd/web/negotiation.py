"""Which representation a request asks for, how it may be encoded, and whether the client has it already."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

ANYTHING: Final = "*/*"


def best_format(accept: str, media_types: Mapping[str, str], default: str) -> str | None:
    """The format whose media type an ``Accept`` header likes best, or None (RFC 9110, section 12.5.1).

    Of those it likes equally, the one it names first; then ``default``; then the first of ``media_types``.
    """
    ranges = [_preference(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return default
    best: tuple[float, int] | None = None
    best_name = None
    for name in sorted(media_types, key=lambda name: name != default):
        liking = _liking(media_types[name].partition(";")[0], ranges)
        if liking is not None and (best is None or liking > best):
            best, best_name = liking, name
    return best_name


def _liking(media_type: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int] | None:
    """How much the ranges like a media type, greater for more, and None for not at all. The narrowest range
    that it is in decides."""
    for media_range in (media_type, f"{media_type.partition('/')[0]}/*", ANYTHING):
        for position, (wanted, quality) in enumerate(ranges):
            if wanted == media_range:
                return (quality, -position) if quality > 0 else None
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
    return media_range.lower(), quality if 0 <= quality <= 1 else 0.0


def accepts_coding(accept_encoding: str, coding: str) -> bool:
    """Whether an ``Accept-Encoding`` header takes a content coding, and likes it no less than none at all
    (RFC 9110, section 12.5.3)."""
    liking = dict(_preference(part) for part in accept_encoding.split(",") if part.strip())
    quality = liking.get(coding, liking.get("*", 0.0))
    return quality > 0 and quality >= liking.get("identity", 0.0)


def is_named(if_none_match: str | None, etag: str) -> bool:
    """Whether an ``If-None-Match`` header names exactly this entity tag, weak or strong."""
    return if_none_match is not None and etag in [tag.strip() for tag in if_none_match.split(",")]


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
