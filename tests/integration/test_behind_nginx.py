"""Two real servers on one PostgreSQL behind a real nginx, which runs deploy/nginx.conf."""

import asyncio
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support import postgres
from tests.support.clients import Client
from tests.support.nginx import Nginx, program, running_nginx
from tests.support.server import RunningServer, running_server
from tests.support.stock import stock_clients
from tests.support.watching import becomes, exported_text, figure_becomes, figures

pytestmark = pytest.mark.timeout(180)

STEP_1 = bytes([0, 0, 1, 0])
"""y-websocket: sync step 1 with an empty state vector."""


class Installation:
    """What compose.yaml describes, as far as it is ours: a database, two servers, the balancer."""

    def __init__(self, folder: Path) -> None:
        program()
        self._folder = folder
        self._running = ExitStack()
        self._store = postgres.new_database()

    def __enter__(self) -> "Installation":
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start(self, *options: str, changes: Mapping[str, str] | None = None) -> Nginx:
        """Start it all: servers with these options, nginx with these changes to its file."""
        self.servers = [self._server(name, options) for name in ("one", "two")]
        ports = [server.port for server in self.servers]
        return self._running.enter_context(running_nginx(self._folder / "nginx", ports, changes))

    def _server(self, name: str, options: tuple[str, ...]) -> RunningServer:
        directory = self._folder / name
        directory.mkdir()
        return self._running.enter_context(running_server(directory, store=self._store, options=options))

    def joins(self) -> list[str]:
        """Where those who joined came from, by the servers' logs."""
        lines = [line for server in self.servers for line in server.log.splitlines()]
        return [line.partition("address=")[2].split(" ")[0] for line in lines if "event=join" in line]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with Installation(tmp_path) as installation:
        yield installation


def client(nginx: Nginx, *, saves: bool = False) -> Client:
    return Client(nginx.websocket_url("notes"), trust=nginx.trust, saves=saves)


def test_the_configuration_is_one(tmp_path: Path) -> None:
    done = subprocess.run([*Nginx(tmp_path, (1, 2)).command, "-t"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


async def test_stock_clients_on_two_servers_write_together(installation: Installation, node: str) -> None:
    nginx = installation.start()
    one, two = installation.servers
    url, trusted = nginx.websocket_url("").rstrip("/"), {"NODE_EXTRA_CA_CERTS": str(nginx.authority_path)}
    async with stock_clients(node, url=url, environment=trusted) as stock:
        await stock("open", "ada", document="notes")
        await stock("open", "ben", document="notes")
        for server in (one, two):
            await figure_becomes(server, "collabd_connections", 1)
        await stock("insert", "ada", position=0, text="hello")
        await stock("text", "ben", expected="hello")
        await stock("insert", "ben", position=5, text=" there")
        await stock("text", "ada", expected="hello there")

        stopped, left = one, two
        assert await asyncio.to_thread(stopped.terminate) == 0
        await figure_becomes(left, "collabd_connections", 2)
        moved = [name for name in ("ada", "ben") if 1012 in await stock("closes", name)]
        assert len(moved) == 1
        await stock("insert", moved[0], position=0, text="oh, ")
        for name in ("ada", "ben"):
            await stock("text", name, expected="oh, hello there")
        await becomes(lambda: exported_text(left, "notes"), "oh, hello there")

        await asyncio.to_thread(stopped.start)
        await asyncio.to_thread(left.terminate)
        await figure_becomes(stopped, "collabd_connections", 2)
        await stock("insert", "ada", position=0, text="back: ")
        await stock("text", "ben", expected="back: oh, hello there")


async def test_large_documents_and_bodies_pass(installation: Installation) -> None:
    nginx = installation.start()
    large = "x" * 12_000_000
    async with client(nginx, saves=True) as ada:
        await ada.synced()
        ada.append(large)
        await ada.saved_all()
        async with client(nginx) as ben:
            await ben.until(lambda: len(ben.text) == len(large))
    status, body = await asyncio.to_thread(nginx.request, "GET", "/api/v1/documents/notes?format=text")
    assert (status, len(body)) == (200, len(large))
    as_text = {"Content-Type": "text/plain"}
    sent = [len(large), 17_000_000]
    statuses = [
        (await asyncio.to_thread(nginx.request, "PUT", f"/api/v1/documents/{size}", b"x" * size, as_text))[0]
        for size in sent
    ]
    assert statuses == [201, 413]


async def receives_until_closed(connection: ClientConnection, seconds: float) -> bool:
    """Whether a connection on which we say nothing still stands after some seconds."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                await connection.recv()
    except TimeoutError:
        return True
    except ConnectionClosed:
        return False


@pytest.mark.parametrize(("keepalive", "survives"), [(1, True), (25, False)])
async def test_silent_connections_last_as_long_as_something_comes_in_time(
    installation: Installation, keepalive: int, survives: bool
) -> None:
    """With nginx's patience shortened to four seconds; its own is longer than any ``keepalive_seconds``."""
    nginx = installation.start(
        "--keepalive-seconds", str(keepalive), changes={"proxy_read_timeout 75s": "proxy_read_timeout 4s"}
    )
    async with connect(
        nginx.websocket_url("notes"), ssl=nginx.trust, ping_interval=None, proxy=None
    ) as quiet:
        await quiet.send(STEP_1)
        assert await receives_until_closed(quiet, 10) is survives


async def test_servers_learn_who_is_there_and_by_what(installation: Installation) -> None:
    nginx = installation.start()
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    async with connect(
        nginx.websocket_url("notes"),
        ssl=nginx.trust,
        additional_headers=forged,
        local_addr=("127.0.0.7", 0),
        proxy=None,
    ) as ada:
        await ada.send(STEP_1)
        await ada.recv()
        await becomes(lambda: [join.rpartition(":")[0] for join in installation.joins()], ["127.0.0.7"])
    page = {"Origin": nginx.url, **forged}
    status, _ = await asyncio.to_thread(nginx.request, "POST", "/auth/logout", None, page)
    assert status == 200, "a page of an https address is taken for the server's own"


async def test_tokens_and_figures_stay_within(installation: Installation) -> None:
    nginx = installation.start()
    token = "?token=SECRET"
    async with connect(nginx.websocket_url("notes") + token, ssl=nginx.trust, proxy=None) as ada:
        await ada.send(STEP_1)
        await ada.recv()
    await asyncio.to_thread(nginx.request, "GET", f"/api/v1/documents/notes{token}")
    assert (await asyncio.to_thread(nginx.request, "GET", "/metrics"))[0] == 404
    assert (await asyncio.to_thread(nginx.request, "GET", "/healthz"))[1] == b"ok"
    await becomes(lambda: "GET /healthz" in nginx.log, True)
    assert "GET /ws/notes" in nginx.log
    assert "SECRET" not in nginx.log
    assert sum(figures(server)["collabd_joins_total"] for server in installation.servers) == 1


async def test_one_address_has_so_many_connections_and_no_more(installation: Installation) -> None:
    nginx = installation.start(changes={"limit_conn addresses 1000": "limit_conn addresses 2"})

    def connecting(address: str) -> connect:
        url = nginx.websocket_url("notes")
        return connect(url, ssl=nginx.trust, local_addr=(address, 0), proxy=None)

    async with connecting("127.0.0.7"), connecting("127.0.0.7"), connecting("127.0.0.8"):
        with pytest.raises(InvalidStatus) as refused:
            await connecting("127.0.0.7")
        assert refused.value.response.status_code == 429
