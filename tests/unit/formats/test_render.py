"""What holds of every format."""

import random
from typing import Any

import pytest
from pycrdt import Doc, Text

from collabd.errors import CollabdError, DocumentDamaged, UnsupportedFormat
from collabd.formats import EXTENSIONS, FORMATS, read, render
from collabd.protocol import wire
from collabd.protocol.update import check_state_vector, check_update
from tests.fuzz.generate import Editors

from .kit import document


def test_every_format_has_a_media_type_and_an_ending_for_files() -> None:
    assert FORMATS.keys() == EXTENSIONS.keys()


def test_the_update_is_given_as_it_is() -> None:
    update = document(content=Text("a"))
    assert render(update, "update").body == update


def test_the_state_vector_is_that_of_the_document() -> None:
    doc: Doc[Any] = Doc({"content": Text("a")})
    vector = render(doc.get_update(), "state-vector").body
    assert vector == doc.get_state()
    assert check_state_vector(vector) == {doc.client_id: 1}


def test_other_formats_are_refused_with_those_there_are() -> None:
    with pytest.raises(UnsupportedFormat, match="json, text, markdown, html, ipynb, update, state-vector"):
        render(b"\0\0", "pdf")


@pytest.mark.parametrize("form", FORMATS)
def test_what_peers_write_at_once_is_shown_the_same_wherever_it_is(form: str) -> None:
    """Replicas with the same content encode it differently; what is shown of it doesn't tell."""
    for seed in range(20):
        editors = Editors(random.Random(seed))
        editors.updates(60)
        for here in editors.docs:
            for there in editors.docs:
                here.apply_update(there.get_update())
        shown = {outcome(replica.get_update(), form) for replica in editors.docs}
        assert form in ("update", "state-vector") or len(shown) == 1


def outcome(update: bytes, form: str) -> bytes | str:
    """What is shown with every text, or why nothing is."""
    try:
        return render(update, form, "text" if form in ("text", "markdown", "html") else None).body
    except CollabdError as error:
        return str(error)


def test_an_update_that_pycrdt_cannot_take_in_is_a_damaged_document() -> None:
    """A text that says it stands in another text's character."""
    structs = b"\4\1\1t\1a" + b"\4\0\1\0\1b"
    with pytest.raises(DocumentDamaged):
        render(b"\1\2\1\0" + structs + b"\0", "text")


def test_an_update_of_very_many_pieces_is_read_in_time() -> None:
    """pycrdt takes a minute for as many at once."""
    count = 140_000
    structs = [b"\4\1\1t\1a", *(b"\x84\1" + wire.uint(clock) + b"\1a" for clock in range(count - 1))]
    update = b"\1" + wire.uint(count) + b"\1\0" + b"".join(structs) + b"\0"
    assert read(update, "application/octet-stream") == update
    assert check_update(update).structs == ((1, 0, count),)
