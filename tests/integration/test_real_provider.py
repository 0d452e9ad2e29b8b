"""Signing in with a certified OpenID provider, as a browser does it but for the page."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from collabd.app import open_store
from collabd.auth.sessions import KIND
from tests.support.oidc import LABEL, Town, running_town

RULES = ('documents = "team/**"\ngroups = ["staff"]\naccess = "write"',)
SECONDS = 20.0


@pytest.fixture
def town(node: str, tmp_path: Path) -> Iterator[Town]:
    with running_town(node, tmp_path, RULES) as town:
        yield town


def browser(town: Town) -> httpx.Client:
    """A browser without any cookies, on the server's page."""
    headers = {"Origin": town.server.url}
    return httpx.Client(base_url=town.server.url, headers=headers, follow_redirects=True, timeout=SECONDS)


def sign_in(browser: httpx.Client, name: str) -> httpx.Response:
    """Go through the provider's form; where that ends."""
    form = browser.get("/auth/login", params={"next": "/healthz"})
    assert "Who are you?" in form.text, form.text
    return browser.post(form.url, data={"name": name})


def me(browser: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = browser.get("/api/v1/me").raise_for_status().json()
    return told


def press(browser: httpx.Client, page: httpx.Response) -> httpx.Response:
    """Send the only form of a page of the provider."""
    (action,) = re.findall(r'action="([^"]*)"', page.text)
    (token,) = re.findall(r'name="xsrf" value="([^"]*)"', page.text)
    return browser.post(page.url.join(action), data={"xsrf": token, "logout": "yes"})


def test_who_signs_in_comes_back_with_name_and_groups(town: Town) -> None:
    with browser(town) as ada:
        assert me(ada)["providers"] == [{"name": "example", "label": LABEL}]
        end = sign_in(ada, "Ada")
        assert (end.status_code, str(end.url)) == (200, f"{town.server.url}/healthz")
        told = me(ada)
        assert (told["signed_in"], told["id"], told["name"]) == (True, "example:Ada", "Ada")
        assert told["groups"] == ["staff"]
        text = {"Content-Type": "text/plain"}
        assert ada.put("/api/v1/documents/team/plan", content=b"plan", headers=text).status_code == 201


def test_who_comes_back_without_being_signed_in_is_brought_to_the_page(town: Town) -> None:
    with browser(town) as ada:
        for path in ("/auth/callback/example?error=access_denied&state=x", "/auth/login?provider=other"):
            answer = ada.get(path, headers={"Accept": "text/html"}, follow_redirects=False)
            assert answer.status_code == 302, path
            assert answer.headers["location"].startswith(f"{town.server.url}/?sign-in=")
            assert ada.get(path, follow_redirects=False).status_code in (401, 404), "for programs"
        assert not me(ada)["signed_in"]


def test_who_signs_out_here_is_signed_out_there(town: Town) -> None:
    with browser(town) as ada:
        sign_in(ada, "Ada")
        question = ada.get(ada.post("/auth/logout").json()["next"])
        assert str(question.url).startswith(town.issuer)
        assert not me(ada)["signed_in"]
        back = press(ada, question)
        assert str(back.url.copy_with(query=None)) == f"{town.server.url}/"
        assert "Who are you?" in ada.get("/auth/login").text


def test_who_signs_out_there_is_signed_out_here(town: Town) -> None:
    with browser(town) as laptop, browser(town) as phone:
        sign_in(laptop, "Ada")
        sign_in(phone, "Ada")
        assert "Signed out" in press(laptop, laptop.get(f"{town.issuer}/session/end")).text
        assert not me(laptop)["signed_in"]
        assert me(phone)["signed_in"], "this is another session at the provider"


async def make_due(url: str) -> str:
    """Let the time have come to ask the provider about the only session; the refresh token for that."""
    store = open_store(url)
    await store.start()
    try:
        (memo,) = await store.memos(KIND)
        value = json.loads(memo.value)
        await store.put_memo(memo._replace(value=json.dumps({**value, "renew_at": 0.0})))
    finally:
        await store.close()
    token: str = value["refresh_token"]
    return token


def test_a_session_is_renewed_at_the_provider(town: Town) -> None:
    with browser(town) as ada:
        sign_in(ada, "Ada")
        town.server.terminate()
        before = asyncio.run(make_due(town.server.store))
        town.server.start()
        assert me(ada)["signed_in"]
        town.server.terminate()
        after = asyncio.run(make_due(town.server.store))
        assert after != before, "the provider gives a new one each time"
        town.server.start()
        assert me(ada)["signed_in"], "the new one is good too"


def test_a_session_that_the_provider_renews_no_more_ends(town: Town) -> None:
    with browser(town) as ada:
        sign_in(ada, "Ada")
        town.server.terminate()
        asyncio.run(make_due(town.server.store))
        # Nobody listens there now, so the server is not told.
        press(ada, ada.get(f"{town.issuer}/session/end"))
        town.server.start()
        assert not me(ada)["signed_in"]
