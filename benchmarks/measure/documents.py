"""Documents to measure with: a recorded session, and texts made up."""

import asyncio
import random
from pathlib import Path
from typing import Any

from pycrdt import Doc, Text

from collabd.compaction import Compactor
from collabd.persistence.base import Author
from collabd.persistence.sqlite import SQLiteStore
from collabd.rooms.snapshot import unpack
from tests.support.traces import load

AUTHOR = Author(77, "ada@example.com", "Ada", "127.0.0.1")
PAPER = "automerge-paper"
ROOT = "content"
PIECE = 100
"""Characters that were written at once."""


def edits_of(trace: str) -> tuple[list[bytes], str]:
    """The update of each edit of a recorded session by one person, and the text it ends with."""
    session = load(trace)
    doc: Doc[Any] = Doc(client_id=12_345_678)
    text = doc.get(ROOT, type=Text)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for turn in session.agents[0]:
        with doc.transaction():
            for position, gone, new in turn.patches:
                if gone:
                    del text[position : position + gone]
                if new:
                    text.insert(position, new)
    doc.unobserve(subscription)
    return updates, session.end


async def fill(store: SQLiteStore, name: str, updates: list[bytes]) -> None:
    """Log one row for each update, as somebody who types alone does."""
    document_id, _ = await store.append(name, None, updates[:1], [(AUTHOR, 1)])
    for number, update in enumerate(updates[1:], 1):
        appended = store.append(name, document_id, [update], [(AUTHOR, 1)])
        if number % 5_000 == 0 or number == len(updates) - 1:
            await appended


def paper(database: Path, name: str, edits: int | None = None) -> bytes:
    """Store a recorded session as the history of a document, and compact it.

    Args:
        edits: how many of them, if not all.

    Returns:
        the document's state, as one update.
    """

    async def make() -> bytes:
        store = SQLiteStore(database)
        await store.start()
        await fill(store, name, edits_of(PAPER)[0][:edits])
        await Compactor(store, run=asyncio.to_thread).compact(name)
        stored = await store.load(name)
        assert stored is not None
        assert stored.snapshot is not None
        await store.close()
        return unpack(stored.snapshot).state

    return asyncio.run(make())


def text_of(size: int) -> bytes:
    """A text of so many characters, written in pieces here and there, as one update."""
    chance = random.Random(size)
    doc: Doc[Any] = Doc(client_id=12_345_678)
    text = doc.get(ROOT, type=Text)
    words = "the quick brown fox jumps over the lazy dog " * (PIECE // 40 + 1)
    for written in range(0, size, PIECE):
        text.insert(chance.randint(0, written), words[: min(PIECE, size - written)])
    return doc.get_update()


def text_by(people: int) -> bytes:
    """A text to which so many client ids have added a word each, as one update."""
    doc: Doc[Any] = Doc(client_id=1)
    for number in range(people):
        writer: Doc[Any] = Doc(client_id=1_000 + number)
        writer.get(ROOT, type=Text).insert(0, "a word ")
        doc.apply_update(writer.get_update())
    return doc.get_update()
