"""Sharing documents, over HTTP: who may, what it gives, what is told of it, and when it ends."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from collabd.app import Service, create_app
from collabd.auth.base import Access, Principal, Scope
from collabd.persistence.memory import MemoryStore
from collabd.settings import Settings
from tests.support.provider import CLIENT_ID, CLIENT_SECRET, Forge, forging
from tests.unit.rooms.kit import Writer

AUDIENCE = "https://collabd.example"
RULES = (
    {"documents": "home/**", "signed_in": True, "access": "create"},
    {"documents": "**", "users": ["example:root"], "access": "admin"},
)


class Person:
    """Somebody who is signed in, or not, with or without a link."""

    def __init__(self, client: httpx.AsyncClient, token: str = "", link: str = "") -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        if link:
            self._headers["Collabd-Link"] = link

    async def ask(self, verb: str, path: str, **more: Any) -> httpx.Response:
        return await self._client.request(verb, f"/api/v1/{path}", headers=self._headers, **more)

    async def make(self, name: str) -> int:
        headers = {**self._headers, "Content-Type": "text/plain"}
        answer = await self._client.put(f"/api/v1/documents/{name}", content=b"hello", headers=headers)
        return answer.status_code

    async def write(self, name: str) -> int:
        return (await self.ask("PATCH", f"documents/{name}", content=Writer(7).append("!"))).status_code

    async def read(self, name: str) -> int:
        return (await self.ask("GET", f"documents/{name}")).status_code

    async def listed(self) -> list[str]:
        found = (await self.ask("GET", "documents")).json()["documents"]
        return [each["name"] for each in found]

    async def shared(self, name: str) -> Any:
        answer = await self.ask("GET", f"shares/{name}")
        return answer.json() if answer.is_success else answer.status_code

    async def share(self, document: str, **wanted: Any) -> Any:
        answer = await self.ask("POST", f"shares/{document}", json=wanted)
        return answer.json() if answer.is_success else answer.status_code


class Town:
    def __init__(self, service: Service, client: httpx.AsyncClient, forge: Forge) -> None:
        self.service = service
        self.client = client
        self._forge = forge

    def person(self, sub: str = "", *, link: str = "", **claims: Any) -> Person:
        if not sub:
            return Person(self.client, link=link)
        claims = self._forge.claims(
            aud=AUDIENCE, client_id="app", jti=sub, sub=sub, name=sub.title(), **claims
        )
        return Person(self.client, self._forge.sign(claims, typ="at+jwt"), link)


async def opened(forge: Forge, sharing: str) -> AsyncIterator[Town]:
    provider = {
        "name": "example",
        "issuer": forge.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "audience": AUDIENCE,
    }
    settings = Settings(store="memory:", providers=(provider,), rules=RULES, sharing=sharing)
    app = create_app(settings, store=MemoryStore())
    service: Service = app.state.service
    async with (
        service.running(),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://collabd.test") as client,
    ):
        yield Town(service, client, forge)


@pytest.fixture
async def town(request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    async with forging() as forge:
        async for town in opened(forge, getattr(request, "param", "links")):
            yield town


async def test_who_makes_a_document_owns_it_and_nobody_else_sees_it(town: Town) -> None:
    ada, ben, root, stranger = town.person("ada"), town.person("ben"), town.person("root"), town.person()
    assert await ada.make("home/plan") == 201
    assert (await ada.shared("home/plan"))["owner"] == {"id": "example:ada", "name": "Ada"}
    assert (await ada.shared("home/plan"))["access"] == "admin"
    for other, status in ((ben, 403), (stranger, 401)):
        assert [await other.read("home/plan"), await other.write("home/plan")] == [status, status]
        assert await other.shared("home/plan") == status
        assert await other.listed() == []
    assert await ben.make("home/plan") == 403
    assert await ben.make("plan") == 403
    assert await stranger.make("home/other") == 401
    assert await root.listed() == await ada.listed() == ["home/plan"]


async def test_an_unknown_document_looks_like_a_forbidden_one(town: Town) -> None:
    await town.person("ada").make("home/plan")
    ben = town.person("ben")
    for kind in ("documents", "shares"):
        known = await ben.ask("GET", f"{kind}/home/plan")
        unknown = await ben.ask("GET", f"{kind}/home/none")
        assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())


async def test_people_are_let_in_and_out(town: Town) -> None:
    ada, cem = town.person("ada"), town.person("cem", groups=["staff"])
    ben = town.person("ben", email="ben@example.org", email_verified=True)
    await ada.make("home/plan")
    await ada.share("home/plan", who="email:Ben@example.org", access="read")
    told = await ada.share("home/plan", who="group:staff", access="write")
    assert [(each["who"], each["access"], each["added_by"]) for each in told["shares"]] == [
        ("email:ben@example.org", "read", "example:ada"),
        ("group:staff", "write", "example:ada"),
    ]
    assert [await ben.read("home/plan"), await ben.write("home/plan")] == [200, 403]
    assert [await cem.read("home/plan"), await cem.write("home/plan")] == [200, 200]
    assert await ben.listed() == await cem.listed() == ["home/plan"]
    assert await cem.shared("home/plan") == {
        "access": "write",
        "sharing": "links",
        "owner": {"id": "example:ada", "name": "Ada"},
    }
    for other in (ben, cem):
        assert await other.share("home/plan", who="user:example:eve", access="read") == 403
    await ada.share("home/plan", who="group:staff", access="none")
    assert await cem.read("home/plan") == 403
    assert await cem.listed() == []


async def test_whom_it_is_shared_with_entirely_may_share_it(town: Town) -> None:
    ada, ben, cem = (town.person(name) for name in ("ada", "ben", "cem"))
    await ada.make("home/plan")
    await ada.share("home/plan", who="user:example:ben", access="admin")
    await ben.share("home/plan", who="user:example:cem", access="read")
    assert await cem.read("home/plan") == 200
    await ben.share("home/plan", who="owner", id="example:cem", name="Cem")
    assert (await cem.shared("home/plan"))["owner"] == {"id": "example:cem", "name": "Cem"}
    assert await ada.read("home/plan") == 403


async def test_a_link_lets_in_whoever_has_it(town: Town) -> None:
    ada = town.person("ada")
    await ada.make("home/plan")
    secret = (await ada.share("home/plan", who="link", access="read"))["link"]["secret"]
    for other, refused in ((town.person(link=secret), 401), (town.person("ben", link=secret), 403)):
        assert [await other.read("home/plan"), await other.write("home/plan")] == [200, refused]
        assert "link" not in await other.shared("home/plan")
        assert await other.share("home/plan", who="link", access="write") == refused
    assert await town.person(link="x" * 32).read("home/plan") == 401
    await ada.share("home/plan", who="link", access="write")
    assert await town.person(link=secret).write("home/plan") == 200
    await ada.share("home/plan", who="link", access="none")
    assert await town.person(link=secret).read("home/plan") == 401


async def test_a_token_or_a_key_is_good_for_what_it_says_whatever_is_shared(town: Town) -> None:
    ada = town.person("ada")
    await ada.make("home/plan")
    secret = (await ada.share("home/plan", who="link", access="write"))["link"]["secret"]
    scope = Scope({"home/plan": Access.READ})
    token, _ = town.service.gate.tokens.mint(Principal("example:ada", "Ada"), scope)
    scripted = Person(town.client, token, secret)
    assert [await scripted.read("home/plan"), await scripted.write("home/plan")] == [200, 403]
    assert await scripted.make("home/new") == 403
    text, _ = await town.service.gate.keys.create("backend", Scope({"home/plan": Access.ADMIN}))
    told = await Person(town.client, text).share("home/plan", who="user:example:ben", access="read")
    assert told["shares"][0]["added_by"].startswith("key:")


async def test_shares_go_with_the_document(town: Town) -> None:
    ada, ben = town.person("ada"), town.person("ben")
    await ada.make("home/plan")
    secret = (await ada.share("home/plan", who="link", access="write"))["link"]["secret"]
    assert (await ada.ask("DELETE", "documents/home/plan")).status_code == 204
    assert await town.person(link=secret).read("home/plan") == 401
    assert await ben.make("home/plan") == 201
    assert await town.person(link=secret).read("home/plan") == 401
    assert await ada.read("home/plan") == 403


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"who": "user:example:ben"},
        {"who": "user:example:ben", "access": "none of it"},
        {"who": "user:example:ben", "access": None},
        {"who": "user:example:ben", "access": ["read"]},
        {"who": 1, "access": "read"},
        {"who": "ben", "access": "read"},
        {"who": "user:example:ben", "access": "read", "more": 1},
        {"who": "link", "access": "admin"},
        {"who": "owner"},
        {"who": "owner", "id": ""},
        {"who": "owner", "id": 1},
        {"who": "owner", "id": "example:ben", "access": "admin"},
        {"who": "owner", "id": "anonymous"},
    ],
)
async def test_what_makes_no_sense_changes_nothing(wanted: dict[str, Any], town: Town) -> None:
    ada = town.person("ada")
    await ada.make("home/plan")
    before = await ada.shared("home/plan")
    assert await ada.share("home/plan", **wanted) == 400
    assert await ada.shared("home/plan") == before


@pytest.mark.parametrize("town", ["people"], indirect=True)
async def test_links_can_be_forbidden(town: Town) -> None:
    ada = town.person("ada")
    await ada.make("home/plan")
    assert (await ada.shared("home/plan"))["sharing"] == "people"
    assert await ada.share("home/plan", who="link", access="read") == 400
    assert (await ada.share("home/plan", who="signed-in", access="read"))["shares"]


@pytest.mark.parametrize("town", ["off"], indirect=True)
async def test_all_of_it_can_be_forbidden(town: Town) -> None:
    root = town.person("root")
    assert await root.make("plan") == 201
    assert await root.shared("plan") == {"access": "admin", "sharing": "off", "owner": None}
    assert await root.share("plan", who="signed-in", access="read") == 403
    assert await town.person("ada").make("home/plan") == 403


async def test_it_is_written_down_who_shared_what(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    ada = town.person("ada")
    await ada.make("home/plan")
    with caplog.at_level(logging.INFO, "collabd.audit"):
        await ada.share("home/plan", who="user:example:ben", access="read")
        told = await ada.share("home/plan", who="link", access="write")
        await ada.share("home/plan", who="owner", id="example:ben")
    lines = [record.getMessage() for record in caplog.records if record.name == "collabd.audit"]
    assert lines == [
        "share who='example:ada' document='home/plan' to='user:example:ben' access='read'",
        "share who='example:ada' document='home/plan' to='link' access='write'",
        "owner who='example:ada' document='home/plan' to='example:ben'",
    ]
    assert told["link"]["secret"] not in caplog.text
