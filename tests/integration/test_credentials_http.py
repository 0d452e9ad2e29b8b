"""Credentials and rights over HTTP: tokens made and bounded, who one is, and lists of what one may read."""

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from collabd.app import Service, create_app
from collabd.auth.base import Access, Authorize, Pattern, Principal, Scope
from collabd.errors import Overloaded
from collabd.persistence.memory import MemoryStore
from collabd.settings import Settings
from collabd.web import documents as documents_module
from tests.unit.rooms.kit import Writer

RULES = ({"documents": "open/**", "anyone": True, "access": "read"},)


class Town:
    """A server, and what to ask it with."""

    def __init__(self, service: Service, client: httpx.AsyncClient) -> None:
        self.service = service
        self.client = client

    async def key(self, scope: Scope, *, mints: bool = True) -> str:
        return (await self.service.gate.keys.create("backend", scope, mints=mints))[0]

    def token(self, scope: Scope, user: str = "ada") -> str:
        return self.service.gate.tokens.mint(Principal(user, user.title()), scope)[0]

    async def ask(self, method: str, path: str, credentials: str = "", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {credentials}"} if credentials else {}
        return await self.client.request(method, f"/api/v1/{path}", headers=headers, **more)

    async def write(self, *names: str) -> None:
        for name in names:
            room = await self.service.registry.open(name)
            await room.submit(Writer(1).append(f"what {name} holds"))


@contextlib.asynccontextmanager
async def founded(authorize: Authorize | None = None, **settings: Any) -> AsyncIterator[Town]:
    app = create_app(Settings(store="memory:", **settings), store=MemoryStore(), authorize=authorize)
    service: Service = app.state.service
    transport = httpx.ASGITransport(app)
    async with (
        service.running(),
        httpx.AsyncClient(transport=transport, base_url="http://collabd.test") as client,
    ):
        yield Town(service, client)


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with founded(rules=RULES) as town:
        yield town


def scope(*parts: str) -> Scope:
    """``write:notes/**`` and the like."""
    names, patterns = {}, []
    for part in parts:
        access, _, documents = part.partition(":")
        if "*" in documents:
            patterns.append((Pattern(documents), Access.named(access)))
        else:
            names[documents] = Access.named(access)
    return Scope(names, tuple(patterns))


def wanted(*parts: str, **more: Any) -> dict[str, Any]:
    return {"id": "user-17", "name": "Ada Lovelace", "scope": scope(*parts).written(), **more}


# POST /api/v1/tokens


async def test_a_backend_makes_tokens_for_its_people(town: Town) -> None:
    await town.write("notes/1")
    key = await town.key(scope("write:notes/**", "read:handbook"))
    more = {"color": "#aa00bb", "seconds": 60, "connection_seconds": 3600}
    answer = await town.ask("POST", "tokens", key, json=wanted("write:notes/1", "read:handbook", **more))
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert made.keys() == {"token", "token_id", "connections_end_at"}
    left = datetime.fromisoformat(made["connections_end_at"]) - datetime.now(UTC)
    assert 3500 < left.total_seconds() <= 3600
    me = (await town.ask("GET", "me", made["token"])).json()
    assert me == {
        "id": "user-17",
        "name": "Ada Lovelace",
        "color": "#aa00bb",
        "groups": [],
        "signed_in": True,
        "providers": [],
        "scope": scope("write:notes/1", "read:handbook").written(),
    }
    assert (await town.ask("GET", "documents/notes/1", made["token"])).status_code == 200
    assert (await town.ask("GET", "documents/notes/2", made["token"])).status_code == 403
    assert (await town.ask("DELETE", "documents/notes/1", made["token"])).status_code == 403


@pytest.mark.parametrize(
    ("own", "asked", "covered"),
    [
        (["write:notes/**"], ["write:notes/1"], True),
        (["write:notes/**"], ["read:notes/a/b"], True),
        (["write:notes/**"], ["write:notes/**"], True),
        (["write:notes/**"], ["write:notes/*"], True),
        (["write:notes/**"], ["read:notes/a/**"], True),
        (["write:**"], ["write:notes/**", "read:x"], True),
        (["write:notes/**"], ["admin:notes/1"], False),
        (["write:notes/**"], ["write:notes"], False),
        (["write:notes/**"], ["write:note"], False),
        (["write:notes/**"], ["write:notes/1", "read:other"], False),
        (["write:notes/**"], ["read:**"], False),
        (["write:notes/**"], ["read:not*/**"], False),
        (["write:notes/*"], ["write:notes/a/b"], False),
        (["write:notes/*"], ["write:notes/**"], False),
        (["write:notes"], ["read:note*"], False),
        (["read:**", "write:notes/**"], ["write:notes/1", "read:other"], True),
        (["read:**", "write:notes/**"], ["write:**"], False),
        (["write:notes/**"], ["write:notes/../other"], True),
    ],
)
async def test_a_token_is_good_for_nothing_that_the_key_is_not(
    own: list[str], asked: list[str], covered: bool, town: Town
) -> None:
    answer = await town.ask("POST", "tokens", await town.key(scope(*own)), json=wanted(*asked))
    assert answer.status_code == (201 if covered else 403), answer.text


NOTES = [{"document": "notes", "access": "write"}]
BAD: dict[str, Any] = {
    "no object": [],
    "no id": {"name": "Ada", "scope": NOTES},
    "an empty id": {"id": "", "name": "Ada", "scope": NOTES},
    "a number for an id": {"id": 17, "name": "Ada", "scope": NOTES},
    "a long id": {"id": "x" * 256, "name": "Ada", "scope": NOTES},
    "a long id in bytes": {"id": "ä" * 128, "name": "Ada", "scope": NOTES},
    "nobody's id": {"id": "anonymous", "name": "Ada", "scope": NOTES},
    "no name": {"id": "ada", "scope": NOTES},
    "an empty name": {"id": "ada", "name": "", "scope": NOTES},
    "a long name": {"id": "ada", "name": "x" * 101, "scope": NOTES},
    "no color": {"id": "ada", "name": "Ada", "scope": NOTES, "color": "red"},
    "a color and more": {"id": "ada", "name": "Ada", "scope": NOTES, "color": "#aabbcc;x"},
    "a number for a color": {"id": "ada", "name": "Ada", "scope": NOTES, "color": 7},
    "no scope": {"id": "ada", "name": "Ada"},
    "an empty scope": {"id": "ada", "name": "Ada", "scope": []},
    "a scope as text": {"id": "ada", "name": "Ada", "scope": "write:notes"},
    "an unknown right": {"id": "ada", "name": "Ada", "scope": [{"document": "notes", "access": "own"}]},
    "a scope with more": {
        "id": "ada",
        "name": "Ada",
        "scope": [{"document": "a", "access": "read", "pattern": "*"}],
    },
    "a scope without end": {"id": "ada", "name": "Ada", "scope": NOTES * 101},
    "a bad pattern": {"id": "ada", "name": "Ada", "scope": [{"pattern": "a**", "access": "read"}]},
    "a large token": {
        "id": "ada",
        "name": "Ada",
        "scope": [{"document": f"notes/{number:0100}", "access": "read"} for number in range(50)],
    },
    "something unknown": {"id": "ada", "name": "Ada", "scope": NOTES, "groups": ["staff"]},
}
TIMES: list[dict[str, Any]] = [
    {"seconds": -1},
    {"seconds": 0},
    {"seconds": True},
    {"seconds": "60"},
    {"seconds": 24 * 3600 + 1},
    {"seconds": 1e400},
    {"connection_seconds": 299},
    {"connection_seconds": 0},
    {"connection_seconds": 30 * 24 * 3600 + 1},
    {"connection_seconds": [1]},
    {"seconds": 600, "connection_seconds": 60},
]
BAD |= {json.dumps(times): {"id": "ada", "name": "Ada", "scope": NOTES, **times} for times in TIMES}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_out_of_bounds_makes_no_token(name: str, town: Town) -> None:
    answer = await town.ask(
        "POST", "tokens", await town.key(scope("admin:**")), content=json.dumps(BAD[name])
    )
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"\xff", b"[" * 100_000, b'{"id": "\\ud800", "name": "\\ud800", "scope": []}']
)
async def test_a_body_that_is_no_json_makes_no_token(body: bytes, town: Town) -> None:
    key = await town.key(scope("admin:**"))
    assert (await town.ask("POST", "tokens", key, content=body)).status_code == 400


