"""A name that was deleted and given to another document while somebody was away."""

import httpx
from playwright.async_api import expect

from tests.conftest import ServerFactory

from .conftest import WindowFactory
from .gate import Gate
from .window import OFFLINE


async def test_an_old_copy_is_not_merged_into_a_new_document_of_the_same_name(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    url = f"{running.url}/api/v1/documents/name"
    async with Gate(running.port) as gate:
        ada = await window(gate.url, "Ada")
        async with ada.page.expect_response("**/api/v1/documents?prefix=name&limit=1"):
            await ada.create("name", "Plain text")
        await ada.write("old")
        await ada.is_saved()
        await gate.unplug()
        await ada.write("er")
        await expect(ada.status).to_have_text(OFFLINE.format("2 changes"))
        async with httpx.AsyncClient(timeout=30) as http:
            (await http.delete(url)).raise_for_status()
            (await http.put(url, content=b"new", headers={"Content-Type": "text/plain"})).raise_for_status()
        await gate.plug_in()

        await expect(ada.page.get_by_role("alert")).to_contain_text("This document was deleted.")
        await ada.shows("older")
        assert running.get("/api/v1/documents/name?format=text")[1].strip() == "new"
        await ada.page.reload()
        await expect(ada.page.get_by_role("alert")).to_contain_text("This document was deleted.")
        assert running.get("/api/v1/documents/name?format=text")[1].strip() == "new"
