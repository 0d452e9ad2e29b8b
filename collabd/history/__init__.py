"""A document's past, made out of its log: bytes in, bytes out, no I/O. Runs as well in another process."""

from .compare import Hunk, compare, unified
from .restore import restoring
from .states import split, state_at, thin
from .timeline import Change, Part, begins_at, timeline

__all__ = [
    "Change",
    "Hunk",
    "Part",
    "begins_at",
    "compare",
    "restoring",
    "split",
    "state_at",
    "thin",
    "timeline",
    "unified",
]
