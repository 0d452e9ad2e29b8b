"""Two people in one document."""

import asyncio

import pytest
from playwright.async_api import expect

from tests.conftest import ServerFactory

from .conftest import WindowFactory
from .gate import Gate
from .window import Kind

KEYSTROKES = 200


@pytest.mark.parametrize("kind", ["Markdown", "Rich text"])
async def test_nothing_is_lost_when_both_write_at_once_and_one_is_cut_off_meanwhile(
    server: ServerFactory, window: WindowFactory, kind: Kind
) -> None:
    running = server()
    async with Gate(running.port) as gate:
        ada = await window(running.url, "Ada")
        bea = await window(gate.url, "Bea")
        await ada.create("both", kind)
        await ada.write("begin ")
        await ada.is_saved()
        await bea.open("both")
        await bea.shows("begin ")
        await ada.go_to_end()
        await bea.go_to_end()
        await expect(ada.caret_of("Bea")).to_be_visible()

        async def write_and_be_cut_off() -> None:
            await bea.write("b" * 70)
            await gate.unplug()
            await expect(bea.status).to_contain_text("Offline")
            await bea.write("b" * 70)
            await gate.plug_in()
            await bea.write("b" * (KEYSTROKES - 140))

        await asyncio.gather(ada.write("a" * KEYSTROKES), write_and_be_cut_off())

        for person in (ada, bea):
            await person.counts("a", KEYSTROKES)
            await person.counts("b", KEYSTROKES + len("b"))
            await person.is_saved()
        assert await ada.text() == await bea.text()
        await expect(ada.caret_of("Bea")).to_be_visible()
        await expect(bea.caret_of("Ada")).to_be_visible()


async def test_a_new_name_is_seen_by_others_at_once(server: ServerFactory, window: WindowFactory) -> None:
    running = server()
    ada = await window(running.url, "Ada")
    bea = await window(running.url, "Bea")
    await ada.create("names", "Rich text")
    await ada.write("hello")
    await bea.open("names")
    await expect(bea.caret_of("Ada")).to_be_visible()

    await ada.choose("Your name and colour…")
    await ada.page.get_by_label("Name").fill("Countess")
    await ada.page.get_by_role("radio", name="Violet").check()
    await ada.page.get_by_role("button", name="Save").click()

    await expect(bea.page.get_by_role("img", name="Countess")).to_be_visible()
    await ada.go_to_end()
    await expect(bea.caret_of("Countess")).to_have_css("--who", "#7b43b3")
    await ada.page.reload()
    await expect(ada.page.get_by_role("button", name="Countess (you)")).to_be_visible()


async def test_whoever_leaves_is_gone_at_once_and_back_at_once(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    async with Gate(running.port) as gate:
        ada = await window(running.url, "Ada")
        bea = await window(gate.url, "Bea")
        await ada.create("leaving", "Plain text")
        await bea.open("leaving")
        badge = ada.page.get_by_role("img", name="Bea")
        await expect(badge).to_be_visible()
        await gate.unplug()
        await expect(badge).to_be_hidden()
        await gate.plug_in()
        await expect(badge).to_be_visible()


@pytest.mark.parametrize("kind", ["Markdown", "Rich text"])
async def test_undo_takes_back_only_what_one_wrote_oneself(
    server: ServerFactory, window: WindowFactory, kind: Kind
) -> None:
    running = server()
    ada = await window(running.url, "Ada")
    bea = await window(running.url, "Bea")
    await ada.create("undo", kind)
    await ada.write("ours ")
    await bea.open("undo")
    await bea.shows("ours ")
    await bea.go_to_end()
    await bea.write("hers ")
    await ada.shows("ours hers ")
    await ada.page.keyboard.press("Control+z")
    await bea.shows("hers ")
    await ada.page.keyboard.press("Control+Shift+Z")
    await bea.shows("ours hers ")