async def test_times_may_be_as_long_as_they_may(town: Town) -> None:
    key = await town.key(scope("admin:**"))
    for times in ({"seconds": 86_400, "connection_seconds": 30 * 86_400}, {"seconds": 0.5}):
        assert (await town.ask("POST", "tokens", key, json=wanted("read:a", **times))).status_code == 201


async def test_only_a_key_that_mints_makes_and_revokes(town: Town) -> None:
    everything = scope("admin:**")
    for credentials, status in [
        ("", 401),
        ("garbage", 401),
        (f"collabd_{'0' * 12}_{'A' * 43}", 401),
        (await town.key(everything, mints=False), 403),
        (town.token(everything), 403),
    ]:
        for path, body in [("tokens", wanted("read:a")), ("revocations", {"id": "ada"})]:
            answer = await town.ask("POST", path, credentials, json=body)
            assert answer.status_code == status, (credentials[:9], path, answer.text)
    # A token in the address of a request is nothing at all.
    key = await town.key(everything)
    assert (await town.ask("POST", f"tokens?token={key}", json=wanted("read:a"))).status_code == 401
    assert (await town.ask("GET", f"documents/notes?token={town.token(everything)}")).status_code == 401


@pytest.mark.parametrize(
    "body",
    [[], {}, {"token_id": ""}, {"id": 3}, {"token_id": "x", "id": "y"}, {"subject": "ada"}, {"id": None}],
)
async def test_what_is_revoked_is_one_thing(body: Any, town: Town) -> None:
    key = await town.key(scope("admin:**"))
    assert (await town.ask("POST", "revocations", key, json=body)).status_code == 400


