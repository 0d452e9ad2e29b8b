"""What a kind of measurement is."""

from collections.abc import Callable
from dataclasses import dataclass

from .load import Run
from .report import Results
from .servers import Bench


@dataclass(frozen=True)
class Kind:
    """One kind of measurement, made of one or more works, each of which is put on each server in each round.

    Args:
        measure: starts a server by its name, puts a work on it, and returns the figures.
        tables: tells the results in Markdown.
    """

    name: str
    about: str
    works: tuple[str, ...]
    servers: tuple[str, ...]
    measure: Callable[[Bench, str, str], Run]
    tables: Callable[[Results], str]
