"""What a client's messages become."""

import pytest

from collabd.errors import MalformedInput, TooLarge
from collabd.protocol import awareness, messages
from collabd.protocol.awareness import Entry
from collabd.protocol.session import (
    KEEP_ALIVE,
    PresenceReceived,
    PresenceRequested,
    Session,
    StateRequested,
    UpdateReceived,
)
from collabd.protocol.update import check_update, encode_state_vector

TYPED = bytes.fromhex("0101010004010174026162") + b"\0"
"""Client 1 types "ab" into the text "t"."""
ENTRIES = [Entry(7, 3, '{"name":"Ada"}'), Entry(8, 1, None)]


@pytest.mark.parametrize("frame", [messages.update_frame(TYPED), messages.step_2_frame(TYPED)])
def test_an_update_comes_out_checked(frame: bytes) -> None:
    assert list(Session().receive(frame)) == [UpdateReceived(TYPED, check_update(TYPED))]


def test_a_request_for_the_state_comes_out_checked() -> None:
    state_vector = encode_state_vector({1: 2, 3: 4})
    assert list(Session().receive(messages.step_1_frame(state_vector))) == [StateRequested(state_vector)]


def test_presence_comes_out_decoded() -> None:
    frame = messages.awareness_frame(awareness.encode(ENTRIES))
    assert list(Session().receive(frame)) == [PresenceReceived(ENTRIES)]
    assert list(Session().receive(messages.encode(messages.QueryAwareness()))) == [PresenceRequested()]


def test_a_keep_alive_is_presence_of_nobody() -> None:
    assert KEEP_ALIVE == b"\x01\x01\x00"
    assert list(Session().receive(KEEP_ALIVE)) == [PresenceReceived([])]


def test_what_is_packed_together_comes_out_in_order() -> None:
    frame = (
        messages.step_1_frame(b"\0")
        + messages.update_frame(TYPED)
        + messages.awareness_frame(awareness.encode(ENTRIES))
        + messages.step_2_frame(TYPED)
    )
    events = Session().receive(frame)
    assert [type(event) for event in events] == [
        StateRequested,
        UpdateReceived,
        PresenceReceived,
        UpdateReceived,
    ]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x63",
        messages.update_frame(b"\x01"),
        messages.step_2_frame(b"\x01\x01\x07\x00\x00\x00\x00"),
        messages.step_1_frame(b"\xff\xff\xff\x7f"),
        messages.step_1_frame(b""),
        messages.awareness_frame(b"\x01"),
        messages.awareness_frame(awareness.encode([Entry(1, 1, "[]")])),
        messages.update_frame(TYPED)[:-1],
        messages.encode(messages.Saved(3)),
        messages.encode(messages.PermissionDenied("no")),
        messages.update_frame(TYPED) + b"\x63",
        messages.update_frame(TYPED) + messages.update_frame(b"\x01"),
    ],
    ids=[
        "nothing",
        "an unknown type",
        "an update cut short",
        "an update that would be lost",
        "a huge state vector",
        "no state vector",
        "presence cut short",
        "presence that is no object",
        "a message cut short",
        "what only a server says: saved",
        "what only a server says: denied",
        "rubbish behind an update",
        "a bad update behind a good one",
    ],
)
def test_what_breaks_the_protocol_is_refused_whole(frame: bytes) -> None:
    with pytest.raises(MalformedInput):
        Session().receive(frame)


def test_what_exceeds_a_bound_is_refused() -> None:
    crowd = awareness.encode(Entry(client, 1, "{}") for client in range(awareness.MAX_ENTRIES + 1))
    with pytest.raises(TooLarge):
        Session().receive(messages.awareness_frame(crowd))
