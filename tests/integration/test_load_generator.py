"""The benchmarks' load generator counts what it should, and notices what goes wrong."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.page import ROOT
from tests.support.watching import ServerFactory, figures

SHORT = ("--seconds", "0.3")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("built")
    for name in ("load", "relay"):
        source = ROOT / "benchmarks" / f"{name}.c"
        subprocess.run(
            [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(folder / name), str(source), "-lm"],
            check=True,
        )
    return folder


@pytest.fixture
def relay(built: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with subprocess.Popen([built / "relay", str(port)]) as process:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                continue
        yield port
        process.kill()


def load(built: Path, port: int, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the generator; return its exit code and what it said at each phase."""
    done = subprocess.run(
        [built / "load", "--port", str(port), *SHORT, *options], capture_output=True, text=True, timeout=60
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_what_is_typed_reaches_everybody_through_the_relay(built: Path, relay: int) -> None:
    code, told = load(built, relay, "--path", "/%s", "--rooms", "3", "--clients", "4", "--window", "2")
    assert code == 0
    assert [line["phase"] for line in told] == ["synced", "measuring", "measured", "done"]
    assert told[-1]["sent"] > 0
    assert told[-1]["missing"] == told[-1]["closed"] == 0
    assert told[-1]["p50_ms"] <= told[-1]["p95_ms"] <= told[-1]["p99_ms"]


def test_a_server_commits_what_the_generator_sent(built: Path, server: ServerFactory) -> None:
    running = server()
    moving = ("--pause", "0.2", "--cursors", "20", "--seconds", "1")
    code, told = load(built, running.port, "--rooms", "2", "--clients", "3", *moving)
    assert code == 0
    assert figures(running)["collabd_updates_total"] == told[-1]["sent"] > 0
    # How many are heard is for the server to say: the busier it is, the more it leaves out that are past.
    assert told[-1]["moves_per_s"] > 0
    assert told[-1]["moves_heard_per_s"] > 0


def test_guests_get_the_document_that_was_sown(built: Path, server: ServerFactory, tmp_path: Path) -> None:
    running = server()
    seed = tmp_path / "seed"
    # An item of client 7 in the root "t": a string of 99 letters.
    seed.write_bytes(b"\x01\x01\x07\x00\x04\x01\x01t\x63" + b"a" * 99 + b"\x00")
    storms = ("--storms", "2", "--visitors", "5", "--rate", "20", "--clients", "2", "--seed", str(seed))
    code, told = load(built, running.port, *storms)
    assert code == 0
    assert told[-2]["phase"] == "storms"
    assert told[-2]["state_bytes"] > len(seed.read_bytes())
    assert figures(running)["collabd_joins_total"] == 2 + 2 * 5


def test_a_server_that_loses_its_connections_has_failed(built: Path, server: ServerFactory) -> None:
    running = server()
    process = subprocess.Popen(
        [built / "load", "--port", str(running.port), "--seconds", "5", "--rate", "10"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "synced" in process.stdout.readline()
    running.kill()
    assert process.wait(timeout=60) == 1
    assert json.loads(process.stdout.readlines()[-1])["closed"] == 2
    process.stdout.close()
