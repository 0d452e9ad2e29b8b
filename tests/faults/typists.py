"""People who type, delete and format unique marks, and what they were promised meanwhile."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from tests.support.clients import Client

MARK: Final = re.compile(r"<[a-z]+\d+>")
UPDATES_PER_SECOND: Final = 50

Edit = tuple[str, str]
"""``typed`` or ``deleted``, and the mark; or ``formatted``, and what :func:`styles` has of that."""

Delta = list[tuple[str, dict[str, Any]]]
"""A text as runs with the same attributes."""


def marks(text: str) -> "Counter[str]":
    """How often each mark is in a text."""
    return Counter(MARK.findall(text))


def delta(runs: Iterable[tuple[Any, dict[str, Any] | None]]) -> Delta:
    """The runs of a text, neighbours with the same attributes as one."""
    joined: Delta = []
    for text, attributes in runs:
        attributes = {name: value for name, value in (attributes or {}).items() if value is not None}
        if joined and joined[-1][1] == attributes:
            joined[-1] = (joined[-1][0] + text, attributes)
        else:
            joined.append((text, attributes))
    return joined


def styles(runs: Delta) -> set[str]:
    """Marks with an attribute they have, as ``<a1> is a2``."""
    return {
        f"{mark} is {name}" for text, attributes in runs for mark in MARK.findall(text) for name in attributes
    }


class Promises:
    """What must be so whatever happens, and what may be."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        """Marks that somebody else has seen, or that were acknowledged."""
        self.deleting: set[str] = set()
        """Marks that somebody has deleted, whether anybody else knows or not."""
        self.gone: set[str] = set()
        """Marks whose deletion somebody else has seen, or was acknowledged."""
        self.styled: set[str] = set()
        """Formatting that was acknowledged, as :func:`styles` has it."""

    def note(self, edits: Iterable[Edit]) -> None:
        """These were promised."""
        kept = {"typed": self.there, "deleted": self.gone, "formatted": self.styled}
        for kind, what in edits:
            kept[kind].add(what)

    def lost(self, runs: Delta) -> set[str]:
        """What was promised and is not so in a text (its delta)."""
        there = set(marks("".join(text for text, _ in runs)))
        lost = {f"{mark} is gone" for mark in self.there - self.deleting - self.gone - there}
        lost |= {f"{mark} is back" for mark in self.gone & there}
        unstyled = self.styled - styles(runs)
        return lost | {f"not: {style}" for style in unstyled if style.split()[0] in there}

    def restored(self, text: str) -> None:
        """The document was set to a text as a whole; what was written before counts no more."""
        there = set(marks(text))
        self.gone |= (self.there | self.deleting) - there
        self.there = there
        self.deleting -= there
        self.gone -= there
        self.styled.clear()


class Typist:
    """One person, who writes fifty times a second, or as often as told, while connected."""

    def __init__(
        self,
        url: str,
        name: str,
        promises: Promises,
        chance: random.Random,
        per_second: float = UPDATES_PER_SECOND,
    ) -> None:
        self._per_second = per_second
        self.client = Client(url, saves=True)
        self.name = name
        self.edits: list[Edit] = []
        """Everything ever done."""
        self.has_seen: set[str] = set()
        """Marks that were in our text at some time."""
        self._promises = promises
        self._chance = chance
        self._typed = self._styled = 0
        self._acknowledged = self._counts_from = 0
        self._sent: list[tuple[int, int]] = []
        """How many edits were made when so many messages had been sent on this connection."""

    async def connect(self) -> None:
        """Come back, with all that was written meanwhile."""
        await self.client.reconnect()
        await self.client.synced()
        self.has_connected()

    def has_connected(self) -> None:
        """Take note that the client has a new connection, and is synced."""
        # With step 2 the server gets everything, and it is the first that it counts.
        self._sent = [(len(self.edits), 1)]

    async def write(self) -> None:
        """Write until the connection ends, or until cancelled."""
        pace = asyncio.get_running_loop().time()
        while self.client.is_connected:
            self.edit()
            pace += 1 / self._per_second
            await asyncio.sleep(pace - asyncio.get_running_loop().time())

    def edit(self) -> None:
        """Type a mark somewhere between others (most of the time), delete one, or format one."""
        text = str(self.client.text)
        start = text.find("<", self._chance.randrange(len(text) + 1))
        kind = self._chance.choices(("typed", "deleted", "formatted"), (7, 2, 1))[0]
        if start < 0 or kind == "typed":
            kind, mark = "typed", f"<{self.name}{self._typed}>"
            self._typed += 1
            self.client.insert(start if start >= 0 else len(text), mark)
        else:
            end = text.index(">", start) + 1
            mark = text[start:end]
            self.has_seen.add(mark)
            if kind == "deleted":
                self._promises.deleting.add(mark)
                self.client.delete(start, end)
            else:
                # An attribute of its own: of one that others set at the same time on what is beside it, Yjs
                # does not promise what comes of it, but only that it is the same for all.
                self._styled += 1
                style = f"{self.name}{self._styled}"
                with self.client.editing():
                    self.client.text.format(start, end, {style: True})
                mark = f"{mark} is {style}"
        self.edits.append((kind, mark))
        self._sent.append((len(self.edits), self.client.sent))

    def note_acknowledged(self) -> list[Edit]:
        """The edits that the server ever said are saved, of those that count."""
        made = (made for made, sent in self._sent if sent <= self.client.saved)
        self._acknowledged = max(self._acknowledged, *made, 0)
        return self.edits[self._counts_from : self._acknowledged]

    def forget(self) -> None:
        """What was done so far counts no more."""
        self._counts_from = len(self.edits)

    @property
    def deleted(self) -> set[str]:
        """What was deleted, of what counts."""
        return {mark for kind, mark in self.edits[self._counts_from :] if kind == "deleted"}

    @property
    def unacknowledged(self) -> int:
        """How many edits were not noted as acknowledged."""
        return len(self.edits) - self._acknowledged

    def look(self) -> set[str]:
        """The marks in our text."""
        there = set(marks(str(self.client.text)))
        self.has_seen |= there
        return there


def seen(typists: list[Typist]) -> list[Edit]:
    """The edits that somebody else has seen."""
    found: list[Edit] = []
    deleted = {person.name: person.deleted for person in typists}
    for reader in typists:
        there = reader.look()
        found += [("typed", mark) for mark in there if not mark.startswith(f"<{reader.name}")]
        for name, gone in deleted.items():
            if name != reader.name:
                found += [
                    ("deleted", mark) for mark in (gone & reader.has_seen) - there - deleted[reader.name]
                ]
    return found
