import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collabd.errors import MalformedInput
from collabd.protocol import wire
from collabd.protocol.structure import MAX_TYPE_NESTING
from collabd.protocol.update import (
    MAX_CLIENT,
    MAX_CLOCK,
    UpdateSummary,
    check_state_vector,
    check_update,
    encode_state_vector,
)
from collabd.protocol.walk import walk
from tests.fuzz.generate import Editors, Nonsense, full_states, mutant
from tests.hostile import STATE_VECTORS, UPDATES, nested_types

ROOT = bytes.fromhex("010174")


def item(info: int, content: bytes, head: bytes = ROOT, client: int = 1, clock: int = 0) -> bytes:
    return b"\1\1" + wire.uint(client) + wire.uint(clock) + bytes([info]) + head + content + b"\0"


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_what_is_hostile_is_refused(update: bytes) -> None:
    with pytest.raises(MalformedInput):
        check_update(update)


@pytest.mark.parametrize(
    ("update", "summary"),
    [
        ("0000", UpdateSummary((), (), (), 0, (), (), None)),
        # The first string of a document, in the root "t".
        ("01010500040101740268690 0", UpdateSummary(((5, 0, 2),), (), (), 0, (), (), None)),
        # Typed behind one's own character, behind somebody else's, between two, in front of one.
        ("0101050284050101 6100", UpdateSummary(((5, 2, 3),), (), (), 0, (), ((5, 2),), (5, 1))),
        ("0101050284090101 6100", UpdateSummary(((5, 2, 3),), (), ((9, 1),), 0, (), ((9, 2),), (9, 1))),
        (
            "01010502c40901080301 6100",
            UpdateSummary(((5, 2, 3),), (), ((9, 1), (8, 3)), 0, (), ((9, 2), (8, 3)), (9, 1)),
        ),
        ("0101050244090101 6100", UpdateSummary(((5, 2, 3),), (), ((9, 1),), 0, (), ((9, 1),), (9, 1))),
        # Two clocks for an emoji, one for a letter of three bytes.
        ("010105028405010 4f09f8e8900", UpdateSummary(((5, 2, 4),), (), (), 0, ((5, 3),), ((5, 2),), None)),
        ("010105028405010 3e697a500", UpdateSummary(((5, 2, 3),), (), (), 0, (), ((5, 2),), (5, 1))),
        # A range deleted, two of them, and a character put in the place of one.
        ("000105010203", UpdateSummary((), ((5, 2, 5),), (), 0, (), (), None)),
        ("00010502020 30701", UpdateSummary((), ((5, 2, 5), (5, 7, 8)), (), 0, (), (), None)),
        (
            "010105028405010161 0109010003",
            UpdateSummary(((5, 2, 3),), ((9, 0, 3),), (), 0, (), ((5, 2),), None),
        ),
        # A map in a list of the same client; what stands behind a skip; two clients at once.
        ("0101050207000501010 0", UpdateSummary(((5, 2, 3),), (), (), 1, (), (), None)),
        ("010305000001 0a0200010 0", UpdateSummary(((5, 0, 1), (5, 3, 4)), (), None, 0, (), (), None)),
        ("020109000001 010500000300", UpdateSummary(((9, 0, 1), (5, 0, 3)), (), None, 0, (), (), None)),
    ],
)
def test_the_summary_says_what_the_update_brings(update: str, summary: UpdateSummary) -> None:
    data = bytes.fromhex(update.replace(" ", ""))
    assert check_update(data)._replace(typed=None) == summary
    assert summary.empty == (data == b"\0\0")


@pytest.mark.parametrize(
    ("content", "body", "length"),
    [
        (1, b"\3", 3),
        (3, b"\2\0\xff", 1),
        (4, wire.text("a日🎉"), 4),
        (5, wire.text('{"image":"x"}'), 1),
        (5, wire.text('"\\ud83d\\ude00"'), 1),
        (6, b"\4bold" + wire.text("null"), 1),
        (6, b"\4link" + wire.text(' {"href": "é", "n": [1, -2.5e3]} '), 1),
        (7, b"\0", 1),
        (7, b"\3\1p", 1),
        (7, b"\6", 1),
        (8, b"\1\x75\2\x7e\x76\1\1k\x77\1v", 1),
        (
            8,
            b"\6\x7f\x7d\x8a\1\x7c" + bytes(4) + b"\x7b" + bytes(8) + b"\x7a" + bytes(8) + b"\x74\2\0\xff",
            6,
        ),
        (8, b"\2\x78\x79", 2),
        (9, b"\4guid\x76\1\2gc\x79", 1),
    ],
)
def test_every_content_of_yjs_is_accepted(content: int, body: bytes, length: int) -> None:
    assert check_update(item(content, body)).structs == ((1, 0, length),)
    assert check_update(item(content | 0x20, body, ROOT + b"\1k")).structs == ((1, 0, length),)
    for cut in range(1, len(body) + 2):
        with pytest.raises(MalformedInput):
            check_update(item(content, body)[:-cut])


