"""Whoever may only read changes nothing, whatever he says, in whichever way."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from collabd.auth.base import Access, Principal, Scope
from collabd.protocol import awareness, messages
from collabd.protocol.packing import pack
from tests.support.raw import TEXT, frame
from tests.unit.rooms.kit import Writer, text_of

from .site import PATIENCE, Site, closed, until

pytestmark = pytest.mark.timeout(60)

Serve = Callable[..., Awaitable[Site]]

EMPTY = messages.step_1_frame(b"\x00")
LARGE = "x" * 100_000
NOBODY_MAY = ({"documents": "nothing-is-called-so", "anyone": True, "access": "read"},)
"""Rules, so that nothing is allowed but what tokens say."""


@pytest.fixture
async def site(serve: Serve) -> Site:
    return await serve(rules=NOBODY_MAY)


def token(site: Site, access: Access, user: str = "eve", document: str = "notes") -> str:
    scope = Scope({document: access})
    return site.service.gate.tokens.mint(Principal(user, user.title()), scope)[0]


class Notes:
    """A document with something in it, somebody who watches it, and a reader who is up to something."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.ada = Writer(1)
        self.eve = Writer(2)
        self.earlier: list[bytes] = []
        """What came after the first, and is fine."""

    async def open(self, access: Access = Access.READ) -> None:
        self.watcher = await self._join("ada", Access.WRITE)
        self.first = self.ada.append("a text worth keeping")
        await self.watcher.send(messages.update_frame(self.first))
        await self.flushed()
        await self.watcher.send(messages.awareness_frame(_presence(1, {"user": {"name": "Ada"}})))
        self.eve.take(self.first)
        self.other = await self._join("ben", Access.READ)
        self.reader = await self._join("eve", access, ["collabd.2"])
        self.before = self.head, self.text

    async def _join(
        self, user: str, access: Access, subprotocols: list[str] | None = None
    ) -> ClientConnection:
        path = f"notes?token={token(self.site, access, user)}"
        connection = await self.site.connect(path, subprotocols=subprotocols)
        await connection.send(EMPTY)
        await until(connection, messages.SyncStep2)
        return connection

    async def flushed(self) -> None:
        room = self.site.room()
        async with asyncio.timeout(PATIENCE):
            while room.head == 0:
                await asyncio.sleep(0.001)
        await asyncio.wait_for(room.flushed(), PATIENCE)

    @property
    def head(self) -> int:
        return self.site.room().head

    @property
    def text(self) -> str:
        return text_of(self.site.room().state())

    async def is_unchanged(self) -> None:
        """Fail if anything came of it: in the log, in what others got, in what a newcomer gets."""
        await self.flushed()
        assert (self.head, self.text) == self.before
        info = await self.site.service.store.find("notes")
        assert info is not None
        assert info.head == self.before[0]
        # The first that others get is what was written next.
        more = self.ada.append(" still")
        await self.watcher.send(messages.update_frame(more))
        got = await until(self.other, messages.Update)
        copy = Writer(9)
        copy.take(self.first, *self.earlier, got.update)
        assert str(copy.text) == str(self.ada.text)
        newcomer = await self._join("ben", Access.READ)
        await newcomer.send(EMPTY)
        assert text_of((await until(newcomer, messages.SyncStep2)).update) == str(self.ada.text)


def _presence(client: int, state: Any, clock: int = 1) -> bytes:
    return awareness.encode([awareness.Entry(client, clock, None if state is None else json.dumps(state))])


Way = Callable[[Notes], Awaitable[None]]
WAYS: dict[str, Way] = {}


def way(name: str) -> Callable[[Way], Way]:
    def keep(function: Way) -> Way:
        WAYS[name] = function
        return function

    return keep


def saying(name: str, *made: Callable[[Notes], bytes | str | list[bytes]]) -> None:
    """A way that consists of messages; a list is one message in fragments."""

    async def say(notes: Notes) -> None:
        for make in made:
            await notes.reader.send(make(notes))

    WAYS[name] = say


def written(notes: Notes) -> bytes:
    return notes.eve.append("graffiti")


