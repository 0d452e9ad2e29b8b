"""Notebooks, in and out."""

import json
import sys
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_ydoc import YNotebook
from pycrdt import Array, Doc, Map

from collabd.errors import MalformedInput, TooLarge, UnsupportedFormat
from collabd.formats import notebook, read, render
from collabd.protocol.update import check_update

from .kit import document, shown

MEDIA_TYPE = "application/x-ipynb+json"

Notebook = dict[str, Any]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["a\nb", "", "\n"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.sampled_from([0.5, -1e300]) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
metadata = st.dictionaries(st.sampled_from(["a", "b.c", "é"]), values, max_size=3)
bundles = st.fixed_dictionaries(
    {}, optional={"text/plain": texts, "image/png": texts, "application/json": values, "text/html": texts}
)
streams = st.builds(lambda text: {"output_type": "stream", "name": "stdout", "text": text}, texts)
displays = st.builds(
    lambda data, about: {"output_type": "display_data", "data": data, "metadata": about}, bundles, metadata
)
results = st.builds(
    lambda data, count: {
        "output_type": "execute_result",
        "data": data,
        "metadata": {},
        "execution_count": count,
    },
    bundles,
    st.integers(0, 9),
)
errors = st.builds(
    lambda lines: {"output_type": "error", "ename": "E", "evalue": "v", "traceback": lines},
    st.lists(texts, max_size=2),
)
attachments = st.dictionaries(
    st.sampled_from(["a.png", "b"]), st.fixed_dictionaries({"image/png": texts}), min_size=1, max_size=2
)
code_cells = st.fixed_dictionaries(
    {
        "cell_type": st.just("code"),
        "source": texts,
        "metadata": metadata,
        "outputs": st.lists(streams | displays | results | errors, max_size=3),
        "execution_count": st.none() | st.integers(0, 10**6),
    }
)
other_cells = st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["raw", "markdown"]), "source": texts, "metadata": metadata},
    optional={"attachments": attachments},
)


@st.composite
def notebooks(draw: st.DrawFn) -> Notebook:
    minor = draw(st.sampled_from([4, 5]))
    cells = draw(st.lists(code_cells | other_cells, max_size=4))
    if minor == 5:
        cells = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells)]
    return {"cells": cells, "metadata": draw(metadata), "nbformat": 4, "nbformat_minor": minor}


def seeded(made: Notebook) -> bytes:
    return read(json.dumps(made).encode(), MEDIA_TYPE)


def stored(update: bytes) -> Notebook:
    """What is in the file that the document gives, with lines joined again; fails if it is not valid."""
    joined = nbformat.reads(shown(update, "ipynb"), nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    nbformat.validate(joined)
    read_back: Notebook = json.loads(json.dumps(joined))
    return read_back


def typed(value: Any) -> Any:
    """The value in a form in which 1 is not 1.0 or True."""
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    return [typed(inner) for inner in value] if isinstance(value, list) else (type(value).__name__, value)


@given(notebooks())
def test_a_notebook_comes_out_as_it_went_in(made: Notebook) -> None:
    update = seeded(made)
    check_update(update)
    assert typed(stored(update)) == typed(made)


@given(notebooks())
def test_jupyter_reads_what_is_seeded_here(made: Notebook) -> None:
    doc: Doc[Any] = Doc()
    doc.apply_update(seeded(made))
    assert YNotebook(doc).get() == made


@given(notebooks())
def test_what_jupyter_seeds_is_shown_here(made: Notebook) -> None:
    doc: Doc[Any] = Doc()
    shared = YNotebook(doc)
    shared.set(made)
    seen = shared.get()
    for cell in seen["cells"]:
        cell["metadata"].pop("trusted", None)
    assert stored(doc.get_update()) == seen


def minimal(*cells: Notebook, minor: int = 5) -> Notebook:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": minor}


def raw_cell(**changes: object) -> Notebook:
    return {"cell_type": "raw", "id": "a", "metadata": {}, "source": "", **changes}


def test_source_and_output_split_into_lines_are_joined_in_the_document() -> None:
    code: Notebook = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "source": ["a\n", "b"],
        "execution_count": None,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["c\n", "d"]}],
    }
    doc: Doc[Any] = Doc()
    doc.apply_update(seeded(minimal(code)))
    cell = doc.get("cells", type=Array)[0]
    assert str(cell["source"]) == "a\nb"
    assert str(cell["outputs"][0]["text"]) == "c\nd"