def test_clocks_and_clients_are_bounded() -> None:
    greatest = item(4, b"\2hi", client=MAX_CLIENT, clock=MAX_CLOCK - 2)
    assert check_update(greatest).structs == ((MAX_CLIENT, MAX_CLOCK - 2, MAX_CLOCK),)
    for beyond in (item(4, b"\2hi", client=MAX_CLIENT + 1), item(4, b"\2hi", clock=MAX_CLOCK - 1)):
        with pytest.raises(MalformedInput, match="too large"):
            check_update(beyond)
    for other in (wire.uint(MAX_CLIENT + 1) + b"\0", b"\2" + wire.uint(MAX_CLOCK)):
        for info in (0x84, 0x44):
            with pytest.raises(MalformedInput, match="impossible"):
                check_update(item(info, b"\1a", other, clock=9))
        with pytest.raises(MalformedInput, match="impossible"):
            check_update(item(4, b"\1a", b"\0" + other, clock=9))


def test_types_nest_so_deep_within_one_update() -> None:
    assert check_update(nested_types(MAX_TYPE_NESTING)).types == MAX_TYPE_NESTING
    with pytest.raises(MalformedInput, match="nested"):
        check_update(nested_types(MAX_TYPE_NESTING + 1))


def test_many_types_are_no_harm_beside_each_other() -> None:
    structs = b"".join(b"\7" + ROOT + b"\1" for _ in range(MAX_TYPE_NESTING + 1))
    update = b"\1" + wire.uint(MAX_TYPE_NESTING + 1) + b"\1\0" + structs + b"\0"
    assert check_update(update).types == MAX_TYPE_NESTING + 1


@pytest.mark.parametrize(
    "options", [b"\x7e", b"\x7f", b"\x75\0", b"\x76\1\4guid\x7e", b"\x76\2\2gc\x79\x08gcFilter\x7d\5"]
)
def test_a_subdocument_has_only_options_that_yjs_gives_it(options: bytes) -> None:
    with pytest.raises(MalformedInput):
        check_update(item(9, b"\1g" + options))


def updates_of_every_sort(seed: int) -> list[bytes]:
    rng = random.Random(seed)
    nonsense = Nonsense(rng)
    updates = [*Editors(rng).updates(12), *full_states(rng, 1), *(nonsense.update() for _ in range(12))]
    return updates + [mutant(rng, rng.choice(updates), rng.choice(updates)) for _ in range(60)]


@given(st.integers(0, 2**32))
def test_the_fast_check_agrees_with_the_whole_walk(seed: int) -> None:
    for update in updates_of_every_sort(seed):
        try:
            walked = walk(update)
        except MalformedInput:
            with pytest.raises(MalformedInput):
                check_update(update)
        else:
            assert check_update(update)._replace(typed=None) == walked


VARINT = st.one_of(
    st.integers(0, 300).map(wire.uint),
    st.sampled_from([2**28 - 1, 2**28, 2**31 - 1, 2**32, 2**53 - 1, 2**53, 2**56 - 1]).map(wire.uint),
    st.sampled_from([b"\x80\0", b"\x81\x80\0", b"\x85\x80\x80\x80\x80\x80\x80\0", b"\xff" * 9]),
)
TEXT = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=5).map(str.encode),
    st.sampled_from([b"\xff", b"\xf0", b"\xed\xa0\x80", b"", b"a" * 127, b"a" * 128]),
).map(wire.octets)


@given(
    st.sampled_from([b"\x84", b"\xc4", b"\x44", b"\x04\1", b"\xa4"]),
    st.lists(VARINT, min_size=2, max_size=6),
    TEXT,
    TEXT,
)
@example(b"\x84", [b"\5", b"\2", b"\5", b"\2"], b"", b"\1a")
@example(b"\xc4", [b"\5", b"\2", b"\5", b"\1", b"\5", b"\2"], b"", b"\1a")
@example(b"\xc4", [b"\5", b"\2", b"\5", b"\0", b"\5", b"\1"], b"", b"\1a")
@example(b"\xc4", [b"\5", b"\2", b"\7", b"\1", b"\7", b"\1"], b"", b"\1a")
@example(b"\xc4", [b"\5", b"\2", b"\7", b"\1", b"\7", b"\2"], b"", b"\1a")
@example(b"\x84", [b"\5", wire.uint(20_000), b"\5", wire.uint(19_999)], b"", b"\1a")
@example(b"\x84", [b"\5", wire.uint(2**28 - 1), b"\5", wire.uint(2**28 - 2)], b"", b"\1a")
def test_the_fast_check_agrees_on_what_looks_typed(
    info: bytes, ids: list[bytes], name: bytes, text: bytes
) -> None:
    root = name if info == b"\x04\1" else b""
    for update in (
        b"\1\1" + b"".join(ids[:2]) + info + root + b"".join(ids[2:]) + text + b"\0",
        b"\0\1" + ids[0] + b"\1" + b"".join(ids[1:]),
    ):
        try:
            walked = walk(update)
        except MalformedInput:
            with pytest.raises(MalformedInput):
                check_update(update)
        else:
            assert check_update(update)._replace(typed=None) == walked


@given(st.binary(max_size=60))
def test_noise_is_malformed_or_an_update_and_nothing_else(data: bytes) -> None:
    for check in (check_update, check_state_vector):
        try:
            check(data)
        except MalformedInput:
            continue


@given(st.dictionaries(st.integers(0, MAX_CLIENT), st.integers(0, MAX_CLOCK), max_size=8))
def test_a_state_vector_comes_back(clocks: dict[int, int]) -> None:
    assert check_state_vector(encode_state_vector(clocks)) == clocks


@pytest.mark.parametrize("state_vector", STATE_VECTORS.values(), ids=STATE_VECTORS)
def test_a_hostile_state_vector_is_refused(state_vector: bytes) -> None:
    with pytest.raises(MalformedInput):
        check_state_vector(state_vector)