async def test_what_is_revoked_is_good_for_no_request(town: Town) -> None:
    key = await town.key(scope("admin:**"))
    made = [(await town.ask("POST", "tokens", key, json=wanted("read:a"))).json() for _ in range(3)]
    assert (await town.ask("POST", "revocations", key, json={"token_id": made[0]["token_id"]})).is_success
    assert [(await town.ask("GET", "me", each["token"])).status_code for each in made] == [401, 200, 200]
    assert (await town.ask("POST", "revocations", key, json={"id": "user-17"})).is_success
    assert [(await town.ask("GET", "me", each["token"])).status_code for each in made] == [401] * 3
    assert (await town.ask("GET", "me", town.token(scope("read:a"), "ben"))).status_code == 200


async def test_by_an_id_nothing_but_document_tokens_is_revoked(town: Town) -> None:
    """Else whoever makes tokens for one folder could shut out all who have not signed in, and other keys."""
    await town.write("open/1")
    backend, other = await town.key(scope("write:notes/**")), await town.key(scope("admin:**"))
    for subject in ("anonymous", f"key:{other.split('_')[1]}"):
        assert (await town.ask("POST", "revocations", backend, json={"id": subject})).is_success
    assert (await town.ask("GET", "documents/open/1")).status_code == 200
    assert (await town.ask("GET", "documents/open/1", other)).status_code == 200


# GET /api/v1/me


async def test_everybody_learns_who_he_is(town: Town) -> None:
    nobody = (await town.ask("GET", "me")).json()
    assert (nobody["id"], nobody["signed_in"], nobody["scope"]) == ("anonymous", False, None)
    key = await town.key(scope("read:**"))
    backend = (await town.ask("GET", "me", key)).json()
    assert backend["id"] == f"key:{key.split('_')[1]}"
    assert (backend["name"], backend["signed_in"]) == ("backend", True)
    assert backend["scope"] == [{"pattern": "**", "access": "read"}]
    assert (await town.ask("GET", "me", "garbage")).status_code == 401


# Lists


async def listed(town: Town, credentials: str, query: str = "", limit: int = 2) -> list[str]:
    """All that a list tells, page by page."""
    names: list[str] = []
    after = ""
    while True:
        answer = await town.ask(
            "GET", f"documents?limit={limit}{query}", credentials, params={"limit": limit, "after": after}
        )
        page = answer.json()
        assert len(page["documents"]) <= limit
        names += [document["name"] for document in page["documents"]]
        if page["next"] is None:
            return names
        assert page["next"] == names[-1], "it names nothing that was not listed"
        assert len(page["documents"]) == limit
        after = page["next"]