def test_integers_that_javascript_lacks_become_floats() -> None:
    large = minimal(raw_cell(metadata={"n": 2**53 + 1, "m": -(10**300), "exact": 2**53}))
    about = stored(seeded(large))["cells"][0]["metadata"]
    assert about == {"n": float(2**53 + 1), "m": float(-(10**300)), "exact": 2**53}


def test_trust_stays_with_the_user_who_gave_it() -> None:
    update = seeded(minimal(raw_cell(metadata={"trusted": True})))
    assert stored(update)["cells"][0]["metadata"] == {}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "JSON"),
        (b"\xff", "UTF-8"),
        (b"[]", "not a JSON object"),
        (b"{}", "version"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [NaN]}', "JSON"),
        (json.dumps({**minimal(), "nbformat": 3}).encode(), "4.0 to 4.5"),
        (json.dumps(minimal(minor=6)).encode(), "4.0 to 4.5"),
        (json.dumps({**minimal(), "nbformat_minor": "5"}).encode(), "4.0 to 4.5"),
        (json.dumps({**minimal(), "nbformat_minor": True}).encode(), "4.0 to 4.5"),
        (json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": []}).encode(), "metadata"),
        (json.dumps(minimal(raw_cell(), raw_cell())).encode(), "same id"),
        (json.dumps(minimal(raw_cell(), raw_cell(id="b", source=7))).encode(), r"cells\[1\].*7"),
        (json.dumps(minimal(raw_cell(cell_type="x"))).encode(), r"cells\[0\]"),
        (json.dumps(minimal(raw_cell(source="\ud83d"))).encode(), "surrogate"),
    ],
)
def test_what_is_no_notebook_is_refused_with_what_is_wrong(body: bytes, why: str) -> None:
    with pytest.raises(MalformedInput, match=why) as refused:
        read(body, MEDIA_TYPE)
    assert len(str(refused.value)) < 400


def test_too_many_cells_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "MAX_CELLS", 1)
    with pytest.raises(TooLarge):
        read(json.dumps(minimal(raw_cell(), raw_cell(id="b"))).encode(), MEDIA_TYPE)


@pytest.mark.parametrize(
    "update",
    [
        document(),
        document(cells=Map({"a": 1}), meta=Map({"nbformat": 4})),
        document(cells=Array([1])),
        document(cells=Array([1]), meta=Map({"nbformat": 4, "nbformat_minor": 5, "metadata": {}})),
        document(
            cells=Array([Map({"a": 1})]), meta=Map({"nbformat": 4, "nbformat_minor": 5, "metadata": {}})
        ),
        document(cells=Array([]), meta=Map({"nbformat": 4, "nbformat_minor": 5, "metadata": 1})),
        document(cells=Array([1]), meta=Map({"nbformat": 4, "nbformat_minor": 500, "metadata": {}})),
        document(cells=Array([1]), meta=Map({"nbformat": [], "nbformat_minor": {}, "metadata": {}})),
        document(cells=Array([Map({"id": 5, "attachments": 0})]), meta=Map({"kind": "text"})),
    ],
)
def test_documents_that_are_no_notebooks_are_refused_as_such(update: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="notebook"):
        render(update, "ipynb")


def test_cells_that_merging_left_twice_are_there_once_or_have_ids_of_their_own() -> None:
    made = minimal(raw_cell(), raw_cell(id="b"))
    doc: Doc[Any] = Doc()
    doc.apply_update(seeded(made))
    shared = YNotebook(doc)
    for copy in (raw_cell(), raw_cell(source="other"), raw_cell(source="third")):
        shared.ycells.append(shared.create_ycell(copy))
    update = doc.get_update()
    assert [(cell["id"], cell["source"]) for cell in stored(update)["cells"]] == [
        ("a", ""),
        ("b", ""),
        ("a-2", "other"),
        ("a-3", "third"),
    ]
    assert shown(update, "ipynb") == shown(update, "ipynb")


def test_without_the_extra_both_ways_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    update = seeded(minimal(raw_cell()))
    monkeypatch.setitem(sys.modules, "nbformat", None)
    with pytest.raises(UnsupportedFormat, match=r"collabd\[notebook\]"):
        read(b"{}", MEDIA_TYPE)
    with pytest.raises(UnsupportedFormat, match=r"collabd\[notebook\]"):
        render(update, "ipynb")
