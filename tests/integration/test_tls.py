"""A real process that speaks TLS itself, and is given another certificate while it runs."""

import contextlib
import os
import signal
import socket
import ssl
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage

from tests.support.certificates import Authority, Files
from tests.support.clients import Client
from tests.support.server import RunningServer
from tests.support.watching import ServerFactory, becomes
from tests.support.workers import workers_of

from .test_serving import serve

Start = Callable[..., RunningServer]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> Files:
    return authority.issue(tmp_path)


@pytest.fixture
def running(server: ServerFactory, authority: Authority, files: Files) -> RunningServer:
    return server(options=files.options, trust=authority.trust)


def presented(running: RunningServer) -> int:
    """The number of the certificate that a new connection is shown."""
    assert running.trust is not None
    with (
        socket.create_connection(("127.0.0.1", running.port)) as plain,
        running.trust.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        shown = secured.getpeercert()
        assert shown is not None
        return int(str(shown["serialNumber"]), 16)


def client(running: RunningServer, *, saves: bool = False) -> Client:
    return Client(running.websocket_url("notes"), trust=running.trust, saves=saves)


async def test_the_page_and_documents_are_served_over_tls(running: RunningServer) -> None:
    assert running.greeting.startswith(f"collabd is serving https://127.0.0.1:{running.port}/ ")
    assert running.get("/")[0] == 200
    async with client(running, saves=True) as ada, client(running) as ben:
        await ben.synced()
        ada.append("hello ")
        await ben.has_text("hello ")
        ben.append("x" * 1_000_000)
        await ada.until(lambda: len(ada.text) == 1_000_006)
    assert running.terminate() == 0
    assert "Traceback" not in running.log


async def test_a_new_certificate_is_for_new_connections_and_the_open_ones_stay(
    running: RunningServer, authority: Authority, files: Files
) -> None:
    async with client(running) as ada:
        await ada.synced()
        assert presented(running) == files.number
        renewed = authority.issue(files.certificate.parent)
        assert presented(running) == files.number
        running.process.send_signal(signal.SIGHUP)
        await becomes(lambda: "the certificate was read again" in running.log, True)
        assert presented(running) == renewed.number != files.number
        async with client(running) as ben:
            await ben.synced()
            ada.append("still here")
            await ben.has_text("still here")


@pytest.mark.parametrize("missing", [False, True])
async def test_a_certificate_that_cannot_be_used_leaves_the_old_one_in_place(
    running: RunningServer, files: Files, missing: bool
) -> None:
    key = files.key.read_bytes()
    if missing:
        files.key.unlink()
    else:
        files.key.write_text("not yet written")
    running.process.send_signal(signal.SIGHUP)
    await becomes(lambda: "the certificate stays as it was" in running.log, True)
    assert presented(running) == files.number
    files.key.write_bytes(key)
    running.process.send_signal(signal.SIGHUP)
    await becomes(lambda: "the certificate was read again" in running.log, True)
    assert presented(running) == files.number
    assert "Traceback" not in running.log


async def test_a_worker_that_is_just_starting_survives_a_new_certificate(
    server: ServerFactory, authority: Authority, files: Files
) -> None:
    several = server(options=[*files.options, "--workers", "2"], trust=authority.trust)
    before = workers_of(several)
    os.kill(before[0], signal.SIGKILL)
    await becomes(lambda: len(workers_of(several)) == 2 and before[0] not in workers_of(several), True)
    # By now the new one has begun, and cannot have come as far as to know what is meant.
    renewed = authority.issue(files.certificate.parent)
    several.process.send_signal(signal.SIGHUP)
    await becomes(lambda: several.log.count("the certificate was read again"), 2)
    assert several.log.count("event=worker-ended") == 1
    assert {presented(several) for _ in range(20)} == {renewed.number}


async def test_who_hangs_up_ends_no_server_without_a_certificate(server: ServerFactory) -> None:
    running = server()
    running.process.send_signal(signal.SIGHUP)
    await becomes(lambda: "there is no certificate" in running.log, True)
    assert running.get("/readyz")[0] == 200
    assert running.terminate() == 0


def test_a_certificate_that_cannot_be_used_is_told_at_start(files: Files, tmp_path: Path) -> None:
    files.key.write_text("nonsense")
    done = serve("--port", "0", *files.options, directory=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"collabd: {files.certificate} and {files.key} are not a certificate and its key in PEM format\n"
    )


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("newest", "is_taken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_old_versions_of_tls_are_refused(
    running: RunningServer, authority: Authority, newest: str, is_taken: bool
) -> None:
    client = authority.trust
    client.set_ciphers("ALL:@SECLEVEL=0")  # or our own side would not speak them
    client.minimum_version = ssl.TLSVersion.TLSv1
    client.maximum_version = ssl.TLSVersion[newest]
    refused = pytest.raises((ssl.SSLError, ConnectionError))
    with (
        socket.create_connection(("127.0.0.1", running.port)) as plain,
        contextlib.nullcontext() if is_taken else refused,
    ):
        client.wrap_socket(plain, server_hostname="localhost").close()


async def test_who_speaks_no_tls_is_turned_away(running: RunningServer) -> None:
    with pytest.raises((InvalidMessage, ConnectionError)):
        await connect(f"ws://127.0.0.1:{running.port}/ws/notes", proxy=None)
    assert running.get("/healthz") == (200, "ok")
    assert "Traceback" not in running.log


def test_who_says_nothing_does_not_hold_up_the_end(
    server: ServerFactory, authority: Authority, files: Files
) -> None:
    running = server(options=[*files.options, "--shutdown-seconds", "2"], trust=authority.trust)
    assert running.trust is not None
    with (
        socket.create_connection(("127.0.0.1", running.port)),
        socket.create_connection(("127.0.0.1", running.port)) as plain,
        running.trust.wrap_socket(plain, server_hostname="localhost") as idle,
    ):
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(12) == b"HTTP/1.1 200"
        assert running.terminate() == 0


def test_cookies_are_for_https_alone(running: RunningServer) -> None:
    connection = HTTPSConnection("127.0.0.1", running.port, context=running.trust)
    connection.request("POST", "/auth/logout", headers={"Origin": running.url})
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 200
    (cookie,) = answer.headers.get_all("set-cookie") or []
    assert cookie.startswith("__Host-collabd-session=")
    assert "Secure" in cookie


async def test_all_workers_are_given_a_new_certificate(
    server: ServerFactory, authority: Authority, files: Files
) -> None:
    running = server(options=(*files.options, "--workers", "2"), trust=authority.trust)
    assert running.greeting.startswith("collabd is serving https://")
    assert {presented(running) for _ in range(20)} == {files.number}
    renewed = authority.issue(files.certificate.parent)
    running.process.send_signal(signal.SIGHUP)
    await becomes(lambda: running.log.count("the certificate was read again"), 2)
    assert {presented(running) for _ in range(20)} == {renewed.number}
    assert running.terminate() == 0


def test_workers_without_a_usable_certificate_are_not_started(tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing.pem")
    done = serve("--workers", "2", "--tls-certificate", nothing, "--tls-key", nothing, directory=tmp_path)
    assert done.returncode == 2
    assert "nothing.pem" in done.stderr
