import random
import re

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import MalformedInput, UpdateRejected
from collabd.protocol import wire
from collabd.protocol.causality import Split, cut
from collabd.protocol.intake import Intake, Step
from collabd.protocol.runs import Spot
from collabd.protocol.structure import MAX_TYPE_NESTING
from collabd.protocol.update import check_state_vector, check_update
from tests.fuzz.generate import Doc, Editors, Nonsense
from tests.fuzz.trial import Replica
from tests.hostile import nested_types
from tests.support.strokes import run_of

HELLO = bytes.fromhex("01010100040101740568656c6c6f00")
"""Client 1's "hello" in the root "t"."""


def run(client: int, clock: int, *structs: str, deletes: str = "00") -> bytes:
    head = b"\1" + wire.uint(len(structs)) + wire.uint(client) + wire.uint(clock)
    return head + bytes.fromhex("".join(structs) + deletes)


ARRAY_IN_ROOT = "0701017400"
MAP_IN_ROOT = "0701017401"
TEXT_IN_ROOT = "0701017402"


def typed(client: int, clock: int, behind: tuple[int, int], text: str = "x") -> bytes:
    return run(client, clock, "84" + (wire.uint(behind[0]) + wire.uint(behind[1]) + wire.text(text)).hex())


def plain(update: bytes) -> list[Step]:
    return [Step(frozenset(), update)]


def test_what_is_known_is_left_out_and_what_is_new_is_handed_on() -> None:
    intake = Intake()
    assert intake.offer(HELLO) == plain(HELLO)
    assert intake.offer(HELLO) == []
    assert intake.offer(typed(2, 0, (1, 4))) == plain(typed(2, 0, (1, 4)))
    assert intake.offer(typed(2, 0, (1, 4))) == []
    assert intake.clocks == {1: 5, 2: 1}
    assert not intake.waiting


def test_deletions_are_handed_on_and_remembered() -> None:
    intake = Intake(HELLO)
    deletion = bytes.fromhex("000101010103")
    assert intake.offer(deletion) == plain(deletion)
    assert intake.deletes.covers(1, 1, 4)
    assert intake.offer(b"\0\0") == []


def test_what_must_wait_is_kept_and_handed_on_when_its_time_has_come() -> None:
    intake = Intake()
    last, middle, first = typed(3, 0, (2, 0)), typed(2, 0, (1, 4)), HELLO
    deletion = bytes.fromhex("000103010001")
    assert intake.offer(last) == []
    assert intake.offer(deletion) == []
    assert intake.offer(middle) == []
    assert all(update in intake.waiting for update in (last, deletion, middle))
    assert [step.update for step in intake.offer(first)] == [first, middle, last, deletion]
    assert not intake.waiting
    assert intake.clocks == {1: 5, 2: 1, 3: 1}


def test_an_emoji_that_will_be_cut_is_torn_first() -> None:
    emoji = bytes.fromhex("01010100040101740661f09f8e896200")
    intake = Intake(emoji)
    between = bytes.fromhex("01010200c401010102017800")
    assert intake.offer(between) == [Step(frozenset({(1, 2)}), between)]
    again = bytes.fromhex("01010201c401010102017900")
    assert intake.offer(again) == plain(again)


@pytest.mark.parametrize("deletion", ["000101010101", "000101010201"])
def test_an_emoji_that_a_deletion_cuts_is_torn_first(deletion: str) -> None:
    intake = Intake(bytes.fromhex("01010100040101740661f09f8e896200"))
    assert intake.offer(bytes.fromhex(deletion)) == [Step(frozenset({(1, 2)}), bytes.fromhex(deletion))]


def test_an_emoji_that_its_own_update_cuts_is_torn_in_it() -> None:
    intake = Intake()
    update = bytes.fromhex("01010100040101740661f09f8e89620101010101")
    (step,) = intake.offer(update)
    assert step.torn == frozenset()
    assert "\ufffd\ufffd".encode() in step.update
    # The document ends in the middle of it, as another session of the same client left it.
    intake = Intake(run(1, 0, "040101740161"))
    (step,) = intake.offer(bytes.fromhex("010101000401017404f09f8e8900"))
    assert "\ufffd\ufffd".encode() in step.update


