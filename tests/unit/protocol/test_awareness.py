import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import MalformedInput, TooLarge
from collabd.protocol import awareness, wire
from collabd.protocol.awareness import MAX_CLOCK, MAX_ENTRIES, MAX_STATE_BYTES, Entry
from tests.hostile import AWARENESS

STATES = st.none() | st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.none()).map(
    json.dumps
)
ENTRIES = st.lists(
    st.builds(Entry, st.integers(0, wire.MAX_UINT), st.integers(0, MAX_CLOCK), STATES),
    max_size=6,
    unique_by=lambda entry: entry.client,
)


def presence(state: bytes) -> bytes:
    return b"\1\7\3" + wire.octets(state)


@given(ENTRIES)
def test_entries_come_back(entries: list[Entry]) -> None:
    assert awareness.decode(awareness.encode(entries)) == entries


def test_a_state_is_kept_as_it_was_written() -> None:
    assert awareness.decode(presence(b'{"a": 1.50, "b":"\\u00e9"}')) == [
        Entry(7, 3, '{"a": 1.50, "b":"\\u00e9"}')
    ]


@pytest.mark.parametrize("state", [b"null", b" null "])
def test_null_says_that_the_client_has_left(state: bytes) -> None:
    assert awareness.decode(presence(state)) == [Entry(7, 3, None)]


@pytest.mark.parametrize(
    "state",
    [
        b"[]",
        b"1",
        b'"x"',
        b"true",
        b"",
        b"{",
        b"{}{}",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b"nul",
    ],
)
def test_a_state_is_an_object_or_null(state: bytes) -> None:
    with pytest.raises(MalformedInput):
        awareness.decode(presence(state))


def test_a_state_nests_at_most_100_levels() -> None:
    def nested(levels: int) -> bytes:
        return presence(b'{"[[":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}")

    assert awareness.decode(nested(100))
    with pytest.raises(MalformedInput, match="nested"):
        awareness.decode(nested(101))


def test_a_state_has_at_most_16_kib() -> None:
    fitting = b'{"a":"' + b"x" * (MAX_STATE_BYTES - 8) + b'"}'
    assert awareness.decode(presence(fitting))
    with pytest.raises(TooLarge):
        awareness.decode(presence(fitting + b" "))


def test_a_message_has_at_most_1024_entries() -> None:
    entries = [Entry(client, 1, "{}") for client in range(MAX_ENTRIES + 1)]
    assert len(awareness.decode(awareness.encode(entries[:-1]))) == MAX_ENTRIES
    with pytest.raises(TooLarge):
        awareness.decode(awareness.encode(entries))


@pytest.mark.parametrize("payload", AWARENESS.values(), ids=AWARENESS)
def test_what_is_hostile_is_refused(payload: bytes) -> None:
    with pytest.raises((MalformedInput, TooLarge)):
        awareness.decode(payload)


@given(st.binary(max_size=60), ENTRIES, st.randoms(use_true_random=False))
def test_nothing_else_is_ever_raised(noise: bytes, entries: list[Entry], random: object) -> None:
    damaged = bytearray(awareness.encode(entries))
    damaged[random.randrange(len(damaged))] = random.randrange(256)  # type: ignore[attr-defined]
    for payload in (noise, bytes(damaged)):
        try:
            decoded = awareness.decode(payload)
        except (MalformedInput, TooLarge):
            continue
        assert all(entry.state is None or isinstance(json.loads(entry.state), dict) for entry in decoded)
