"""Browser windows on a running server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, async_playwright, expect

from collabd.web.pages import STATIC

from .window import Window, introduction

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

expect.set_options(timeout=20_000)

WindowFactory = Callable[..., Awaitable[Window]]


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A Chromium of its own for each test."""
    if not (STATIC / "index.html").is_file():
        pytest.skip("the page is not built: run scripts/test once")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=[*QUIET])
        yield browser
        await browser.close()


@pytest.fixture
async def window(browser: Browser) -> AsyncIterator[WindowFactory]:
    """Open windows: ``await window(url, name="Ada")``; further arguments are Playwright's for a context.

    At the end no window may have thrown, been stopped by the content security policy, or asked another server
    for anything, except for ``beside``: where its people sign in.
    """
    complaints: list[str] = []
    async with AsyncExitStack() as opened:

        async def open_window(url: str, name: str = "Ada", *, beside: str = "", **options: Any) -> Window:
            known = {urlsplit(each).netloc for each in (url, beside)}
            context = await browser.new_context(**options)
            opened.push_async_callback(context.close)
            await context.add_init_script(introduction(name))
            page = await context.new_page()
            page.on("pageerror", lambda error: complaints.append(f"{name}: {error}"))
            page.on(
                "console",
                lambda message: (
                    complaints.append(f"{name}: {message.text}")
                    if "Content Security Policy" in message.text
                    else None
                ),
            )
            page.on(
                "request",
                lambda request: (
                    complaints.append(f"{name} asked for {request.url}")
                    if urlsplit(request.url).scheme in ("http", "https")
                    and urlsplit(request.url).netloc not in known
                    else None
                ),
            )
            return Window(page, url)

        yield open_window
    assert complaints == []
