"""Who is let in, how many at a time, and on which sockets."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import uvloop

from collabd import listening
from collabd.listening import AT_ONCE, Listener, sockets_for, sockets_on
from tests.support.certificates import Authority

Body = Callable[[], Coroutine[Any, Any, None]]


class Greeter(asyncio.Protocol):
    """Greets everybody, and hangs up."""

    def __init__(self, guests: list["Greeter"]) -> None:
        self._guests = guests

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._guests.append(self)
        sending = cast(asyncio.Transport, transport)  # uvloop's is none by name
        sending.write(b"welcome")
        sending.close()


class Exhausted(socket.socket):
    """What the system has no connection for at first."""

    failures: ClassVar = [errno.ECONNABORTED, errno.EMFILE]

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            raise OSError(self.failures.pop(0), "no more")
        return super().accept()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on_a_loop(request: pytest.FixtureRequest) -> Callable[[Body], None]:
    """Runs a function on either event loop."""

    def run(body: Body) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(body(), 20))

    return run


@contextlib.asynccontextmanager
async def letting_in(
    sockets: list[socket.socket] | None = None, **arguments: Any
) -> AsyncIterator[tuple[Listener, list[Greeter]]]:
    guests: list[Greeter] = []
    listener = Listener(sockets or sockets_on("127.0.0.1", 0), lambda: Greeter(guests), **arguments)
    try:
        yield listener, guests
    finally:
        listener.close()
        await listener.wait_closed()


async def visit(listener: Listener, **arguments: Any) -> bytes:
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname(), **arguments)
    try:
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def test_all_who_come_are_let_in(on_a_loop: Callable[[Body], None]) -> None:
    async def body() -> None:
        async with letting_in() as (listener, _):
            assert set(await asyncio.gather(*(visit(listener) for _ in range(50)))) == {b"welcome"}

    on_a_loop(body)


def test_after_a_few_the_others_wait(on_a_loop: Callable[[Body], None]) -> None:
    async def body() -> None:
        pauses = [3600.0, 0.0]
        async with letting_in(pause=lambda: pauses[0]) as (listener, guests):
            address = listener.sockets[0].getsockname()
            people = [socket.create_connection(address) for _ in range(3 * AT_ONCE)]
            while len(guests) < AT_ONCE:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(guests) == AT_ONCE
            for one in people:
                one.close()

    on_a_loop(body)


def test_the_others_come_when_the_pause_is_over(on_a_loop: Callable[[Body], None]) -> None:
    async def body() -> None:
        async with letting_in(pause=lambda: 0.001) as (listener, _):
            answers = await asyncio.gather(*(visit(listener) for _ in range(5 * AT_ONCE)))
            assert set(answers) == {b"welcome"}

    on_a_loop(body)


def test_a_system_that_has_nothing_left_for_a_while(
    on_a_loop: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listening, "EXHAUSTED_SECONDS", 0.01)
    monkeypatch.setattr(Exhausted, "failures", [errno.ECONNABORTED, errno.EMFILE])

    async def body() -> None:
        bound = Exhausted(socket.AF_INET, socket.SOCK_STREAM)
        bound.bind(("127.0.0.1", 0))
        async with letting_in([bound]) as (listener, _):
            assert await visit(listener) == b"welcome"

    on_a_loop(body)
    assert caplog.text.count("nobody can be let in for a while") == 1


def test_who_cannot_speak_tls_keeps_nobody_out(on_a_loop: Callable[[Body], None], tmp_path: Path) -> None:
    authority = Authority()
    files = authority.issue(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)

    async def body() -> None:
        async with letting_in(tls=tls) as (listener, guests):
            reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.read()
            writer.close()
            assert guests == []
            assert await visit(listener, ssl=authority.trust, server_hostname="localhost") == b"welcome"

    on_a_loop(body)


def test_a_closed_one_lets_in_nobody(on_a_loop: Callable[[Body], None]) -> None:
    async def body() -> None:
        async with letting_in(pause=lambda: 3600.0) as (listener, _):
            address = listener.sockets[0].getsockname()
            await visit(listener)
            listener.close()
            listener.close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)

    on_a_loop(body)


def test_addresses_of_a_kind_that_the_system_does_not_have_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unknown = (99, socket.SOCK_STREAM, 6, "", ("nowhere", 0))
    known = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [unknown, known])
    (bound,) = sockets_on("both", 0)
    with bound:
        assert bound.getsockname()[0] == "127.0.0.1"
    with sockets_for("both", 0, 2) as each:
        assert [len(sockets) for sockets in each] == [1, 1]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [unknown])
    with pytest.raises(OSError, match="not supported"):
        sockets_on("neither", 0)


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    (bound,) = sockets_on("127.0.0.1", 0)
    with bound:
        bound.listen()
        port = bound.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be listened on"):
            sockets_on("127.0.0.1", port)


def test_each_has_a_socket_of_its_own_on_one_port() -> None:
    with sockets_for("127.0.0.1", 0, 3) as each:
        addresses = {one.getsockname() for sockets in each for one in sockets}
        assert len(each) == 3
        assert len(addresses) == 1
        assert len({one.fileno() for sockets in each for one in sockets}) == 3


def test_where_the_system_does_not_distribute_connections_they_share_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "DISTRIBUTES", False)
    with sockets_for("127.0.0.1", 0, 3) as each:
        assert len({one.fileno() for sockets in each for one in sockets}) == 1


def test_a_host_may_have_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2") * 2
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with sockets_for("both", 0, 2) as each:
        assert [[one.getsockname()[0] for one in sockets] for sockets in each] == [
            ["127.0.0.1", "127.0.0.2"]
        ] * 2


def test_a_port_is_not_shared_with_others() -> None:
    with sockets_for("127.0.0.1", 0, 2) as each:
        for sockets in each:
            sockets[0].listen()
        port = each[0][0].getsockname()[1]
        with (
            pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be listened on"),
            sockets_for("127.0.0.1", port, 2),
        ):
            pass
