"""What document tokens say, and which are accepted."""

import base64
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from collabd.auth.base import Access, Principal, Scope
from collabd.auth.tokens import (
    MAX_CONNECTION_SECONDS,
    MAX_SECONDS,
    Tokens,
    is_token,
    stored_secret,
)
from collabd.errors import MalformedInput, SignInNeeded
from collabd.persistence.memory import MemoryStore
from tests.support.clock import Clock

SECRET = b"s" * 32
DEEP = base64.urlsafe_b64encode(b"[" * 50_000).decode() + ".e30.x"
"""A header that nests too deep to be read."""
ADA = Principal("ada", "Ada Lovelace", color="#aa00bb")
SCOPE = Scope({"notes": Access.WRITE})


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens([SECRET], clock=clock)


def test_a_token_says_who_it_is_for_and_what_it_is_good_for(tokens: Tokens, clock: Clock) -> None:
    token, minted = tokens.mint(ADA, SCOPE, seconds=60, connection_seconds=3600)
    clock.now += 30
    identity = tokens.read(token)
    assert identity == minted
    assert (identity.principal, identity.scope) == (ADA, SCOPE)
    assert identity.expires_at == 1_000_000 + 3600
    assert identity.credential.startswith("token:")
    assert is_token(token)


def test_two_tokens_can_be_told_apart(tokens: Tokens) -> None:
    (_, one), (_, other) = tokens.mint(ADA, SCOPE), tokens.mint(ADA, SCOPE)
    assert one.credential != other.credential


def test_a_connection_ends_with_its_token_if_nothing_else_is_said(tokens: Tokens) -> None:
    _, identity = tokens.mint(ADA, SCOPE, seconds=60)
    assert identity.expires_at == 1_000_060


def test_its_time_ends(tokens: Tokens, clock: Clock) -> None:
    token, _ = tokens.mint(ADA, SCOPE, seconds=60, connection_seconds=3600)
    clock.now += 59.9
    tokens.read(token)
    clock.now += 0.1
    with pytest.raises(SignInNeeded):
        tokens.read(token)


def test_clocks_of_servers_may_differ_a_little(tokens: Tokens, clock: Clock) -> None:
    token, _ = tokens.mint(ADA, SCOPE, seconds=600)
    clock.now -= 59
    tokens.read(token)
    clock.now -= 2
    with pytest.raises(SignInNeeded):
        tokens.read(token)


def test_a_new_secret_signs_while_the_old_one_is_accepted_still(clock: Clock, tokens: Tokens) -> None:
    old, _ = tokens.mint(ADA, SCOPE)
    both = Tokens([b"n" * 32, SECRET], clock=clock)
    assert both.read(old).principal == ADA
    new, _ = both.mint(ADA, SCOPE)
    only_new = Tokens([b"n" * 32], clock=clock)
    assert only_new.read(new).principal == ADA
    with pytest.raises(SignInNeeded):
        only_new.read(old)


@pytest.mark.parametrize(
    "arguments",
    [
        {"seconds": 0},
        {"seconds": -1},
        {"seconds": MAX_SECONDS + 1},
        {"seconds": 60, "connection_seconds": 59},
        {"seconds": 60, "connection_seconds": MAX_CONNECTION_SECONDS + 1},
        {"seconds": float("nan")},
        {"connection_seconds": float("inf")},
    ],
)
def test_what_lasts_too_long_or_not_at_all_is_not_made(tokens: Tokens, arguments: dict[str, float]) -> None:
    with pytest.raises(MalformedInput):
        tokens.mint(ADA, SCOPE, **arguments)


@pytest.mark.parametrize(
    "principal", [Principal("", "Ada"), Principal("ada", ""), Principal("a" * 256, "Ada")]
)
def test_a_token_is_for_somebody(tokens: Tokens, principal: Principal) -> None:
    with pytest.raises(MalformedInput):
        tokens.mint(principal, SCOPE)


def test_a_scope_too_large_for_a_token_is_refused(tokens: Tokens) -> None:
    scope = Scope({f"a long name of a document {number:0100}": Access.READ for number in range(100)})
    with pytest.raises(MalformedInput):
        tokens.mint(ADA, scope)


def test_short_secrets_are_refused() -> None:
    with pytest.raises(MalformedInput):
        Tokens([SECRET, b"short"])


async def test_all_servers_of_a_store_sign_with_the_same_secret() -> None:
    store = MemoryStore()
    secret = await stored_secret(store)
    assert len(secret) == 32
    assert await stored_secret(store) == secret
    assert await stored_secret(MemoryStore()) != secret


def signed(claims: dict[str, Any], header: dict[str, Any], key: bytes = SECRET) -> str:
    return jwt.encode({"alg": "HS256", **header}, claims, OctKey.import_key(key))


def good(tokens: Tokens) -> tuple[dict[str, Any], dict[str, Any]]:
    token, _ = tokens.mint(ADA, SCOPE)
    found = jwt.decode(token, OctKey.import_key(SECRET), algorithms=["HS256"])
    return dict(found.header), dict(found.claims)


def test_the_forger_s_tools_work(tokens: Tokens) -> None:
    header, claims = good(tokens)
    assert tokens.read(signed(claims, header)).principal == ADA


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "elsewhere"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a" * 256},
        {"name": None},
        {"name": ["Ada"]},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": 999_999},
        {"until": None},
        {"iat": None},
        {"iat": 1_000_100},
        {"jti": None},
        {"jti": ""},
        {"scope": None},
        {"scope": []},
        {"scope": "**"},
        {"scope": [{"document": "notes", "access": "owner"}]},
    ],
)
def test_claims_that_are_not_as_we_make_them_are_refused(tokens: Tokens, changed: dict[str, Any]) -> None:
    header, claims = good(tokens)
    claims = {name: value for name, value in (claims | changed).items() if value is not None}
    with pytest.raises(SignInNeeded):
        tokens.read(signed(claims, header))


@pytest.mark.parametrize("changed", [{"typ": "JWT"}, {"typ": "at+jwt"}, {"kid": "other"}, {"kid": ""}])
def test_a_token_of_another_kind_is_refused(tokens: Tokens, changed: dict[str, Any]) -> None:
    header, claims = good(tokens)
    with pytest.raises(SignInNeeded):
        tokens.read(signed(claims, header | changed))


def test_a_token_signed_with_another_secret_under_our_name_is_refused(tokens: Tokens) -> None:
    header, claims = good(tokens)
    with pytest.raises(SignInNeeded):
        tokens.read(signed(claims, header, b"x" * 32))


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a.b.c", "é.b.c", "." * 5000, "null.null.null", DEEP, "bnVsbA.e30."]
)
def test_what_is_no_token_is_refused(tokens: Tokens, text: str) -> None:
    assert not is_token(text)
    with pytest.raises(SignInNeeded):
        tokens.read(text)


def test_a_changed_token_is_refused(tokens: Tokens) -> None:
    token, _ = tokens.mint(ADA, SCOPE)
    header, claims, signature = token.split(".")
    richer = json.dumps({**good(tokens)[1], "sub": "eve"})
    forged = base64.urlsafe_b64encode(richer.encode()).rstrip(b"=").decode()
    for text in (f"{header}.{forged}.{signature}", f"{header}.{claims}.", f"{header}.{claims}", token[:-2]):
        with pytest.raises(SignInNeeded):
            tokens.read(text)
