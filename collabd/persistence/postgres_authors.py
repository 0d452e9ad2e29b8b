"""The numbers that authors have in a PostgreSQL database."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from . import rows
from .base import UNKNOWN, Author
from .postgres_connection import QUERIES, pairs

if TYPE_CHECKING:
    from .postgres_connection import Connection

AUTHOR_HEARD_OF: Final = 3600.0
"""Seconds after which it is noted again that an author still writes."""
MAX_AUTHORS_CACHED: Final = 10_000


class Authors:
    """The numbers that authors have, remembered."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, Author, float]] = {}

    async def pack(
        self, connection: "Connection", batches: Sequence[Sequence[tuple[Author, int]]], now: float
    ) -> list[bytes]:
        """The authors of each batch, packed."""
        numbers = await self.numbers(connection, (author for batch in batches for author, _ in batch), now)
        return [
            rows.pack_authors([(numbers[author.connection], count) for author, count in batch])
            for batch in batches
        ]

    async def numbers(
        self, connection: "Connection", authors: Iterable[Author], now: float
    ) -> dict[int, int]:
        """By connection, the number of each author, given anew if need be. The last name counts."""
        numbers: dict[int, int] = {}
        missing: dict[int, Author] = {}
        for author in dict.fromkeys(authors):
            known = self._known.get(author.connection)
            if author.connection == UNKNOWN.connection:
                numbers[author.connection] = 0
            elif (
                known is not None
                and known[1] == author
                and now - known[2] < AUTHOR_HEARD_OF
                and author.connection not in missing
            ):
                numbers[author.connection] = known[0]
            else:
                missing[author.connection] = author
        if missing:
            told = [clean_author(author) for author in missing.values()]
            columns = [list(column) for column in zip(*told, strict=True)]
            found = await connection.fetch(QUERIES["save_authors"], *columns, now)
            saved: dict[int, int] = pairs(found)
            if len(self._known) + len(saved) > MAX_AUTHORS_CACHED:
                self._known.clear()
            for number, author in missing.items():
                self._known[number] = saved[number], author, now
            numbers |= saved
        return numbers

    def forget(self) -> None:
        """Look all of them up again."""
        self._known.clear()


async def known_numbers(connection: "Connection", authors: Iterable[Author]) -> dict[int, int]:
    """By connection, the numbers of authors that have one."""
    wanted = list({author.connection for author in authors})
    return pairs(await connection.fetch(QUERIES["author_numbers"], wanted))


async def read(connection: "Connection", numbers: Iterable[int]) -> dict[int, Author]:
    """The authors of these numbers; UNKNOWN for those that are none."""
    wanted = set(numbers)
    found = dict.fromkeys(wanted, UNKNOWN)
    if wanted - {0}:
        for number, *author in await connection.fetch(QUERIES["read_authors"], list(wanted)):
            found[number] = Author(*author)
    return found


def clean(text: str) -> str:
    """What PostgreSQL can store of a text that people chose: neither NUL nor lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def clean_author(author: Author) -> Author:
    """The author as it can be stored."""
    return Author(author.connection, *map(clean, author[1:]))
