"""Messages that travel compressed: what comes out is what went in, and nothing inflates beyond its bound."""

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import MalformedInput, TooLarge
from collabd.protocol import messages, wire
from collabd.protocol.messages import AwarenessMessage, Saved, SyncStep1, SyncStep2, Update
from collabd.protocol.packing import PACKED, inflated_size, pack, unpack
from collabd.protocol.session import Session, UpdateReceived, check_large_message, subprotocol_among

LIMIT = 100_000
TYPED = bytes.fromhex("0101010004010174026162") + b"\0"
"""Client 1 types "ab" into the text "t"."""


def deflated(data: bytes) -> bytes:
    return zlib.compress(data, 9, -15)


def claiming(size: int, data: bytes) -> bytes:
    """A packed message that says it inflates to ``size``."""
    return PACKED + wire.uint(size) + data


@pytest.mark.parametrize("kind", [SyncStep2, Update])
@given(st.binary(max_size=500), st.integers(1, 40))
def test_what_is_packed_comes_out_again(kind: type[SyncStep2 | Update], update: bytes, times: int) -> None:
    message = kind(update * times)
    frame = messages.encode(message)
    packed = pack(frame)
    assert inflated_size(packed, LIMIT) == len(frame)
    assert unpack(packed, len(frame)) == message
    with pytest.raises(TooLarge):
        unpack(packed, len(frame) - 1)


@given(st.binary(max_size=60), st.binary(max_size=200), st.integers(0, 300), st.booleans())
def test_anything_else_is_refused(head: bytes, body: bytes, size: int, is_deflated: bool) -> None:
    frame = PACKED + head if not is_deflated else claiming(size, deflated(body))
    try:
        message = unpack(frame, LIMIT)
    except (MalformedInput, TooLarge):
        pass
    else:
        assert isinstance(message, SyncStep2 | Update)


@given(st.data())
def test_a_damaged_message_never_becomes_another_size(data: st.DataObject) -> None:
    frame = bytearray(pack(messages.update_frame(b"some text, some text, some text")))
    frame[data.draw(st.integers(1, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        message = unpack(bytes(frame), LIMIT)
    except (MalformedInput, TooLarge):
        pass
    else:
        assert len(message.update) < inflated_size(bytes(frame), LIMIT)


UPDATE = messages.update_frame(b"u" * 300)


@pytest.mark.parametrize(
    "frame",
    [
        PACKED,
        b"\x65\xff\xff",
        claiming(len(UPDATE), b""),
        claiming(len(UPDATE), b"\xff" * 20),
        claiming(len(UPDATE), deflated(UPDATE)[:-1]),
        claiming(len(UPDATE), deflated(UPDATE) + b"\0"),
        claiming(len(UPDATE) - 1, deflated(UPDATE)),
        claiming(len(UPDATE) + 1, deflated(UPDATE)),
        claiming(0, deflated(b"")),
        claiming(0, deflated(UPDATE)),
        pack(b""),
        pack(UPDATE + UPDATE),
        pack(UPDATE + b"\0"),
        pack(pack(UPDATE)),
        *(
            pack(messages.encode(message))
            for message in (SyncStep1(b"\0"), AwarenessMessage(b"\0"), Saved(1))
        ),
    ],
    ids=[
        "nothing",
        "a size without an end",
        "no data",
        "rubbish",
        "truncated",
        "trailing bytes",
        "more than it says",
        "less than it says",
        "nothing inside",
        "it says nothing and is something",
        "an empty message",
        "two messages",
        "rubbish behind the message",
        "nested",
        "a step 1",
        "presence",
        "what only a server says",
    ],
)
def test_what_breaks_the_rules_is_malformed(frame: bytes) -> None:
    with pytest.raises(MalformedInput):
        unpack(frame, LIMIT)
    with pytest.raises(MalformedInput):
        Session(LIMIT).receive(frame)
    with pytest.raises(MalformedInput):
        check_large_message(frame, LIMIT)


def test_a_bomb_is_not_inflated() -> None:
    huge = 200 * 2**20
    bomb = deflated(bytes(huge))
    declared, denied = claiming(huge, bomb), claiming(LIMIT, bomb)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpack(declared, LIMIT)
        with pytest.raises(MalformedInput):
            unpack(denied, LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * LIMIT + 2 * len(bomb)


def test_a_session_takes_it_like_the_message_inside() -> None:
    for message in (Update(TYPED), SyncStep2(TYPED)):
        frame = messages.encode(message)
        (event,) = Session(LIMIT).receive(pack(frame))
        assert isinstance(event, UpdateReceived)
        assert event == Session().receive(frame)[0]
        assert list(check_large_message(pack(frame), LIMIT)) == list(check_large_message(frame))


def test_a_session_that_did_not_agree_does_not_know_it() -> None:
    for refused in (Session().receive, check_large_message):
        with pytest.raises(MalformedInput, match="unknown message type 101"):
            refused(pack(messages.update_frame(TYPED)))


def test_it_must_be_a_message_of_its_own() -> None:
    frame = messages.update_frame(TYPED)
    with pytest.raises(MalformedInput):
        Session(LIMIT).receive(frame + pack(frame))
    with pytest.raises(MalformedInput):
        Session(LIMIT).receive(pack(frame) + frame)


def test_its_size_is_what_there_is_to_be_checked() -> None:
    frame = messages.update_frame(bytes(50_000))
    session = Session(LIMIT)
    assert session.size_of(pack(frame)) == session.size_of(frame) == len(frame)
    assert Session().size_of(pack(frame)) == len(pack(frame))
    assert session.size_of(claiming(1, bytes(500))) == 502
    with pytest.raises(TooLarge):
        session.size_of(claiming(LIMIT + 1, b""))


def test_the_highest_that_both_speak_is_agreed_on() -> None:
    assert subprotocol_among(["collabd.1", "collabd.2"]) == "collabd.2"
    assert subprotocol_among(["collabd.2", "other"]) == "collabd.2"
    assert subprotocol_among(["collabd.1", "collabd.3"]) == "collabd.1"
    assert subprotocol_among([]) is None
