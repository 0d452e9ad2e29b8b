"""What is typed on is given to the document later, at the latest when somebody looks."""

from typing import Any

import pytest
from pycrdt import Doc

from collabd.errors import CollabdError
from collabd.protocol.messages import step_1_frame
from collabd.protocol.runs import Run, Spot
from collabd.protocol.update import check_state_vector, check_update
from collabd.rooms.replica import MOST_BEHIND, MOST_WRITERS, Replica, ReplicaBroken
from collabd.rooms.state import Piece
from tests.support.strokes import run_of

from .kit import House, Member, PanicException, Writer, calm, text_of, turns


def apply(replica: Replica, *updates: bytes) -> bytes | None:
    merged, refused = replica.apply(updates, [check_update(update) for update in updates])
    assert refused == []
    return merged


def begun() -> Replica:
    """A document with something beside which one can type."""
    replica = Replica()
    apply(replica, Writer(99).append("."))
    return replica


class Typist:
    """Somebody who types on, whose strings a replica takes in without its document."""

    def __init__(self, replica: Replica, client: int) -> None:
        self.replica = replica
        self.client = client
        self.begin()

    def begin(self) -> None:
        """Put a string in front of everything, and go on behind it."""
        writer = Writer(self.client)
        writer.take(self.replica.state())
        update = writer.insert(0, "-")
        apply(self.replica, update)
        self.spot = Spot(check_update(update))

    def type(self, *texts: bytes) -> Run:
        run = run_of(self.spot, *texts)
        assert self.replica.take_simply([Piece(1, 0, 1, run=run)]) == 1
        self.replica.put_off([run])
        return run


