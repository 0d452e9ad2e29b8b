"""Many who come at once are served a few at a time."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from collabd.protocol import messages
from collabd.rooms import turns as module
from collabd.rooms.turns import AT_ONCE_SECONDS, COMMITS_SECONDS, LOOK_SECONDS, MANY, PAUSE_SECONDS, Turns

from .kit import SAVED_AS, House, ManualLoop, Member, Writer, calm, text_of


def edit(turns: Turns) -> None:
    turns.commit_begins()
    turns.commit_ends()


def serving_into(served: list[int]) -> Callable[[int], Callable[[], float]]:
    """Makes what serves a number: notes it, and takes as long as there is for one turn."""

    def serve(number: int) -> Callable[[], float]:
        def serving() -> float:
            served.append(number)
            return AT_ONCE_SECONDS

        return serving

    return serve


def test_those_for_whom_there_is_time_are_served_at_once_and_the_others_in_turn() -> None:
    loop = ManualLoop()
    turns = Turns(cast(asyncio.AbstractEventLoop, loop))
    edit(turns)
    served: list[int] = []

    def serve(number: int) -> Callable[[], float]:
        def serving() -> float:
            served.append(number)
            if number == 3:
                turns.ask(serve(99))
            return AT_ONCE_SECONDS / 2

        return serving

    for number in range(7):
        turns.ask(serve(number))
    assert served == [0, 1]
    loop.advance(PAUSE_SECONDS)
    assert served == [0, 1, 2, 3]
    loop.advance(PAUSE_SECONDS)
    assert served == [0, 1, 2, 3, 4, 5]
    loop.advance(PAUSE_SECONDS)
    assert served == [0, 1, 2, 3, 4, 5, 6, 99], "who asks late comes last"
    loop.advance(AT_ONCE_SECONDS + PAUSE_SECONDS)
    turns.ask(serve(7))
    assert served[-1] == 7


def test_there_is_no_pause_while_very_many_wait() -> None:
    loop = ManualLoop()
    turns = Turns(cast(asyncio.AbstractEventLoop, loop))
    edit(turns)
    served: list[int] = []
    serve = serving_into(served)
    for number in range(2 * MANY):
        turns.ask(serve(number))
    loop.advance(PAUSE_SECONDS)  # which was begun when there were few
    for _ in range(2 * MANY):
        loop.advance()
    assert len(served) == MANY
    loop.advance(PAUSE_SECONDS)
    assert len(served) == MANY + 1


def test_who_waits_lets_a_commit_go_first_but_not_for_ever() -> None:
    loop = ManualLoop()
    turns = Turns(cast(asyncio.AbstractEventLoop, loop))
    served: list[int] = []
    serve = serving_into(served)
    edit(turns)
    for number in range(4):
        turns.ask(serve(number))
    turns.commit_begins()
    turns.commit_begins()
    loop.advance(PAUSE_SECONDS)
    turns.commit_ends()
    loop.advance(LOOK_SECONDS)
    assert served == [0]
    turns.commit_ends()
    loop.advance(LOOK_SECONDS)
    assert served == [0, 1]
    turns.commit_begins()  # by a disk that hangs
    loop.advance(PAUSE_SECONDS)
    assert served == [0, 1]
    for _ in range(round(COMMITS_SECONDS / LOOK_SECONDS)):
        loop.advance(LOOK_SECONDS)
    assert served == [0, 1, 2]


def test_there_is_no_pause_while_nobody_edits() -> None:
    loop = ManualLoop()
    turns = Turns(cast(asyncio.AbstractEventLoop, loop))
    served: list[int] = []
    serve = serving_into(served)
    for number in range(3):
        turns.ask(serve(number))
    loop.advance()
    assert served == [0, 1, 2]
    loop.advance(1)
    edit(turns)
    for number in range(3, 6):
        turns.ask(serve(number))
    loop.advance()
    assert served == [0, 1, 2, 3]
    loop.advance(PAUSE_SECONDS)
    assert served == [0, 1, 2, 3, 4]


def test_who_cannot_be_served_keeps_nobody_else_out() -> None:
    loop = ManualLoop()
    turns = Turns(cast(asyncio.AbstractEventLoop, loop))
    edit(turns)
    served: list[int] = []
    serve = serving_into(served)

    def fail() -> float:
        raise MemoryError

    turns.ask(serve(0))
    turns.ask(fail)
    turns.ask(serve(1))
    failures: list[dict[str, Any]] = []
    loop.call_exception_handler = failures.append  # type: ignore[attr-defined]
    loop.advance(2 * PAUSE_SECONDS)
    assert [type(failure["exception"]) for failure in failures] == [MemoryError]
    assert served == [0, 1]


async def test_who_asks_again_and_again_is_answered_once_by_what_was_asked_last(monkeypatch: Any) -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("hello")
    await calm(room, [ada])
    eve = Member(room, 2)
    room.join(eve.peer)
    waiting: list[Callable[[], float]] = []
    monkeypatch.setattr(Turns, "ask", lambda _, serve: waiting.append(serve))
    for _ in range(1_000):
        eve.say(messages.step_1_frame(b"\x01\x07\x01"))
    eve.say(messages.step_1_frame(ada.writer.doc.get_state()))
    (serve,) = waiting
    serve()
    (answer,) = eve.got.of(messages.SyncStep2)
    assert answer.update == b"\0\0"
    eve.say(messages.step_1_frame(b"\0"))
    eve.leave()
    assert waiting.pop()() == 0.0


async def test_many_newcomers_get_the_document_encoded_once_until_somebody_types(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(module, "AT_ONCE_SECONDS", 1e-9)
    house = House()
    await house.store.append(SAVED_AS, None, [Writer(9).append("what was there " * 100)])
    room = await house.room()
    encoded = 0
    state = room._replica.state

    def counting(since: bytes = b"\0") -> bytes:
        nonlocal encoded
        encoded += since == b"\0"
        return state(since)

    monkeypatch.setattr(room._replica, "state", counting)
    ada = Member(room, 1).join()
    await asyncio.sleep(2 * module.PAUSE_SECONDS)
    await calm(room, [ada])
    others = [Member(room, number).join() for number in range(2, 12)]
    while not all(other.text == ada.text for other in others):
        await asyncio.sleep(module.PAUSE_SECONDS)
        await calm(room, [ada, *others])
    assert encoded == 1
    assert text_of(room.state()) == ada.text != ""
