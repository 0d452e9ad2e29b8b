"""How long an edit takes from one server to another, and what that asks of the Redis between them."""

import contextlib
import sys
import tempfile
from pathlib import Path

from tests.support import postgres
from tests.support.valkey import ValkeyServer

from .kinds import Kind
from .load import Run, put_load
from .pace import commit_times
from .report import Results, cell, median, servers_of, table
from .servers import BENCHMARKS, COLLABD, HOCUSPOCUS, SERVERS, Bench, Running, free_port, listening

WORKS = {
    "pairs": ("20 documents, one writes on one server, one reads on the other", "--clients 2 --writers 1"),
    "both": ("20 documents, two people on each server, all write", "--clients 4"),
}
OPTIONS = "--rooms 20 --rate 10"

COMMANDS = {
    COLLABD: f"{sys.executable} -m collabd serve --port {{port}} --log-level warning"
    " --store {store} --redis redis://127.0.0.1:{redis}",
    HOCUSPOCUS: f"{{peers}}/node {BENCHMARKS}/peers/hocuspocus_redis.mjs {{peers}} {{port}} {{redis}}",
}


def measure(bench: Bench, server: str, work: str) -> Run:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=bench.scratch)))
        valkey = stack.enter_context(ValkeyServer())
        store = ""
        if server == COLLABD:
            database = postgres.new_server()
            stack.callback(database.close)
            database.start()
            store = database.url
        ports = [free_port() for _ in range(2)]
        nodes = [
            stack.enter_context(
                listening(
                    COMMANDS[server].format(port=port, peers=bench.peers, store=store, redis=valkey.port),
                    port,
                    folder,
                )
            )
            for port in ports
        ]
        run = Running(SERVERS[server], nodes[0], ports[0])
        before = _commands(valkey)
        options = f"{OPTIONS} {WORKS[work][1]} --other-port {ports[1]}"
        seen = put_load(bench, run, options, prefix=work, metrics=True)
        commands = _commands(valkey) - before
        found = seen.found
        if not found["failed"]:
            found["redis_commands"] = round(commands / found["sent"], 2)
            found |= commit_times(seen.figures)
        return found


def _commands(valkey: ValkeyServer) -> int:
    return int(valkey.ask("INFO", "stats")["total_commands_processed"])


def tables(results: Results) -> str:
    names = servers_of(results)
    rows = [(f"**{work}**: {WORKS[work][0]}", by_server) for work, by_server in results.items()]
    told = [
        table(
            "ms until an edit is seen on the other server, p50 / p99",
            names,
            [(about, by_server, cell("{:.2f} / {:.2f}", "p50_ms", "p99_ms")) for about, by_server in rows],
        ),
        table(
            "Redis commands per update",
            names,
            [(about, by_server, cell("{:.2f}", "redis_commands")) for about, by_server in rows],
        ),
    ]
    for work, by_server in results.items():
        ours, theirs = by_server.get(COLLABD, []), by_server.get(HOCUSPOCUS, [])
        p50, commit, their_p50 = (
            median(ours, "p50_ms"),
            median(ours, "commit_mean_ms"),
            median(theirs, "p50_ms"),
        )
        if p50 is not None and commit is not None and their_p50 is not None:
            told.append(
                f"- {work}: collabd's p50 is {p50:.2f} ms; Hocuspocus's and a commit are {their_p50:.2f} +"
                f" {commit:.2f} = {their_p50 + commit:.2f} ms."
            )
    return "\n\n".join(told)


KIND = Kind("nodes", __doc__, tuple(WORKS), (COLLABD, HOCUSPOCUS), measure, tables)
