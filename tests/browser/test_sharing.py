"""Sharing a document on the page: with people, and by a link."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, expect

from tests.conftest import ServerFactory
from tests.support.oidc import Town, running_town

from .conftest import WindowFactory
from .window import Window

RULES = ('documents = "**"\nsigned_in = true\naccess = "create"',)
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
NO_RIGHT = "You do not have the right to open this document"
ENDED = "Your right to this document has ended"
TO_SIGN_IN = "You need to sign in to open this document"


@pytest.fixture
def town(node: str, tmp_path: Path) -> Iterator[Town]:
    with running_town(node, tmp_path, RULES) as town:
        yield town


async def signed_in(window: WindowFactory, town: Town, name: str, **options: object) -> Window:
    opened = await window(town.server.url, name, beside=town.issuer, **options)
    await opened.page.goto(f"{opened.url}/")
    await opened.sign_in(name)
    return opened


async def owner_of(window: WindowFactory, town: Town, document: str, text: str) -> Window:
    """Ada, who has made a document."""
    ada = await signed_in(window, town, "Ada", permissions=["clipboard-read", "clipboard-write"])
    await ada.create(document, "Plain text")
    await ada.write(text)
    await ada.is_saved()
    return ada


def share_button(window: Window) -> Locator:
    return window.page.get_by_role("button", name="Share", exact=True)


async def share_dialog(window: Window) -> Locator:
    await share_button(window).click()
    dialog = window.page.get_by_role("dialog", name="Share")
    await expect(dialog).to_be_visible()
    return dialog


async def link_of(dialog: Locator) -> str:
    """What the button copies."""
    await dialog.get_by_role("button", name="Copy link").click()
    await expect(dialog.get_by_text("Link copied")).to_be_visible()
    copied: str = await dialog.page.evaluate("navigator.clipboard.readText()")
    return copied


async def may_write(window: Window, *, may: bool) -> None:
    await expect(window.text_field).to_have_attribute("contenteditable", "true" if may else "false")


async def test_who_is_invited_gets_in_until_that_is_taken_back(town: Town, window: WindowFactory) -> None:
    ada = await owner_of(window, town, "plan", "what we do")
    ben = await signed_in(window, town, "Ben")
    await ben.page.goto(f"{ben.url}/d/plan")
    await expect(ben.refusal(NO_RIGHT)).to_be_visible()

    dialog = await share_dialog(ada)
    listed = dialog.get_by_role("list", name="Who has access").get_by_role("listitem")
    await expect(listed.filter(has_text="Owner")).to_contain_text("Ada (you)")
    address = dialog.get_by_role("textbox", name="E-mail address")
    await expect(address).to_be_focused()
    await address.fill("Ben@example.org")
    await address.press("Enter")
    await expect(listed.filter(has_text="ben@example.org")).to_be_visible()
    assert await link_of(dialog) == f"{ada.url}/d/plan"

    await ben.open("plan")
    await ben.shows("what we do")
    await may_write(ben, may=True)
    await ben.go_to_end()
    await ben.write(", and how")
    await ada.shows("what we do, and how")
    await expect(share_button(ben)).to_have_count(0)
    await ben.page.get_by_role("button", name="Document menu").click()
    await expect(ben.page.get_by_role("group", name="Belongs to Ada; you can edit it")).to_be_visible()
    await ben.page.keyboard.press("Escape")

    right = dialog.get_by_role("combobox", name="What ben@example.org may do")
    await right.select_option("Can view")
    await may_write(ben, may=False)
    told = ben.page.get_by_role("status").filter(has_text="may read")
    await expect(told).to_contain_text("It belongs to Ada.")

    await dialog.get_by_role("button", name="Remove ben@example.org").click()
    await expect(listed.filter(has_text="ben@example.org")).to_have_count(0)
    await expect(address).to_be_focused()
    await expect(ben.refusal(ENDED)).to_be_visible()
    await ben.shows("what we do, and how")
    await ben.page.reload()
    await expect(ben.refusal(NO_RIGHT)).to_be_visible()


async def test_who_is_given_all_rights_shares_as_the_owner_does(town: Town, window: WindowFactory) -> None:
    ada = await owner_of(window, town, "plan", "what we do")
    dialog = await share_dialog(ada)
    await dialog.get_by_role("combobox", name="What is typed").select_option("Group")
    await dialog.get_by_role("combobox", name="What they may do").select_option("Full access")
    await dialog.get_by_role("textbox", name="Name of the group").fill("staff")
    await dialog.get_by_role("button", name="Add").click()
    ben = await signed_in(window, town, "Ben")
    await ben.open("plan")
    theirs = await share_dialog(ben)
    await theirs.get_by_role("combobox", name="everyone may do").select_option("Can view")
    await theirs.get_by_role("button", name="Remove staff").click()
    await expect(theirs).to_have_count(0)
    await expect(share_button(ben)).to_have_count(0)
    await may_write(ben, may=False)
    await ben.shows("what we do")


async def test_the_dialog_is_used_with_the_keyboard_and_says_what_is_wrong(
    town: Town, window: WindowFactory
) -> None:
    ada = await owner_of(window, town, "plan", "what we do")
    await share_button(ada).focus()
    await ada.page.keyboard.press("Enter")
    dialog = ada.page.get_by_role("dialog", name="Share")
    address = dialog.get_by_role("textbox", name="E-mail address")
    await expect(address).to_be_focused()
    await ada.page.keyboard.type("ben")
    await ada.page.keyboard.press("Enter")
    await expect(address).to_have_accessible_description("That is not an e-mail address.")
    await dialog.get_by_role("combobox", name="What is typed").select_option("Person by id")
    await dialog.get_by_role("textbox", name="Id").fill("i" * 300)
    await ada.page.keyboard.press("Enter")
    await expect(dialog.get_by_text("It is shared with")).to_be_visible()
    await ada.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(share_button(ada)).to_be_focused()


async def test_the_dialog_fits_a_phone(town: Town, window: WindowFactory) -> None:
    ada = await signed_in(window, town, "Ada", **PHONE)
    await ada.create("plan", "Rich text")
    await ada.choose("Share…")
    dialog = ada.page.get_by_role("dialog", name="Share")
    await expect(dialog).to_be_in_viewport(ratio=1)
    await dialog.get_by_role("textbox").fill(f"{'a-long-name' * 5}@{'a-long-house' * 5}.example")
    await dialog.get_by_role("button", name="Add").click()
    await expect(dialog.get_by_role("button", name="Remove")).to_be_in_viewport(ratio=1)
    assert await dialog.evaluate("(dialog) => dialog.scrollWidth <= dialog.clientWidth")


async def test_a_link_opens_the_document_until_it_is_taken_back(town: Town, window: WindowFactory) -> None:
    ada = await owner_of(window, town, "team/plan", "what we do")
    eve = await window(town.server.url, "Eve")
    asked: list[str] = []
    eve.page.on("request", lambda request: asked.append(request.url))
    eve.page.on("websocket", lambda socket: asked.append(socket.url))
    await eve.page.goto(f"{eve.url}/d/team/plan")
    await expect(eve.refusal(TO_SIGN_IN)).to_be_visible()

    dialog = await share_dialog(ada)
    right = dialog.get_by_role("combobox", name="anyone with the link")
    await right.select_option("Can view")
    await expect(dialog.get_by_text("Nobody needs to sign in")).to_be_visible()
    link = await link_of(dialog)
    secret = urlsplit(link).fragment.removeprefix("link=")
    assert link == f"{ada.url}/d/team/plan#link={secret}"
    assert len(secret) >= 20

    asked.clear()
    await eve.page.goto(link)
    await eve.shows("what we do")
    await may_write(eve, may=False)
    await right.select_option("Can edit")
    await expect(dialog.get_by_text("Anyone with the link: Can edit")).to_be_visible()
    await eve.page.evaluate("dispatchEvent(new Event('focus'))")
    await may_write(eve, may=True)
    await eve.go_to_end()
    await eve.write(", and how")
    await eve.is_saved()
    await ada.shows("what we do, and how")
    await eve.open_history()
    await eve.versions.first.click()
    await expect(eve.page.locator(".viewer")).to_contain_text("what we do, and how")
    async with eve.page.expect_download() as download:
        await eve.choose("Markdown")
    saved = await download.value
    assert saved.suggested_filename == "plan.md"
    assert (await saved.path()).read_text("utf-8") == "what we do, and how"

    # It is not listed, which is asked once and not at every edit.
    assert len([url for url in asked if "prefix=" in url]) == 1

    await eve.page.get_by_role("link", name="All documents").click()
    await eve.page.go_back()
    await eve.shows("what we do, and how")
    assert eve.page.url == link
    await eve.page.goto(f"{eve.url}/")
    await eve.page.get_by_role("region", name="Opened recently").get_by_role("link").click()
    await eve.shows("what we do, and how")
    assert eve.page.url == link
    await eve.page.goto(f"{eve.url}/d/team/plan")
    await eve.is_saved()
    assert eve.page.url == link

    await right.select_option("Off")
    await expect(eve.refusal(ENDED)).to_be_visible()
    await eve.page.reload()
    await expect(eve.refusal(TO_SIGN_IN)).to_contain_text("The link does not hold any longer")
    assert not [url for url in asked if secret in url.partition("#")[0]]


async def test_a_new_link_ends_the_old_one(town: Town, window: WindowFactory) -> None:
    ada = await owner_of(window, town, "plan", "what we do")
    dialog = await share_dialog(ada)
    await dialog.get_by_role("combobox", name="anyone with the link").select_option("Can view")
    old = await link_of(dialog)
    await dialog.get_by_role("button", name="New link").click()
    await expect(dialog.get_by_text("There is a new link")).to_be_visible()
    new = await link_of(dialog)
    assert new != old
    eve = await window(town.server.url, "Eve")
    await eve.page.goto(old)
    await expect(eve.refusal(TO_SIGN_IN)).to_be_visible()
    await eve.page.goto(new)
    await eve.shows("what we do")


async def test_who_signs_in_comes_back_by_the_link(town: Town, window: WindowFactory) -> None:
    ada = await owner_of(window, town, "plan", "what we do")
    dialog = await share_dialog(ada)
    await dialog.get_by_role("combobox", name="anyone with the link").select_option("Can edit")
    link = await link_of(dialog)
    ben = await window(town.server.url, "Somebody", beside=town.issuer)
    await ben.page.goto(link)
    await ben.shows("what we do")
    await ben.sign_in("Ben")
    await ben.shows("what we do")
    assert ben.page.url == link
    await expect(ada.page.get_by_role("img", name="Ben")).to_be_attached()


async def test_where_nobody_signs_in_nothing_is_asked_about_sharing(
    server: ServerFactory, window: WindowFactory
) -> None:
    ada = await window(server().url)
    asked: list[str] = []
    ada.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    await ada.create("notes", "Plain text")
    await ada.write("one")
    await ada.is_saved()
    await ada.page.reload()
    await ada.shows("one")
    await ada.is_saved()
    await expect(share_button(ada)).to_have_count(0)
    assert "/api/v1/me" in asked
    assert not [path for path in asked if "shares" in path]
