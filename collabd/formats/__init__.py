"""Documents as text, Markdown, HTML, JSON and notebooks, and back: bytes in, bytes out, no I/O."""

from .read import READABLE, read
from .render import EXTENSIONS, FORMATS, RENDERER_VERSION, Rendered, content_of, render

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "READABLE",
    "RENDERER_VERSION",
    "Rendered",
    "content_of",
    "read",
    "render",
]
