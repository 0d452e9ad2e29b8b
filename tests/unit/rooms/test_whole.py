"""The state that newcomers get is encoded once, and after that only as far as it can have changed."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc

from collabd.protocol import messages
from collabd.protocol.update import check_update
from collabd.rooms import whole as module
from collabd.rooms.replica import EMPTY_STATE_VECTOR, Replica
from collabd.rooms.whole import WholeState

from .kit import House, Member, Writer, calm, text_of

LONG = "a long text " * 2_000


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each encoding gave."""
    sizes: list[int] = []
    state = Replica.state

    def noting(self: Replica, since: bytes = EMPTY_STATE_VECTOR) -> bytes:
        update = state(self, since)
        sizes.append(len(update))
        return update

    monkeypatch.setattr(Replica, "state", noting)
    return sizes


class Document:
    """A document of a room, and those who write to it."""

    def __init__(self, *clients: int) -> None:
        self.replica = Replica()
        self.whole = WholeState()
        self.writers = [Writer(client) for client in clients]

    def take(self, update: bytes) -> None:
        self.replica.apply([update], [check_update(update)])
        self.whole.change()
        for writer in self.writers:
            writer.take(update)

    def step_2(self) -> bytes:
        """What a newcomer gets now."""
        (message,) = messages.decode(self.whole.frame(self.replica).payload)
        assert isinstance(message, messages.SyncStep2)
        return message.update


def test_it_is_encoded_once_until_it_changes(encoded: list[int]) -> None:
    document = Document(1)
    document.take(document.writers[0].append("little"))
    document.step_2()
    assert len(encoded) == 1
    assert document.whole.frame(document.replica) is document.whole.frame(document.replica)
    assert len(encoded) == 1
    document.take(document.writers[0].append(" more"))
    document.step_2()
    assert len(encoded) == 2


def test_while_somebody_types_only_what_was_typed_is_encoded(encoded: list[int]) -> None:
    document = Document(1, 2, 3)
    ada, bob, eve = document.writers
    document.take(ada.append(LONG))
    document.step_2()
    for _ in range(5):
        for writer in (bob, eve):
            document.take(writer.append("word "))
            assert text_of(document.step_2()) == str(ada.text)
    assert [size for size in encoded if size > 1000] == [encoded[0]]


def test_it_is_encoded_anew_once_for_each_who_begins_to_write_in_it(encoded: list[int]) -> None:
    document = Document(1, 2)
    ada, bob = document.writers
    document.take(ada.append(LONG))
    document.take(bob.append(LONG))
    document.step_2()
    del encoded[:]
    for _ in range(5):
        document.take(bob.append("word "))
        assert text_of(document.step_2()) == str(ada.text)
    only_ada, *rest = (size for size in encoded if size > 1000)
    assert only_ada < 1.1 * len(LONG)
    assert len(rest) == 5, "what he writes to is encoded each time"


def test_what_was_deleted_is_not_sent_any_more() -> None:
    document = Document(1, 2)
    ada, bob = document.writers
    document.take(ada.append("secret " + LONG))
    document.step_2()
    document.take(bob.append("word"))
    assert b"secret" in document.step_2()
    document.take(bob.delete(0, 7))
    assert b"secret" not in document.step_2()
    assert text_of(document.step_2()) == str(ada.text)


def test_it_gives_its_memory_back_when_nobody_comes_any_more(encoded: list[int]) -> None:
    document = Document(1)
    document.take(document.writers[0].append(LONG))
    document.step_2()
    document.whole.forget_if_unused()
    document.step_2()
    document.whole.forget_if_unused()
    del encoded[:]
    document.step_2()
    assert encoded == []
    document.whole.forget_if_unused()
    document.whole.forget_if_unused()
    document.step_2()
    assert encoded


@pytest.mark.usefixtures("nothing_is_too_small")
@given(data=st.data())
def test_it_is_always_what_the_document_is(data: st.DataObject) -> None:
    document = Document(1, 2, 300)
    for _ in range(data.draw(st.integers(1, 12))):
        writer = data.draw(st.sampled_from(document.writers))
        text = str(writer.text)
        start = data.draw(st.integers(0, len(text)))
        place, end = (len(text[:index].encode()) for index in (start, start + 1))
        if end > place and data.draw(st.booleans()):
            document.take(writer.delete(place, end))
        else:
            document.take(writer.insert(place, data.draw(st.sampled_from(["a", "word", "\U0001f600b", "é"]))))
        if data.draw(st.booleans()):
            check_update(document.step_2())
            newcomer: Doc[Any] = Doc()
            newcomer.apply_update(document.step_2())
            assert newcomer.get_update() == document.replica.state()


@pytest.fixture(scope="module")
def nothing_is_too_small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WORTH_KEEPING", 0)
        yield


@pytest.mark.usefixtures("nothing_is_too_small")
def test_a_document_that_had_to_be_repaired_is_encoded_as_it_is_now() -> None:
    document = Document(1, 2)
    ada, _ = document.writers
    document.take(ada.append("\U0001f600"))
    document.step_2()
    # Client 2 puts a letter between the two halves of the emoji, as a client with another idea of text may.
    between = bytes((1, 1, 2, 0, 0b11000100, 1, 0, 1, 1, 1)) + b"x" + b"\x00"
    document.replica.apply([between], [check_update(between)])
    document.whole.change()
    newcomer = Writer(3)
    newcomer.take(document.step_2())
    assert newcomer.state == document.replica.state()


@pytest.mark.usefixtures("nothing_is_too_small")
async def test_step_2_is_complete_whatever_was_written_since_somebody_else_came() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    for word in ("one ", "two ", "three "):
        ada.type(word)
        await calm(room, [ada])
        newcomer = Member(room, 2).join()
        (step_2,) = newcomer.got.of(messages.SyncStep2)
        newcomer.writer.take(step_2.update)
        assert newcomer.text == ada.text
        newcomer.leave()
