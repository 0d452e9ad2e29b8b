"""A document as JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from collabd.errors import UnsupportedFormat
from collabd.formats import values

from .kit import as_json, document, shown

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
)
jsons = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abé", max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(st.text("abcé", min_size=1, max_size=3), jsons, max_size=4), st.lists(jsons, max_size=4)
)
def test_any_json_value_comes_out_as_it_went_in(in_map: dict[str, Any], in_array: list[Any]) -> None:
    seen = as_json(document(m=Map(dict(in_map)), a=Array(list(in_array))))
    assert (seen.get("m") or {}) == in_map
    assert (seen.get("a") or []) == in_array


def test_integers_stay_integers() -> None:
    update = document(m=Map({"one": 1, "float": 1.0, "half": 0.5, "large": 2**53, "list": [1, 2]}))
    assert (
        shown(update, "json") == '{"m":{"float":1,"half":0.5,"large":9007199254740992,"list":[1,2],"one":1}}'
    )


def test_shared_types_within_others() -> None:
    update = document(
        m=Map({"text": Text("a"), "map": Map({"b": 1}), "array": Array([1, Array([Text("c")])])}),
    )
    assert as_json(update) == {"m": {"text": "a", "map": {"b": 1}, "array": [1, ["c"]]}}


def test_xml_within_others_is_its_text() -> None:
    update = document(m=Map({"x": XmlFragment([XmlElement("p", {"a": "1"}, [XmlText("b")])])}))
    assert as_json(update) == {"m": {"x": '<p a="1">b</p>'}}


def test_binary_values_are_base64() -> None:
    plain = {"text": Text("a"), "list": [1, 2], "inner": Map({"c": 1.5, "list": Array([True, None])})}
    binary = {"bytes": b"\0\xff", "nested": [{"b": b"t"}], "array": Array([b"\1"])}
    seen = as_json(document(m=Map({**plain, **binary})))
    assert seen["m"].pop("bytes") == "AP8="
    assert seen["m"].pop("nested") == [{"b": "dA=="}]
    assert seen["m"].pop("array") == ["AQ=="]
    assert seen["m"] == {"text": "a", "list": [1, 2], "inner": {"c": 1.5, "list": [True, None]}}


@given(jsons)
def test_beside_binary_values_all_others_come_out_the_same(value: Any) -> None:
    """They are read one by one there, which is another way through pycrdt."""
    without, beside = Map({"v": value}), Map({"v": value, "b": b"t"})
    assert as_json(document(m=beside))["m"]["v"] == as_json(document(m=without))["m"]["v"]


def test_long_arrays_beside_binary_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each element takes a walk from the first: a million of them would take hours."""
    monkeypatch.setattr(values, "MAX_SLOW_ARRAY", 100)
    array: Array[Any] = Array([0] * 100)
    update = document(a=array, b=Map({"bytes": b""}))
    assert as_json(update)["a"] == [0] * 100
    array.append(0)
    with pytest.raises(UnsupportedFormat, match="array of over 100 elements"):
        shown(array.doc.get_update(), "json")


def test_numbers_that_json_lacks_are_null() -> None:
    update = document(m=Map({"nan": float("nan"), "inf": float("inf")}))
    assert as_json(update) == {"m": {"nan": None, "inf": None}}
    assert as_json(document(m=Map({"nan": float("nan"), "b": b""}))) == {"m": {"nan": None, "b": ""}}


def test_subdocuments_are_named() -> None:
    assert as_json(document(m=Map({"sub": Doc(guid="a")}))) == {"m": {"sub": {"guid": "a"}}}
    assert as_json(document(m=Map({"sub": Doc(guid="a"), "b": b""}))) == {
        "m": {"sub": {"guid": "a"}, "b": ""}
    }


def test_one_root_alone() -> None:
    update = document(a=Array([1]), t=Text("b"), x=XmlFragment([XmlText("c")]))
    assert as_json(update, "a") == [1]
    assert as_json(update, "t") == "b"
    assert as_json(update, "x") == {"type": "doc", "content": [{"type": "text", "text": "c"}]}
    with pytest.raises(UnsupportedFormat, match="no root 'z'"):
        shown(update, "json", "z")


def test_the_same_document_gives_the_same_bytes() -> None:
    update = document(m=Map({f"k{n}": {f"l{n}": n} for n in range(100)}))
    assert len({shown(update, "json") for _ in range(5)}) == 1
    assert list(json.loads(shown(update, "json"))["m"]) == sorted(f"k{n}" for n in range(100))
