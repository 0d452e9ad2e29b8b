"""Signing in with a provider that does what a test wants, and out again."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from collabd.app import Service, create_app
from collabd.auth import jwks, oidc
from collabd.persistence.memory import MemoryStore
from collabd.settings import Settings
from tests.support.clock import Clock
from tests.support.provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    Forge,
    another_key,
    forging,
    in_seconds,
)

ORIGIN = "https://collabd.test"
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


class Town:
    """A server that people reach by ``ORIGIN``, and its provider."""

    def __init__(self, app: Any, forge: Forge) -> None:
        self.service: Service = app.state.service
        self.forge = forge
        self._app = app

    def browser(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A browser without any cookies, at some address."""
        transport = httpx.ASGITransport(self._app, client=(address, 50_000))
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"Origin": ORIGIN})

    async def begin(self, browser: httpx.AsyncClient, **query: str) -> dict[str, str]:
        """Begin a sign-in; what the provider is asked."""
        answer = await browser.get("/auth/login", params=query)
        assert answer.status_code == 302, answer.text
        return {
            name: value for name, (value,) in parse_qs(urlsplit(answer.headers["location"]).query).items()
        }

    def give(self, asked: dict[str, str], **changed: Any) -> None:
        """Let the provider give tokens for that."""
        claims = self.forge.claims(**{"nonce": asked["nonce"], **changed})
        self.forge.given = {
            "access_token": "opaque",
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.forge.sign(claims),
        }

    async def come_back(
        self, browser: httpx.AsyncClient, asked: dict[str, str], **query: str
    ) -> httpx.Response:
        return await browser.get(
            "/auth/callback/example", params={"code": "code", "state": asked["state"], **query}
        )

    async def signed_in(self, browser: httpx.AsyncClient, **claims: Any) -> dict[str, Any]:
        """Sign in; who one is then."""
        asked = await self.begin(browser)
        self.give(asked, **claims)
        answer = await self.come_back(browser, asked)
        assert answer.status_code == 302, answer.text
        return await me(browser)


def queried(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}


async def me(browser: httpx.AsyncClient) -> dict[str, Any]:
    answer = await browser.get("/api/v1/me")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with forging() as forge:
        provider = {
            "name": "example",
            "issuer": forge.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "label": "Example Inc.",
        }
        rules = ({"documents": "team/**", "groups": ["staff"], "access": "write"},)
        settings = Settings(
            store="memory:", public_url=ORIGIN, providers=(provider,), rules=rules, sign_ins_per_address=20
        )
        app = create_app(settings, store=MemoryStore())
        async with app.state.service.running():
            yield Town(app, forge)


async def test_who_signs_in_is_known_from_then_on(town: Town) -> None:
    async with town.browser() as browser:
        before = await me(browser)
        assert not before["signed_in"]
        assert before["providers"] == [{"name": "example", "label": "Example Inc."}]
        asked = await town.begin(browser, next="/d/team/plan?x=1")
        assert asked["redirect_uri"] == f"{ORIGIN}/auth/callback/example"
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["code_challenge"]) == 43
        assert asked["client_id"] == CLIENT_ID
        town.give(asked, groups=["staff"])
        answer = await town.come_back(browser, asked)
        assert answer.headers["location"] == f"{ORIGIN}/d/team/plan?x=1"
        told = await me(browser)
        assert (told["id"], told["name"], told["groups"]) == ("example:ada", "Ada Lovelace", ["staff"])
        (exchanged,) = town.forge.asked
        assert exchanged["code"] == ["code"]
        assert len(exchanged["code_verifier"][0]) >= 43
        created = await browser.put(
            "/api/v1/documents/team/plan", content=b"hello", headers={"Content-Type": "text/plain"}
        )
        assert created.status_code == 201
        assert (await browser.get("/api/v1/documents/other/plan")).status_code == 403


async def test_the_cookies_are_for_this_server_alone(town: Town) -> None:
    async with town.browser() as browser:
        answer = await browser.get("/auth/login")
        begun = answer.headers["set-cookie"]
        asked = queried(answer.headers["location"])
        town.give(asked)
        answer = await town.come_back(browser, asked)
        session = next(c for c in answer.headers.get_list("set-cookie") if "session" in c.split("=")[0])
        for cookie in (begun, session):
            name, _, attributes = cookie.partition("=")
            assert name.startswith("__Host-")
            for attribute in ("httponly", "secure", "samesite=lax", "path=/"):
                assert attribute in attributes.lower()
            assert "domain" not in attributes.lower()
        assert answer.headers["cache-control"] == "no-store"


