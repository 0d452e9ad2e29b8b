"""Surrogate pairs cut in two, which pycrdt cannot do without breaking the document.

Yjs counts text in UTF-16 code units, so an edit may begin or end in the middle of an emoji. Yjs then puts
U+FFFD in the place of either half. pycrdt keeps the whole character on one side and nothing on the other:
from then on what it gives out has fewer or more clocks than it holds, and whoever reads it diverges
(https://github.com/y-crdt/y-crdt/pull/399). Doing first what Yjs does keeps pycrdt right, and like Yjs:

- know the ``pairs`` of all updates applied so far (``UpdateSummary.pairs``);
- before an update is applied, see which of these, or of its own, it would cut: ``torn``;
- if it cuts some of the document's, put ``tear(whole document, torn)`` in the place of the document first;
- if it cuts some of its own, apply ``tear(update, torn)`` for it.

What is logged and relayed stays as received: every Yjs peer comes to the same.

In JSON, JavaScript writes half a pair (of a text that was cut short, say) as an escape, which pycrdt refuses
to read; ``mend`` puts U+FFFD in its place.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Set

from collabd.protocol import wire
from collabd.protocol.values import skip_text, varint
from collabd.protocol.walk import EMBED, FORMAT, STRING, Id, Struct, walk

_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
"""Whole pairs, half ones, and other escapes, so that a backslash that is escaped itself begins none."""

_TWO_REPLACEMENTS = "\ufffd\ufffd".encode("utf-16-le")


def torn(pairs: Set[Id], cuts: Iterable[Id], deletes: Iterable[tuple[int, int, int]]) -> set[Id]:
    """Which of ``pairs`` (ids of second halves) are cut in two, given where items are made to begin
    (``UpdateSummary.cuts``) and what is deleted."""
    if not pairs:
        return set()
    cut = {begins for begins in cuts if begins in pairs}
    for client, start, end in deletes:
        cut |= pairs & {(client, start), (client, end)}
    return cut


def tear(update: bytes, pairs: Collection[Id]) -> bytes:
    """The update with two U+FFFD for each of ``pairs`` (ids of second halves); others are left alone.

    Clocks stay the same. Raises MalformedInput as ``walk`` does.
    """
    clocks: dict[int, list[int]] = {}
    for client, clock in sorted(pairs):
        clocks.setdefault(client, []).append(clock)
    pieces: list[bytes] = []
    copied = 0

    def visit(struct: Struct) -> None:
        nonlocal copied
        seconds = clocks.get(struct.client)
        if struct.content != STRING or seconds is None:
            return
        first = bisect_left(seconds, struct.clock + 1)
        beyond = bisect_left(seconds, struct.clock + struct.length)
        if first == beyond:
            return
        _, text = varint(update, struct.body)
        units = bytearray(update[text : struct.end].decode().encode("utf-16-le"))
        for second in seconds[first:beyond]:
            unit = 2 * (second - struct.clock)
            if units[unit + 1] & 0xFC == 0xDC:
                units[unit - 2 : unit + 2] = _TWO_REPLACEMENTS
        pieces.extend((update[copied : struct.body], wire.octets(units.decode("utf-16-le").encode())))
        copied = struct.end

    walk(update, visit)
    return b"".join(pieces) + update[copied:]


def mend(update: bytes) -> bytes:
    """The update with U+FFFD for halves of surrogate pairs in its JSON texts.

    Raises MalformedInput as ``walk`` does.
    """
    if not _ESCAPES.search(update):
        return update
    mended = bytearray(update)

    def visit(struct: Struct) -> None:
        if struct.content in (FORMAT, EMBED):
            # Same length, so nothing else changes. A format's name stands before its value; it has no escapes
            # of its own, but may look as if: leave it alone.
            start = struct.body
            if struct.content == FORMAT:
                start = skip_text(update, start)
            _, start = varint(update, start)
            mended[start : struct.end] = _ESCAPES.sub(_whole, update[start : struct.end])

    walk(update, visit)
    return bytes(mended)


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[1] else escape[0]
