"""The documents as a whole: handing them out, deleting them, and what the page has no editor for."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import expect
from pycrdt import Doc, Map, Text, XmlElement, XmlFragment, XmlText

from tests.conftest import ServerFactory
from tests.support.server import RunningServer
from tests.support.watching import exported_text

from .conftest import WindowFactory

NOTEBOOK = {
    "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Numbers"}],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def put(server: RunningServer, name: str, media_type: str, content: bytes) -> None:
    """Create a document over HTTP."""
    url = f"{server.url}/api/v1/documents/{quote(name)}"
    answer = httpx.put(url, content=content, headers={"Content-Type": media_type})
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("label", "filename", "content"),
    [
        ("Markdown", "plan.md", "# Plan\n\nWe **go**"),
        ("HTML", "plan.html", "<h1>Plan</h1>"),
        ("Plain text", "plan.txt", "We go"),
        ("JSON", "plan.json", '"heading"'),
    ],
)
async def test_the_menu_hands_out_files(
    server: ServerFactory, window: WindowFactory, label: str, filename: str, content: str
) -> None:
    ada = await window(server().url, "Ada")
    await ada.create("trips/plan", "Rich text")
    await ada.write("# Plan\nWe **go**")
    await ada.is_saved()
    async with ada.page.expect_download() as begun:
        await ada.choose(label)
    download = await begun.value
    assert download.suggested_filename == filename
    assert content in Path(await download.path()).read_text()


async def test_a_yjs_update_can_be_taken_elsewhere(server: ServerFactory, window: WindowFactory) -> None:
    ada = await window(server().url, "Ada")
    await ada.create("plan", "Markdown")
    await ada.write("carried")
    await ada.is_saved()
    async with ada.page.expect_download() as begun:
        await ada.choose("Yjs update")
    update = Path(await (await begun.value).path()).read_bytes()
    put(server(), "elsewhere", "application/octet-stream", update)


async def test_a_deleted_document_is_told_and_can_be_kept_under_another_name(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    ada = await window(running.url, "Ada")
    bea = await window(running.url, "Bea")
    await ada.create("shared", "Rich text")
    await ada.write("worth keeping")
    await bea.open("shared")
    await bea.shows("worth keeping")

    await ada.choose("Delete…")
    await ada.page.get_by_role("button", name="Delete", exact=True).click()
    await expect(ada.page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()

    alert = bea.page.get_by_role("alert")
    await expect(alert).to_contain_text("This document was deleted.")
    await expect(bea.text_field).to_have_attribute("contenteditable", "false")
    await alert.get_by_role("button", name="Keep as a new document…").click()
    await bea.page.get_by_label("Name", exact=True).fill("rescued")
    await bea.page.get_by_role("button", name="Keep it").click()
    await bea.is_saved()
    await bea.shows("worth keeping")
    _, rescued = running.get("/api/v1/documents/rescued?format=text")
    assert rescued.strip() == "worth keeping"

    await bea.page.goto(f"{bea.url}/d/shared")
    await expect(alert).to_contain_text("This document was deleted.")
    await alert.get_by_role("button", name="Create it anew").click()
    await expect(bea.text_field).to_have_attribute("contenteditable", "true")
    await bea.is_saved()
    assert await bea.text() == ""


async def test_a_text_with_windows_line_ends_keeps_its_places(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    doc = Doc[Any]({"content": Text("one\r\ntwo\r\nthree")})
    put(running, "windows.txt", "application/octet-stream", doc.get_update())
    ada = await window(running.url, "Ada")
    await ada.open("windows.txt")
    await ada.go_to_end()
    await ada.write("!")
    await ada.page.keyboard.press("Control+Home")
    await ada.page.keyboard.press("ArrowDown")
    await ada.write(">")
    await ada.is_saved()
    assert exported_text(running, "windows.txt").split() == ["one", ">two", "three!"]


async def test_what_the_rich_editor_does_not_know_is_left_alone(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    fragment = XmlFragment()
    doc = Doc[Any]({"prosemirror": fragment, "meta": Map({"kind": "rich"})})
    fragment.children.append(XmlElement("paragraph", contents=[XmlText("known")]))
    fragment.children.append(XmlElement("table", contents=[XmlText("unknown")]))
    put(running, "other", "application/octet-stream", doc.get_update())
    ada = await window(running.url, "Ada")
    await ada.page.goto(f"{ada.url}/d/other")
    await expect(ada.page.get_by_role("heading", name="Made with another program")).to_be_visible()
    await ada.is_saved()
    _, exported = running.get("/api/v1/documents/other?format=json")
    assert "unknown" in exported


async def test_a_notebook_is_handed_out_not_edited(server: ServerFactory, window: WindowFactory) -> None:
    running = server()
    put(running, "numbers.ipynb", "application/x-ipynb+json", json.dumps(NOTEBOOK).encode())
    ada = await window(running.url, "Ada")
    await ada.page.goto(f"{ada.url}/d/numbers.ipynb")
    await expect(ada.page.get_by_text("This is a notebook.")).to_be_visible()
    async with ada.page.expect_download() as begun:
        await ada.choose("Notebook")
    download = await begun.value
    assert download.suggested_filename == "numbers.ipynb"
    [cell] = json.loads(Path(await download.path()).read_text())["cells"]
    assert "".join(cell["source"]) == "# Numbers"