def test_half_a_pair_in_json_is_mended() -> None:
    update = run(1, 0, "05010174" + wire.text('"cut \\ud83d"').hex())
    (step,) = Intake().offer(update)
    assert step.update == update.replace(rb"\ud83d", rb"\ufffd")


@pytest.mark.parametrize(
    "update",
    [
        # In the array (1, 0), of a stranger and of its own author; beside a value in it.
        run(2, 0, "040001000161"),
        run(1, 2, "060001000462 6f6c64".replace(" ", "") + "0474727565"),
        run(1, 2, "050001000474727565"),
        typed(2, 0, (1, 1)),
        run(2, 0, "4401010161"),
        # Under a key.
        run(2, 0, "24010174016b0161"),
    ],
)
def test_text_stands_only_where_text_can_be(update: bytes) -> None:
    intake = Intake(run(1, 0, ARRAY_IN_ROOT, "0800010001770161"))
    before = dict(intake.clocks)
    with pytest.raises(UpdateRejected, match="text"):
        intake.offer(update)
    assert intake.clocks == before
    assert not intake.waiting


def test_text_stands_in_texts_and_roots() -> None:
    intake = Intake(run(1, 0, TEXT_IN_ROOT, "040001000161"))
    assert intake.offer(typed(2, 0, (1, 1), "abc"))
    assert intake.offer(run(2, 3, "0600010004626f6c640474727565"))
    assert intake.offer(run(3, 0, "040101740161"))


@pytest.mark.parametrize(
    "update",
    [
        run(2, 0, "28000100016b027e7e"),
        run(2, 0, "28010174016b027e7e"),
        # Beside what stands under a key, whether it says so or not.
        run(1, 2, "a80101027e7e"),
        run(2, 0, "880101027e7e"),
        run(2, 0, "480101027e7e"),
    ],
)
def test_one_value_stands_under_a_key(update: bytes) -> None:
    intake = Intake(run(1, 0, MAP_IN_ROOT, "28000100016b017e"))
    with pytest.raises(UpdateRejected, match="under one key"):
        intake.offer(update)
    assert intake.offer(update.replace(b"\2\x7e\x7e", b"\1\x7e"))


def test_several_values_under_a_key_that_are_deleted_already_are_history() -> None:
    intake = Intake(run(1, 0, MAP_IN_ROOT))
    client, deleted = 2, "0102010002"
    assert intake.offer(run(client, 0, "28000100016b027e7e", "a80201017e", deletes=deleted))
    assert intake.offer(run(3, 0, "21000100016b05"))


def test_an_item_stands_in_a_type_or_in_what_is_gone() -> None:
    intake = Intake(HELLO)
    inside = run(2, 0, "0700010101")
    with pytest.raises(UpdateRejected, match="no type"):
        intake.offer(inside)
    assert intake.offer(bytes.fromhex("000101010102"))
    assert intake.offer(inside)
    intake = Intake(run(1, 0, "0003"))
    assert intake.offer(inside)
    assert intake.offer(run(3, 0, "040002000161", "28000200016b027e7e"))


def test_types_nest_so_deep_across_updates() -> None:
    intake = Intake(nested_types(MAX_TYPE_NESTING - 1))
    last = MAX_TYPE_NESTING - 2
    assert intake.offer(run(2, 0, "0700" + (b"\1" + wire.uint(last)).hex() + "00"))
    with pytest.raises(UpdateRejected, match="nested"):
        intake.offer(run(3, 0, "0700020000", "0700030000"))
    assert intake.offer(run(3, 0, "0700010000"))


def test_an_item_is_not_told_twice_in_different_ways() -> None:
    intake = Intake(run(1, 0, ARRAY_IN_ROOT, "08000100017e"))
    with pytest.raises(UpdateRejected, match="contradicts"):
        intake.offer(run(1, 1, "08010174027e7e"))
    again = run(1, 1, "08000100027e7e")
    assert intake.offer(again) == plain(again)


def test_an_item_known_in_part_may_be_gone_by_now() -> None:
    intake = Intake(run(1, 0, ARRAY_IN_ROOT, "08000100017e"))
    assert intake.offer(run(1, 1, "0003"))
    assert intake.offer(run(1, 2, "08000100037e7e7e"))
    assert intake.clocks == {1: 5}


