"""Medians, and tables of them in Markdown. Pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Runs = Sequence[Mapping[str, Any]]
Results = Mapping[str, Mapping[str, Runs]]
"""What was measured of one kind: by work, by server, once a round."""

Cell = Callable[[Runs], str]


def median(runs: Runs, figure: str) -> float | None:
    """The median of the rounds that did not fail; None if all did, or none has the figure."""
    values = [run[figure] for run in runs if not run["failed"] and run.get(figure) is not None]
    return statistics.median(values) if values else None


def cell(form: str, *figures: str) -> Cell:
    """A cell with medians in the places of ``form``; ``failed`` if no round succeeded, a dash if none has
    them."""

    def fill(runs: Runs) -> str:
        if all(run["failed"] for run in runs):
            return "failed"
        values = [median(runs, figure) for figure in figures]
        return "-" if None in values else form.format(*values)

    return fill


def servers_of(results: Results) -> list[str]:
    """Names of the servers measured, in the order in which they were."""
    return list(dict.fromkeys(name for by_server in results.values() for name in by_server))


def table(title: str, names: Sequence[str], rows: Sequence[tuple[str, Mapping[str, Runs], Cell]]) -> str:
    """A column for each server, and a row for each of ``rows``: its label, its runs by server, how they are
    told."""
    lines = [f"| {title} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for label, by_server, tell in rows:
        cells = [tell(by_server[name]) if name in by_server else "-" for name in names]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
