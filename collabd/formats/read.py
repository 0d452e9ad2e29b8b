"""Content from outside, as the update that puts it into an empty document.

Seed a document once, and keep the update: every update made here is a different author's, so that the content
would stand there twice if it were made and applied again.
"""

from collections.abc import Callable
from typing import Any, Final

from pycrdt import Doc, Map, Text

from collabd.errors import MalformedInput, UnsupportedFormat
from collabd.protocol.intake import Intake
from collabd.protocol.update import check_update

from . import notebook
from .shapes import PAGE_INFO

CONTENT: Final = "content"
"""Root (Text) that plain text and Markdown are read into."""


def read(body: bytes, media_type: str) -> bytes:
    """The content as a Yjs v1 update that passes ``check_update`` and needs nothing else.

    Line ends become ``\\n`` and a byte order mark is dropped: editors count a line end as one character.

    Args:
        media_type: one of READABLE, without parameters.

    Raises:
        UnsupportedFormat: nothing is known of the media type, or an extra it needs is not installed.
        MalformedInput: the content is not what the media type says.
        TooLarge: it is more of it than can be taken.
        UpdateRejected: it is an update that would do harm to a document.
    """
    reader = READABLE.get(media_type)
    if reader is None:
        raise UnsupportedFormat(f"{media_type!r} cannot be read; these can: {', '.join(READABLE)}")
    return reader(body)


def _read_text(body: bytes) -> bytes:
    return _text(body, "text")


def _read_markdown(body: bytes) -> bytes:
    return _text(body, "markdown")


def _text(body: bytes, kind: str) -> bytes:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedInput("the text is not UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    doc: Doc[Any] = Doc()
    with doc.transaction():
        doc[PAGE_INFO] = Map({"kind": kind})
        doc[CONTENT] = Text(text) if text else Text()
    return doc.get_update()


def _read_update(body: bytes) -> bytes:
    summary = check_update(body)
    if summary.empty:
        raise MalformedInput("the update brings nothing")
    intake = Intake()
    intake.offer(body, summary)
    if intake.waiting:
        raise MalformedInput("the update builds on others that it doesn't contain")
    return body


READABLE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "text/plain": _read_text,
    "text/markdown": _read_markdown,
    "application/x-ipynb+json": notebook.from_json,
    "application/octet-stream": _read_update,
}
"""What makes an update of content, by media type."""
