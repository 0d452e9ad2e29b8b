import random

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import MalformedInput
from collabd.protocol import wire
from collabd.protocol.structure import RootShape, root_shapes, type_depth
from tests.fuzz.generate import Doc, Editors, Nonsense
from tests.hostile import nested_types


def full_state(doc: Doc) -> bytes:
    return doc.get_update()


def test_the_shape_of_every_kind_of_root() -> None:
    doc: Doc = Doc()
    text = doc.get("text", type=pycrdt.Text)
    text += "hello"
    text.insert(2, "in between")
    text.format(0, 2, {"bold": True})
    map_ = doc.get("map", type=pycrdt.Map)
    map_["one"] = 1
    map_["one"] = 2
    map_["nested"] = pycrdt.Text("not the root's")
    doc.get("array", type=pycrdt.Array).extend([1, "two", pycrdt.Map({"k": 1})])
    fragment = doc.get("xml", type=pycrdt.XmlFragment)
    fragment.children.append(pycrdt.XmlElement("p", {"class": "x"}, [pycrdt.XmlText("hi")]))
    doc.get("untouched", type=pycrdt.Text)
    embedding = doc.get("embedding", type=pycrdt.Text)
    embedding += "see "
    embedding.insert_embed(4, pycrdt.Map({"src": "x"}))
    assert root_shapes(full_state(doc)) == {
        "text": RootShape(text=True),
        "map": RootShape(keys=True),
        "array": RootShape(values=True),
        "xml": RootShape(xml=True),
        "embedding": RootShape(text=True, values=True),
    }


def test_an_emptied_root_has_no_shape() -> None:
    doc: Doc = Doc()
    text = doc.get("text", type=pycrdt.Text)
    text += "gone"
    text.clear()
    assert root_shapes(full_state(doc)) == {"text": RootShape()}


def test_an_item_stands_where_its_right_neighbour_does_if_the_left_one_is_gone() -> None:
    # Client 1: a stretch, then an item of the root "t"; client 2's stands between the two.
    update = bytes.fromhex("02010200c4010001010161020100000108010174017e00")
    assert root_shapes(update) == {"t": RootShape(text=True, values=True)}


def test_nesting_is_counted_from_the_roots() -> None:
    assert type_depth(b"\0\0") == 0
    assert type_depth(nested_types(150)) == 150
    doc: Doc = Doc()
    doc.get("flat", type=pycrdt.Array).extend([pycrdt.Map() for _ in range(50)])
    assert type_depth(full_state(doc)) == 1
    doc.get("deep", type=pycrdt.Map)["a"] = pycrdt.Array([pycrdt.Map({"b": pycrdt.Text("c")})])
    assert type_depth(full_state(doc)) == 3


def test_a_type_in_one_of_another_update_counts_from_there() -> None:
    assert type_depth(bytes.fromhex("010205040700090000070005040100")) == 2


@pytest.mark.parametrize(
    "update",
    [
        # Two clients' types, each in the other; two clients' strings, each behind the other.
        "020101000700020000010200070001000000",
        "02010100870200000102008701000000",
    ],
)
def test_circles_are_malformed(update: str) -> None:
    with pytest.raises(MalformedInput, match="circle"):
        type_depth(bytes.fromhex(update))


def test_a_long_text_is_followed_without_recursion() -> None:
    typed = b"".join(b"\x84\1" + wire.uint(clock) + b"\1a" for clock in range(20_000))
    update = b"\1" + wire.uint(20_001) + b"\1\0" + b"\4\1\1t\1a" + typed + b"\0"
    assert root_shapes(update) == {"t": RootShape(text=True)}
    behind = b"\x84\2\0\1a" + b"".join(b"\x44\1" + wire.uint(clock) + b"\1a" for clock in range(5_000))
    update = b"\2" + wire.uint(5_001) + b"\1\0" + behind + b"\1\2\0" + b"\4\1\1t\1a" + b"\0"
    assert root_shapes(update) == {"t": RootShape(text=True)}


@given(st.integers(0, 2**32))
def test_genuine_documents_have_the_shapes_they_were_made_with(seed: int) -> None:
    editors = Editors(random.Random(seed))
    editors.updates(25)
    shapes = root_shapes(editors.docs[0].get_update())
    assert shapes.get("text", RootShape()) in (RootShape(), RootShape(text=True))
    assert shapes.get("array", RootShape()) in (RootShape(), RootShape(values=True))
    assert shapes.get("map", RootShape()) in (RootShape(), RootShape(keys=True))
    assert shapes.get("xml", RootShape()) in (RootShape(), RootShape(xml=True))


@given(st.integers(0, 2**32))
def test_nonsense_has_a_structure_or_is_malformed(seed: int) -> None:
    nonsense = Nonsense(random.Random(seed))
    for _ in range(10):
        update = nonsense.update()
        try:
            type_depth(update)
            root_shapes(update)
        except MalformedInput:
            continue