async def test_a_sign_in_gives_the_session_a_new_number(town: Town) -> None:
    async with town.browser() as browser:
        await town.signed_in(browser)
        first = dict(browser.cookies)
        await town.signed_in(browser)
        assert dict(browser.cookies) != first
        assert len(await town.service.gate.sessions.all_of("example:ada")) == 1
        async with town.browser() as thief:
            thief.cookies.update(first)
            assert not (await me(thief))["signed_in"]


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "d/notes",
        "/a\nb",
        "/\t/evil.example",
        "",
    ],
)
async def test_one_is_sent_back_to_this_server_only(town: Town, where: str) -> None:
    async with town.browser() as browser:
        asked = await town.begin(browser, next=where)
        town.give(asked)
        answer = await town.come_back(browser, asked)
        assert answer.headers["location"] == f"{ORIGIN}/"


# What does not get in


async def refused(town: Town, answer: httpx.Response) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.json()["code"] == "sign-in"
    assert "session" not in answer.headers.get("set-cookie", "")
    assert await town.service.gate.sessions.all_of("example:ada") == []


async def test_another_browser_s_sign_in_cannot_be_finished(town: Town) -> None:
    async with town.browser() as attacker, town.browser() as victim:
        asked = await town.begin(attacker)
        town.give(asked)
        await refused(town, await town.come_back(victim, asked))
        await town.begin(victim)
        await refused(town, await town.come_back(victim, asked))


async def test_an_answer_is_good_once(town: Town) -> None:
    async with town.browser() as browser:
        asked = await town.begin(browser)
        cookies = dict(browser.cookies)
        town.give(asked)
        assert (await town.come_back(browser, asked)).status_code == 302
        async with town.browser() as again:
            again.cookies.update(cookies)
            assert (await town.come_back(again, asked)).status_code == 401
    assert len(town.forge.asked) == 1


@pytest.mark.parametrize(
    "query",
    [
        {"state": "other"},
        {"state": ""},
        {"iss": "https://elsewhere.example"},
    ],
)
async def test_an_answer_that_was_not_asked_for_is_refused(town: Town, query: dict[str, str]) -> None:
    async with town.browser() as browser:
        asked = await town.begin(browser)
        town.give(asked)
        await refused(town, await town.come_back(browser, asked, **query))
    assert town.forge.asked == []


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "other"},
        {"aud": ["other", CLIENT_ID]},
        {"aud": ["other", CLIENT_ID], "azp": "other"},
        {"azp": "other"},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"exp": None},
        {"exp": in_seconds(-120)},
        {"nbf": in_seconds(+120)},
        {"iat": None},
        {"iat": in_seconds(+120)},
        {"sub": None},
        {"sub": ""},
        {"events": {LOGOUT: {}}},
        {"typ": "Bearer"},
    ],
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    town: Town, changed: dict[str, Any]
) -> None:
    async with town.browser() as browser:
        asked = await town.begin(browser)
        town.give(asked, **changed)
        await refused(town, await town.come_back(browser, asked))


@pytest.mark.parametrize(
    "given", [{"error": "invalid_grant"}, {}, {"access_token": "a", "token_type": "Bearer"}]
)
async def test_a_code_that_the_provider_does_not_take_is_refused(town: Town, given: dict[str, str]) -> None:
    async with town.browser() as browser:
        asked = await town.begin(browser)
        town.forge.given = given
        await refused(town, await town.come_back(browser, asked))


async def test_an_id_token_signed_by_somebody_else_is_refused(town: Town) -> None:
    async with town.browser() as browser:
        for key in (another_key(), another_key(kid="one"), another_key("oct", "one")):
            asked = await town.begin(browser)
            town.give(asked)
            claims = town.forge.claims(nonce=asked["nonce"])
            town.forge.given["id_token"] = town.forge.sign(claims, key)
            await refused(town, await town.come_back(browser, asked))


async def test_several_audiences_are_fine_if_we_are_the_party(town: Town) -> None:
    async with town.browser() as browser:
        assert (await town.signed_in(browser, aud=["other", CLIENT_ID], azp=CLIENT_ID))["signed_in"]


