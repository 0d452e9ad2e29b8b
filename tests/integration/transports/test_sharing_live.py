"""Sharing and open connections: what is shared opens at once, and closes within seconds."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from collabd.auth.base import Access, Principal
from collabd.auth.oidc import SignedIn
from collabd.auth.shares import Shares
from collabd.protocol import messages
from collabd.rooms.room import READ_ONLY
from tests.support.raw import handshake
from tests.unit.rooms.kit import Writer

from .site import PATIENCE, Site, closed, until

pytestmark = pytest.mark.timeout(60)

Serve = Callable[..., Awaitable[Site]]

RULES = ({"documents": "home/**", "signed_in": True, "access": "create"},)
ADA, BEN = Principal("example:ada", "Ada"), Principal("example:ben", "Ben")


@pytest.fixture
async def site(serve: Serve) -> Site:
    return await serve(rules=RULES)


def shares(site: Site) -> Shares:
    found = site.service.gate.shares
    assert found is not None
    return found


async def made(site: Site) -> Shares:
    """A document of Ada's, and what it is shared by."""
    assert await shares(site).claim(ADA, "home/plan")
    room = await site.service.registry.open("home/plan")
    await room.submit(Writer(1).append("hello"))
    return shares(site)


async def link_to(site: Site, access: Access) -> str:
    await shares(site).share_by_link("home/plan", access)
    link = (await shares(site).of("home/plan")).link
    assert link is not None
    return link.secret


async def dial(
    site: Site, *, link: str = "", cookie: str = "", document: str = "home/plan"
) -> ClientConnection:
    origin = f"http://127.0.0.1:{site.port}"
    return await connect(
        f"ws://127.0.0.1:{site.port}/ws/{document}",
        subprotocols=[Subprotocol("collabd.0"), *([Subprotocol(f"collabd.link.{link}")] if link else [])],
        additional_headers={"Cookie": f"collabd-session={cookie}"} if cookie else None,
        origin=Origin(origin) if cookie else None,
        compression=None,
        ping_interval=None,
        close_timeout=PATIENCE,
        proxy=None,
    )


async def session_of(site: Site, principal: Principal) -> str:
    return await site.service.gate.sessions.begin(SignedIn(principal, "", "", "", 3600.0), "example")


async def is_synced(connection: ClientConnection) -> bool:
    await connection.send(messages.step_1_frame(b"\x00"))
    return bool((await until(connection, messages.SyncStep2)).update)


async def test_a_link_opens_and_is_not_agreed_on(site: Site) -> None:
    await made(site)
    connection = await dial(site, link=await link_to(site, Access.READ))
    assert connection.subprotocol == "collabd.0"
    assert (await until(connection, messages.PermissionDenied)).reason == READ_ONLY
    assert await is_synced(connection)
    assert await closed(await dial(site)) == (4401, "sign-in: who may read this document has to sign in")
    assert (await closed(await dial(site, link="x" * 32)))[0] == 4401


async def test_a_link_alone_is_never_said_back(site: Site) -> None:
    await made(site)
    secret = await link_to(site, Access.READ)
    request = handshake("home/plan").replace(
        b"\r\n\r\n", f"\r\nSec-WebSocket-Protocol: collabd.link.{secret}\r\n\r\n".encode()
    )
    connection = await site.dial()
    connection.writer.write(request)
    answer = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert b"101" in answer
    assert secret.encode() not in answer
    assert b"sec-websocket-protocol" not in answer.lower()


async def test_a_link_that_is_taken_back_closes_who_came_by_it(site: Site) -> None:
    await made(site)
    connection = await dial(site, link=await link_to(site, Access.WRITE))
    assert await is_synced(connection)
    await shares(site).share_by_link("home/plan", Access.NONE)
    assert (await closed(connection))[0] == 4403


async def test_a_link_that_gives_less_makes_readers_of_writers(site: Site) -> None:
    await made(site)
    connection = await dial(site, link=await link_to(site, Access.WRITE))
    assert await is_synced(connection)
    await link_to(site, Access.READ)
    assert (await until(connection, messages.PermissionDenied)).reason == READ_ONLY
    head = site.room("home/plan").head
    await connection.send(messages.update_frame(Writer(2).append("!")))
    assert (await closed(connection))[0] == 4403
    assert site.room("home/plan").head == head


async def test_who_opens_a_new_document_owns_it(site: Site) -> None:
    connection = await dial(site, cookie=await session_of(site, ADA), document="home/new")
    await connection.send(messages.update_frame(Writer(2).append("!")))
    await until(connection, messages.SyncStep1)
    owner = (await shares(site).of("home/new")).owner
    assert owner is not None
    assert (owner.id, owner.name) == (ADA.id, ADA.name)
    for other in (await session_of(site, BEN), ""):
        assert (await closed(await dial(site, cookie=other, document="home/new")))[0] in (4401, 4403)


async def test_people_are_let_in_and_out_again(site: Site) -> None:
    sharing = await made(site)
    cookie = await session_of(site, BEN)
    assert (await closed(await dial(site, cookie=cookie)))[0] == 4403
    await sharing.share("home/plan", "user:example:ben", Access.WRITE, ADA)
    connection = await dial(site, cookie=cookie)
    assert await is_synced(connection)
    await sharing.share("home/plan", "user:example:ben", Access.NONE, ADA)
    assert (await closed(connection))[0] == 4403


async def test_who_has_a_link_and_is_signed_in_keeps_both_rights(site: Site) -> None:
    sharing = await made(site)
    cookie = await session_of(site, BEN)
    connection = await dial(site, cookie=cookie, link=await link_to(site, Access.READ))
    assert (await until(connection, messages.PermissionDenied)).reason == READ_ONLY
    await sharing.share("home/plan", "user:example:ben", Access.WRITE, ADA)
    head = site.room("home/plan").head
    await _until_access(site, Access.WRITE)
    await connection.send(messages.update_frame(Writer(2).append("!")))
    await connection.send(messages.step_1_frame(b"\x00"))
    await until(connection, messages.SyncStep2)
    await site.room("home/plan").flushed()
    assert site.room("home/plan").head == head + 1


async def _until_access(site: Site, access: Access) -> None:
    async with asyncio.timeout(PATIENCE):
        while [peer.access for peer in site.room("home/plan").peers] != [access]:
            await asyncio.sleep(0.01)
