"""One browser window on the page, and what a person does and sees there."""

import json
from typing import Literal
from urllib.parse import quote

from playwright.async_api import Locator, Page, expect

Kind = Literal["Rich text", "Markdown", "Plain text"]

BLUE = "#1b61b4"

OFFLINE = "Offline \N{EN DASH} {} kept in this browser"
"""What the status says, with the number of changes."""

READ_TEXT = """() => {
    const text = document.querySelector('#text')?.cloneNode(true);
    if (!text) return '';
    text.querySelectorAll('.remote-caret').forEach((caret) => caret.remove());
    const lines = [...text.querySelectorAll('.cm-line, p, h1, h2, h3, pre')];
    return lines.map((line) => line.textContent).join('\\n');
}"""
"""What is written, without other people's names; both editors show lines as elements."""


TWO_FRAMES = (
    "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(go))))"
)
"""Enough for the page to show what it knows."""


class Window:
    """A page in a browser profile of its own: another person at another machine.

    ``url`` is where the page with all documents is; a slash at its end makes no difference.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url.rstrip("/")

    async def open(self, document: str) -> None:
        """Go to a document that exists and wait for its text."""
        await self.page.goto(f"{self.url}/d/{quote(document)}")
        await expect(self.text_field).to_be_visible()

    async def create(self, document: str, kind: Kind) -> None:
        """Make a document by the dialog of the first page."""
        await self.page.goto(f"{self.url}/")
        await self.page.get_by_role("button", name="New document").click()
        await self.page.get_by_label("Name", exact=True).fill(document)
        await self.page.get_by_role("radio", name=kind).check()
        await self.page.get_by_role("button", name="Create").click()
        await expect(self.text_field).to_be_visible()
        await self.is_saved()

    @property
    def text_field(self) -> Locator:
        """Where the document is written."""
        return self.page.locator("#text")

    @property
    def status(self) -> Locator:
        """The words about what is saved."""
        return self.page.locator(".save-status")

    def caret_of(self, name: str) -> Locator:
        """Somebody else's caret in the text."""
        return self.page.locator(f'.remote-caret[data-name="{name}"]')

    async def sign_in(self, name: str = "Ada") -> None:
        """Go through the provider's form, from whatever page is shown."""
        await self.page.get_by_role("banner").get_by_role("link", name="Sign in").click()
        await self.page.get_by_label("Name").fill(name)
        await self.page.get_by_role("button", name="Continue").click()
        await expect(self.account(name)).to_be_visible()

    def account(self, name: str) -> Locator:
        """The button that says who is signed in."""
        return self.page.get_by_role("button", name=f"Signed in as {name}")

    def refusal(self, title: str) -> Locator:
        """What the page says of a document that the server does not go on with."""
        return self.page.get_by_role("alert", name=title)

    async def go_to_end(self) -> None:
        """Put the caret behind the last character."""
        await self.text_field.focus()
        await self.page.keyboard.press("Control+End")

    async def write(self, text: str) -> None:
        """Type, key by key, where the caret is."""
        await self.page.keyboard.type(text)

    async def text(self) -> str:
        """What is written, as it is shown."""
        read: str = await self.page.evaluate(READ_TEXT)
        return read

    async def shows(self, text: str) -> None:
        """Wait until exactly this is written."""
        await self.page.wait_for_function(f"(expected) => ({READ_TEXT})() === expected", arg=text)

    async def counts(self, letter: str, number: int) -> None:
        """Wait until a letter stands so many times in the text."""
        await self.page.wait_for_function(
            f"([letter, number]) => ({READ_TEXT})().split(letter).length - 1 === number", arg=[letter, number]
        )

    async def is_saved(self) -> None:
        """Wait until the page says that everything is on the server's disk; that it says of what was just
        written, it shows a moment later."""
        await self.page.evaluate(TWO_FRAMES)
        await expect(self.status).to_have_text("Saved")

    async def choose(self, item: str) -> None:
        """Take something from the document's menu."""
        await self.page.get_by_role("button", name="Document menu").click()
        await self.page.get_by_role("menuitem", name=item).click()

    async def open_history(self) -> None:
        """Show the list of versions, and wait for it."""
        await self.page.get_by_role("button", name="History", exact=True).click()
        await expect(self.versions.first).to_be_visible()

    @property
    def versions(self) -> Locator:
        """The versions that are listed, newest first."""
        return self.page.get_by_role("region", name="History").get_by_role("listitem").get_by_role("button")

    async def name_version(self, button: str, name: str) -> None:
        """Give a version a name by the dialog that the button opens."""
        await self.page.get_by_role("button", name=button).click()
        await self.page.get_by_label("Name", exact=True).fill(name)
        await self.page.get_by_role("button", name="Save").click()
        await expect(self.versions.filter(has_text=name)).to_have_count(1)

    async def statuses(self) -> "Statuses":
        """Begin to note what the status says from now on."""
        await self.page.evaluate(
            """() => {
                const status = document.querySelector('.save-status');
                window.__statuses = [status.textContent];
                new MutationObserver(() => window.__statuses.push(status.textContent))
                    .observe(status, { childList: true, characterData: true, subtree: true });
            }"""
        )
        return Statuses(self.page)


class Statuses:
    """What the status of a window has said, in order."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def seen(self) -> list[str]:
        """Everything so far, without repetitions next to each other."""
        noted: list[str] = await self._page.evaluate("window.__statuses")
        return [word for index, word in enumerate(noted) if index == 0 or noted[index - 1] != word]


def introduction(name: str) -> str:
    """A script that makes the page take its user for this person."""
    identity = json.dumps({"name": name, "color": BLUE})
    key = "'collabd.identity'"
    return f"localStorage.getItem({key}) ?? localStorage.setItem({key}, {json.dumps(identity)})"