async def test_what_the_provider_tells_of_somebody_else_does_not_count(town: Town) -> None:
    async with town.browser() as browser:
        town.forge.told = {"sub": "root", "name": "Root", "groups": ["staff"]}
        told = await town.signed_in(browser)
        assert (told["name"], told["groups"]) == ("Ada Lovelace", [])
        town.forge.told = {"sub": "ada", "name": "Countess Ada", "groups": ["staff"]}
        told = await town.signed_in(browser)
        assert (told["name"], told["groups"]) == ("Countess Ada", ["staff"])


# Other people's pages


async def test_other_pages_change_nothing_with_somebody_s_cookie(town: Town) -> None:
    async with town.browser() as browser:
        await town.signed_in(browser, groups=["staff"])
        for origin in ("https://evil.example", "null", "http://collabd.test", f"{ORIGIN}.evil.example"):
            for method, path in (
                ("PUT", "/api/v1/documents/team/plan"),
                ("PATCH", "/api/v1/documents/team/plan"),
                ("DELETE", "/api/v1/documents/team/plan"),
                ("POST", "/api/v1/restore/team/plan?version=1"),
                ("POST", "/auth/logout"),
            ):
                answer = await browser.request(method, path, content=b"x", headers={"Origin": origin})
                assert answer.status_code == 403, (origin, method, path)
        del browser.headers["Origin"]
        assert (await browser.post("/auth/logout")).status_code == 403
        assert (await me(browser))["signed_in"]


# Signing out


async def test_who_signs_out_is_unknown_again(town: Town) -> None:
    async with town.browser() as browser:
        await town.signed_in(browser)
        cookies = dict(browser.cookies)
        answer = await browser.post("/auth/logout")
        where = urlsplit(answer.json()["next"])
        assert f"{where.scheme}://{where.netloc}{where.path}" == f"{town.forge.issuer}/end"
        told = parse_qs(where.query)
        assert told["post_logout_redirect_uri"] == [f"{ORIGIN}/"]
        assert told["id_token_hint"] == [town.forge.given["id_token"]]
        assert not (await me(browser))["signed_in"]
        async with town.browser() as thief:
            thief.cookies.update(cookies)
            assert not (await me(thief))["signed_in"]


async def test_sessions_are_listed_and_ended(town: Town) -> None:
    async with town.browser() as laptop, town.browser() as phone, town.browser() as eve:
        await town.signed_in(laptop)
        await town.signed_in(phone)
        await town.signed_in(eve, sub="eve")
        listed = (await laptop.get("/api/v1/sessions")).json()["sessions"]
        assert len(listed) == 2
        (other,) = [session["id"] for session in listed if not session["current"]]
        assert (await eve.delete(f"/api/v1/sessions/{other}")).status_code == 403
        assert (await laptop.delete(f"/api/v1/sessions/{other}")).status_code == 204
        assert not (await me(phone))["signed_in"]
        assert (await me(laptop))["signed_in"]
        assert (await phone.get("/api/v1/sessions")).status_code == 401


def logout_token(town: Town, **changed: Any) -> str:
    claims = town.forge.claims(**{"events": {LOGOUT: {}}, "jti": "1", "name": None, **changed})
    return town.forge.sign(claims, typ="logout+jwt")


async def test_a_session_ended_at_the_provider_ends_here(town: Town) -> None:
    async with town.browser() as laptop, town.browser() as phone, town.browser() as provider:
        await town.signed_in(laptop, sid="s1")
        await town.signed_in(phone, sid="s2")
        path = "/auth/backchannel-logout/example"
        answer = await provider.post(path, data={"logout_token": logout_token(town, sid="s1", sub=None)})
        assert answer.status_code == 200, answer.text
        assert not (await me(laptop))["signed_in"]
        assert (await me(phone))["signed_in"]
        answer = await provider.post(path, data={"logout_token": logout_token(town)})
        assert answer.status_code == 200
        assert not (await me(phone))["signed_in"]


