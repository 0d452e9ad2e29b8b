"""Jupyter notebooks as jupyter-ydoc keeps them: roots ``cells`` (Array of Map), ``meta`` and ``state`` (Map).

Source: https://github.com/jupyter-server/jupyter_ydoc (ynotebook.py, schema 2.0.0), and for files
https://nbformat.readthedocs.io. Needs the extra ``notebook``.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pycrdt import Array, Doc, Map

from collabd.errors import MalformedInput, TooLarge, UnsupportedFormat
from collabd.protocol.values import parse_json

MAX_CELLS: Final = 10_000
"""pycrdt walks to the place of each cell it adds; so many take about two seconds."""

MAJOR: Final = 4
MINORS: Final = range(6)
"""Versions 4.0 to 4.5. Cells have ids from 4.5 on."""

_LARGEST_EXACT = 2**53
"""JavaScript holds no larger integer exactly."""

_CELL_IN_MESSAGE = re.compile(r"data\.cells\[(\d+)\]")
_LONGEST_MESSAGE = 300

Notebook = dict[str, Any]


def from_json(body: bytes) -> bytes:
    """A Yjs update that makes an empty document hold this notebook.

    Integers beyond 2**53 become floats, which is what browsers make of them.

    Raises:
        MalformedInput: it is not a valid notebook of a known version.
        TooLarge: it has more than MAX_CELLS cells.
        UnsupportedFormat: the extra ``notebook`` is not installed.
    """
    require_extra()
    from jupyter_ydoc import YNotebook
    from nbformat import v4

    try:
        value = parse_json(body.decode())
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise MalformedInput("the notebook is not UTF-8, or has half a surrogate pair") from None
    if isinstance(value, dict) and isinstance(cells := value.get("cells"), list) and len(cells) > MAX_CELLS:
        raise TooLarge(f"a notebook has at most {MAX_CELLS:,} cells")
    if problem := _problem(value):
        raise MalformedInput(f"not a valid notebook: {problem}")
    notebook = _within_javascript(v4.to_notebook(value))  # type: ignore[no-untyped-call]
    doc: Doc[Any] = Doc()
    shared = YNotebook(doc)
    with doc.transaction():
        about = {"nbformat": MAJOR, "nbformat_minor": notebook["nbformat_minor"]}
        doc.get("meta", type=Map).update({**about, "metadata": Map(notebook["metadata"])})
        shared.ycells.extend([shared.create_ycell(cell) for cell in notebook["cells"]])
    return doc.get_update()


def to_json(cells: "Array[Any]", meta: "Map[Any]") -> bytes:
    """The notebook as nbformat writes it into a file, without what does not belong there (trust).

    Raises:
        UnsupportedFormat: it is not a valid notebook, or the extra ``notebook`` is not installed.
    """
    require_extra()
    from nbformat import v4

    about = json.loads(str(meta))
    notebook = {name: about.get(name) for name in ("metadata", "nbformat", "nbformat_minor")}
    notebook["cells"] = list(_stored(json.loads(str(cells)), has_ids=notebook["nbformat_minor"] == 5))
    if problem := _problem(notebook):
        raise UnsupportedFormat(f"the document holds no valid notebook: {problem}")
    text: str = v4.writes(v4.to_notebook(notebook))  # type: ignore[no-untyped-call]
    return f"{text}\n".encode()


def require_extra() -> None:
    """Raise UnsupportedFormat, with what to do, if the extra ``notebook`` is not installed."""
    try:
        import jupyter_ydoc  # noqa: F401
        import nbformat  # noqa: F401
    except ImportError:
        raise UnsupportedFormat(
            "notebooks need an extra that is not installed: pip install 'collabd[notebook]'"
        ) from None


def _problem(notebook: object) -> str | None:
    """What is wrong with it; None if it is a valid notebook."""
    from nbformat.validator import ValidationError, get_validator

    if not isinstance(notebook, dict):
        return "it is not a JSON object"
    minor = notebook.get("nbformat_minor")
    if notebook.get("nbformat") != MAJOR or type(minor) is not int or minor not in MINORS:
        return f"its version is not one of {MAJOR}.0 to {MAJOR}.{MINORS[-1]}"
    try:
        get_validator(MAJOR, minor).validate(notebook)  # type: ignore[no-untyped-call]
    except ValidationError as error:
        return _explained(notebook, minor, str(error))
    ids = [cell["id"] for cell in notebook["cells"] if "id" in cell]
    return "two of its cells have the same id" if len(set(ids)) < len(ids) else None


def _explained(notebook: Notebook, minor: int, message: str) -> str:
    """The quick validator names the cell; a slower one says what about it is wrong."""
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]
    from nbformat.validator import get_validator

    if in_cell := _CELL_IN_MESSAGE.match(message):
        number = int(in_cell[1])
        alone = {**notebook, "cells": [notebook["cells"][number]]}
        explaining = get_validator(MAJOR, minor, name="jsonschema")  # type: ignore[no-untyped-call]
        error = best_match(explaining.iter_errors(alone))
        place = error.json_path.removeprefix("$.cells[0]")
        message = f"cells[{number}]{place}: {error.message}"
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}…"


def _stored(cells: Iterable[Any], has_ids: bool) -> Iterator[Any]:
    """The cells as they are kept in files. Of cells with one id, which merging can leave, equal ones are left
    out and others get ids of their own, the same at every export."""
    seen: dict[str, Notebook] = {}
    copies: dict[str, int] = {}
    for cell in cells:
        if not isinstance(cell, dict):
            yield cell
            continue
        cell.pop("execution_state", None)
        if not cell.get("attachments", True):
            del cell["attachments"]
        if not has_ids:
            cell.pop("id", None)
        elif isinstance(name := cell.get("id"), str):
            if cell == seen.get(name):
                continue
            while cell["id"] in seen:
                copies[name] = copies.get(name, 1) + 1
                cell["id"] = f"{name[:50]}-{copies[name]}"
            seen[cell["id"]] = cell
        yield cell


def _within_javascript(value: Any) -> Any:
    match value:
        case dict():
            return {key: _within_javascript(inner) for key, inner in value.items()}
        case list():
            return [_within_javascript(inner) for inner in value]
        case int() if abs(value) > _LARGEST_EXACT:
            return float(value)
        case _:
            return value
