"""The page below a path of somebody else's application."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.server import clean_environment

from .conftest import WindowFactory

APPLICATION = """
import contextlib, socket, sys
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from collabd import Settings, create_app

inner = create_app(Settings(store="sqlite:///" + sys.argv[1]))

@contextlib.asynccontextmanager
async def lifespan(outer):
    async with inner.router.lifespan_context(inner):
        yield

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
app = Starlette(routes=[Mount("/team/notes", inner)], lifespan=lifespan)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listener])
"""


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[str]:
    """The address of a collabd mounted under /team/notes."""
    command = [sys.executable, "-c", APPLICATION, str(tmp_path / "collabd.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=clean_environment(), text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/team/notes"
        finally:
            process.kill()


async def test_everything_is_found_below_the_path(mounted: str, window: WindowFactory) -> None:
    ada = await window(mounted, "Ada")
    await ada.create("deep/in/folders", "Markdown")
    assert ada.page.url == f"{mounted}/d/deep/in/folders"
    await ada.write("# here")
    await ada.is_saved()
    await ada.page.reload()
    await ada.shows("# here")
    await ada.page.get_by_role("button", name="Preview").click()
    await expect(ada.page.get_by_role("region", name="Preview").get_by_role("heading")).to_have_text("here")
    await ada.open_history()
    await expect(ada.page.get_by_role("region", name="History")).to_have_css("position", "fixed")
    await ada.page.get_by_role("link", name="All documents").click()
    await expect(ada.page.get_by_role("link", name="deep/in/folders").first).to_be_visible()
    assert ada.page.url == f"{mounted}/"
