"""Forged and stale credentials: all are refused, and nobody learns why."""

import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from collabd.app import Service, create_app
from collabd.auth.base import Access, Principal, Scope
from collabd.persistence.memory import MemoryStore
from collabd.settings import Settings
from tests.support.provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    Forge,
    another_key,
    forging,
    signed_by_hand,
)
from tests.unit.rooms.kit import Writer

AUDIENCE = "https://collabd.example"
ADA = Principal("ada", "Ada")
NOTES = Scope({"notes": Access.WRITE})
SECRET = "0123456789abcdef0123456789abcdef"


class Town:
    """A server, the provider it trusts, and another one that it does not."""

    def __init__(self, service: Service, client: httpx.AsyncClient, forge: Forge) -> None:
        self.service = service
        self.client = client
        self.forge = forge

    async def status(self, credentials: str, path: str = "/api/v1/documents/notes") -> tuple[int, Any]:
        answer = await self.client.get(path, headers={"Authorization": f"Bearer {credentials}"})
        return answer.status_code, answer.json()

    def access_token(self, key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """One that is accepted, but for what is changed."""
        claims = {"aud": AUDIENCE, "client_id": "app", "jti": "1", **claims}
        return self.forge.sign(self.forge.claims(**claims), key, **{"typ": "at+jwt", **(header or {})})

    def document_token(
        self, header: dict[str, Any] | None = None, key: bytes = SECRET.encode(), **claims: Any
    ) -> str:
        token, _ = self.service.gate.tokens.mint(ADA, NOTES)
        found = jwt.decode(token, OctKey.import_key(SECRET), algorithms=["HS256"])
        changed = {name: value for name, value in (found.claims | claims).items() if value is not None}
        return signed_by_hand({**found.header, **(header or {})}, changed, key)


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with forging() as forge:
        settings = Settings(
            store="memory:",
            token_secret=SECRET,
            providers=(
                {
                    "name": "example",
                    "issuer": forge.issuer,
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "audience": AUDIENCE,
                },
            ),
            rules=({"documents": "**", "signed_in": True, "access": "read"},),
        )
        app = create_app(settings, store=MemoryStore())
        service: Service = app.state.service
        async with (
            service.running(),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://collabd.test") as client,
        ):
            room = await service.registry.open("notes")
            await room.submit(Writer(1).append("hello"))
            yield Town(service, client, forge)


async def test_good_ones_are_accepted(town: Town) -> None:
    text, _ = await town.service.gate.keys.create("script", NOTES)
    for credentials in (town.access_token(), town.document_token(), text):
        status, _ = await town.status(credentials)
        assert status == 200
    status, told = await town.status(town.access_token(), "/api/v1/me")
    assert (status, told["id"], told["name"]) == (200, "example:ada", "Ada Lovelace")


def _deep() -> str:
    return base64.urlsafe_b64encode(b"[" * 30_000).decode()


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _unsigned(town: Town, algorithm: str) -> str:
    return f"{_part({'alg': algorithm, 'typ': 'at+jwt'})}.{_part(town.forge.claims(aud=AUDIENCE))}."


def _signed_with_the_public_key(town: Town) -> str:
    public = town.forge.key.as_pem(private=False)
    header = {"alg": "HS256", "typ": "at+jwt", "kid": "one"}
    return signed_by_hand(header, town.forge.claims(aud=AUDIENCE), public)


def _with_a_header(town: Town, **header: Any) -> str:
    whole = {"alg": "RS256", "typ": "at+jwt", "kid": "one", **header}
    return signed_by_hand(whole, town.forge.claims(aud=AUDIENCE, jti="1"), town.forge.key)


def _with_another_s_signature(town: Town) -> str:
    head, _, signature = town.access_token().split(".")
    return f"{head}.{_part(town.forge.claims(aud=AUDIENCE, sub='root'))}.{signature}"


async def _revoked_token(town: Town) -> str:
    token, identity = town.service.gate.tokens.mint(ADA, NOTES)
    await town.service.gate.revocations.add(identity.credential)
    return token


async def _of_a_revoked_subject(town: Town) -> str:
    token, _ = town.service.gate.tokens.mint(ADA, NOTES)
    await town.service.gate.revocations.add("subject:ada")
    return token


async def _revoked_key(town: Town) -> str:
    text, key = await town.service.gate.keys.create("script", NOTES)
    await town.service.gate.revoke_key(key.id)
    return text


async def _key_with_another_secret(town: Town) -> str:
    one, _ = await town.service.gate.keys.create("one", NOTES)
    other, _ = await town.service.gate.keys.create("other", NOTES)
    return one[: len("collabd_") + 13] + other[len("collabd_") + 13 :]


async def _key_of_the_past(town: Town) -> str:
    text, _ = await town.service.gate.keys.create("short", NOTES, seconds=1e-6)
    return text


MINUTE = 60
FORGED: dict[str, Callable[[Town], str | Awaitable[str]]] = {
    # Access tokens of the provider
    "no signature": lambda town: _unsigned(town, "none"),
    "no signature, spelt otherwise": lambda town: _unsigned(town, "nOnE"),
    "signed with the public key": _signed_with_the_public_key,
    "signed by somebody else": lambda town: town.access_token(another_key()),
    "signed by somebody else, as if with our key": lambda town: town.access_token(another_key(kid="one")),
    "signed with another kind of key": lambda town: town.access_token(another_key("EC", "one")),
    "another's signature": _with_another_s_signature,
    "a signature cut short": lambda town: town.access_token()[:-8],
    "another issuer": lambda town: town.access_token(iss="https://elsewhere.example"),
    "an issuer with a slash more": lambda town: town.access_token(iss=town.forge.issuer + "/"),
    "no issuer": lambda town: town.access_token(iss=None),
    "another audience": lambda town: town.access_token(aud="https://other.example"),
    "our client as the audience": lambda town: town.access_token(aud=CLIENT_ID),
    "an audience that contains ours": lambda town: town.access_token(aud=AUDIENCE + ".evil.example"),
    "no audience": lambda town: town.access_token(aud=None),
    "an audience that is no text": lambda town: town.access_token(aud={"a": AUDIENCE}),
    "no end": lambda town: town.access_token(exp=None),
    "an end that is no time": lambda town: town.access_token(exp="never"),
    "over": lambda town: town.access_token(exp=time.time() - 2 * MINUTE),
    "not yet": lambda town: town.access_token(nbf=time.time() + 2 * MINUTE),
    "issued tomorrow": lambda town: town.access_token(iat=time.time() + 86_400),
    "nobody": lambda town: town.access_token(sub=None),
    "somebody without a name": lambda town: town.access_token(sub=""),
    "a number as somebody": lambda town: town.access_token(sub=7),
    "an unknown key": lambda town: town.access_token(header={"kid": "three"}),
    "a key from an address": lambda town: town.access_token(
        another_key(), header={"jku": "https://evil.example/keys", "kid": "evil"}
    ),
    "a key that it brings along": lambda town: town.access_token(
        another_key(), header={"jwk": another_key().as_dict(private=False), "kid": None}
    ),
    "a critical header": lambda town: _with_a_header(town, crit=["exp"]),
    "a critical header of its own": lambda town: _with_a_header(town, crit=["x"], x=1),
    "an ID token": lambda town: town.forge.sign(town.forge.claims(nonce="n")),
    "an ID token for us as an access token": lambda town: town.forge.sign(
        town.forge.claims(aud=[CLIENT_ID, AUDIENCE], nonce="n"), typ="JWT"
    ),
    "a logout token": lambda town: town.access_token(header={"typ": "logout+jwt"}),
    "a refresh token": lambda town: town.access_token(header={"typ": "JWT"}, typ="Refresh"),
    # Document tokens
    "a document token of the past": lambda town: town.document_token(exp=time.time() - 1),
    "a document token without an end": lambda town: town.document_token(exp=None),
    "a document token of tomorrow": lambda town: town.document_token(iat=time.time() + 2 * MINUTE),
    "a document token signed with another secret": lambda town: town.document_token(key=b"x" * 32),
    "a document token under another name of a secret": lambda town: town.document_token({"kid": "0" * 16}),
    "a document token for nobody": lambda town: town.document_token(sub=None),
    "a document token for nothing": lambda town: town.document_token(scope=[]),
    "a document token for everything": lambda town: town.document_token(scope="**"),
    "a document token of another issuer": lambda town: town.document_token(iss=town.forge.issuer),
    "a document token without an id": lambda town: town.document_token(jti=None),
    "another token signed with our secret": lambda town: town.document_token({"typ": "at+jwt"}),
    "a document token with a critical header": lambda town: town.document_token({"crit": ["x"], "x": 1}),
    "a revoked document token": _revoked_token,
    "a document token of somebody who was locked out": _of_a_revoked_subject,
    # API keys
    "a revoked key": _revoked_key,
    "a key with another's secret": _key_with_another_secret,
    "a key of the past": _key_of_the_past,
    "a key that never was": lambda town: "collabd_0123456789ab_" + "a" * 43,
    "a key without a secret": lambda town: "collabd_0123456789ab_",
    # Neither
    "nothing": lambda town: "x",
    "three dots": lambda town: "...",
    "a header that nests too deep": lambda town: f"{_deep()}.e30.x",
    "claims that nest too deep": lambda town: f"{_part({'alg': 'RS256'})}.{_deep()}.x",
    "a token that is too long": lambda town: town.access_token(jti="x" * 20_000),
    "what is no ASCII": lambda town: "t\u00f6ken",
}


@pytest.mark.parametrize("name", FORGED)
async def test_it_is_refused_and_does_not_say_why(name: str, town: Town) -> None:
    forged = FORGED[name](town)
    credentials = forged if isinstance(forged, str) else await forged
    answers = []
    for path in ("/api/v1/documents/notes", "/api/v1/documents/nothing", "/api/v1/me"):
        answer = await town.client.get(path, headers={b"Authorization": f"Bearer {credentials}".encode()})
        answers.append((answer.status_code, answer.json()["code"], answer.json()["detail"]))
    assert {(status, code) for status, code, _ in answers} == {(401, "sign-in")}
    assert {detail for _, _, detail in answers} <= {
        "the credentials are not accepted",
        "the token is not accepted",
        "the key is not accepted",
    }


def test_there_are_as_many_as_we_say() -> None:
    assert len(FORGED) >= 40


async def test_keys_are_not_asked_for_again_however_many_are_named(town: Town) -> None:
    await town.status(town.access_token())
    assert town.forge.keys_fetched == 1
    for number in range(50):
        status, _ = await town.status(town.access_token(header={"kid": f"unknown {number}"}))
        assert status == 401
    assert town.forge.keys_fetched == 1


@pytest.mark.parametrize(
    "name",
    ["notes2", "notes/1", "Notes", "note", "notes%2F..%2Fnotes", "notes%00", "%2E/notes", "x/%2E%2E/notes"],
)
async def test_a_token_is_good_for_the_document_it_names_alone(name: str, town: Town) -> None:
    room = await town.service.registry.open("notes2")
    await room.submit(Writer(1).append("secret"))
    status, told = await town.status(town.document_token(), f"/api/v1/documents/{name}")
    assert status in (403, 422, 404), told


async def test_a_token_in_the_address_is_good_for_websockets_only(town: Town) -> None:
    answer = await town.client.get(f"/api/v1/documents/notes?token={town.document_token()}")
    assert answer.status_code == 401
