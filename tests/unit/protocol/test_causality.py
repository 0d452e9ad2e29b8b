import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import MalformedInput
from collabd.protocol.causality import Split, cut
from collabd.protocol.ranges import IdRanges
from collabd.protocol.update import check_state_vector, check_update
from tests.fuzz.generate import Doc, Editors, Nonsense

TYPED = "01010502840501016100"
"""Client 5's third character, behind its second."""


@pytest.mark.parametrize(
    ("update", "clocks", "ready", "early"),
    [
        (TYPED, {5: 2}, TYPED, None),
        (TYPED, {5: 1}, None, TYPED),
        (TYPED, {5: 3}, None, None),
        # Behind another client's, which is known or not.
        ("01010500840901016100", {9: 2}, "01010500840901016100", None),
        ("01010500840901016100", {9: 1}, None, "01010500840901016100"),
        # In a type of another client's.
        ("0101050004000901016100", {9: 1}, None, "0101050004000901016100"),
        # Two clients in one update, either behind the other's first.
        (
            "02010500840900016101090004010174016200",
            {},
            "02010500840900016101090004010174016200",
            None,
        ),
        # The first of two structs; the second waits for client 9.
        (
            "01020500040101740161c405000900016200",
            {},
            "0101050004010174016100",
            "01010501c405000900016200",
        ),
        # Of what is known already, only the new is left; before and behind a skip.
        ("010205000002000100", {5: 2}, "01010502000100", None),
        ("0103050000010a01000100", {}, "01010500000100", "01010502000100"),
        ("0103050000010a01000100", {5: 2}, "01010502000100", None),
        # Deletions are cut where the document ends.
        ("000105010203", {5: 4}, "000105010202", "000105010401"),
        ("000105010203", {}, None, "000105010203"),
        ("0101050000030105010003", {}, "0101050000030105010003", None),
        ("0000", {}, None, None),
    ],
)
def test_an_update_is_split_at_what_is_missing(
    update: str, clocks: dict[int, int], ready: str | None, early: str | None
) -> None:
    parts = Split(bytes.fromhex(update), clocks)
    assert [part.hex() for part in parts.ready(10)] == ([] if ready is None else [ready])
    assert [part.hex() for _, _, part in parts.early(10)] == ([] if early is None else [early])


def test_two_clients_that_wait_for_each_other_wait() -> None:
    update = bytes.fromhex("020105008409000161010900840500016200")
    assert Split(update, {}).ready(10) == []


def test_a_malformed_update_is_refused() -> None:
    with pytest.raises(MalformedInput):
        Split(b"\1", {})


def ready_ends(updates: list[bytes]) -> list[tuple[int, int]]:
    return [(client, end) for update in updates for client, _, end in check_update(update).structs]


def contents(update: bytes) -> tuple[IdRanges, IdRanges]:
    summary = check_update(update)
    return IdRanges(summary.structs), IdRanges(summary.deletes)


def test_what_is_ready_comes_in_pieces() -> None:
    update = bytes.fromhex("02020500040101740161c40500090001620109000401017401630105010001")
    pieces = Split(update, {}).ready(1)
    assert [check_update(piece).structs for piece in pieces] == [((9, 0, 1),), ((5, 0, 1),), ((5, 1, 2),)]
    assert [check_update(piece).deletes for piece in pieces] == [(), (), ((5, 0, 1),)]
    assert Split(update, {}).ready(3) == [update]


def test_what_is_early_comes_in_pieces_with_what_each_waits_for() -> None:
    run = "0105050284090001618405020261610a0100018405060162"
    update = bytes.fromhex(run + "020501030309010101")
    assert [(needed, check_update(piece).structs) for needed, _, piece in Split(update, {5: 2}).early(1)] == [
        ((9, 0), ((5, 2, 3),)),
        ((5, 2), ((5, 3, 5),)),
        ((5, 5), ((5, 6, 7),)),
        ((5, 6), ((5, 7, 8),)),
        ((5, 3), ()),
        ((9, 1), ()),
    ]
    assert [needed for needed, _, _ in Split(update, {}).early(9)] == [(5, 1), (5, 5), (5, 3), (9, 1)]
    assert [needed for needed, _, _ in Split(update, {9: 1, 5: 2}).early(9)] == [(5, 5), (5, 5), (9, 1)]


