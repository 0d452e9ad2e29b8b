"""Documents as text, Markdown, HTML, JSON and notebooks, and back: bytes in, bytes out, no I/O."""

from .read import READABLE, read
from .render import (
    EXTENSIONS,
    FORMATS,
    RENDERER_VERSION,
    Rendered,
    content_of,
    has_root,
    prose_format,
    render,
)

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "READABLE",
    "RENDERER_VERSION",
    "Rendered",
    "content_of",
    "has_root",
    "prose_format",
    "read",
    "render",
]