class Applied:
    """Counts how often a document was given something."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        apply_update = Doc.apply_update

        def counting(doc: Doc[Any], update: bytes) -> None:
            self.count += 1
            apply_update(doc, update)

        monkeypatch.setattr(Doc, "apply_update", counting)


def test_what_is_typed_on_is_in_the_document_when_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = begun()
    ada, ben = Typist(replica, 1), Typist(replica, 2)
    applied = Applied(monkeypatch)
    for number in range(50):
        ada.type(b"a", b"%d" % (number % 10))
        ben.type(b"b")
    assert applied.count == 0
    assert replica.known.clocks == {99: 1, 1: 101, 2: 51}
    by_ada = "".join(f"a{number % 10}" for number in range(50))
    assert text_of(replica.state()) == f"-{'b' * 50}-{by_ada}."
    assert replica.state_vector() == replica.doc.get_state()
    assert check_state_vector(replica.state_vector()) == replica.known.clocks


def test_what_was_put_off_stays_what_it_was_when_more_is_put_behind_it() -> None:
    replica = begun()
    ada = Typist(replica, 1)
    first, second = ada.type(b"one"), ada.type(b"two")
    assert (first.text, second.text) == (b"one", b"two")
    assert text_of(replica.state()) == "-onetwo."


def test_who_goes_on_elsewhere_has_both() -> None:
    replica = begun()
    ada = Typist(replica, 1)
    ada.type(b"one")
    ada.begin()
    ada.type(b"two")
    ada.type(b" and")
    aside = ada.spot
    ada.spot = Spot(check_update(aside.opening + b"\x01!\0"))
    apply(replica, aside.opening + b"\x01!\0")
    ada.type(b"three")
    assert text_of(replica.state()) == "-two and!three-one."


def test_a_document_lacks_only_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = begun()
    ada = Typist(replica, 1)
    applied = Applied(monkeypatch)
    for _ in range(MOST_BEHIND // 100):
        ada.type(b"x" * 100)
    assert applied.count == 0
    ada.type(b"x" * 100)
    assert applied.count == 1
    crowd = [Typist(replica, client) for client in range(2, MOST_WRITERS + 2)]
    ada.type(b"x")
    applied.count = 0
    for number, typist in enumerate(crowd, 2):
        typist.type(b"y")
        assert applied.count == (number >= MOST_WRITERS)


def test_what_comes_behind_what_was_put_off_finds_it_there() -> None:
    replica = begun()
    ada = Typist(replica, 1)
    ada.type(b"hello")
    writer = Writer(2)
    writer.take(replica.state())
    ada.type(b" there")
    assert apply(replica, writer.delete(1, 3), writer.append("!")) is not None
    ada.type(b", all")
    assert text_of(replica.state()) == "-llo there, all.!"


def test_pycrdt_that_fails_on_what_was_put_off_leaves_a_document_to_be_rebuilt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replica = begun()
    ada = Typist(replica, 1)
    ada.type(b"x")
    monkeypatch.setattr(replica.doc, "apply_update", fail)
    ada.type(b"x")
    with pytest.raises(ReplicaBroken):
        replica.catch_up()


def fail(*_: object) -> None:
    raise PanicException("corrupt")


async def test_everybody_has_what_is_typed_on_and_who_joins_too(monkeypatch: pytest.MonkeyPatch) -> None:
    room = await House().room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("-")
    ada.type("-")
    await calm(room, [ada, ben])
    applied = Applied(monkeypatch)
    for number in range(20):
        ada.type(f"{number} ")
        await room.flushed()
    assert applied.count == 0
    await calm(room, [ada, ben])
    assert ben.text == ada.text
    cleo = Member(room, 3).join()
    await calm(room, [cleo])
    assert cleo.text == ada.text == text_of(room.state())


async def test_who_observes_the_document_sees_each_edit_before_it_is_sent() -> None:
    room = await House().room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("-")
    ada.type("-")
    await room.flushed()
    seen: list[int] = []
    subscription = room.ydoc.observe(lambda _: seen.append(len(ben.got.updates)))
    before = len(ben.got.updates)
    for _ in range(5):
        ada.type("x")
        await room.flushed()
    assert seen == [before + number for number in range(5)]
    room.ydoc.unobserve(subscription)


async def test_pycrdt_that_fails_on_what_was_put_off_closes_the_document_and_loses_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("-")
    ada.type("-")
    await room.flushed()
    monkeypatch.setattr(room._replica.doc, "apply_update", fail)
    ada.type("x")
    await room.flushed()
    assert ada.is_open
    ben = Member(room, 2)
    with pytest.raises(CollabdError, match="could not take an update"):
        ben.join()
    assert room.has_ended
    assert ada.got.closed_by is not None
    assert ada.got.closed_by.retry
    assert "pycrdt failed: corrupt" in caplog.text
    for member in (ada, ben):
        member.leave()
    assert house.notes.peers == 0
    again = await house.room()
    assert text_of(again.state()) == "--x"


async def test_a_state_asked_for_when_pycrdt_fails_is_refused() -> None:
    room = await House().room()
    ada = Member(room, 1).join()
    ada.type("-")
    ada.type("-")
    await calm(room, [ada])
    ada.type("x")
    await room.flushed()
    room._replica._doc.apply_update = fail  # type: ignore[method-assign, assignment]
    ada.say(step_1_frame(b"\0"))
    await turns()
    assert isinstance(ada.got.closed_by, CollabdError)
    with pytest.raises(CollabdError):
        room.state()


async def test_one_that_fails_when_it_is_measured_ends_and_the_others_are_put_away() -> None:
    house = House(idle_bytes=0)
    rooms = {name: await house.room(name) for name in ("broken", "whole")}
    for name, room in rooms.items():
        ada = Member(room, 1).join()
        for _ in range(3):
            ada.type("-")
            await room.flushed()
        if name == "broken":
            room._replica._doc.apply_update = fail  # type: ignore[method-assign, assignment]
        ada.leave()
        await turns()
    await house.registry.shed()
    assert all(room.has_ended for room in rooms.values())
    async with house.registry.held("broken") as state:
        assert state is None
