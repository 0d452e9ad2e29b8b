"""Messages that come together are taken in as if each had come by itself."""

import asyncio
from itertools import cycle, islice

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from collabd.errors import MalformedInput, NotAllowed, Overloaded
from collabd.protocol.messages import step_1_frame, update_frame
from collabd.rooms.room import LARGE_MESSAGE, RoomLimits

from .kit import House, Member, Writer, calm, text_of, turns

STROKES = st.lists(
    st.one_of(
        st.tuples(st.just("type"), st.lists(st.sampled_from(["a", "b", "cd", "é"]), max_size=12)),
        st.tuples(st.just("insert"), st.sampled_from([["x"], ["yz"]])),
        st.tuples(st.just("delete"), st.just([""])),
        st.tuples(st.just("ask"), st.just([""])),
    ),
    max_size=12,
)


def messages_of(writer: Writer, strokes: list[tuple[str, list[str]]]) -> list[bytes]:
    """What somebody sends who does all that."""
    messages = []
    for what, text in ((what, text) for what, texts in strokes for text in texts):
        if what == "type":
            messages.append(update_frame(writer.append(text)))
        elif what == "insert":
            messages.append(update_frame(writer.insert(0, text)))
        elif what == "delete" and str(writer.text)[:1].isascii() and str(writer.text):
            messages.append(update_frame(writer.delete(0, 1)))
        else:
            messages.append(step_1_frame(writer.doc.get_state()))
    return messages


@given(STROKES, st.lists(st.integers(1, 8), min_size=1))
def test_however_they_are_put_together(strokes: list[tuple[str, list[str]]], sizes: list[int]) -> None:
    async def go() -> None:
        house = House()
        room = await house.room()
        ada, ben = Member(room, 1).join(), Member(room, 2).join()
        messages = messages_of(ada.writer, strokes)
        rest, size = iter(messages), cycle(sizes)
        while together := list(islice(rest, next(size))):
            ada.say(*together)
            await turns(2)
        await calm(room, [ada, ben])
        assert ada.is_open
        assert text_of(room.state()) == ada.text == ben.text
        updates = sum(message[:2] == b"\0\2" for message in messages)
        assert room.head == updates
        assert max(ada.got.saved) == 1 + updates, "it had answered what the room asked"
        event(f"{min(updates, 10)} updates")

    asyncio.run(go())


async def typing(house: House) -> tuple[Member, list[bytes]]:
    """Somebody who has begun to type, and what he sends when he goes on."""
    ada = Member(await house.room(), 1).join()
    ada.type("begun")
    ada.type(" ")
    await calm(ada.room, [ada])
    return ada, [update_frame(ada.writer.append(letter)) for letter in "abcdef"]


async def test_what_comes_before_a_bad_message_counts_and_nothing_after_it() -> None:
    house = House()
    ada, messages = await typing(house)
    with pytest.raises(MalformedInput):
        ada.room.receive_all(ada.peer, [*messages[:3], b"\xff", *messages[3:]])
    await ada.room.flushed()
    assert text_of(ada.room.state()) == "begun abc"


async def test_one_who_was_let_go_gets_nothing_in() -> None:
    house = House()
    ada, messages = await typing(house)
    ada.room.dismiss(ada.peer, NotAllowed("go"))
    ada.room.receive_all(ada.peer, messages)
    await ada.room.flushed()
    assert text_of(ada.room.state()) == "begun "


async def test_what_comes_after_a_large_message_waits_for_it() -> None:
    house = House()
    ada, messages = await typing(house)
    large = update_frame(ada.writer.append("x" * LARGE_MESSAGE))
    after = [update_frame(ada.writer.append(letter)) for letter in "xyz"]
    ada.room.receive_all(ada.peer, [*messages, large, *after])
    assert ada.peer.held is not None
    await calm(ada.room, [ada])
    assert text_of(ada.room.state()) == ada.text
    assert ada.room.head == 2 + len(messages) + 1 + len(after)


async def test_the_bound_on_what_waits_is_kept_to_the_byte() -> None:
    house = House(limits=RoomLimits(backlog_bytes=1_000))
    ada, _ = await typing(house)
    updates = [ada.writer.append("y") for _ in range(200)]
    with pytest.raises(Overloaded):
        ada.room.receive_all(ada.peer, list(map(update_frame, updates)))
    taken = ada.room._state.pending
    assert sum(map(len, updates[:taken])) <= 1_000 < sum(map(len, updates[: taken + 1]))
