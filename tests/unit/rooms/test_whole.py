"""The state that newcomers get is encoded once, as long as that is worth it."""

from collabd.protocol import messages
from collabd.rooms.outbox import Frame
from collabd.rooms.whole import LATER_SHARE, MOST_LATER, WholeState


class Encoder:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return b"s" * 10_000


def update(size: int = 1) -> Frame:
    return Frame(b"u" * size)


def test_who_comes_later_gets_what_came_meanwhile_too() -> None:
    encode, whole = Encoder(), WholeState()
    whole.add(update())
    (first,) = whole.frames(encode)
    assert first.payload == messages.step_2_frame(b"s" * 10_000)
    later = update()
    whole.add(later)
    assert list(whole.frames(encode)) == [first, later]
    assert encode.count == 1


def test_it_is_encoded_anew_after_much_or_many_updates() -> None:
    encode, whole = Encoder(), WholeState()
    whole.frames(encode)
    whole.add(update(round(10_000 * LATER_SHARE) + 10))
    assert len(whole.frames(encode)) == 1
    for _ in range(MOST_LATER + 1):
        whole.add(update())
    assert len(whole.frames(encode)) == 1
    assert encode.count == 3


def test_it_gives_its_memory_back_when_nobody_comes_any_more() -> None:
    encode, whole = Encoder(), WholeState()
    whole.frames(encode)
    whole.forget_if_unused()
    whole.frames(encode)
    assert encode.count == 1
    whole.forget_if_unused()
    whole.forget_if_unused()
    whole.frames(encode)
    assert encode.count == 2
