"""Signing in from the page with a certified provider, and what the page says when that ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.conftest import ServerFactory
from tests.support.oidc import Town, running_town
from tests.support.server import running_server

from .conftest import WindowFactory
from .window import Kind, Window

RULES = (
    'documents = "team/**"\nsigned_in = true\naccess = "write"',
    'documents = "handbook/**"\nanyone = true\naccess = "read"',
    'documents = "handbook/**"\nusers = ["example:Ada"]\naccess = "write"',
)
NOBODY_ANSWERS = "".join(
    f"""
[[providers]]
name = "{name}"
label = "{label}"
issuer = "http://127.0.0.1:9"
client_id = "collabd"
"""
    for name, label in (("one", "One Inc."), ("two", "Two Ltd."))
)
SECONDS_TO_END = 15.0
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture
def town(node: str, tmp_path: Path) -> Iterator[Town]:
    with running_town(node, tmp_path, RULES) as town:
        yield town


async def choose(window: Window, item: str, name: str = "Ada") -> None:
    await window.account(name).click()
    await window.page.get_by_role("menuitem", name=item).click()


async def test_who_signs_in_may_write_and_is_seen_under_that_name(town: Town, window: WindowFactory) -> None:
    ada = await window(town.server.url, "Quiet Heron", beside=town.issuer)
    await ada.page.goto(f"{ada.url}/")
    await ada.sign_in()
    assert ada.page.url == f"{ada.url}/"
    await ada.create("team/plan", "Plain text")
    await ada.write("what we do")
    await ada.is_saved()
    bea = await window(town.server.url, "Bea", beside=town.issuer)
    await bea.page.goto(f"{bea.url}/")
    await bea.sign_in("Bea Smith")
    await bea.open("team/plan")
    await bea.shows("what we do")
    await expect(bea.page.get_by_role("img", name="Ada")).to_be_visible()
    await expect(ada.page.get_by_role("img", name="Bea Smith")).to_be_visible()
    await ada.choose("Your colour…")
    await expect(ada.page.get_by_role("dialog")).to_contain_text("signed in as Ada")
    await expect(ada.page.get_by_role("textbox", name="Name")).to_have_count(0)


async def test_who_is_not_signed_in_is_told_and_comes_back_to_the_document(
    town: Town, window: WindowFactory
) -> None:
    ada = await window(town.server.url, beside=town.issuer)
    await ada.page.goto(f"{ada.url}/d/team/plan")
    told = ada.refusal("You need to sign in to open this document")
    await expect(told).to_be_visible()
    await told.get_by_role("link", name="Sign in").click()
    await ada.page.get_by_label("Name").fill("Ada")
    await ada.page.get_by_role("button", name="Continue").click()
    await expect(ada.page.get_by_role("heading", name="An empty page")).to_be_visible()
    assert ada.page.url == f"{ada.url}/d/team/plan"


@pytest.mark.parametrize("kind", ["Plain text", "Rich text"])
async def test_what_all_may_read_is_not_to_be_written(town: Town, window: WindowFactory, kind: Kind) -> None:
    ada = await window(town.server.url, beside=town.issuer)
    await ada.page.goto(f"{ada.url}/")
    await ada.sign_in()
    await ada.create("handbook/x", kind)
    await ada.write("how we do it")
    await ada.is_saved()
    eve = await window(town.server.url, "Eve")
    await eve.open("handbook/x")
    await eve.shows("how we do it")
    notice = eve.page.get_by_role("status").filter(has_text="may read")
    await expect(notice).to_be_visible()
    await expect(notice.get_by_role("link", name="Sign in")).to_be_visible()
    await expect(eve.text_field).to_have_attribute("contenteditable", "false")
    await eve.text_field.click()
    await eve.write("nonsense")
    await ada.go_to_end()
    await ada.write("!")
    await eve.shows("how we do it!")
    await ada.shows("how we do it!")


async def test_who_does_not_get_in_is_told_on_the_page(town: Town, window: WindowFactory) -> None:
    ada = await window(town.server.url, beside=town.issuer)
    await ada.page.goto(f"{ada.url}/auth/callback/example?error=access_denied&state=x")
    await expect(ada.page.get_by_role("alert")).to_contain_text("You are not signed in")
    assert ada.page.url == f"{ada.url}/"
    await ada.sign_in()
    await expect(ada.page.get_by_role("alert")).to_have_count(0)


async def test_of_several_providers_one_is_chosen_and_may_not_answer(
    tmp_path: Path, window: WindowFactory
) -> None:
    (tmp_path / "collabd.toml").write_text(NOBODY_ANSWERS + f"[[rules]]\n{RULES[0]}\n", encoding="utf-8")
    with running_server(tmp_path) as server:
        ada = await window(server.url)
        await ada.page.goto(f"{ada.url}/d/team/plan")
        told = ada.refusal("You need to sign in to open this document")
        await expect(told.get_by_role("link", name="Sign in with Two Ltd.")).to_be_visible()
        await ada.page.get_by_role("button", name="Sign in").click()
        await expect(ada.page.get_by_role("menuitem")).to_have_text(["One Inc.", "Two Ltd."])
        async with ada.page.expect_request("**/auth/login?provider=two&next=%2Fd%2Fteam%2Fplan"):
            await ada.page.get_by_role("menuitem", name="Two Ltd.").click()
        await expect(ada.page.get_by_role("alert")).to_contain_text("does not answer")


async def test_who_signs_out_is_unknown_here_and_there(town: Town, window: WindowFactory) -> None:
    ada = await window(town.server.url, beside=town.issuer)
    await ada.page.goto(f"{ada.url}/")
    await ada.sign_in()
    await choose(ada, "Sign out")
    await ada.page.get_by_role("button", name="Sign out").click()
    await expect(ada.page.get_by_role("link", name="Sign in")).to_be_visible()
    assert ada.page.url == f"{ada.url}/"
    await ada.page.get_by_role("link", name="Sign in").click()
    await expect(ada.page.get_by_label("Name")).to_be_visible()


async def test_who_is_signed_out_at_the_provider_is_told_and_keeps_what_is_there(
    town: Town, window: WindowFactory
) -> None:
    ada = await window(town.server.url, beside=town.issuer)
    await ada.page.goto(f"{ada.url}/")
    await ada.sign_in()
    await ada.create("team/plan", "Plain text")
    await ada.write("what we do")
    await ada.is_saved()
    provider = await ada.page.context.new_page()
    await provider.goto(f"{town.issuer}/session/end")
    await provider.get_by_role("button", name="Sign out").click()
    await expect(ada.refusal("You are signed out")).to_be_visible(timeout=SECONDS_TO_END * 1000)
    await expect(ada.account("Ada")).to_have_count(0)
    await ada.shows("what we do")
    await expect(ada.text_field).to_have_attribute("contenteditable", "false")
    await ada.refusal("You are signed out").get_by_role("link", name="Sign in").click()
    await ada.page.get_by_label("Name").fill("Ada")
    await ada.page.get_by_role("button", name="Continue").click()
    await ada.shows("what we do")
    await ada.is_saved()
    await ada.go_to_end()
    await ada.write(" now")
    await ada.is_saved()


async def test_a_session_is_ended_from_another_browser(town: Town, window: WindowFactory) -> None:
    laptop = await window(town.server.url, beside=town.issuer)
    phone = await window(town.server.url, beside=town.issuer, **PHONE)
    for each in (laptop, phone):
        await each.page.goto(f"{each.url}/")
        await each.sign_in()
    await phone.create("team/plan", "Plain text")
    await choose(laptop, "Your sessions…")
    listed = laptop.page.get_by_role("dialog").get_by_role("listitem")
    await expect(listed).to_have_count(2)
    await expect(listed.filter(has_text="This browser")).to_have_count(1)
    await laptop.page.get_by_role("button", name="End").click()
    await expect(listed).to_have_count(1)
    await expect(phone.refusal("You are signed out")).to_be_visible(timeout=SECONDS_TO_END * 1000)


async def test_without_providers_nobody_is_asked_to_sign_in(
    server: ServerFactory, window: WindowFactory
) -> None:
    ada = await window(server().url)
    async with ada.page.expect_response("**/api/v1/me"):
        await ada.create("notes", "Plain text")
    await expect(ada.page.get_by_text("Sign in")).to_have_count(0)
    await ada.choose("Your name and colour…")
    await expect(ada.page.get_by_role("textbox", name="Name")).to_be_visible()
