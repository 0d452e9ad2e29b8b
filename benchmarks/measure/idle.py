"""What connections cost over which nothing is said: memory each, and the time until all are connected."""

import time

from .kinds import Kind
from .load import Run, put_load
from .report import Results, cell, servers_of, table
from .servers import COLLABD, PEERS, Bench, running

ROOMS, QUICK_ROOMS, IN_EACH = 1_000, 100, 2
REST_SECONDS = 1.0
"""For a server that has just started to come to rest."""


def measure(bench: Bench, server: str, work: str) -> Run:
    rooms = bench.pick(ROOMS, QUICK_ROOMS)
    with running(bench, server) as run:
        time.sleep(REST_SECONDS)
        before = run.sample()
        seen = put_load(bench, run, f"--rooms {rooms} --clients {IN_EACH} --writers 0", prefix=work)
    if seen.found["failed"]:
        return seen.found
    after = seen.samples["measured"]
    return {
        "failed": False,
        "connections": rooms * IN_EACH,
        "connect_s": seen.found["connect_s"],
        "kb_each": round((after.resident - before.resident) / 1024 / (rooms * IN_EACH), 2),
        "resident_mb": round(after.resident / 2**20, 1),
    }


def tables(results: Results) -> str:
    (by_server,) = results.values()
    return table(
        f"{ROOMS * IN_EACH:,} idle connections, {IN_EACH} in each document",
        servers_of(results),
        [
            ("KB of memory each", by_server, cell("{:.1f}", "kb_each")),
            ("s until all are connected and synced", by_server, cell("{:.2f}", "connect_s")),
        ],
    )


KIND = Kind("idle", __doc__, ("idle",), (COLLABD, *PEERS), measure, tables)
