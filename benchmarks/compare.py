"""Measures collabd beside y-websocket, Hocuspocus and pycrdt-websocket, on the same work.

    benchmarks/setup-peers FOLDER
    .venv/bin/python benchmarks/compare.py --peers FOLDER --json results.json
    .venv/bin/python benchmarks/compare.py --table results.json

The server that is measured has one processor, the load generator another. Within a round the servers take
turns on each kind of work, so that what else the machine does hits all alike. Figures drift with the machine:
compare within one run.
"""

import argparse
import json
import os
import platform
import re
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

SERVERS_ON, LOAD_ON = 0, 1
"""Processors."""

START_SECONDS = 20.0
RUN_SECONDS = 120.0


@dataclass(frozen=True)
class Work:
    """One kind of load: how many documents, how many people in each, how many of them write."""

    name: str
    about: str
    options: str


WORK = (
    Work("pair", "50 documents, 2 people each, both write", "--rooms 50 --clients 2 --window 8"),
    Work("team", "1 document, 10 people, all write", "--rooms 1 --clients 10 --window 8"),
    Work("crowd", "1 document, 100 people, all write", "--rooms 1 --clients 100 --window 4"),
    Work("class", "20 documents, 20 people each, 2 write", "--rooms 20 --clients 20 --writers 2 --window 8"),
)

AT_HUMAN_PACE = Work(
    "typing", "20 documents, 5 people each, 10 keys/s each", "--rooms 20 --clients 5 --rate 10"
)
"""Not saturated: what an edit takes to reach the others."""


NO_LOG = "collabd-without-log"
"""What the log costs is the difference; measured only if it is named."""


@dataclass(frozen=True)
class Server:
    """One server: how it is started, and how the load generator reaches it."""

    name: str
    command: str
    path: str
    protocol: str = "y-websocket"


def servers(peers: Path, scratch: Path) -> list[Server]:
    """Those that are compared. collabd comes first: ratios are to the others."""
    python = f"{peers}/python/bin/python"
    return [
        Server(
            "collabd",
            f"{sys.executable} -m collabd serve --port {{port}} --log-level warning"
            f" --store sqlite:///{scratch}/collabd.db",
            "/ws/%s",
        ),
        Server(
            "y-websocket",
            f"env HOST=127.0.0.1 PORT={{port}} {peers}/node"
            f" {peers}/y-websocket/node_modules/y-websocket/bin/server.cjs",
            "/%s",
        ),
        Server(
            NO_LOG,
            f"{sys.executable} -m collabd serve --port {{port}} --log-level warning --store memory:",
            "/ws/%s",
        ),
        Server("Hocuspocus", f"{peers}/node {HERE}/peers/hocuspocus.mjs {peers} {{port}}", "/", "hocuspocus"),
        Server("pycrdt-websocket", f"{python} {HERE}/peers/pycrdt_websocket.py {{port}}", "/%s"),
    ]


@dataclass
class Running:
    """A server that runs."""

    server: Server
    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def resident_mb(self) -> float:
        """Memory of the process and its children."""
        total, processes = 0, [self.process.pid]
        while processes:
            pid = processes.pop()
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                processes += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                continue
            found = re.search(r"VmRSS:\s+(\d+)", status)
            total += int(found[1]) if found else 0
        return total / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(server: Server, scratch: Path) -> Iterator[Running]:
    """Run a server for the length of a block, and return once it takes connections."""
    port = free_port()
    command = ["taskset", "-c", str(SERVERS_ON), *shlex.split(server.command.format(port=port))]
    log_path = scratch / f"{server.name}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(
                    f"{server.name} did not start:\n{(scratch / f'{server.name}.log').read_text()}"
                )
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.05)
        yield Running(server, process, port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def measure(load: Path, run: Running, work: Work, seconds: float, prefix: str) -> dict[str, Any]:
    """Put one load on one server; return what the generator found, or that it failed."""
    options = {
        "--port": str(run.port),
        "--path": run.server.path,
        "--protocol": run.server.protocol,
        "--prefix": prefix,
        "--seconds": str(seconds),
    }
    command = ["taskset", "-c", str(LOAD_ON), str(load), *shlex.split(work.options)]
    for name, value in options.items():
        command += [name, value]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS)
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return {"failed": True}
    return found | {"failed": done.returncode != 0, "resident_mb": round(run.resident_mb, 1)}


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """All rounds; returns every single result."""
    peers = arguments.peers.resolve()
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    # Not where a temporary file lives in memory: collabd commits to this disk.
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        scratch = Path(folder)
        only = arguments.only
        chosen = [s for s in servers(peers, scratch) if s.name in only or not (only or s.name == NO_LOG)]
        for number in range(arguments.rounds):
            for work in (*WORK, AT_HUMAN_PACE):
                for server in chosen:
                    # A process of its own for each, so that no server carries what it did before.
                    with running(server, scratch) as run:
                        found = measure(peers / "load", run, work, arguments.seconds, f"r{number}{work.name}")
                    results.setdefault(work.name, {}).setdefault(server.name, []).append(found)
                    say(f"round {number + 1}, {work.name}, {server.name}: {found}")
    return {"machine": machine(), "seconds": arguments.seconds, "results": results}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def median(runs: list[dict[str, Any]], figure: str) -> float | None:
    """The median of the rounds that did not fail; None if all did."""
    values = [run[figure] for run in runs if not run["failed"]]
    return statistics.median(values) if values else None


def table(data: Mapping[str, Any]) -> str:
    """The medians as Markdown."""
    results = data["results"]
    names = list(next(iter(results.values())))
    lines = [
        "| updates/s at saturation | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    for work in WORK:
        cells = []
        for name in names:
            value = median(results[work.name][name], "updates_per_s")
            cells.append("failed" if value is None else f"{value:,.0f}")
        lines.append(f"| **{work.name}**: {work.about} | " + " | ".join(cells) + " |")
    lines += ["", "| ms until others see an edit, p50 / p99 | " + " | ".join(names) + " |"]
    lines.append("|---|" + "---:|" * len(names))
    cells = []
    for name in names:
        runs = results[AT_HUMAN_PACE.name][name]
        middle, worst = median(runs, "p50_ms"), median(runs, "p99_ms")
        cells.append("failed" if middle is None else f"{middle:.1f} / {worst:.1f}")
    lines.append(f"| **{AT_HUMAN_PACE.name}**: {AT_HUMAN_PACE.about} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, help="folder that setup-peers has filled")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="measured per server, work and round")
    parser.add_argument("--scratch", type=Path, default=Path("/var/tmp"), help="on the disk to commit to")
    parser.add_argument("--only", nargs="*", default=[], help="names of servers")
    parser.add_argument("--json", type=Path, help="write every single result here")
    parser.add_argument("--table", type=Path, help="print the table of results written earlier")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(json.loads(arguments.table.read_text())))
        return
    if not arguments.peers:
        parser.error("--peers is needed to measure")
    data = compare(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(data, indent=1) + "\n")
    print(table(data))


if __name__ == "__main__":
    main()