def test_the_rest_of_an_item_stands_where_its_beginning_does() -> None:
    intake = Intake(run(1, 0, ARRAY_IN_ROOT, "08000100017e"))
    intake.offer(run(2, 0, "0001"))
    with pytest.raises(UpdateRejected, match="text"):
        intake.offer(run(1, 1, "840200026161"))


def test_many_structs_come_in_steps() -> None:
    update = run(
        1, 0, "040101740161", *("84" + (b"\1" + wire.uint(clock)).hex() + "0161" for clock in range(250))
    )
    steps = Intake().offer(update)
    assert [len(check_update(step.update).cuts) for step in steps] == [99, 100, 51]
    doc: Doc = Doc()
    for step in steps:
        doc.apply_update(step.update)
    assert str(doc.get("t", type=pycrdt.Text)) == "a" * 251


def test_what_waited_and_is_harmful_is_dropped() -> None:
    intake = Intake()
    assert intake.offer(typed(2, 0, (1, 1))) == []
    array = run(1, 0, ARRAY_IN_ROOT, "08000100017e")
    assert intake.offer(array) == plain(array)
    assert not intake.waiting
    assert intake.clocks == {1: 2}


def test_a_malformed_update_is_refused() -> None:
    with pytest.raises(MalformedInput):
        Intake(b"\1")


@given(st.integers(0, 2**32))
def test_genuine_edits_are_never_refused_and_end_as_without_it(seed: int) -> None:
    rng = random.Random(seed)
    editors = Editors(rng)
    sent = editors.updates(20)
    expected: Doc = Doc()
    for doc in editors.docs:
        expected.apply_update(doc.get_update())
    for order in (sent, rng.sample(sent, len(sent)), sent[::-1]):
        replica = Replica(b"\0\0")
        for update in order:
            replica.apply(update)
        assert not replica.intake.waiting
        assert replica.clocks() == check_state_vector(expected.get_state())
        assert str(replica.doc.get("text", type=pycrdt.Text)) == str(expected.get("text", type=pycrdt.Text))
        assert (
            replica.doc.get("array", type=pycrdt.Array).to_py()
            == expected.get("array", type=pycrdt.Array).to_py()
        )
        assert replica.doc.get("map", type=pycrdt.Map).to_py() == expected.get("map", type=pycrdt.Map).to_py()
        assert str(replica.doc.get("xml", type=pycrdt.XmlFragment)) == str(
            expected.get("xml", type=pycrdt.XmlFragment)
        )


@given(st.integers(0, 2**32))
def test_an_intake_can_begin_anew_from_the_document(seed: int) -> None:
    rng = random.Random(seed)
    editors = Editors(rng)
    replica = Replica(b"\0\0")
    for update in editors.updates(15):
        replica.apply(update)
    later = editors.updates(10)
    state = replica.doc.get_update()
    twin = Replica(state)
    assert twin.intake.clocks == replica.intake.clocks
    for update in later:
        replica.apply(update)
        twin.apply(update)
    assert twin.clocks() == replica.clocks()
    assert str(twin.doc.get("text", type=pycrdt.Text)) == str(replica.doc.get("text", type=pycrdt.Text))


@given(st.integers(0, 2**32))
def test_a_summary_says_what_the_document_gains(seed: int) -> None:
    """What a room decides by: nothing new, integrated for certain, or to be looked at."""
    editors = Editors(random.Random(seed))
    doc: Doc = Doc()
    for update in editors.updates(20):
        summary = check_update(update)
        clocks = check_state_vector(doc.get_state())
        certain = (
            summary.needs is not None
            and all(clock < clocks.get(client, 0) for client, clock in summary.needs)
            and all(start <= clocks.get(client, 0) for client, start, _ in summary.structs)
        )
        expected = dict(clocks)
        for client, _, end in summary.structs:
            expected[client] = max(end, clocks.get(client, 0))
        doc.apply_update(update)
        after = check_state_vector(doc.get_state())
        if certain:
            assert after == expected
        assert set(check_update(doc.get_update()).structs) == {
            (client, 0, clock) for client, clock in after.items()
        }


@given(st.integers(0, 2**32))
def test_what_is_typed_on_is_taken_as_its_update_would_be(seed: int) -> None:
    rng = random.Random(seed)
    quick, thorough = Intake(), Intake()
    updates = Editors(rng).updates(20)
    for update in updates:
        if rng.random() < 0.9:
            quick.offer(update)
            thorough.offer(update)
    for summary in map(check_update, updates):
        if summary.typed is None:
            continue
        spot = Spot(summary)
        for text in (b"ab", b"c"):
            going_on = run_of(spot, text)
            assert quick.types_on(going_on) == thorough.takes_simply(going_on.summary())
            assert quick.index() == thorough.index()


