"""A private pycrdt document, and pycrdt's failures as what they mean here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pycrdt import Doc

from collabd.errors import DocumentDamaged


@contextmanager
def loaded(update: bytes) -> Iterator["Doc[Any]"]:
    """A document with this full state, to be read in the block.

    Raises DocumentDamaged if pycrdt cannot take it in, or panics in the block: that reaches Python as an
    exception that derives from BaseException alone.
    """
    doc: Doc[Any] = Doc()
    try:
        try:
            doc.apply_update(update)
        except (ValueError, RuntimeError) as error:
            raise DocumentDamaged(f"pycrdt cannot take the document in: {error}") from error
        yield doc
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise DocumentDamaged("pycrdt failed to read the document") from None
