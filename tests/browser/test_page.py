"""Getting about in the page."""

import pytest
from playwright.async_api import Page, expect

from tests.conftest import ServerFactory

from .conftest import WindowFactory
from .window import Kind

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


async def test_a_document_is_made_and_written_with_the_keyboard_alone(
    server: ServerFactory, window: WindowFactory
) -> None:
    ada = await window(server().url, "Ada")
    keyboard = ada.page.keyboard
    await ada.page.goto(f"{ada.url}/")
    new = ada.page.get_by_role("button", name="New document")
    await expect(new).to_be_visible()
    for _ in range(10):
        await keyboard.press("Tab")
        if await new.evaluate("(button) => button === document.activeElement"):
            break
    await keyboard.press("Enter")
    await expect(ada.page.get_by_label("Name", exact=True)).to_be_focused()
    await keyboard.type("by hand")
    await keyboard.press("Tab")
    await keyboard.press("ArrowDown")
    await expect(ada.page.get_by_role("radio", name="Markdown")).to_be_checked()
    await keyboard.press("ArrowUp")
    await keyboard.press("Enter")
    await expect(ada.text_field).to_be_focused()
    await keyboard.type("# Title\nplain ")
    await keyboard.press("Control+b")
    await keyboard.type("bold")
    await keyboard.press("Control+b")
    await keyboard.type("\n- one\ntwo")
    await ada.is_saved()
    shown = await ada.text_field.inner_html()
    assert "<h1>Title</h1><p>plain <strong>bold</strong></p>" in shown
    assert "<ul><li><p>one</p></li><li><p>two</p></li></ul>" in shown

    await keyboard.press("Shift+Tab")
    await keyboard.press("Shift+Tab")
    await expect(ada.page.get_by_role("toolbar").locator(":focus")).to_have_count(1)


async def test_the_menu_is_used_with_the_keyboard(server: ServerFactory, window: WindowFactory) -> None:
    ada = await window(server().url, "Ada")
    await ada.create("menu", "Rich text")
    button = ada.page.get_by_role("button", name="Document menu")
    await button.focus()
    await ada.page.keyboard.press("Enter")
    await expect(ada.page.get_by_role("menuitem", name="Markdown")).to_be_focused()
    await ada.page.keyboard.press("End")
    await expect(ada.page.get_by_role("menuitemradio", name="Dark")).to_be_focused()
    await ada.page.keyboard.press("Enter")
    await expect(button).to_be_focused()
    await expect(ada.page.locator("html")).to_have_attribute("data-theme", "dark")
    await ada.page.reload()
    await expect(ada.page.locator("html")).to_have_attribute("data-theme", "dark")


async def test_a_document_is_found_again(server: ServerFactory, window: WindowFactory) -> None:
    ada = await window(server().url, "Ada")
    for name in ("garden/plan", "garden/costs", "letters"):
        await ada.create(name, "Plain text")
        await ada.page.get_by_role("link", name="All documents").click()
    bea = await window(ada.url, "Bea")
    await bea.page.goto(f"{bea.url}/")
    links = bea.page.get_by_role("region", name="All documents").get_by_role("listitem")
    await expect(links).to_have_count(3)
    await bea.page.keyboard.press("/")
    await bea.page.keyboard.type("garden")
    found = bea.page.get_by_role("region", name="Names starting with").get_by_role("listitem")
    await expect(found).to_have_count(2)
    await bea.page.get_by_role("link", name="garden/plan").click()
    await expect(bea.text_field).to_be_visible()
    await bea.page.go_back()
    recent = bea.page.get_by_role("region", name="Opened recently").get_by_role("listitem")
    await expect(recent).to_have_count(1)


async def fits(page: Page) -> None:
    """Wait until nothing is wider than the window."""
    await page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("kind", ["Markdown", "Rich text"])
async def test_nothing_is_wider_than_a_phone(
    server: ServerFactory, window: WindowFactory, kind: Kind
) -> None:
    ada = await window(server().url, "Ada", **PHONE)
    name = "a/rather/long/path/to/" + "a-document-with-a-name-that-does-not-end" * 2
    await ada.create(name, kind)
    await fits(ada.page)
    await ada.write("word " * 30 + "w" * 100)
    await ada.is_saved()
    await fits(ada.page)
    if kind == "Markdown":
        await ada.page.get_by_role("button", name="Preview").click()
        await expect(ada.page.get_by_role("region", name="Preview")).to_be_visible()
        await fits(ada.page)
    await ada.page.get_by_role("button", name="Document menu").click()
    await expect(ada.page.get_by_role("menu")).to_be_in_viewport(ratio=1)
    await fits(ada.page)
    await ada.page.goto(f"{ada.url}/")
    await expect(ada.page.get_by_role("link", name=name).first).to_be_visible()
    await fits(ada.page)
    await ada.page.get_by_role("button", name="New document").click()
    await expect(ada.page.get_by_role("dialog")).to_be_in_viewport(ratio=1)
    await fits(ada.page)
