"""Who wrote what, as rooms tell the store."""

import asyncio

import pytest

from collabd.auth.base import ANONYMOUS, Principal
from collabd.errors import DocumentExists, Overloaded
from collabd.persistence.base import UNKNOWN, Author
from collabd.rooms.peer import author_of

from .kit import SAVED_AS, House, Member, Writer, text_of

BACKEND = Author(3, "backend", "The backend")


async def authors(house: House) -> list[Author]:
    """The author of each update so far."""
    info = await house.store.find(SAVED_AS)
    assert info is not None
    return [
        author
        async for entries in house.store.history(info.id)
        for entry in entries
        for author, count in entry.authors
        for _ in range(count)
    ]


async def test_history_says_who_wrote() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1, principal=Principal("ada@example", "Ada")).join()
    ben = Member(room, 2, principal=Principal("ben@example", "Ben")).join()
    ada.type("a")
    ben.type("b")
    ada.type("a")
    await room.flushed()
    await room.submit(Writer(3).append("c"), BACKEND)
    await room.edit(lambda doc: None, BACKEND)
    await room.submit(Writer(4).append("d"))
    assert await authors(house) == [
        ada.peer.author,
        ben.peer.author,
        ada.peer.author,
        BACKEND,
        UNKNOWN,
    ]
    assert ada.peer.author._replace(connection=0) == Author(0, "ada@example", "Ada", "")
    assert ada.peer.author.connection != ben.peer.author.connection


async def test_who_did_not_sign_in_is_called_what_he_calls_himself() -> None:
    house = House()
    room = await house.room()
    ada, known = Member(room, 1).join(), Member(room, 2, principal=Principal("k", "Known")).join()
    ada.show('{"user": {"name": "Ada"}}', 1)
    known.show('{"user": {"name": "Somebody else"}}', 1)
    ada.type("a")
    known.type("k")
    await room.flushed()
    assert [author.name for author in await authors(house)] == ["Ada", "Known"]


async def test_what_somebody_sent_before_leaving_is_his() -> None:
    house = House(holds=True)
    room = await house.room()
    ada, ben = (Member(room, n, principal=Principal(name, name)).join() for n, name in enumerate("ab", 1))
    ada.type("1")
    await asyncio.sleep(0)
    ada.type("2")
    ben.type("3")
    ada.leave()
    ben.leave()
    house.store.release()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    house.store.release()
    await room.flushed()
    assert [author.principal for author in await authors(house)] == ["a", "a", "b"]
    assert room._authors == {}, "nobody is remembered longer than need be"


async def test_a_document_is_given_its_content_by_one_process_only() -> None:
    house, elsewhere = House(), House()
    elsewhere.store = house.store
    elsewhere.registry._store = house.store
    here, there = await house.room(), await elsewhere.room()
    assert await there.seed(Writer(1).append("theirs"), author=BACKEND) == 1
    late = Member(here, 5).join()
    with pytest.raises(DocumentExists):
        await here.seed(Writer(2).append("ours"))
    assert isinstance(late.got.closed_by, Overloaded), "whoever is here comes back and gets what is there"
    assert text_of((await house.room()).state()) == "theirs"
    assert await authors(house) == [BACKEND]


def test_each_connection_has_a_number_of_its_own() -> None:
    numbers = {author_of(ANONYMOUS, "192.0.2.1").connection for _ in range(1000)}
    assert len(numbers) == 1000
    assert all(0 < number < 2**63 for number in numbers)
