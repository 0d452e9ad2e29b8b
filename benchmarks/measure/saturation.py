"""Updates per second when writers do not wait for more than the server."""

from .kinds import Kind
from .load import Run, put_load
from .report import Results, cell, servers_of, table
from .servers import COLLABD, PEERS, RELAY, Bench, running

WORKS = {
    "pair": ("50 documents, 2 people each, both write", "--rooms 50 --clients 2 --window 8"),
    "team": ("1 document, 10 people, all write", "--rooms 1 --clients 10 --window 8"),
    "crowd": ("1 document, 100 people, all write", "--rooms 1 --clients 100 --window 4"),
    "class": ("20 documents, 20 people each, 2 write", "--rooms 20 --clients 20 --writers 2 --window 8"),
}


def measure(bench: Bench, server: str, work: str) -> Run:
    with running(bench, server) as run:
        seen = put_load(bench, run, WORKS[work][1], prefix=work)
        if seen.found["failed"]:
            return seen.found
        user, system = (share * 1e6 / seen.found["updates_per_s"] for share in seen.cpu_shares)
        return seen.found | {
            "resident_mb": round(seen.samples["measured"].resident / 2**20, 1),
            "user_us": round(user, 2),
            "system_us": round(system, 2),
        }


def throughput(results: Results) -> str:
    """Updates per second alone."""
    return table(
        "updates/s at saturation",
        servers_of(results),
        [
            (f"**{work}**: {WORKS[work][0]}", by_server, cell("{:,.0f}", "updates_per_s"))
            for work, by_server in results.items()
        ],
    )


def tables(results: Results) -> str:
    names = servers_of(results)
    rest = [
        table(title, names, [(work, by_server, tell) for work, by_server in results.items()])
        for title, tell in (
            (
                "ms until others see an edit at saturation, p50 / p99",
                cell("{:.1f} / {:.1f}", "p50_ms", "p99_ms"),
            ),
            (
                "µs of processor per update, in the program + in the kernel",
                cell("{:.1f} + {:.1f}", "user_us", "system_us"),
            ),
        )
    ]
    return "\n\n".join([throughput(results), *rest])


KIND = Kind("saturation", __doc__, tuple(WORKS), (COLLABD, *PEERS, RELAY), measure, tables)
