import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import MalformedInput
from collabd.protocol import messages
from collabd.protocol.messages import (
    AwarenessMessage,
    Message,
    PermissionDenied,
    QueryAwareness,
    Saved,
    SyncStep1,
    SyncStep2,
    Update,
)

BYTES = st.one_of(st.binary(max_size=10), st.binary(min_size=120, max_size=300))
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(SyncStep1, BYTES),
    st.builds(SyncStep2, BYTES),
    st.builds(Update, BYTES),
    st.builds(AwarenessMessage, BYTES),
    st.builds(PermissionDenied, st.text(st.characters(codec="utf-8"), max_size=20)),
    st.just(QueryAwareness()),
    st.builds(Saved, st.integers(0, 2**53 - 1)),
)


@given(st.lists(MESSAGES, min_size=1, max_size=4))
def test_a_frame_gives_back_its_messages(packed: list[Message]) -> None:
    assert messages.decode(b"".join(map(messages.encode, packed))) == packed


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        (SyncStep1(b"\0"), "00000100"),
        (SyncStep2(b"\0\0"), "0001020000"),
        (Update(b"\0\0"), "0002020000"),
        (AwarenessMessage(b"\0"), "010100"),
        (PermissionDenied("no"), "0200026e6f"),
        (QueryAwareness(), "03"),
        (Saved(300), "64ac02"),
    ],
)
def test_frames_are_those_of_y_websocket(message: Message, frame: str) -> None:
    assert messages.encode(message).hex() == frame


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 129, 16_383, 16_384, 70_000])
def test_a_lone_update_is_found_without_decoding(size: int) -> None:
    update = b"u" * size
    assert messages.sole_update(messages.update_frame(update)) == update
    assert messages.sole_update(messages.step_2_frame(update)) is None
    assert messages.sole_update(messages.update_frame(update) + b"\3") is None
    assert messages.sole_update(messages.update_frame(update + b"u")[:-1]) is None


@given(st.one_of(st.binary(max_size=40), st.binary(max_size=20).map(lambda tail: b"\0\2" + tail)))
def test_anything_else_is_malformed(data: bytes) -> None:
    update = messages.sole_update(data)
    try:
        decoded = messages.decode(data)
    except MalformedInput:
        assert update is None
    else:
        assert decoded
        assert update is None or decoded == [Update(update)]


@pytest.mark.parametrize("frame", ["04", "0700", "0003 00", "0201 00", "ff" * 9, "0002 7f 0000", "03 04"])
def test_an_unknown_message_is_malformed(frame: str) -> None:
    with pytest.raises(MalformedInput):
        messages.decode(bytes.fromhex(frame))


def test_an_update_whose_length_never_ends_is_malformed() -> None:
    frame = b"\0\2" + b"\xff" * 200
    assert messages.sole_update(frame) is None
    with pytest.raises(MalformedInput, match="too long"):
        messages.decode(frame)
