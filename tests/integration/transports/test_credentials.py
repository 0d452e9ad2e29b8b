"""Credentials of WebSockets: how they are shown, that they are seen nowhere else, and how they end."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pycrdt import Doc
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from collabd.auth.base import Access, Pattern, Principal, Scope
from collabd.protocol import awareness, messages
from collabd.web.socket import DocumentSocket
from tests.support.raw import RawConnection, frame, handshake
from tests.unit.rooms.kit import Writer

from .site import PATIENCE, Site, closed, until

pytestmark = pytest.mark.timeout(60)

Serve = Callable[..., Awaitable[Site]]

NOBODY_MAY = ({"documents": "nothing-is-called-so", "anyone": True, "access": "read"},)
"""Rules, so that nothing is allowed but what credentials say."""
EMPTY = messages.step_1_frame(b"\x00")
SECRET_TEXT = "what only some may read"


@pytest.fixture
async def site(serve: Serve) -> Site:
    return await serve(rules=NOBODY_MAY)


def token(
    site: Site, access: Access = Access.WRITE, *, user: str = "ada", document: str = "notes", **more: Any
) -> str:
    scope = Scope({document: access})
    return site.service.gate.tokens.mint(Principal(user, user.title(), "#aa00bb"), scope, **more)[0]


async def key(site: Site, *, mints: bool = False) -> str:
    scope = Scope({}, ((Pattern("**"), Access.ADMIN),))
    return (await site.service.gate.keys.create("backend", scope, mints=mints))[0]


async def write(site: Site, name: str = "notes", text: str = SECRET_TEXT) -> None:
    room = await site.service.registry.open(name)
    await room.submit(Writer(1).append(text))


async def dial(
    site: Site, path: str = "notes", *, subprotocols: list[str] | None = None, bearer: str = ""
) -> ClientConnection:
    return await connect(
        f"ws://127.0.0.1:{site.port}/ws/{path}",
        subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
        additional_headers={"Authorization": f"Bearer {bearer}"} if bearer else None,
        compression=None,
        ping_interval=None,
        close_timeout=PATIENCE,
        proxy=None,
    )


async def content(connection: ClientConnection) -> str:
    await connection.send(EMPTY)
    doc: Doc[Any] = Doc()
    doc.apply_update((await until(connection, messages.SyncStep2)).update)
    return str(doc.get("content", type=Writer(1).text.__class__))


# The ways to show one


@pytest.mark.pairs
async def test_a_token_in_the_header_opens(site: Site) -> None:
    await write(site)
    assert await content(await dial(site, bearer=token(site))) == SECRET_TEXT


@pytest.mark.pairs
async def test_a_key_in_the_header_opens(site: Site) -> None:
    await write(site)
    assert await content(await dial(site, bearer=await key(site))) == SECRET_TEXT


@pytest.mark.pairs
@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        (["collabd.0", "*"], "collabd.0"),
        (["*", "collabd.0"], "collabd.0"),
        (["collabd.2", "collabd.0", "*"], "collabd.2"),
        (["*", "collabd.0", "collabd.2"], "collabd.2"),
        (["collabd.0", "collabd.1", "*"], "collabd.1"),
    ],
)
async def test_a_token_among_the_subprotocols_opens_and_is_not_agreed_on(
    offered: list[str], agreed: str, site: Site
) -> None:
    await write(site)
    shown = f"collabd.token.{token(site)}"
    connection = await dial(site, subprotocols=[shown if name == "*" else name for name in offered])
    assert connection.subprotocol == agreed
    assert await content(connection) == SECRET_TEXT


@pytest.mark.pairs
async def test_a_key_among_the_subprotocols_opens(site: Site) -> None:
    await write(site)
    connection = await dial(site, subprotocols=["collabd.0", f"collabd.token.{await key(site)}"])
    assert await content(connection) == SECRET_TEXT


@pytest.mark.pairs
async def test_a_token_alone_among_the_subprotocols_is_never_said_back(site: Site) -> None:
    secret = token(site)
    request = handshake("notes").replace(
        b"\r\n\r\n", f"\r\nSec-WebSocket-Protocol: collabd.token.{secret}\r\n\r\n".encode()
    )
    connection = await site.dial()
    connection.writer.write(request)
    answer = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert secret.encode() not in answer
    assert b"sec-websocket-protocol" not in answer.lower()


@pytest.mark.pairs
@pytest.mark.parametrize("parameters", ["token={}", "a=b&token={}&c=d", "%74oken={}", "token={}&id={id}"])
async def test_a_token_in_the_address_opens(parameters: str, site: Site) -> None:
    await write(site)
    document_id = str(site.room().document_id)
    connection = await dial(site, "notes?" + parameters.format(token(site), id=document_id))
    assert await content(connection) == SECRET_TEXT


@pytest.mark.pairs
async def test_other_parameters_count_beside_a_token(site: Site) -> None:
    await write(site)
    other = site.room().document_id
    assert other is not None
    for parameters in (f"token={token(site)}&id={other + 1}", f"id={other + 1}&token={token(site)}"):
        code, _ = await closed(await dial(site, f"notes?{parameters}"))
        assert code == 4410


# Nobody else sees it


@contextmanager
def all_logged() -> Iterator[list[str]]:
    """Everything that any logger says, however little it matters; but of uvicorn not the trace of all that
    comes over the wire."""
    lines: list[str] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not record.name.startswith("websockets.client"):  # which is this test
                lines.append(self.format(record) + repr(record.__dict__))

    handler = Keeps()
    root = logging.getLogger()
    touched = [root, *map(logging.getLogger, ("collabd", "uvicorn", "uvicorn.error", "uvicorn.access"))]
    before = [logger.level for logger in touched]
    for logger in touched:
        logger.setLevel(logging.INFO if logger.name.startswith("uvicorn") else logging.DEBUG)
    root.addHandler(handler)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        for logger, level in zip(touched, before, strict=True):
            logger.setLevel(level)


@pytest.mark.pairs
async def test_a_token_reaches_no_log_and_no_scope(
    layer: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    scopes: list[ASGIScope] = []
    serve = DocumentSocket.__call__

    async def keeping(self: DocumentSocket, scope: ASGIScope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await serve(self, scope, receive, send)

    monkeypatch.setattr(DocumentSocket, "__call__", keeping)
    await write(site)
    good, bad = token(site), token(site, document="other")
    with all_logged() as lines:
        site.server.config.access_log = True
        for path in (f"notes?token={good}&x=1", f"notes?token={bad}", f"notes?%74oken={good}&x=1"):
            connection = await dial(site, path)
            if bad in path:
                assert (await closed(connection))[0] == 4403
            else:
                assert await content(connection) == SECRET_TEXT
                await connection.close()
                await site.goodbye()
        shown = f"collabd.token.{good}"
        connection = await dial(site, subprotocols=["collabd.0", shown])
        await connection.close()
        await site.goodbye()
        connection = await dial(site, bearer=good)
        await connection.close()
        await site.goodbye()
        with pytest.raises(InvalidStatus):
            await site.connect(f"notes?token={good}&x=2", origin="https://elsewhere.example")
        garbled = good[:-9] + "AAAAAAAAA"
        assert (await closed(await dial(site, f"notes?token={garbled}")))[0] == 4401
    written = "".join(lines)
    assert ("WebSocket /ws/notes?x=1" in written) == (layer == "portable"), "uvicorn's own log is seen here"
    for secret in (good, bad, garbled):
        # Nor any part of it but what every token begins with.
        for part in secret.split(".")[1:]:
            assert part not in written
    for scope in scopes:
        assert "token" not in scope["query_string"].decode()
    assert [scope["query_string"] for scope in scopes] == [b"x=1", b"", b"x=1", b"", b"", b"x=2", b""]


# Refusals


@pytest.mark.pairs
async def test_a_key_in_the_address_is_refused(site: Site) -> None:
    await write(site)
    assert (await closed(await dial(site, f"notes?token={await key(site)}")))[0] == 4401


@pytest.mark.pairs
async def test_what_is_in_the_address_is_not_outdone_by_a_better_one(site: Site) -> None:
    """Who shows two is known by the one that can do less."""
    shown = f"notes?token={token(site, Access.READ)}"
    connection = await dial(site, shown, bearer=token(site, Access.ADMIN))
    await connection.send(messages.update_frame(Writer(3).append("graffiti")))
    assert (await closed(connection))[0] == 4403


async def heard(connection: ClientConnection) -> tuple[list[bytes], int, str]:
    """All that comes, and how it ends."""
    got: list[bytes] = []
    with suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            async for data in connection:
                assert isinstance(data, bytes)
                got.append(data)
    return got, connection.close_code or 1006, connection.close_reason or ""


async def refusals(site: Site, name: str) -> dict[str, tuple[list[bytes], int, str]]:
    gate = site.service.gate
    revoked, identity = gate.tokens.mint(Principal("eve", "Eve"), Scope({name: Access.WRITE}))
    await gate.revocations.add(identity.credential)
    stale = token(site, document=name)[:-4] + "AAAA"
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "nothing": ("", {}),
        "garbage": ("?token=garbage", {}),
        "a token of another document": (f"?token={token(site, document='elsewhere')}", {}),
        "a token for nothing": (f"?token={token(site, Access.NONE, document=name)}", {}),
        "a forged token": (f"?token={stale}", {}),
        "a revoked token": (f"?token={revoked}", {}),
        "garbage in the header": ("", {"bearer": "garbage"}),
        "no such key": ("", {"bearer": f"collabd_{'0' * 12}_{'A' * 43}"}),
        "garbage among subprotocols": ("", {"subprotocols": ["collabd.0", "collabd.token.garbage"]}),
        "a document that was another": ("?id=12345", {}),
    }
    said = {}
    for way, (query, shown) in ways.items():
        connection = await dial(site, f"{quote(name)}{query}", **shown)
        with suppress(ConnectionClosed):
            await connection.send(EMPTY)
        said[way] = await heard(connection)
    return said


@pytest.mark.pairs
async def test_who_is_refused_gets_nothing_and_learns_nothing(site: Site) -> None:
    await write(site, "there")
    await write(site, "gone")
    await site.service.registry.delete("gone")
    there = await refusals(site, "there")
    for way, (got, code, reason) in there.items():
        assert got == [], way
        assert code in (4401, 4403), way
        assert "there" not in reason, way
    assert there["a token of another document"][1] == there["a token for nothing"][1] == 4403
    assert there["nothing"][1] == there["garbage"][1] == there["a revoked token"][1] == 4401
    assert await refusals(site, "never was") == there
    assert await refusals(site, "gone") == there
    assert site.service.registry.get("never was") is None


# The end of a connection


async def test_a_connection_ends_when_its_time_is_over(site: Site) -> None:
    await write(site)
    brief = token(site, seconds=2, connection_seconds=3)
    connection = await dial(site, f"notes?token={brief}")
    assert await content(connection) == SECRET_TEXT
    code, reason = await closed(connection)
    assert code == 4501
    assert reason.startswith("expired")
    # And it opens nothing more.
    assert (await closed(await dial(site, f"notes?token={brief}")))[0] == 4401


@pytest.mark.pairs
async def test_a_connection_outlasts_its_token(site: Site) -> None:
    await write(site)
    brief = token(site, seconds=2, connection_seconds=60)
    connection = await dial(site, f"notes?token={brief}")
    assert await content(connection) == SECRET_TEXT
    async with asyncio.timeout(PATIENCE):
        while await _opens(site, brief):
            pass
    await site.service.rights.check()
    assert await content(connection) == SECRET_TEXT


async def _opens(site: Site, text: str) -> bool:
    async with await dial(site, f"notes?token={text}") as connection:
        try:
            await content(connection)
        except ConnectionClosed:
            assert connection.close_code == 4401
            return False
    return True


@pytest.mark.parametrize("by", ["token_id", "id"])
async def test_what_is_revoked_over_http_ends_open_connections(by: str, site: Site) -> None:
    await write(site)
    mint = site.service.gate.tokens.mint
    text, identity = mint(Principal("eve", "Eve"), Scope({"notes": Access.WRITE}))
    hers = [await dial(site, f"notes?token={text}") for _ in range(3)]
    other = await dial(site, f"notes?token={token(site)}")
    for connection in [*hers, other]:
        assert await content(connection) == SECRET_TEXT
    what = {"token_id": identity.credential.removeprefix("token:")} if by == "token_id" else {"id": "eve"}
    backend = {"Authorization": f"Bearer {await key(site, mints=True)}"}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}", headers=backend) as client,
        asyncio.timeout(PATIENCE),
    ):
        answer = await client.post("/api/v1/revocations", json=what)
        assert (answer.status_code, answer.content) == (204, b"")
        for connection in hers:
            assert (await closed(connection))[0] == 4501
    assert await content(other) == SECRET_TEXT
    assert (await closed(await dial(site, f"notes?token={text}")))[0] == 4401
    assert len(site.service.rights._watched) == 1


async def test_a_revoked_key_ends_open_connections(site: Site) -> None:
    text = await key(site)
    connection = await dial(site, bearer=text)
    await content(connection)
    assert await site.service.gate.revoke_key(text.split("_")[1])
    async with asyncio.timeout(PATIENCE):
        assert (await closed(connection))[0] == 4501


async def test_who_reads_nothing_gets_nothing_of_what_was_queued_once_revoked(site: Site) -> None:
    await write(site)
    text, identity = site.service.gate.tokens.mint(Principal("eve", "Eve"), Scope({"notes": Access.READ}))
    slow = await site.raw(f"notes?token={text}")
    slow.writer.write(frame(EMPTY))
    async with asyncio.timeout(PATIENCE):
        while not any(peer.principal.id == "eve" for peer in site.room().peers):
            await asyncio.sleep(0.001)
    (eve,) = (peer for peer in site.room().peers if peer.principal.id == "eve")
    slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
    ada = Writer(2)
    written = 0
    # The kernel takes what it can; from then on it waits here.
    async with asyncio.timeout(PATIENCE):
        while eve.outbox.waiting < 2_000_000:
            await site.room().submit(ada.append("x" * 500_000))
            written += 500_000
            await asyncio.sleep(0)
    last = b"the very last that was written"
    await site.room().submit(ada.append(last.decode()))
    await site.service.gate.revocations.add(identity.credential)
    await site.service.rights.check()
    assert not any(peer.principal.id == "eve" for peer in site.room().peers)
    slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
    got = await _rest_of(slow)
    assert last not in got
    assert len(got) < written


async def _rest_of(connection: RawConnection) -> bytes:
    """All that comes up to the close frame or the cut."""
    got = bytearray()
    async with asyncio.timeout(PATIENCE):
        try:
            while b"\x11\x95expired" not in got and (data := await connection.reader.read(2**20)):
                got += data
        except ConnectionError:
            pass
    return bytes(got)


# Presence


async def said_of(watcher: ClientConnection, client: int) -> Any:
    """What is said of a client next."""
    while True:
        message = await until(watcher, messages.AwarenessMessage)
        for entry in awareness.decode(message.payload):
            if entry.client == client:
                return None if entry.state is None else json.loads(entry.state)


def presence(client: int, state: Any, clock: int = 1) -> bytes:
    text = None if state is None else json.dumps(state)
    return messages.awareness_frame(awareness.encode([awareness.Entry(client, clock, text)]))


@pytest.mark.pairs
async def test_presence_says_who_it_is_whatever_a_client_says(site: Site) -> None:
    watcher = await dial(site, f"notes?token={token(site, user='ben')}")
    eve = await dial(site, f"notes?token={token(site, Access.READ, user='eve')}")
    lie = {"user": {"id": "ada", "name": "Ada", "color": "#000000", "mood": "good"}, "cursor": 7}
    await eve.send(presence(5, lie))
    assert await said_of(watcher, 5) == {
        "user": {"id": "eve", "name": "Eve", "color": "#aa00bb", "mood": "good"},
        "cursor": 7,
    }


@pytest.mark.pairs
async def test_nobody_speaks_for_somebody_else_and_who_tries_stays(site: Site) -> None:
    ada = await dial(site, f"notes?token={token(site)}")
    await ada.send(presence(1, {"user": {}, "cursor": 1}))
    eve = await dial(site, f"notes?token={token(site, user='eve')}")
    assert (await said_of(eve, 1))["cursor"] == 1
    await eve.send(presence(1, {"user": {}, "cursor": 99}, clock=2**30))
    await eve.send(presence(1, None, clock=2**30))
    await eve.send(presence(5, {"user": {}, "cursor": 5}))
    assert (await said_of(ada, 5))["user"]["id"] == "eve"
    assert site.room().awareness.states[1]["cursor"] == 1
    assert site.room().awareness.states[1]["user"]["id"] == "ada"
    assert await content(eve) is not None


@pytest.mark.pairs
async def test_who_comes_back_takes_over_and_the_old_connection_s_end_changes_nothing(site: Site) -> None:
    watcher = await dial(site, f"notes?token={token(site, user='ben')}")
    old = await dial(site, f"notes?token={token(site)}")
    await old.send(presence(1, {"cursor": 1}))
    assert (await said_of(watcher, 1))["cursor"] == 1
    # With another token: it is the person that counts.
    new = await dial(site, f"notes?token={token(site)}")
    await new.send(presence(1, {"cursor": 2}, clock=2))
    assert (await said_of(watcher, 1))["cursor"] == 2
    await old.close()
    await site.goodbye()
    await new.send(presence(1, {"cursor": 3}, clock=3))
    assert (await said_of(watcher, 1))["cursor"] == 3
    await new.close()
    assert await said_of(watcher, 1) is None


@pytest.mark.pairs
async def test_where_rights_are_decided_nobody_is_somebody(serve: Serve) -> None:
    site = await serve(rules=({"documents": "**", "anyone": True, "access": "write"},))
    watcher, somebody = await dial(site), await dial(site)
    await somebody.send(presence(5, {"user": {"id": "ada", "name": "Zoë", "color": "#123456"}}))
    assert await said_of(watcher, 5) == {"user": {"id": "anonymous", "name": "Zoë", "color": "#123456"}}


@pytest.mark.pairs
async def test_an_open_server_leaves_presence_alone(serve: Serve) -> None:
    site = await serve()
    watcher, somebody = await dial(site), await dial(site)
    said = {"user": {"id": "ada", "name": "Zoë"}, "cursor": 1}
    await somebody.send(presence(5, said))
    assert await said_of(watcher, 5) == said
    await somebody.send(presence(5, {"cursor": 2}, clock=2))
    assert await said_of(watcher, 5) == {"cursor": 2}


@pytest.mark.pairs
async def test_a_decision_that_fails_for_one_spares_nobody_else(serve: Serve) -> None:
    """Rights that are an application's own code: it may fail in any way."""
    site = await serve()
    rights: dict[str, Access | Exception] = {"one": Access.READ, "two": Access.READ}

    async def authorize(principal: Principal, document: str) -> Access:
        access = rights[document]
        if isinstance(access, Exception):
            raise access
        return access

    site.service.gate._authorize = authorize
    one, two = await dial(site, "one"), await dial(site, "two")
    await content(one)
    await content(two)
    rights.update(one=RuntimeError("the database of the application is at 10.0.0.1"), two=Access.NONE)
    async with asyncio.timeout(PATIENCE):
        assert (await closed(two))[0] == 4403
        code, reason = await closed(one)
    assert code == 1013
    assert "10.0.0.1" not in reason
    # Nor does anybody get in by that.
    got, code, reason = await heard(await dial(site, "one"))
    assert (got, code) == ([], 1013)
    assert "10.0.0.1" not in reason
