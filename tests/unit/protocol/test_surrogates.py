import pycrdt
import pytest

from collabd.protocol import wire
from collabd.protocol.surrogates import mend, tear, torn
from collabd.protocol.update import check_update
from tests.fuzz.generate import Doc

TEXT = bytes.fromhex("01010100040101740661f09f8e896200")
"""Client 1's "a🎉b" in the root "t": the emoji has the clocks 1 and 2."""

CUTS = {
    "its first half deleted": (
        "000101010101",
        "a\ufffdb",
        "010301000401017401618101000184010104efbfbd620101010101",
    ),
    "its second half deleted": (
        "000101010201",
        "a\ufffdb",
        "01030100040101740461efbfbd8101010184010201620101010201",
    ),
    "all up to its first half deleted": ("000101010002", "\ufffdb", None),
    "something put in the middle": (
        "01010200c401010102017800",
        "a\ufffdx\ufffdb",
        "02010200c4010101020178020100040101740461efbfbd84010104efbfbd6200",
    ),
    "something put behind its first half": ("01010200840101017800", "a\ufffd\ufffdbx", None),
    "something put before its second half": ("01010200440102017800", "a\ufffdx\ufffdb", None),
}
"""What cuts the emoji, what Yjs 13.6 then reads, and (where it doesn't depend on how structs are merged) what
it encodes the document as."""


def torn_by(update: bytes, pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    summary = check_update(update)
    return torn(pairs, summary.cuts, summary.deletes)


@pytest.mark.parametrize(("cut", "text", "state"), CUTS.values(), ids=CUTS)
def test_a_torn_document_is_what_yjs_has(cut: str, text: str, state: str | None) -> None:
    update = bytes.fromhex(cut)
    pairs = check_update(TEXT).pairs
    assert torn_by(update, set(pairs)) == {(1, 2)}
    doc: Doc = Doc()
    doc.apply_update(tear(TEXT, pairs))
    doc.apply_update(update)
    assert str(doc.get("t", type=pycrdt.Text)) == text
    if state is not None:
        assert doc.get_update().hex() == state
    reloaded: Doc = Doc()
    reloaded.apply_update(doc.get_update())
    assert reloaded.get_state() == doc.get_state()
    assert str(reloaded.get("t", type=pycrdt.Text)) == text


def test_pycrdt_still_needs_this() -> None:
    """Fails once pycrdt cuts pairs as Yjs does: then this module can go."""
    doc: Doc = Doc()
    doc.apply_update(TEXT)
    doc.apply_update(bytes.fromhex("000101010101"))
    reloaded: Doc = Doc()
    reloaded.apply_update(doc.get_update())
    assert reloaded.get_state() != doc.get_state()


@pytest.mark.parametrize(
    "update",
    ["000101010003", "000101010103", "000101010301", "01010200840102017800", "01010200440101017800", "0000"],
)
def test_what_keeps_the_pair_whole_tears_nothing(update: str) -> None:
    assert torn_by(bytes.fromhex(update), {(1, 2)}) == set()
    assert torn_by(bytes.fromhex("000101010101"), set()) == set()


def test_only_the_pairs_asked_for_are_torn() -> None:
    text = "🎉a🎉日🎉".encode()
    update = b"\1\2\1\5" + b"\4\1\1t" + bytes([len(text)]) + text + b"\x84\1\7\1z" + b"\0"
    summary = check_update(update)
    assert summary.pairs == ((1, 6), (1, 9), (1, 12))
    changed = tear(update, {(1, 9), (1, 7), (2, 6), (1, 40)})
    assert "🎉a\ufffd\ufffd日🎉".encode() in changed
    assert check_update(changed).structs == summary.structs
    assert check_update(changed).pairs == ((1, 6), (1, 12))
    assert tear(update, ()) == update
    assert tear(changed, {(1, 9)}) == changed


def formatted(name: str, value: str) -> bytes:
    return b"\1\1\1\0\6\1\1t" + wire.text(name) + wire.text(value) + b"\0"


@pytest.mark.parametrize(
    ("value", "mended"),
    [
        ('"\\ud83d"', '"\\ufffd"'),
        ('{"a":"\\uDE00x","\\ud83d":1}', '{"a":"\\ufffdx","\\ufffd":1}'),
        ('"\\ud83d\\ud83d\\ude00\\ude00"', '"\\ufffd\\ud83d\\ude00\\ufffd"'),
        ('"\\\\ud83d\\"\\u00e9"', '"\\\\ud83d\\"\\u00e9"'),
    ],
)
def test_half_a_pair_in_json_is_mended(value: str, mended: str) -> None:
    name = "\\ud83d"
    assert mend(formatted(name, value)) == formatted(name, mended)
    embed = b"\1\1\1\0\5\1\1t" + wire.text(value) + b"\0"
    assert mend(embed) == embed.replace(value.encode(), mended.encode())
    doc: Doc = Doc()
    doc.apply_update(mend(embed))
    assert doc.get_state() == b"\1\1\1"


def test_what_only_looks_like_half_a_pair_is_left_alone() -> None:
    text = b"\1\1\1\0\4\1\1t" + wire.text("\\ud83d") + b"\0"
    assert mend(text) == text
