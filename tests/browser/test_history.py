"""A document's past: its list of versions, looking at one, comparing, naming, restoring."""

import json
from typing import Any

import httpx
import pytest
from playwright.async_api import Locator, Page, Route, expect
from pycrdt import Array, Doc, Map, Text

from tests.conftest import ServerFactory

from .conftest import WindowFactory
from .gate import Gate
from .test_documents import NOTEBOOK, put
from .test_page import PHONE, fits
from .window import Kind, Window


def viewer(page: Page) -> Locator:
    """The version that stands in the text's place."""
    return page.locator(".viewer")


async def two_writing(running_url: str, window: WindowFactory, kind: Kind, **options: Any) -> list[Window]:
    """Ada and Bea, who wrote "ours hers"; Ada has named that, and put "more words" for "hers"."""
    ada = await window(running_url, "Ada", **options)
    bea = await window(running_url, "Bea")
    await ada.create("plan", kind)
    await ada.text_field.focus()
    await ada.write("ours ")
    await bea.open("plan")
    await bea.shows("ours ")
    await bea.go_to_end()
    await bea.write("hers")
    await bea.is_saved()
    await ada.shows("ours hers")

    await ada.open_history()
    await ada.name_version("Name the current version…", "First draft")
    await ada.page.get_by_role("button", name="Close the history").click()
    await ada.go_to_end()
    for _ in "hers":
        await ada.page.keyboard.press("Backspace")
    await ada.write("more words")
    await ada.is_saved()
    await bea.shows("ours more words")
    return [ada, bea]


async def choose_first_draft(ada: Window) -> None:
    """Show the named version."""
    await ada.open_history()
    await ada.versions.filter(has_text="First draft").click()
    await expect(viewer(ada.page)).to_contain_text("ours hers")


async def restore(ada: Window) -> None:
    """Restore the version that is shown."""
    await ada.page.get_by_role("button", name="Restore this version").click()
    await expect(ada.page.get_by_role("dialog")).to_contain_text("Everyone gets that as an edit")
    await ada.page.get_by_role("button", name="Restore", exact=True).click()
    await expect(ada.page.get_by_text("Restored the version “First draft”")).to_be_visible()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("Rich text", {}), ("Markdown", {}), ("Plain text", PHONE), ("Rich text", PHONE)],
    ids=["rich", "markdown", "text-phone", "rich-phone"],
)
async def test_what_was_is_looked_at_compared_and_restored(
    server: ServerFactory, window: WindowFactory, kind: Kind, options: dict[str, Any]
) -> None:
    ada, bea = await two_writing(server().url, window, kind, **options)
    await choose_first_draft(ada)
    await expect(viewer(ada.page)).not_to_contain_text("more words")
    await expect(ada.text_field).to_be_hidden()
    if options:
        await fits(ada.page)
        await expect(ada.page.get_by_role("region", name="History")).to_be_hidden()

    await ada.page.get_by_label("Show changes").check()
    await ada.page.get_by_label("Which changes").select_option("made since then")
    await expect(viewer(ada.page).get_by_text("1 word removed")).to_contain_text("2 words added")
    await expect(viewer(ada.page).locator("ins")).to_contain_text("more words")
    await expect(viewer(ada.page).locator("del")).to_contain_text("hers")
    await expect(viewer(ada.page).locator("ins")).to_have_css("text-decoration-line", "underline")
    await expect(viewer(ada.page).locator("del")).to_have_css("text-decoration-line", "line-through")
    if options:
        await fits(ada.page)

    await restore(ada)
    await ada.shows("ours hers")
    await bea.shows("ours hers")
    await expect(ada.text_field).to_be_focused()
    await bea.go_to_end()
    await bea.write("!")
    await ada.shows("ours hers!")
    await ada.page.get_by_role("status").get_by_role("button", name="Undo").click()
    await expect(ada.page.get_by_text("Undone")).to_be_visible()
    for person in (ada, bea):
        await person.counts("!", 1)
        await person.counts("more words", 1)
        await person.counts("hers", 0)
        await person.is_saved()


@pytest.mark.parametrize("kind", ["Markdown", "Rich text"])
async def test_the_editors_undo_takes_a_restore_back_before_what_was_written_earlier(
    server: ServerFactory, window: WindowFactory, kind: Kind
) -> None:
    ada, bea = await two_writing(server().url, window, kind)
    await choose_first_draft(ada)
    await restore(ada)
    await bea.shows("ours hers")
    await ada.page.keyboard.press("Control+z")
    await bea.shows("ours more words")
    await ada.page.keyboard.press("Control+z")
    await bea.shows("ours hers")


