"""Making a pycrdt document, and telling pycrdt's failures from mistakes made here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pycrdt import Doc

from collabd.errors import CollabdError


@contextmanager
def panics_as(refusal: type[CollabdError]) -> Iterator[None]:
    """Raise ``refusal`` when pycrdt panics, which reaches Python as an exception of BaseException alone."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise refusal("pycrdt failed to read it") from None


def loaded(update: bytes, refusal: type[CollabdError]) -> "Doc[Any]":
    """A document that holds what this checked update brings; raises ``refusal`` if pycrdt cannot take it."""
    doc: Doc[Any] = Doc()
    try:
        with panics_as(refusal):
            doc.apply_update(update)
    except (ValueError, RuntimeError) as error:
        raise refusal(f"pycrdt cannot take it: {error}") from None
    return doc
