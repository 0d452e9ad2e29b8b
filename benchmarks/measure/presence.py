"""What two hundred moving cursors cost those who type, with clients that do as stock providers do."""

from .kinds import Kind
from .load import Run, put_load
from .report import Results, cell, servers_of, table
from .servers import COLLABD, HOCUSPOCUS, Bench, running

PEOPLE, QUICK_PEOPLE, WRITERS, KEYS, CURSORS = 200, 50, 10, 5, 10
WORKS = {"still": "no cursors", "moving": f"cursors move {CURSORS} times a second"}


def measure(bench: Bench, server: str, work: str) -> Run:
    options = f"--rooms 1 --clients {bench.pick(PEOPLE, QUICK_PEOPLE)} --writers {WRITERS} --rate {KEYS}"
    if work == "moving":
        options += f" --cursors {CURSORS}"
    with running(bench, server) as run:
        seen = put_load(bench, run, options, prefix=work)
    if seen.found["failed"]:
        return seen.found
    return seen.found | {"cpu": round(sum(seen.cpu_shares), 3)}


def tables(results: Results) -> str:
    rows = []
    for work, by_server in results.items():
        rows.append((f"ms until others see an edit, p50 / p99, {WORKS[work]}", by_server, _LATENCY))
        rows.append((f"processors used, {WORKS[work]}", by_server, cell("{:.2f}", "cpu")))
    if "moving" in results:
        rows.append(("news of cursors that reach somebody, a second", results["moving"], _HEARD))
    title = f"1 document, {PEOPLE} people, {WRITERS} of them type {KEYS} keys a second"
    return table(title, servers_of(results), rows)


_LATENCY = cell("{:,.1f} / {:,.1f}", "p50_ms", "p99_ms")
_HEARD = cell("{:,.0f}", "moves_heard_per_s")

KIND = Kind("presence", __doc__, tuple(WORKS), (COLLABD, HOCUSPOCUS), measure, tables)
