"""Where the figures of a run go in the documentation. All but :func:`publish` is pure."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import KINDS, pace, saturation
from .plot import plot
from .report import Results
from .servers import BENCHMARKS, NO_LOG, RELAY

ROOT = BENCHMARKS.parent
PLOT = ROOT / "docs" / "performance.svg"

Data = dict[str, Any]
"""What ``results.json`` holds: by kind of measurement, its ``results`` and how they were come by."""


def tables(data: Data) -> str:
    """All that was measured, as Markdown."""
    return "\n\n".join(_sections(data))


def _sections(data: Data) -> Iterator[str]:
    for kind in KINDS:
        if kind.name in data:
            measured = data[kind.name]
            machine = measured["machine"]
            rounds = len(next(iter(next(iter(measured["results"].values())).values())))
            how = f"{measured['when']}, {machine['processor']}, Python {machine['python']}, " + (
                "a quick run with less of everything, to see that it works"
                if measured["quick"]
                else f"medians of {rounds}"
            )
            yield f"### {kind.name}\n\n{kind.about.strip()} ({how}.)\n\n{kind.tables(measured['results'])}"


def short_tables(data: Data) -> str:
    """What the README shows: how collabd stands beside the others."""
    told = [saturation.throughput(_with_log(data["saturation"]["results"]))]
    if "typing" in data:
        told.append(pace.latencies(_with_log(data["typing"]["results"])))
    if any(RELAY in by_server for by_server in data["saturation"]["results"].values()):
        told.append(f"The {RELAY} does nothing but pass messages on: it shows what the wire allows.")
    return "\n\n".join(told)


def _with_log(results: Results) -> Results:
    return {
        work: {name: runs for name, runs in by_server.items() if name != NO_LOG}
        for work, by_server in results.items()
    }


BLOCK = re.compile(r"(<!-- figures: [^>]*-->\n).*?(<!-- end of figures -->)", re.DOTALL)


def with_figures(page: str, figures: str) -> str:
    """A page with other figures in the place that is marked for them. Raises ValueError if none is."""
    text, count = BLOCK.subn(lambda found: f"{found[1]}\n{figures}\n\n{found[2]}", page)
    if count != 1:
        raise ValueError("one place must be marked for figures")
    return text


def pages(data: Data) -> Mapping[Path, str]:
    """What each page with figures in it has to hold."""
    readme, all_of_it = ROOT / "README.md", BENCHMARKS / "README.md"
    return {
        readme: with_figures(readme.read_text(), short_tables(data)),
        all_of_it: with_figures(all_of_it.read_text(), tables(data)),
        PLOT: plot(data),
    }


def publish(data: Data) -> list[Path]:
    """Write the pages anew; returns which."""
    written = pages(data)
    for path, text in written.items():
        path.write_text(text)
    return list(written)
