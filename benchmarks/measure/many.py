"""A thousand people who write every few seconds, and whether collabd's own metrics tell the same of it."""

import statistics

from .kinds import Kind
from .load import Observed, Run, put_load
from .pace import commit_times
from .report import Results, cell, servers_of, table
from .servers import COLLABD, HOCUSPOCUS, Bench, running

ROOMS, QUICK_ROOMS, IN_EACH, PAUSE = 200, 40, 5, 5
SECONDS, QUICK_SECONDS = 60, 5


def measure(bench: Bench, server: str, work: str) -> Run:
    options = f"--rooms {bench.pick(ROOMS, QUICK_ROOMS)} --clients {IN_EACH} --pause {PAUSE}"
    with running(bench, server) as run:
        seconds = bench.pick(SECONDS, QUICK_SECONDS)
        seen = put_load(bench, run, options, prefix=work, seconds=seconds, metrics=True)
    if seen.found["failed"]:
        return seen.found
    user, system = seen.cpu_shares
    found = seen.found | {
        "resident_mb": round(seen.samples["measured"].resident / 2**20, 1),
        "cpu": round(user + system, 3),
    }
    return found | commit_times(seen.figures) | {"own_metrics": own_metrics(seen)} if seen.figures else found


def own_metrics(seen: Observed) -> dict[str, tuple[float, float]]:
    """What was seen from outside, and what the server says of the same."""
    begin, end = seen.figures["measuring"].values, seen.figures["measured"].values
    earlier, later = seen.samples["measuring"], seen.samples["measured"]
    seconds = later.at - earlier.at

    def rate(name: str) -> float:
        return round((end[name] - begin[name]) / seconds, 3)

    done = seen.figures["done"].values
    name = "collabd_seen_seconds"
    delays = seen.figures["measured"].histograms[name] - seen.figures["measuring"].histograms[name]
    late = {
        f"ms until others see an edit, p{share}": (
            seen.found[f"p{share}_ms"],
            round(1000 * (delays.quantile(share / 100) or 0.0), 3),
        )
        for share in (50, 95, 99)
    }
    return late | {
        "edits sent and committed": (seen.found["sent"], done["collabd_updates_total"]),
        "edits/s": (seen.found["updates_per_s"], rate("collabd_updates_total")),
        "memory, MB": (
            round(later.own_resident / 2**20, 1),
            round(end["process_resident_memory_bytes"] / 2**20, 1),
        ),
        "processors used": (
            round((later.user + later.system - earlier.user - earlier.system) / seconds, 3),
            rate("process_cpu_seconds_total"),
        ),
    }


def tables(results: Results) -> str:
    (by_server,) = results.values()
    rows = [
        ("edits/s", by_server, cell("{:,.0f}", "updates_per_s")),
        ("messages/s that clients get", by_server, cell("{:,.0f}", "messages_per_s")),
        ("edits lost", by_server, cell("{:,.0f}", "missing")),
        (
            "ms until others see an edit, p50 / p95 / p99",
            by_server,
            cell("{:.2f} / {:.2f} / {:.2f}", "p50_ms", "p95_ms", "p99_ms"),
        ),
        ("MB of memory", by_server, cell("{:.0f}", "resident_mb")),
        ("processors used", by_server, cell("{:.2f}", "cpu")),
    ]
    title = f"{ROOMS * IN_EACH:,} people in documents of {IN_EACH}, an edit every 0 to {PAUSE} s each"
    lines = [table(title, servers_of(results), rows)]
    compared = [run["own_metrics"] for runs in by_server.values() for run in runs if "own_metrics" in run]
    if compared:
        lines += ["", "| collabd | seen from outside | in its own metrics | off, and in the worst round |"]
        lines += ["|---|---:|---:|---:|"]
        for name in compared[0]:
            rounds = [run[name] for run in compared]
            seen, told = map(statistics.median, zip(*rounds, strict=True))
            off, worst = difference(seen, told), max(difference(*pair) for pair in rounds)
            lines.append(f"| {name} | {seen:,.10g} | {told:,.10g} | {off:.1%}, {worst:.1%} |")
    return "\n".join(lines)


def difference(seen: float, told: float) -> float:
    """By which part of itself a figure is off."""
    return abs(told - seen) / seen if seen else float(told != seen)


KIND = Kind("many", __doc__, ("many",), (COLLABD, HOCUSPOCUS), measure, tables)