@pytest.mark.parametrize(
    "changed",
    [
        {"events": None},
        {"events": {}},
        {"events": {LOGOUT: "yes"}},
        {"nonce": "n"},
        {"aud": "other"},
        {"iss": "https://elsewhere.example"},
        {"exp": in_seconds(-120)},
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"sub": None},
        {"sub": "eve"},
        {"sub": None, "sid": "other"},
        {"sub": "eve", "sid": "s1"},
    ],
)
async def test_nobody_is_signed_out_by_a_token_that_is_not_about_him(
    town: Town, changed: dict[str, Any]
) -> None:
    async with town.browser() as browser:
        await town.signed_in(browser, sid="s1")
        token = logout_token(town, **changed)
        await browser.post("/auth/backchannel-logout/example", data={"logout_token": token})
        assert (await me(browser))["signed_in"]


async def test_an_id_token_signs_nobody_out(town: Town) -> None:
    async with town.browser() as browser:
        await town.signed_in(browser)
        token = town.forge.given["id_token"]
        answer = await browser.post("/auth/backchannel-logout/example", data={"logout_token": token})
        assert answer.status_code == 400
        assert (await me(browser))["signed_in"]


# Keys that come and go, and a provider that does not answer


@pytest.fixture
def clock(town: Town) -> Clock:
    clock = Clock(10_000.0)
    provider = town.service.gate.providers["example"]
    provider._monotonic = clock
    provider._keys._clock = clock
    return clock


async def test_a_new_key_is_fetched_when_it_is_used(town: Town, clock: Clock) -> None:
    async with town.browser() as browser:
        await town.signed_in(browser)
        clock.now += jwks.PAUSE_SECONDS
        town.forge.key = another_key()
        town.forge.published.append(town.forge.key)
        assert (await town.signed_in(browser))["signed_in"]
        assert town.forge.keys_fetched == 2


async def test_a_key_taken_back_is_refused_after_a_while(town: Town, clock: Clock) -> None:
    async with town.browser() as browser:
        await town.signed_in(browser)
        town.forge.published = [another_key()]
        clock.now += jwks.MAX_AGE_SECONDS
        asked = await town.begin(browser)
        town.give(asked)
        assert (await town.come_back(browser, asked)).status_code == 401


async def test_while_the_provider_is_down_nobody_signs_in_and_nobody_is_let_go(town: Town) -> None:
    async with town.browser() as browser, town.browser() as other:
        await town.signed_in(browser)
        asked = await town.begin(other)
        town.give(asked)
        town.forge.is_down = True
        answer = await town.come_back(other, asked)
        assert answer.status_code == 503
        assert answer.json()["code"] == "overloaded"
        assert (await me(browser))["signed_in"]
        town.forge.is_down = False
        assert (await town.signed_in(other))["signed_in"]


async def test_a_provider_that_hangs_is_waited_for_only_so_long(town: Town) -> None:
    town.service.gate.providers["example"]._timeout = 0.2
    town.forge.is_hung = True
    async with town.browser() as browser:
        async with asyncio.timeout(oidc.TIMEOUT_SECONDS):
            answer = await browser.get("/auth/login")
        assert answer.status_code == 503
        assert (await browser.get("/healthz")).status_code == 200


async def test_a_provider_that_calls_itself_otherwise_is_not_trusted(town: Town) -> None:
    town.forge.metadata = {"issuer": "https://elsewhere.example"}
    async with town.browser() as browser:
        assert (await browser.get("/auth/login")).status_code == 503


async def test_a_clock_that_is_a_little_off_is_fine(town: Town) -> None:
    async with town.browser() as browser:
        now = time.time()
        assert (await town.signed_in(browser, iat=now + 50, nbf=now + 50))["signed_in"]
        assert (await town.signed_in(browser, exp=now - 50))["signed_in"]


# Asking the provider again


async def renewing(town: Town, browser: httpx.AsyncClient) -> None:
    """Sign in with a refresh token, whose time has come."""
    asked = await town.begin(browser)
    town.give(asked, groups=["staff"])
    town.forge.given["refresh_token"] = "refresh 1"
    assert (await town.come_back(browser, asked)).status_code == 302
    sessions = town.service.gate.sessions
    (session,) = await sessions.all_of("example:ada")
    await sessions._save(session._replace(renew_at=0.0))