saying("an update", lambda notes: messages.update_frame(written(notes)))
saying("a step 2", lambda notes: messages.step_2_frame(written(notes)))
saying("all there is as step 2", lambda notes: (written(notes), messages.step_2_frame(notes.eve.state))[1])
saying("what deletes", lambda notes: messages.update_frame(notes.eve.delete(0, 5)))
saying("a map's key", lambda notes: messages.update_frame(notes.eve.put("title", "mine")))
saying("an update in fragments", lambda notes: [bytes([b]) for b in messages.update_frame(written(notes))])
saying("a step 2 in fragments", lambda notes: [messages.step_2_frame(written(notes)), b""])
saying("a large update", lambda notes: messages.update_frame(notes.eve.append(LARGE)))
saying("a large step 2", lambda notes: messages.step_2_frame(notes.eve.append(LARGE)))
saying("a packed update", lambda notes: pack(messages.update_frame(notes.eve.append(LARGE))))
saying("a packed step 2", lambda notes: pack(messages.step_2_frame(notes.eve.append(LARGE))))
saying("a small packed update", lambda notes: pack(messages.update_frame(written(notes))))
saying(
    "a packed update in fragments",
    lambda notes: [pack(messages.update_frame(written(notes)))[:5], pack(messages.update_frame(b"\0\0"))[5:]],
)
saying(
    "two messages in one",
    lambda notes: messages.update_frame(notes.first) + messages.update_frame(written(notes)),
)
saying(
    "an update behind a question", lambda notes: EMPTY, lambda notes: messages.update_frame(written(notes))
)
saying(
    "an update behind one that says nothing new",
    lambda notes: messages.update_frame(notes.first),
    lambda notes: messages.update_frame(written(notes)),
)
saying(
    "what builds on what is not there",
    lambda notes: (notes.eve.append("lost"), messages.update_frame(notes.eve.append("early")))[1],
)
saying("key by key", *[lambda notes: messages.update_frame(notes.eve.append("x"))] * 5)
saying("text that is no message", lambda notes: "graffiti")
saying("an answer that only servers give", lambda notes: messages.encode(messages.PermissionDenied("no")))
saying("saved", lambda notes: messages.saved_frame(1))
saying("an unknown kind of message", lambda notes: b"\x07" + written(notes))
saying("an unknown kind of sync", lambda notes: b"\x00\x05" + written(notes))
saying(
    "presence as somebody else",
    lambda notes: messages.awareness_frame(_presence(1, {"user": {"name": "Eve"}}, clock=99)),
)
saying("somebody else's leaving", lambda notes: messages.awareness_frame(_presence(1, None, clock=99)))
saying(
    "presence with an update in it",
    lambda notes: b"\x01" + messages.update_frame(written(notes)),
)


@pytest.mark.pairs
@pytest.mark.parametrize("name", WAYS)
async def test_a_reader_changes_nothing_by(name: str, site: Site) -> None:
    notes = Notes(site)
    await notes.open()
    try:
        await WAYS[name](notes)
        async with asyncio.timeout(PATIENCE):
            # Either it is closed, or it has read on to what was said last.
            await notes.reader.send(EMPTY)
            await until(notes.reader, messages.SyncStep2)
    except ConnectionClosed:
        assert notes.reader.close_code in (4400, 4403, 1009)
    await notes.is_unchanged()
    assert (
        site.room().awareness.states.get(1, {"user": {"name": "Ada", "id": "ada"}})["user"]["name"] == "Ada"
    )


@pytest.mark.pairs
async def test_a_reader_changes_nothing_before_he_asks_for_anything(site: Site) -> None:
    notes = Notes(site)
    await notes.open()
    early = await site.connect(f"notes?token={token(site, Access.READ)}")
    await early.send(messages.update_frame(written(notes)))
    assert (await closed(early))[0] == 4403
    await notes.is_unchanged()


async def test_text_in_a_frame_of_its_own_changes_nothing(site: Site) -> None:
    notes = Notes(site)
    await notes.open()
    raw = await site.raw(f"notes?token={token(site, Access.READ)}")
    raw.writer.write(frame(messages.update_frame(written(notes)), kind=TEXT))
    assert await raw.ended() is not None
    await notes.is_unchanged()


# Demotion


def demote(site: Site) -> None:
    for peer in list(site.room().peers):
        if peer.principal.id == "eve":
            site.room().set_access(peer, Access.READ)


@pytest.mark.parametrize("size", [1, 100_000])
async def test_what_is_sent_after_a_demotion_counts_no_more(site: Site, size: int) -> None:
    notes = Notes(site)
    await notes.open(Access.WRITE)
    await notes.reader.send(messages.update_frame(written(notes)))
    notes.earlier.append((await until(notes.other, messages.Update)).update)
    notes.before = notes.head, notes.text
    notes.ada.take(notes.eve.state)
    demote(site)
    # It goes on typing where it was: that is recognised without being taken apart.
    await notes.reader.send(messages.update_frame(notes.eve.append("y" * size)))
    assert (await closed(notes.reader))[0] == 4403
    await notes.is_unchanged()


