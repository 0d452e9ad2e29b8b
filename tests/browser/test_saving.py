"""What the page says is saved, and what it keeps while it cannot be."""

import pytest
from playwright.async_api import expect

from tests.conftest import ServerFactory

from .conftest import WindowFactory
from .gate import Gate
from .window import OFFLINE, Kind


async def test_what_is_called_saved_outlives_a_killed_server(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    ada = await window(running.url, "Ada")
    await ada.create("kept", "Markdown")
    statuses = await ada.statuses()
    await ada.write("safe and sound")
    await ada.is_saved()
    running.kill()
    seen = await statuses.seen()
    assert seen[:3] == ["Saved", "Saving…", "Saved"]
    await expect(ada.status).to_have_text("Offline")

    running.start()
    bea = await window(running.url, "Bea")
    await bea.open("kept")
    await bea.shows("safe and sound")
    await ada.is_saved()


@pytest.mark.parametrize("kind", ["Markdown", "Rich text"])
async def test_offline_edits_outlive_a_reload_and_are_merged_later(
    server: ServerFactory, window: WindowFactory, kind: Kind
) -> None:
    running = server()
    async with Gate(running.port) as gate:
        ada = await window(gate.url, "Ada")
        bea = await window(running.url, "Bea")
        await ada.create("beside", kind)
        await ada.is_saved()
        await ada.create("away", kind)
        await ada.write("before ")
        await ada.is_saved()
        await bea.open("away")
        await bea.shows("before ")
        # The page itself is kept too, once its worker has fetched all of it.
        await ada.page.evaluate("navigator.serviceWorker.ready")

        await gate.unplug()
        await ada.write("offline ")
        await expect(ada.status).to_have_text(OFFLINE.format("8 changes"))
        await bea.go_to_end()
        await bea.write("meanwhile ")
        await bea.is_saved()

        await ada.open("beside")
        await expect(ada.status).to_have_text("Offline")
        await ada.open("away")
        await ada.shows("before offline ")
        await expect(ada.status).to_have_text(OFFLINE.format("8 changes"))
        await ada.go_to_end()
        await ada.write("again ")

        await gate.plug_in()
        await ada.is_saved()
        await bea.counts("again", 1)
        merged = await bea.text()
        await ada.shows(merged)
        assert sorted(merged.split()) == ["again", "before", "meanwhile", "offline"]


async def test_a_document_made_offline_reaches_the_server_later(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    async with Gate(running.port) as gate:
        ada = await window(gate.url, "Ada")
        await ada.page.goto(f"{ada.url}/")
        await expect(ada.page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()
        await ada.page.evaluate("navigator.serviceWorker.ready")
        await gate.unplug()
        await ada.page.get_by_role("button", name="New document").click()
        await ada.page.get_by_label("Name", exact=True).fill("made/on a train")
        await ada.page.get_by_role("button", name="Create").click()
        await ada.text_field.focus()
        await ada.write("tunnels")
        await expect(ada.status).to_contain_text("kept in this browser")
        await gate.plug_in()
        await ada.is_saved()
        bea = await window(running.url, "Bea")
        await bea.open("made/on a train")
        await bea.shows("tunnels")


async def test_a_connection_without_a_network_is_called_offline(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    ada = await window(running.url, "Ada")
    await ada.create("tunnel", "Plain text")
    await ada.page.context.set_offline(True)
    await ada.write("abc")
    await expect(ada.status).to_have_text(OFFLINE.format("3 changes"))
    await ada.page.context.set_offline(False)
    await ada.is_saved()
