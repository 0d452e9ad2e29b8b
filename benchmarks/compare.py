"""Measures collabd beside y-websocket, Hocuspocus and pycrdt-websocket, on the same work.

    benchmarks/setup-peers FOLDER
    .venv/bin/python benchmarks/compare.py --peers FOLDER --json benchmarks/results.json
    .venv/bin/python benchmarks/compare.py --publish benchmarks/results.json

The first measures all there is, in about half an hour; --only some kinds of it, --quick whether it works at
all. What a file of results holds of other kinds stays in it. The second puts figures into the documentation.

The server that is measured has one processor, the load generator another. Within a round the servers take
turns on each kind of work, so that what else the machine does hits all alike. Figures drift with the machine:
compare within one kind, all of which is measured in one run.
"""

import argparse
import json
import os
import platform
import re
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import KINDS
from benchmarks.measure.kinds import Kind
from benchmarks.measure.load import Run
from benchmarks.measure.publish import Data, publish, tables
from benchmarks.measure.servers import SERVERS, Bench


def compare(bench: Bench, kind: Kind, rounds: int, servers: list[str]) -> dict[str, dict[str, list[Run]]]:
    """All rounds of one kind; returns every single measurement, by work and server."""
    results: dict[str, dict[str, list[Run]]] = {}
    for number in range(rounds):
        for work in kind.works:
            for server in servers:
                # A process of its own for each, so that no server carries what it did before.
                try:
                    found = kind.measure(bench, server, work)
                except RuntimeError as failure:
                    found = {"failed": True, "why": str(failure)}
                results.setdefault(work, {}).setdefault(server, []).append(found)
                say(f"{kind.name}, round {number + 1}, {work}, {server}: {found}")
    return results


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
    }


def measure(given: argparse.Namespace) -> Data:
    """Measure what was asked for; what is done is written down kind by kind."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    data: Data = json.loads(given.json.read_text()) if given.json and given.json.exists() else {}
    # Not where a temporary file lives in memory: collabd commits to this disk.
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        seconds = given.seconds or (1 if given.quick else 4)
        bench = Bench(given.peers.resolve(), Path(folder), seconds, given.quick)
        rounds = given.rounds or (1 if given.quick else 3)
        for kind in KINDS:
            if given.only and kind.name not in given.only:
                continue
            servers = [name for name in kind.servers if not given.servers or name in given.servers]
            data[kind.name] = {
                "machine": machine(),
                "when": time.strftime("%Y-%m-%d", time.gmtime()),
                "seconds": seconds,
                "quick": given.quick,
                "results": compare(bench, kind, rounds, servers),
            }
            if given.json:
                given.json.write_text(json.dumps(data, indent=1) + "\n")
    return data


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, help="folder that setup-peers has filled")
    kinds = [kind.name for kind in KINDS]
    parser.add_argument("--only", nargs="+", choices=kinds, help="kinds of measurement", metavar="KIND")
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), help="names", metavar="SERVER")
    parser.add_argument("--quick", action="store_true", help="less of everything, to see that it works")
    parser.add_argument("--rounds", type=int, help="3 unless quick")
    parser.add_argument("--seconds", type=float, help="measured per server, work and round: 4 unless quick")
    parser.add_argument("--scratch", type=Path, default=Path("/var/tmp"), help="on the disk to commit to")
    parser.add_argument("--json", type=Path, help="write every single result here")
    parser.add_argument("--table", type=Path, help="print the tables of results written earlier")
    parser.add_argument("--publish", type=Path, help="put results written earlier into the documentation")
    given = parser.parse_args()
    if given.table:
        print(tables(json.loads(given.table.read_text())))
    elif given.publish:
        for path in publish(json.loads(given.publish.read_text())):
            say(f"wrote {path}")
    elif given.peers:
        print(tables(measure(given)))
    else:
        parser.error("--peers is needed to measure")


if __name__ == "__main__":
    main()