@pytest.mark.parametrize(
    ("written", "is_simple"),
    [
        ([run(5, 0, "04 010174 06 616263646566"), run(9, 0, "04 010174 04 61626364")], True),
        ([run(5, 0, "04 010174 06 616263646566")], False),
        ([run(5, 0, "04 010174 06 616263646566"), run(9, 0, "04 010174 08 f09f9880 f09f9880")], False),
        ([run(5, 0, ARRAY_IN_ROOT, "08 00 0500 05 7e7e7e7e7e"), run(9, 0, "04 010174 04 61626364")], False),
    ],
    ids=["text", "nothing to put it before", "before half an emoji", "an array"],
)
def test_what_is_typed_on_where_another_string_was_is_looked_at(
    written: list[bytes], is_simple: bool
) -> None:
    """Two may claim the same clocks of one client: what came is not what the spot is behind."""
    spot = Spot(check_update(run(5, 5, "c4 0504 0903 0161")))
    going_on = run_of(spot, b"b")
    quick, thorough = Intake(), Intake()
    for update in written:
        quick.offer(update)
        thorough.offer(update)
    assert quick.types_on(going_on) == thorough.takes_simply(going_on.summary()) == is_simple
    assert quick.index() == thorough.index()


@given(st.integers(0, 2**32))
def test_whatever_is_offered_the_document_stays_sound(seed: int) -> None:
    rng = random.Random(seed)
    nonsense = Nonsense(rng)
    replica = Replica(b"\0\0")
    for _ in range(30):
        update = nonsense.update()
        try:
            replica.apply(update)
        except (MalformedInput, UpdateRejected):
            continue
        state = replica.doc.get_update()
        check_update(state)
        reloaded: Doc = Doc()
        reloaded.apply_update(state)
        assert check_state_vector(reloaded.get_state()) == replica.clocks()
        assert Intake(state).clocks == replica.clocks()


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_large_update_in_pieces_comes_to_the_same(seed: int, at_most: int) -> None:
    """Whether it is taken, refused or waits. (Of what waited and turns out to be bad, less is dropped.)"""
    rng = random.Random(seed)
    nonsense = Nonsense(rng)
    editors = Editors(rng)
    sent = editors.updates(12)
    sent += [doc.get_update() for doc in editors.docs]
    genuine = set(sent)
    sent += [nonsense.update() for _ in range(20)]
    rng.shuffle(sent)
    whole, in_pieces = Intake(), Intake()
    docs: tuple[Doc, Doc] = (Doc(), Doc())
    for update in sent:
        try:
            summary = check_update(update)
        except MalformedInput:
            continue
        if update not in genuine and (whole.waiting.pieces or Split(update, whole.clocks).early(100)):
            continue
        pieces = tuple(cut(update, at_most))
        outcomes = []
        for intake, doc, known in (
            (whole, docs[0], summary),
            (in_pieces, docs[1], summary._replace(cuts=(), pieces=pieces) if pieces else summary),
        ):
            before = (dict(intake.clocks), intake.deletes.copy(), list(intake.waiting.pieces))
            try:
                steps = intake.offer(update, known)
            except UpdateRejected:
                assert (intake.clocks, intake.deletes, intake.waiting.pieces) == before
                outcomes.append("refused")
                continue
            outcomes.append("taken")
            for step in steps:
                if step.torn:
                    return  # the document would have to be replaced
                doc.apply_update(step.update)
        assert outcomes[0] == outcomes[1]
        assert whole.clocks == in_pieces.clocks
        assert whole.deletes == in_pieces.deletes
        assert bool(whole.waiting.pieces) == bool(in_pieces.waiting.pieces)
    first, second = (check_state_vector(doc.get_state()) for doc in docs)
    assert first == second
    for root, kind in (("text", pycrdt.Text), ("xml", pycrdt.XmlFragment)):
        # Sorted, since a map is shown in any order.
        shown = (sorted(re.sub(r"Doc\(id: \d+", "Doc(", str(doc.get(root, type=kind)))) for doc in docs)
        assert next(shown) == next(shown)