@pytest.mark.parametrize("largest", [1, 2, 3, 1000])
async def test_a_list_tells_what_one_may_read_and_all_of_it(
    largest: int, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents_module, "MAX_LIMIT", largest)
    names = [f"{kind}/{number}" for number in range(7) for kind in ("a", "b", "open", "z")]
    await town.write(*names)
    limit = min(2, largest)
    assert await listed(town, "", limit=limit) == [f"open/{number}" for number in range(7)]
    assert await listed(town, town.token(scope("read:b/*", "write:z/3")), limit=limit) == [
        *(f"b/{number}" for number in range(7)),
        "z/3",
    ]
    assert await listed(town, await town.key(scope("read:**")), limit=limit) == sorted(names)
    assert await listed(town, town.token(scope("read:b/6")), limit=limit) == ["b/6"]
    assert await listed(town, town.token(scope("read:nothing", "none:a/1")), limit=limit) == []
    assert (await town.ask("GET", "documents?limit=1", "garbage")).status_code == 401


async def test_a_list_ends_where_what_one_may_read_ends(town: Town) -> None:
    """That there is more is told only if it may be read."""
    await town.write("b/1", "b/2", "c", "d")
    answer = await town.ask("GET", "documents?limit=2", town.token(scope("read:b/*")))
    assert answer.json()["next"] is None
    assert "c" not in [document["name"] for document in answer.json()["documents"]]


# What cannot be told apart


async def test_forbidden_and_missing_documents_look_the_same(town: Town) -> None:
    await town.write("secret", "gone")
    await town.service.registry.delete("gone")
    eve = town.token(scope("read:elsewhere"))
    requests = [
        ("GET", "documents/{}"),
        ("GET", "documents/{}?version=1"),
        ("PUT", "documents/{}"),
        ("PATCH", "documents/{}"),
        ("DELETE", "documents/{}"),
        ("GET", "versions/{}"),
        ("POST", "versions/{}"),
        ("POST", "restore/{}?version=1"),
    ]
    for method, path in requests:
        for credentials, status in (("", 401), (eve, 403)):
            said = set()
            for name in ("secret", "gone", "never"):
                answer = await town.ask(method, path.format(name), credentials, content=b"{}")
                headers = {
                    name: value for name, value in answer.headers.items() if name not in ("date", "server")
                }
                said.add((answer.status_code, answer.text, json.dumps(headers)))
            assert len(said) == 1, (method, path, said)
            assert {each[0] for each in said} == {status}


# An application that decides


class Office:
    """What an embedder passes to create_app."""

    def __init__(self) -> None:
        self.rights: dict[tuple[str, str], Access] = {}
        self.error: Exception | None = None
        self.asked: list[tuple[Principal, str]] = []

    async def __call__(self, principal: Principal, document: str) -> Access:
        self.asked.append((principal, document))
        if self.error is not None:
            raise self.error
        return self.rights.get((principal.id, document), Access.NONE)


async def test_an_application_decides_for_who_has_no_scope() -> None:
    office = Office()
    async with founded(office, rules=RULES) as town:
        await town.write("notes", "open/1")
        assert (await town.ask("GET", "documents/open/1")).status_code == 401, "not the rules, then"
        office.rights["anonymous", "notes"] = Access.READ
        assert (await town.ask("GET", "documents/notes")).status_code == 200
        assert (await town.ask("DELETE", "documents/notes")).status_code == 401
        assert {principal.id for principal, _ in office.asked} == {"anonymous"}
        office.asked.clear()
        assert (await town.ask("GET", "documents/notes", town.token(scope("read:notes")))).status_code == 200
        assert office.asked == [], "the credential says it"


async def test_an_application_that_cannot_decide_lets_nobody_in() -> None:
    office = Office()
    async with founded(office) as town:
        await town.write("notes")
        for office.error in (Overloaded("come back"), RuntimeError("the secret is 42"), TimeoutError()):
            for path in ("documents/notes", "documents", "versions/notes"):
                answer = await town.ask("GET", path)
                assert answer.status_code == 503
                assert "holds" not in answer.text
                assert "secret" not in answer.text
