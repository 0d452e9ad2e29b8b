"""How many servers so many users need, and what gives out first, by the capacity model.

    .venv/bin/python benchmarks/sizing.py [--users 1000 100000 10000000] [--online 0.1] [--people 5] …

With ``--affinity`` everybody in a document is on the same server, as if the balancer saw to that.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.capacity import load_from, parser_of, predict
from benchmarks.model.figures import MEASURED, Costs, Load, Predicted
from collabd.persistence.postgres import POOL_SIZE

BUSY: Final = 0.6
"""The share of a processor that a server may need on average: what comes in bursts must fit too."""


@dataclass(frozen=True)
class Size:
    """What so many connections need."""

    connections: int
    servers: int
    """Processes, each of which can use one processor."""
    each: Predicted
    """What happens in all of them."""
    memory: float
    """Of each server, in bytes, with its sockets and what it takes empty."""
    database_connections: int


def size(connections: int, load: Load, *, affinity: bool = False, costs: Costs = MEASURED) -> Size:
    """The fewest servers of which none is too busy."""
    servers = 1
    while True:
        here = ceil(connections / servers)
        if affinity:
            predicted = _together(predict(replace(load, nodes=1, connections=here), costs), servers, costs)
        else:
            predicted = predict(replace(load, nodes=servers, connections=here), costs)
        if predicted.node_processor <= BUSY:
            memory = costs.process + predicted.memory + here * costs.socket
            return Size(connections, servers, predicted, memory, servers * (POOL_SIZE + 1))
        # What a server needs is never less than its part of all.
        servers = max(servers + 1, int(servers * predicted.node_processor / BUSY * 0.95))


def _together(one: Predicted, servers: int, costs: Costs) -> Predicted:
    """What that many servers do of which each has its documents for itself. They publish all the same, and
    hear themselves."""
    published = one.bridge_published * servers
    return replace(
        one,
        edits=one.edits * servers,
        commits=one.commits * servers,
        frames_out=one.frames_out * servers,
        redis_commands=published,
        redis_deliveries=published,
        redis_processor=published * (costs.redis_message + costs.redis_delivery) / 1e6,
        database_processor=one.database_processor * servers,
    )


def table(sizes: Sequence[Size]) -> str:
    """As Markdown, a column for each."""
    rows: list[tuple[str, list[str]]] = [
        ("connections at once", [f"{size.connections:,}" for size in sizes]),
        ("server processes", [f"{size.servers:,}" for size in sizes]),
        ("copies of a document", [f"{size.each.copies:.1f}" for size in sizes]),
        ("share of a processor each", [f"{size.each.node_processor:.0%}" for size in sizes]),
        ("MB of memory each", [f"{size.memory / 1e6:,.0f}" for size in sizes]),
        ("edits/s", [f"{size.each.edits:,.0f}" for size in sizes]),
        ("frames/s to clients", [f"{size.each.frames_out:,.0f}" for size in sizes]),
        ("messages/s to Redis", [_unless_alone(size, size.each.redis_commands) for size in sizes]),
        ("messages/s from Redis", [_unless_alone(size, size.each.redis_deliveries) for size in sizes]),
        ("processors of Redis", [_unless_alone(size, size.each.redis_processor, 2) for size in sizes]),
        ("commits/s", [f"{size.each.commits:,.0f}" for size in sizes]),
        ("processors of PostgreSQL", [f"{size.each.database_processor:,.2f}" for size in sizes]),
        ("connections to PostgreSQL", [f"{size.database_connections:,}" for size in sizes]),
    ]
    head = [
        "| | " + " | ".join(f"{size.connections:,}" for size in sizes) + " |",
        "|---|" + "---:|" * len(sizes),
    ]
    return "\n".join([*head, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows[1:])])


def _unless_alone(size: Size, value: float, digits: int = 0) -> str:
    return "-" if size.servers == 1 else f"{value:,.{digits}f}"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[1_000, 100_000, 10_000_000])
    parser.add_argument("--online", type=float, default=0.1, help="the share of users who are connected")
    parser.add_argument("--affinity", action="store_true", help="a document's people are on one server")
    given = parser.parse_args()
    load = load_from(given)
    print(table([size(ceil(users * given.online), load, affinity=given.affinity) for users in given.users]))


if __name__ == "__main__":
    main()