async def test_what_the_provider_says_later_holds_then(town: Town) -> None:
    async with town.browser() as browser:
        await renewing(town, browser)
        town.give({"nonce": ""}, nonce=None, groups=[], name="Countess Ada")
        town.forge.given["refresh_token"] = "refresh 2"
        told = await me(browser)
        assert (told["name"], told["groups"]) == ("Countess Ada", [])
        assert town.forge.asked[-1]["refresh_token"] == ["refresh 1"]
        (session,) = await town.service.gate.sessions.all_of("example:ada")
        assert session.refresh_token == "refresh 2"
        await me(browser)
        assert len(town.forge.asked) == 2, "it is not time again yet"


async def test_who_has_left_there_is_let_go_here(town: Town) -> None:
    async with town.browser() as browser:
        await renewing(town, browser)
        town.forge.given = {"error": "invalid_grant"}
        assert not (await me(browser))["signed_in"]
        assert await town.service.gate.sessions.all_of("example:ada") == []


async def test_who_has_become_somebody_else_is_let_go(town: Town) -> None:
    async with town.browser() as browser:
        await renewing(town, browser)
        town.give({"nonce": ""}, nonce=None, sub="root")
        assert not (await me(browser))["signed_in"]


async def test_of_many_requests_one_asks_the_provider(town: Town) -> None:
    async with town.browser() as browser:
        await renewing(town, browser)
        town.give({"nonce": ""}, nonce=None)
        told = await asyncio.gather(*(me(browser) for _ in range(10)))
        assert all(each["signed_in"] for each in told)
        assert len(town.forge.asked) == 2


async def test_a_provider_that_is_down_lets_sessions_last_for_a_while(town: Town) -> None:
    async with town.browser() as browser:
        await renewing(town, browser)
        town.forge.is_down = True
        assert (await me(browser))["signed_in"]
        sessions = town.service.gate.sessions
        (session,) = await sessions.all_of("example:ada")
        assert session.silent_since is not None
        await sessions._save(session._replace(renew_at=0.0, silent_since=time.time() - 3600))
        assert not (await me(browser))["signed_in"]


async def test_of_one_address_only_so_many_sign_ins_are_under_way(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    async with town.browser("203.0.113.9") as browser, town.browser("203.0.113.10") as neighbour:
        for _ in range(19):
            await town.begin(browser)
            browser.cookies.clear()  # as another browser
        asked = await town.begin(browser)
        begun = httpx.Cookies(browser.cookies)
        browser.cookies.clear()
        with caplog.at_level("INFO", "collabd.audit"):
            refused = await browser.get("/auth/login")
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many")
        assert 590 < int(refused.headers["retry-after"]) <= 600
        assert "sign-in-limited" in caplog.text
        shown = await browser.get("/auth/login", headers={"Accept": "text/html"})
        assert queried(shown.headers["location"]) == {"sign-in": "too-many"}
        await town.signed_in(neighbour)
        browser.cookies = begun
        town.give(asked)
        assert (await town.come_back(browser, asked)).status_code == 302
        assert (await browser.get("/auth/login")).status_code == 302, "one of them is finished"


async def test_a_browser_has_one_under_way(town: Town) -> None:
    async with town.browser("203.0.113.9") as browser:
        *_, asked = [await town.begin(browser) for _ in range(30)]
        town.give(asked)
        assert (await town.come_back(browser, asked)).status_code == 302


async def test_another_site_s_page_begins_none(town: Town) -> None:
    async with town.browser() as browser:
        for kind in ("image", "iframe", "empty"):
            embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": kind}
            refused = await browser.get("/auth/login", headers=embedded)
            assert (refused.status_code, refused.json()["code"]) == (403, "not-allowed")
        for asks in (("cross-site", "document"), ("same-origin", "iframe"), ("none", "document")):
            headers = dict(zip(("Sec-Fetch-Site", "Sec-Fetch-Dest"), asks, strict=True))
            assert (await browser.get("/auth/login", headers=headers)).status_code == 302


async def test_whoever_has_a_network_has_one_address(town: Town) -> None:
    for host in range(20):
        async with town.browser(f"2001:db8:0:1::{host:x}") as browser:
            await town.begin(browser)
    async with town.browser("2001:db8:0:1:ffff::") as same, town.browser("2001:db8:0:2::") as other:
        assert (await same.get("/auth/login")).status_code == 429
        assert (await other.get("/auth/login")).status_code == 302


async def test_without_an_address_there_is_nothing_to_count(town: Town) -> None:
    async with town.browser("") as browser:
        for _ in range(21):
            await town.begin(browser)
