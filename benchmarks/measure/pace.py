"""How long an edit takes to be seen when people type ten keys a second, and what of it is the commit."""

from collections.abc import Mapping

from .exposition import Figures
from .kinds import Kind
from .load import Run, put_load
from .report import Results, Runs, cell, median, servers_of, table
from .servers import COLLABD, HOCUSPOCUS, NO_LOG, PEERS, RELAY, Bench, running

WORKS = {
    "team": ("1 document, 10 people, all write", "--rooms 1 --clients 10 --rate 10"),
    "class": ("20 documents, 20 people each, 2 write", "--rooms 20 --clients 20 --writers 2 --rate 10"),
}


def measure(bench: Bench, server: str, work: str) -> Run:
    with running(bench, server) as run:
        seen = put_load(bench, run, WORKS[work][1], prefix=work, metrics=True)
    return seen.found | ({} if seen.found["failed"] else commit_times(seen.figures))


def commit_times(figures: dict[str, Figures]) -> Run:
    """What a collabd's own histogram says of commits while it was measured, in milliseconds."""
    if not figures:
        return {}
    name = "collabd_commit_seconds"
    commits = figures["measured"].histograms[name] - figures["measuring"].histograms[name]
    told = {
        "commit_mean_ms": commits.mean,
        "commit_p50_ms": commits.quantile(0.5),
        "commit_p99_ms": commits.quantile(0.99),
    }
    return {figure: None if value is None else round(value * 1e3, 3) for figure, value in told.items()}


def tables(results: Results) -> str:
    told = [latencies(results)]
    ours = {
        work: {COLLABD: by_server[COLLABD]} for work, by_server in results.items() if COLLABD in by_server
    }
    if ours:
        form = cell("{:.2f} / {:.2f}", "commit_mean_ms", "commit_p99_ms")
        rows = [(work, by_server, form) for work, by_server in ours.items()]
        told.append(table("ms for a commit, by `collabd_commit_seconds`, mean / p99", [COLLABD], rows))
    verdicts = [verdict for work, by_server in results.items() for verdict in _verdicts(work, by_server)]
    return "\n\n".join([*told, "\n".join(verdicts)] if verdicts else told)


def latencies(results: Results) -> str:
    """How long an edit takes to be seen, alone."""
    form = cell("{:.2f} / {:.2f}", "p50_ms", "p99_ms")
    return table(
        "ms until others see an edit, ten keys a second each, p50 / p99",
        servers_of(results),
        [(f"**{work}**: {WORKS[work][0]}", by_server, form) for work, by_server in results.items()],
    )


def _verdicts(work: str, by_server: Mapping[str, Runs]) -> list[str]:
    """How the latencies stand to what they are meant to be."""
    ours, theirs, bare = (by_server.get(name, []) for name in (COLLABD, HOCUSPOCUS, NO_LOG))
    p50, p99, commit = (median(ours, figure) for figure in ("p50_ms", "p99_ms", "commit_mean_ms"))
    their_p50, their_p99, without = median(theirs, "p50_ms"), median(theirs, "p99_ms"), median(bare, "p50_ms")
    if p50 is None or p99 is None or commit is None or their_p50 is None or their_p99 is None:
        return []
    verdict = (
        f"- {work}: collabd's p50 is {p50:.2f} ms; Hocuspocus's and a commit are {their_p50:.2f} +"
        f" {commit:.2f} = {their_p50 + commit:.2f} ms. Its p99 is {p99 / their_p99:.2f} times Hocuspocus's."
    )
    return [verdict if without is None else f"{verdict} Without the log its p50 is {without:.2f} ms."]


KIND = Kind("typing", __doc__, tuple(WORKS), (COLLABD, NO_LOG, *PEERS, RELAY), measure, tables)
