"""The state that newcomers get is encoded once, as long as it is the state."""

from collabd.protocol import messages
from collabd.rooms.whole import WholeState

from .kit import House, Member, calm


class Encoder:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return b"s" * 100


def test_it_is_encoded_once_until_it_changes() -> None:
    encode, whole = Encoder(), WholeState()
    assert whole.frame(encode).payload == messages.step_2_frame(b"s" * 100)
    whole.frame(encode)
    assert encode.count == 1
    whole.forget()
    whole.frame(encode)
    assert encode.count == 2


def test_it_gives_its_memory_back_when_nobody_comes_any_more() -> None:
    encode, whole = Encoder(), WholeState()
    whole.frame(encode)
    whole.forget_if_unused()
    whole.frame(encode)
    assert encode.count == 1
    whole.forget_if_unused()
    whole.forget_if_unused()
    whole.frame(encode)
    assert encode.count == 2


async def test_step_2_is_complete_whatever_was_written_since_somebody_else_came() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    for word in ("one ", "two "):
        ada.type(word)
        await calm(room, [ada])
        newcomer = Member(room, 2).join()
        (step_2,) = newcomer.got.of(messages.SyncStep2)
        newcomer.writer.take(step_2.update)
        assert newcomer.text == ada.text
        newcomer.leave()
