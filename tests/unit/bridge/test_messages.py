"""What nodes tell one another, as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.bridge.messages import (
    Alive,
    Changed,
    Committed,
    Leaving,
    Look,
    Message,
    Only,
    Person,
    Present,
    Reached,
    Who,
    decode,
    encode,
)
from collabd.errors import MalformedInput
from collabd.protocol import wire

NUMBERS = st.integers(0, wire.MAX_UINT)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PEOPLE = st.builds(Person, NUMBERS, NUMBERS, NUMBERS, TEXTS, st.none() | TEXTS.filter(bool))
MESSAGES = (
    st.builds(Committed, NUMBERS, st.integers(1, 2**40), st.lists(st.binary(), min_size=1))
    | st.builds(Reached, NUMBERS, NUMBERS)
    | st.builds(Present, st.lists(PEOPLE))
    | st.builds(Only, st.lists(NUMBERS))
    | st.sampled_from([Who(), Look(), Alive(), Leaving(), Changed()])
)


@given(MESSAGES, st.binary())
def test_a_message_is_read_as_it_was_written_whatever_a_later_version_adds(
    message: Message, added: bytes
) -> None:
    read = decode(encode(message) + added)
    assert read == message
    assert type(read) is type(message)


@given(st.binary())
def test_bytes_are_a_message_or_malformed(data: bytes) -> None:
    try:
        message = decode(data)
    except MalformedInput:
        return
    assert message is None or decode(encode(message)) == message


@given(st.integers(9, 2**30), st.binary())
def test_kinds_of_later_versions_are_passed_over(kind: int, rest: bytes) -> None:
    assert decode(wire.uint(kind) + rest) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("00070301026162", Committed(7, 3, [b"ab"])),
        ("01070a", Reached(7, 10)),
        ("020109040503616461027b7d", Present([Person(9, 4, 5, "ada", "{}")])),
        ("02010904000000", Present([Person(9, 4, 0, "", None)])),
        ("03", Who()),
        ("04", Look()),
        ("05", Alive()),
        ("06", Leaving()),
        ("07", Changed()),
        ("080205ac02", Only([5, 300])),
    ],
)
def test_nodes_of_other_versions_know_these_bytes(data: str, message: Message) -> None:
    assert encode(message).hex() == data
    assert decode(bytes.fromhex(data)) == message


def test_the_last_number_follows_from_the_first() -> None:
    assert Committed(1, 5, [b"", b""]).last == 6
