"""A real process: how it starts, what it says, and how it ends."""

import asyncio
import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.server import RunningServer, clean_environment

ServerFactory = Callable[..., RunningServer]

STEP_1 = bytes([0, 0, 1, 0])
"""y-websocket: sync step 1 with an empty state vector."""


def serve(*arguments: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Run ``collabd serve`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "collabd", "serve", *arguments],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_it_greets_with_the_address_to_open(server: ServerFactory) -> None:
    running = server()
    assert running.greeting == f"collabd is serving {running.url}/  (store: {running.store})\n"
    assert running.get("/healthz") == (200, "ok")
    assert running.get("/metrics")[1].startswith("# HELP")
    status, page = running.get("/")
    assert status == 200
    assert "<html" in page


def test_it_can_be_set_by_the_environment(server: ServerFactory) -> None:
    running = server(environment={"COLLABD_LOG_FORMAT": "json", "COLLABD_LOG_LEVEL": "debug"})
    for line in running.log.splitlines():
        json.loads(line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: signal.Signals, server: ServerFactory) -> None:
    running = server()
    assert running.terminate(number) == 0
    assert "Traceback" not in running.log


async def test_stopping_closes_connections_with_come_back(server: ServerFactory) -> None:
    running = server()
    async with connect(running.websocket_url("notes")) as client:
        await client.send(STEP_1)
        await client.recv()
        code = await asyncio.to_thread(running.terminate)
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.recv()
    assert client.close_code == 1012
    assert code == 0
    assert "Traceback" not in running.log


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end(server: ServerFactory) -> None:
    running = server(options=["--shutdown-seconds", "5"])
    port = running.port
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(
            b"GET /ws/notes HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert raw.recv(12) == b"HTTP/1.1 101"
        assert await asyncio.to_thread(running.terminate) == 0


async def test_tokens_in_the_address_are_not_logged(server: ServerFactory) -> None:
    running = server(options=["--log-level", "debug"])
    async with connect(f"{running.websocket_url('notes')}?token=SECRET") as client:
        await client.send(STEP_1)
        await client.recv()
    running.get("/?token=SECRET")
    running.terminate()
    assert "event=join document=notes" in running.log
    assert "event=leave document=notes" in running.log
    assert "SECRET" not in running.log


def test_a_port_in_use_is_told_without_a_traceback(server: ServerFactory, tmp_path: Path) -> None:
    running = server()
    done = serve("--port", str(running.port), "--store", f"sqlite:///{tmp_path}/other.db", directory=tmp_path)
    assert done.returncode == 1
    assert f"127.0.0.1:{running.port} cannot be listened on: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_another_server_holds_is_refused_in_a_sentence(
    server: ServerFactory, tmp_path: Path
) -> None:
    running = server()
    done = serve("--port", "0", "--store", running.store, directory=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "collabd.db" in done.stderr


def test_a_store_of_no_known_kind_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = serve("--store", "mysql://localhost/x", directory=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("collabd: store must be sqlite:///")
    assert "Traceback" not in done.stderr


async def test_it_starts_again_where_it_was_killed(server: ServerFactory) -> None:
    running = server()
    port = running.port
    running.kill()
    running.start()
    assert running.port == port
    assert running.get("/readyz")[0] == 200


STUCK = """
import asyncio, sys, time
from starlette.applications import Starlette
from collabd.server import Server
from collabd.settings import Settings

async def drain():
    {drain}

sys.exit(Server(Starlette(), Settings(port=0, shutdown_seconds=1), drain, lambda: True).serve_until_stopped())
"""


@pytest.mark.parametrize(
    ("drain", "told"),
    [
        ("return False", "what clients sent last could not be committed"),
        ("await asyncio.Event().wait()", "what clients sent last could not be committed"),
        ("raise OSError('disk gone')", "draining failed"),
        ("time.sleep(60)", "still not stopped after 3 s"),
    ],
    ids=["gives up", "waits for ever", "fails", "blocks the event loop"],
)
def test_an_end_that_could_not_commit_everything_is_told_and_bounded(
    drain: str, told: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", STUCK.format(drain=drain)]
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "is serving" in process.stdout.readline()
        process.terminate()
        assert process.wait(10) == 1
        assert told in process.stderr.read()


def test_a_server_for_this_machine_answers_to_its_public_name_too(server: ServerFactory) -> None:
    running = server(options=["--public-url", "https://docs.example"])
    for host, expected in (("docs.example", 200), ("rebound.example", 400)):
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        connection.request("GET", "/healthz", headers={"Host": host})
        assert connection.getresponse().status == expected
        connection.close()


@pytest.mark.parametrize(("trusted", "told"), [("127.0.0.1", "203.0.113.7"), ("10.0.0.0/8", "127.0.0.1")])
async def test_only_a_trusted_proxy_says_who_is_there(server: ServerFactory, trusted: str, told: str) -> None:
    running = server(options=["--trusted-proxies", trusted])
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    async with connect(running.websocket_url("notes"), additional_headers=forwarded) as client:
        await client.send(STEP_1)
        await client.recv()
    running.terminate()
    (join,) = [line for line in running.log.splitlines() if "event=join" in line]
    assert f"address={told}:" in join
