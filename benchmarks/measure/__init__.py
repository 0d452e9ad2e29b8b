"""The kinds of measurement that ``compare.py`` makes, one module each, and what they share."""

from . import flat, idle, many, nodes, pace, presence, saturation, storm

KINDS = (saturation.KIND, pace.KIND, idle.KIND, storm.KIND, many.KIND, presence.KIND, flat.KIND, nodes.KIND)
