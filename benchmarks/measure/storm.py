"""What those who type in a long document notice when a whole class opens it at once."""

from pathlib import Path

from .documents import ROOT, paper
from .kinds import Kind
from .load import Run, put_load
from .report import Results, cell, servers_of, table
from .servers import COLLABD, HOCUSPOCUS, Bench, running

WRITERS, KEYS = 5, 10
VISITORS, QUICK_VISITORS = 100, 20
STORMS, QUICK_STORMS = 30, 2
QUICK_EDITS = 20_000
PREFIX = "paper"


def measure(bench: Bench, server: str, work: str) -> Run:
    database, state = _document(bench)
    storms, visitors = bench.pick(STORMS, QUICK_STORMS), bench.pick(VISITORS, QUICK_VISITORS)
    options = f"--rooms 1 --clients {WRITERS} --rate {KEYS} --root {ROOT}"
    options += f" --storms {storms} --visitors {visitors}"
    if server != COLLABD:
        options += f" --seed {state}"
    with running(bench, server, database if server == COLLABD else None) as run:
        return put_load(bench, run, options, prefix=PREFIX).found


def _document(bench: Bench) -> tuple[Path, Path]:
    """The recorded session, as a database for collabd and as an update for the others."""
    database, state = bench.scratch / "paper.db", bench.scratch / "paper.update"
    if not state.exists():
        state.write_bytes(paper(database, f"{PREFIX}0", QUICK_EDITS if bench.quick else None))
    return database, state


def tables(results: Results) -> str:
    (by_server,) = results.values()
    rows = [
        ("ms until others see an edit, p50 / p99", by_server, cell("{:.2f} / {:.2f}", "p50_ms", "p99_ms")),
        (
            f"the same, of what is typed while {VISITORS} join",
            by_server,
            cell("{:.1f} / {:.1f}", "storm_p50_ms", "storm_p99_ms"),
        ),
        (
            f"s until all {VISITORS} have the document, median / longest",
            by_server,
            cell("{:.2f} / {:.2f}", "join_s", "longest_join_s"),
        ),
        ("bytes each of them gets", by_server, cell("{:,.0f}", "state_bytes")),
    ]
    title = f"{WRITERS} people type {KEYS} keys a second in a document of 105,000 characters"
    return table(title, servers_of(results), rows)


KIND = Kind("storm", __doc__, ("storm",), (COLLABD, HOCUSPOCUS), measure, tables)
