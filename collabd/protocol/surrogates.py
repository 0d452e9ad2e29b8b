"""Surrogate pairs cut in two, which pycrdt cannot do without breaking the document.

Yjs counts text in UTF-16 code units, so an edit may begin or end in the middle of an emoji. Yjs then puts
U+FFFD in the place of either half. pycrdt keeps the whole character on one side and nothing on the other: from
then on what it gives out has fewer or more clocks than it holds, and whoever reads it diverges
(https://github.com/y-crdt/y-crdt/pull/399). Doing first what Yjs does keeps pycrdt right and in step with Yjs:

- know the ``pairs`` of all updates applied so far (``UpdateSummary.pairs``);
- before an update is applied, see which of these, or of its own, it would cut: ``torn``;
- if it cuts some of the document's, put ``tear(whole document, torn)`` in the place of the document first;
- if it cuts some of its own, apply ``tear(update, torn)`` for it.

What is logged and relayed stays as received: every Yjs peer comes to the same.
"""

from bisect import bisect_left
from collections.abc import Collection, Set

from collabd.protocol import wire
from collabd.protocol.values import varint
from collabd.protocol.walk import INFO_CONTENT, STRING, UpdateSummary, walk

Id = tuple[int, int]

_TWO_REPLACEMENTS = "\ufffd\ufffd".encode("utf-16-le")


def torn(pairs: Set[Id], summary: UpdateSummary) -> set[Id]:
    """Which of ``pairs`` (ids of second halves) the update cuts in two."""
    if not pairs:
        return set()
    cut = {begins for begins in summary.cuts if begins in pairs}
    for client, start, end in summary.deletes:
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

    def visit(client: int, clock: int, length: int, at: int, body: int, end: int) -> None:
        nonlocal copied
        if update[at] & INFO_CONTENT != STRING or client not in clocks:
            return
        first = bisect_left(clocks[client], clock + 1)
        beyond = bisect_left(clocks[client], clock + length)
        if first == beyond:
            return
        _, text = varint(update, body)
        units = bytearray(update[text:end].decode().encode("utf-16-le"))
        for second in clocks[client][first:beyond]:
            unit = 2 * (second - clock)
            if units[unit + 1] & 0xFC == 0xDC:
                units[unit - 2 : unit + 2] = _TWO_REPLACEMENTS
        pieces.extend((update[copied:body], wire.octets(units.decode("utf-16-le").encode())))
        copied = end

    walk(update, visit)
    return b"".join(pieces) + update[copied:]
