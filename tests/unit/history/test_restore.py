"""Restoring brings content back by an ordinary edit, and leaves everything else where it is."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from collabd.errors import CannotRestore
from collabd.history import restore, restoring, state_at
from collabd.history.differences import deletion
from collabd.protocol.intake import Intake
from collabd.protocol.ranges import IdRanges
from collabd.protocol.walk import TEXT, TYPE, XML_TEXT, Struct, walk

from .kit import Writers, applied, change, content, log_of

randoms = st.integers(0, 2**32).map(Random)
"""Hypothesis' own randomness would make each of these tests take a minute."""


@settings(max_examples=150, deadline=None)
@given(randoms, st.integers(2, 50))
def test_the_content_is_as_it_was_and_going_back_gives_what_was_before(random: Random, steps: int) -> None:
    writers = Writers(random)
    writers.write(steps)
    then, now = random.choice(writers.states), writers.states[-1]
    edit = restoring(then, now)
    restored = applied(now, edit)
    assert content(restored) == content(then)
    again = applied(restored, restoring(now, restored))
    assert content(again) == content(now)
    Intake(now).offer(edit)  # a room takes it


@settings(max_examples=60, deadline=None)
@given(randoms, st.integers(2, 50))
def test_ids_are_all_it_takes(random: Random, steps: int) -> None:
    """So that the other way, which replaces more than it has to, is for documents with something strange."""
    writers = Writers(random)
    writers.write(steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore, "_by_content", None)
        restoring(random.choice(writers.states), writers.states[-1])


@settings(max_examples=60, deadline=None)
@given(randoms, st.integers(2, 40))
def test_replacing_content_comes_to_the_same(random: Random, steps: int) -> None:
    writers = Writers(random)
    writers.write(steps)
    then, now = random.choice(writers.states), writers.states[-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore, "_by_ids", restore._by_content)
        assert content(applied(now, restoring(then, now))) == content(then)


@settings(max_examples=60, deadline=None)
@given(randoms, st.integers(2, 40))
def test_edits_made_offline_meanwhile_merge_and_everybody_converges(random: Random, steps: int) -> None:
    writers = Writers(random)
    writers.write(steps)
    now = writers.server.get_update()
    for doc in writers.docs:
        writers.meet(doc)
    for _ in range(5):
        change(random, writers.docs[1])
    mark = "offline"
    writers.docs[1].get("text", type=Text).insert(0, mark)
    writers.server.apply_update(restoring(random.choice(writers.states), now))
    for doc in (*writers.docs, *writers.docs):
        writers.meet(doc)
    results = [content(doc.get_update()) for doc in (*writers.docs, writers.server)]
    assert all(result == results[0] for result in results)
    assert str(writers.server.get("text", type=Text)).count(mark) == 1


def test_nothing_is_done_where_the_content_is_the_same() -> None:
    doc: Doc[Any] = Doc({"text": Text("words")})
    then = doc.get_update()
    assert restoring(then, then) == b"\0\0"
    doc["text"] += "!"
    with doc.transaction():
        del doc["text"][5:6]
    assert restoring(then, doc.get_update()) == b"\0\0"


def test_a_root_that_came_since_becomes_empty() -> None:
    doc: Doc[Any] = Doc({"text": Text("words")})
    then = doc.get_update()
    doc["map"] = Map({"a": 1})
    now = doc.get_update()
    assert content(applied(now, restoring(then, now))) == content(then)


def test_what_stayed_keeps_its_place_so_that_offline_edits_land_where_they_belong() -> None:
    server: Doc[Any] = Doc()
    fragment = server.get("xml", type=XmlFragment)
    for words in ("one", "two", "three"):
        fragment.children.append(XmlElement("p")).children.append(XmlText(words))
    then = server.get_update()
    offline: Doc[Any] = Doc()
    offline.apply_update(then)
    del fragment.children[0]
    fragment.children[0].children[0].insert(3, " changed")
    now = server.get_update()
    offline.get("xml", type=XmlFragment).children[1].children[0].insert(0, "also ")
    restored = applied(now, restoring(then, now), offline.get_update())
    result: Doc[Any] = Doc()
    result.apply_update(restored)
    assert str(result.get("xml", type=XmlFragment)) == "<p>one</p><p>also two</p><p>three</p>"


def test_what_was_written_into_something_that_had_gone_is_not_brought_back_with_it() -> None:
    """Nor would it be there had nobody restored anything: to Yjs it stands in what is deleted."""
    server: Doc[Any] = Doc()
    fragment = server.get("xml", type=XmlFragment)
    fragment.children.append(XmlElement("p")).children.append(XmlText("one"))
    then = server.get_update()
    offline: Doc[Any] = Doc()
    offline.apply_update(then)
    del fragment.children[0]
    now = server.get_update()
    offline.get("xml", type=XmlFragment).children[0].children[0].insert(0, "also ")
    assert content(applied(now, restoring(then, now), offline.get_update())) == content(then)


def test_half_a_pair_that_was_cut_is_whole_again() -> None:
    doc: Doc[Any] = Doc({"text": Text("a😀b")})
    then = doc.get_update()
    (client,) = {struct[0] for struct in walk(then).structs}
    # The second half is deleted, as an editor may do that counts as JavaScript does.
    entries = log_of([then, deletion(IdRanges([(client, 2, 3)]))])
    now = state_at(entries, 2)
    assert content(now) != content(then)
    assert content(applied(now, restoring(then, now))) == content(then)


def test_a_notebooks_cells_come_back() -> None:
    doc: Doc[Any] = Doc({"cells": Array(), "meta": Map({"nbformat": 4})})
    for number in range(3):
        doc["cells"].append(Map({"id": str(number), "source": Text(f"x = {number}"), "outputs": Array()}))
    then = doc.get_update()
    del doc["cells"][1]
    doc["cells"][0]["source"] += " + 1"
    doc["cells"][1]["outputs"].append({"text": "4"})
    now = doc.get_update()
    assert content(applied(now, restoring(then, now))) == content(then)


def test_subdocuments_come_back_by_their_id() -> None:
    doc: Doc[Any] = Doc({"map": Map({"page": Doc(guid="one")})})
    then = doc.get_update()
    del doc["map"]["page"]
    now = doc.get_update()
    assert content(applied(now, restoring(then, now))) == content(then)


def test_xml_within_text_that_went_cannot_be_put_in_and_is_refused() -> None:
    doc: Doc[Any] = Doc({"root": Text("a")})
    doc["root"].insert_embed(1, Text("paragraph"))
    state = bytearray(doc.get_update())

    def become_xml(struct: Struct) -> None:
        if struct.content == TYPE and struct.kind == TEXT:
            state[struct.body] = XML_TEXT

    walk(bytes(state), become_xml)
    then = bytes(state)
    doc = Doc()
    doc.apply_update(then)
    text = doc.get("root", type=Text)
    text.diff()[1][0].insert(0, "changed ")
    now = doc.get_update()
    assert content(applied(now, restoring(then, now))) == content(then)
    del text[1:2]
    with pytest.raises(CannotRestore):
        restoring(then, doc.get_update())