async def test_people_go_on_writing_beside_the_list_and_show_at_its_top(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    ada = await window(running.url, "Ada")
    bea = await window(running.url, "Bea")
    await ada.create("live", "Rich text")
    await ada.write("first ")
    await ada.open_history()
    await expect(ada.versions.first).to_contain_text("Ada")
    await bea.open("live")
    await bea.go_to_end()
    await bea.write("second ")
    await expect(ada.versions.first).to_contain_text("Bea")
    await expect(ada.versions.nth(1)).to_contain_text("Ada")

    await ada.versions.nth(1).click()
    await expect(viewer(ada.page)).to_contain_text("first")
    await expect(viewer(ada.page)).not_to_contain_text("second")
    await bea.write("third ")
    await ada.page.get_by_role("button", name="Back to the text as it is now").click()
    await ada.shows("first second third ")
    await ada.go_to_end()
    await ada.write("fourth")
    await bea.shows("first second third fourth")


@pytest.mark.parametrize("kind", ["Markdown", "Rich text"])
async def test_the_text_keeps_its_place_while_a_version_is_looked_at(
    server: ServerFactory, window: WindowFactory, kind: Kind
) -> None:
    ada = await window(server().url, "Ada")
    await ada.create("long", kind)
    await ada.write("line\n" * 60)
    await ada.is_saved()
    await ada.page.evaluate("scrollTo(0, 700)")
    await ada.open_history()
    await ada.versions.first.click()
    await expect(viewer(ada.page)).to_contain_text("line")
    assert await ada.page.evaluate("scrollY") == 0
    await ada.page.keyboard.press("Escape")
    await ada.page.wait_for_function("scrollY === 700")


async def test_a_version_gets_another_name_and_none(server: ServerFactory, window: WindowFactory) -> None:
    ada = await window(server().url, "Ada")
    await ada.create("names", "Plain text")
    await ada.write("text")
    await ada.is_saved()
    await ada.open_history()
    await ada.versions.first.click()
    await ada.name_version("Name this version…", "Draft")
    await expect(viewer(ada.page).get_by_role("heading")).to_have_text("Draft")
    await ada.name_version("Rename…", "Final")
    bea = await window(ada.url, "Bea")
    await bea.open("names")
    await bea.open_history()
    await expect(bea.versions.first).to_contain_text("Final")
    await ada.page.get_by_role("button", name="Rename…").click()
    await ada.page.get_by_role("button", name="Remove the name").click()
    await expect(ada.versions.filter(has_text="Final")).to_have_count(0)
    await expect(ada.page.get_by_role("button", name="Name this version…")).to_be_visible()


async def test_the_history_is_used_with_the_keyboard(server: ServerFactory, window: WindowFactory) -> None:
    ada = await window(server().url, "Ada")
    await ada.create("keys", "Rich text")
    await ada.write("one ")
    await ada.is_saved()
    await ada.open_history()
    await ada.name_version("Name the current version…", "One")
    await ada.text_field.focus()
    await ada.page.keyboard.press("Control+End")
    await ada.write("two")
    await ada.is_saved()
    await expect(ada.versions).to_have_count(2)
    await ada.page.keyboard.press("Escape")
    await expect(ada.versions).to_have_count(2)

    button = ada.page.get_by_role("button", name="History", exact=True)
    await ada.page.get_by_role("button", name="Close the history").press("Enter")
    await expect(button).to_be_focused()
    await ada.page.keyboard.press("Enter")
    await expect(ada.versions).to_have_count(2)
    await expect(ada.page.get_by_role("region", name="History")).to_be_focused()
    for key, row in (("ArrowDown", 0), ("ArrowDown", 1), ("ArrowUp", 0), ("End", 1)):
        await ada.page.keyboard.press(key)
        await expect(ada.versions.nth(row)).to_be_focused()
    await ada.page.keyboard.press("Enter")
    await expect(ada.versions.nth(1)).to_have_attribute("aria-current", "true")
    await expect(viewer(ada.page)).to_contain_text("one")
    await ada.page.get_by_role("button", name="Restore this version").press("Enter")
    await ada.page.keyboard.press("Escape")
    await expect(ada.page.get_by_role("dialog")).to_be_hidden()
    await expect(viewer(ada.page)).to_be_visible()
    await ada.page.keyboard.press("Escape")
    await expect(button).to_be_focused()
    await expect(viewer(ada.page)).to_be_hidden()
    await ada.shows("one two")
    await ada.text_field.focus()
    await ada.page.keyboard.press("Control+z")
    await ada.shows("one ")


async def test_older_changes_are_fetched_as_they_are_needed(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    ada = await window(running.url, "Ada", service_workers="block")
    await ada.create("long", "Plain text")
    for name in ("Bea", "Cy", "Dia"):
        person = await window(running.url, name)
        await person.open("long")
        await person.go_to_end()
        await person.write(f"{name} ")
        await person.is_saved()

    asked: list[str] = []

    async def one_at_a_time(route: Route) -> None:
        asked.append(route.request.url)
        await route.continue_(url=route.request.url.replace("limit=30", "limit=1"))

    await ada.page.route("**/api/v1/history/**", one_at_a_time)
    await ada.open_history()
    await expect(ada.versions).to_have_count(4)
    assert ["before=" in url for url in asked] == [False, True, True, True]
    await expect(ada.page.get_by_role("button", name="Show older")).to_be_hidden()


async def test_without_the_server_the_page_says_so(server: ServerFactory, window: WindowFactory) -> None:
    running = server()
    async with Gate(running.port) as gate:
        ada = await window(gate.url, "Ada")
        await ada.create("away", "Plain text")
        await ada.write("text")
        await ada.is_saved()
        await ada.page.evaluate("navigator.serviceWorker.ready")
        await gate.unplug()
        await ada.page.get_by_role("button", name="History", exact=True).click()
        history = ada.page.get_by_role("region", name="History")
        await expect(history).to_contain_text("kept on the server, which cannot be reached now")
        await gate.plug_in()
        await expect(ada.versions.first).to_contain_text("Ada")
        await expect(history.get_by_text("cannot be reached")).to_be_hidden()


async def test_an_unwritten_document_has_a_short_history(
    server: ServerFactory, window: WindowFactory
) -> None:
    ada = await window(server().url, "Ada")
    await ada.page.goto(f"{ada.url}/d/unwritten")
    await expect(ada.page.get_by_role("heading", name="An empty page")).to_be_visible()
    await ada.page.get_by_role("button", name="History", exact=True).click()
    await expect(ada.page.get_by_role("region", name="History")).to_contain_text(
        "Nothing was written here yet."
    )


async def test_a_notebook_is_looked_at_and_restored_though_not_edited(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    put(running, "numbers.ipynb", "application/x-ipynb+json", json.dumps(NOTEBOOK).encode())
    change = Doc[Any]({"cells": Array([Map({"cell_type": "code", "source": Text("1 + 1")})])})
    async with httpx.AsyncClient(base_url=f"{running.url}/api/v1", timeout=30) as http:
        named = await http.post("/versions/numbers.ipynb", json={"name": "First draft"})
        changed = await http.patch("/documents/numbers.ipynb", content=change.get_update())
    assert (named.status_code, changed.status_code) == (201, 200)

    ada = await window(running.url, "Ada")
    await ada.page.goto(f"{ada.url}/d/numbers.ipynb")
    await ada.open_history()
    await ada.versions.filter(has_text="First draft").click()
    await expect(viewer(ada.page)).to_contain_text("# Numbers")
    await ada.page.get_by_label("Show changes").check()
    await expect(viewer(ada.page).get_by_role("alert")).to_contain_text("cannot be shown as text")
    await restore(ada)
    await expect(ada.page.get_by_role("status").get_by_role("button", name="Undo")).to_be_visible()
    assert "1 + 1" not in running.get("/api/v1/documents/numbers.ipynb?format=json")[1]
    await ada.page.get_by_role("status").get_by_role("button", name="Undo").click()
    await expect(ada.page.get_by_text("Undone")).to_be_visible()
    assert "1 + 1" in running.get("/api/v1/documents/numbers.ipynb?format=json")[1]


async def test_nothing_of_the_history_is_wider_than_a_phone(
    server: ServerFactory, window: WindowFactory
) -> None:
    ada = await window(server().url, "A-name-that-does-not-end" * 2, **PHONE)
    await ada.create("small", "Markdown")
    await ada.text_field.focus()
    await ada.write("w" * 100)
    await ada.is_saved()
    await ada.open_history()
    await fits(ada.page)
    await ada.name_version("Name the current version…", "n" * 100)
    await fits(ada.page)
    await ada.versions.first.click()
    await expect(viewer(ada.page)).to_contain_text("www")
    await fits(ada.page)
    await ada.page.get_by_role("button", name="Back to the list").click()
    await expect(ada.versions.first).to_be_focused()