async def test_what_was_being_checked_at_a_demotion_counts_no_more(site: Site) -> None:
    notes = Notes(site)
    await notes.open(Access.WRITE)
    await notes.reader.send(messages.update_frame(notes.eve.append(LARGE)))
    await notes.reader.send(messages.update_frame(written(notes)))
    async with asyncio.timeout(PATIENCE):
        while not any(peer.held is not None for peer in site.room().peers):
            await asyncio.sleep(0)
    demote(site)
    assert (await closed(notes.reader))[0] == 4403
    await notes.is_unchanged()


async def test_who_was_let_go_while_something_was_checked_changes_nothing(site: Site) -> None:
    notes = Notes(site)
    await notes.open(Access.WRITE)
    await notes.reader.send(messages.update_frame(notes.eve.append(LARGE)))
    async with asyncio.timeout(PATIENCE):
        while not any(peer.held is not None for peer in site.room().peers):
            await asyncio.sleep(0)
    for peer in list(site.room().peers):
        if peer.principal.id == "eve":
            site.room().set_access(peer, Access.NONE)
    assert (await closed(notes.reader))[0] == 4403
    await notes.is_unchanged()


# HTTP

UPDATE = Writer(7).append("graffiti")
REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "PUT of text": (
        "PUT",
        "documents/notes",
        {"content": b"graffiti", "headers": {"Content-Type": "text/plain"}},
    ),
    "PUT of an update": (
        "PUT",
        "documents/notes",
        {"content": UPDATE, "headers": {"Content-Type": "application/vnd.yjs.update"}},
    ),
    "PUT of another document": (
        "PUT",
        "documents/other",
        {"content": b"graffiti", "headers": {"Content-Type": "text/plain"}},
    ),
    "PATCH": ("PATCH", "documents/notes", {"content": UPDATE}),
    "PATCH with another token in the address": (
        "PATCH",
        "documents/notes?token={writer}",
        {"content": UPDATE},
    ),
    "PATCH of nothing": ("PATCH", "documents/notes", {"content": b"\0\0"}),
    "DELETE": ("DELETE", "documents/notes", {}),
    "POST": ("POST", "documents/notes", {"content": UPDATE}),
    "GET that says it is a PATCH": (
        "GET",
        "documents/notes",
        {"content": UPDATE, "headers": {"X-HTTP-Method-Override": "PATCH"}},
    ),
    "POST that says it is a PATCH": (
        "POST",
        "documents/notes?_method=PATCH",
        {"content": UPDATE, "headers": {"X-HTTP-Method-Override": "PATCH"}},
    ),
    "naming a version": ("POST", "versions/notes", {"json": {"name": "mine"}}),
    "unnaming a version": ("DELETE", "versions/notes?version=1", {}),
    "restore": ("POST", "restore/notes?version=1", {}),
    "making a token": (
        "POST",
        "tokens",
        {"json": {"id": "eve", "name": "Eve", "scope": [{"document": "notes", "access": "write"}]}},
    ),
    "revoking somebody's tokens": ("POST", "revocations", {"json": {"id": "ada"}}),
}


@pytest.mark.once
@pytest.mark.parametrize("name", REQUESTS)
async def test_a_reader_changes_nothing_by_http(name: str, site: Site) -> None:
    notes = Notes(site)
    await notes.open()
    method, path, request = REQUESTS[name]
    path = path.format(writer=token(site, Access.WRITE, "ada"))
    headers = {"Authorization": f"Bearer {token(site, Access.READ)}", **request.get("headers", {})}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}/api/v1/") as client:
        answer = await client.request(method, path, **{**request, "headers": headers})
        assert answer.status_code in (401, 403, 405) or (method == "GET" and answer.status_code == 200)
        reader = {"Authorization": f"Bearer {token(site, Access.READ)}"}
        export = await client.get("documents/notes?format=json&root=content", headers=reader)
        assert "graffiti" not in export.text
    assert await site.service.store.find("other") is None
    await notes.is_unchanged()


def test_there_are_as_many_ways_as_we_say() -> None:
    assert len(WAYS) + len(REQUESTS) + 6 >= 40