def test_where_pieces_end_does_not_depend_on_what_is_ready() -> None:
    update = bytes.fromhex("010505000401017401618409000162000100010001" + "00")
    for clocks in ({}, {5: 1}):
        pieces = [check_update(piece).structs for _, _, piece in Split(update, clocks).early(2)]
        assert pieces == [((5, 1, 2),), ((5, 2, 4),), ((5, 4, 5),)]


@given(st.integers(0, 2**32))
def test_the_parts_are_the_whole_and_what_is_ready_integrates(seed: int) -> None:
    rng = random.Random(seed)
    nonsense = Nonsense(rng)
    sent = Editors(rng).updates(12)
    rng.shuffle(sent)
    clocks: dict[int, int] = {}
    for update in (*sent, *(nonsense.update() for _ in range(20))):
        try:
            parts = Split(update, clocks)
        except MalformedInput:
            continue
        structs, deletes = contents(update)
        ready = parts.ready(rng.choice((1, 2, 100)))
        ready_structs, ready_deletes = IdRanges(), IdRanges()
        for piece in ready:
            for whole, some in zip((ready_structs, ready_deletes), contents(piece), strict=True):
                whole.update(some)
        early_structs, early_deletes = IdRanges(), IdRanges()
        for (other, clock), _, piece in parts.early(rng.choice((1, 100))):
            assert clock >= max(clocks.get(other, 0), dict(ready_ends(ready)).get(other, 0))
            for whole, some in zip((early_structs, early_deletes), contents(piece), strict=True):
                whole.update(some)
        for client, have in clocks.items():
            ready_structs.add(client, 0, have)
            structs.add(client, 0, have)
        for client in ready_structs.clients():
            ((start, end),) = ready_structs.intervals(client)
            assert start == 0
            clocks[client] = end
        assert {struct.client for struct in parts.structs} <= clocks.keys()
        ready_structs.update(early_structs)
        assert ready_structs == structs
        assert all(
            end <= clocks[client]
            for client in ready_deletes.clients()
            for _, end in ready_deletes.intervals(client)
        )
        assert all(
            start >= clocks.get(client, 0)
            for client in early_deletes.clients()
            for start, _ in early_deletes.intervals(client)
        )
        ready_deletes.update(early_deletes)
        assert ready_deletes == deletes


@given(st.integers(0, 2**32))
def test_shuffled_edits_end_in_the_same_document(seed: int) -> None:
    rng = random.Random(seed)
    editors = Editors(rng)
    sent = editors.updates(20)
    expected: Doc = Doc()
    for doc in editors.docs:
        expected.apply_update(doc.get_update())
    rng.shuffle(sent)
    doc = Doc()
    early: list[bytes] = sent
    while early:
        waiting, early = early, []
        for update in waiting:
            parts = Split(update, check_state_vector(doc.get_state()))
            for ready in parts.ready(rng.choice((1, 100))):
                doc.apply_update(ready)
                for client, _, end in check_update(ready).structs:
                    assert check_state_vector(doc.get_state())[client] >= end
            early += [piece for _, _, piece in parts.early(rng.choice((1, 100)))]
        assert early != waiting, "what waits, waits for nothing"
    assert check_state_vector(doc.get_state()) == check_state_vector(expected.get_state())
    assert contents(doc.get_update()) == contents(expected.get_update())


def test_an_update_is_cut_into_pieces_that_stand_on_those_before() -> None:
    five = "0205000401017401618405000162"
    nine = "0109008405010163"
    update = bytes.fromhex("02" + nine + five + "0105020001" + "0101")
    assert [piece.hex() for piece in cut(update, 2)] == [
        "01" + five + "00",
        "01" + nine + "00",
        "00" + "0105020001" + "0101",
    ]
    assert cut(update, 3) == []
    assert [piece.hex() for piece in cut(update, 1)][-2:] == ["000105010001", "000105010101"]


def test_a_run_is_cut_where_something_is_skipped() -> None:
    update = bytes.fromhex("0103050000010a01000100")
    assert [piece.hex() for piece in cut(update, 1)] == ["01010500000100", "01010502000100"]
    assert [piece.hex() for piece in cut(bytes.fromhex("0104050000010a010001000100"), 2)] == [
        "01010500000100",
        "0102050200010001" + "00",
    ]


def test_what_stands_in_a_circle_is_cut_nevertheless() -> None:
    update = bytes.fromhex("020105008409000161010900840500016200")
    assert [piece.hex() for piece in cut(update, 1)] == ["01010500840900016100", "01010900840500016200"]
