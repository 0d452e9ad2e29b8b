"""Updates that bring no more than what is new."""

from collabd.protocol import wire
from collabd.protocol.ranges import IdRanges
from collabd.protocol.walk import Struct, walk

Range = tuple[int, int, int]
"""A client, and half-open which of its clocks."""


def difference(update: bytes, known: IdRanges) -> bytes:
    """The update without the deletions that are ``known``: pycrdt and Yjs always give out all there are.

    Raises MalformedInput as ``walk`` does.
    """
    end = 1

    def visit(struct: Struct) -> None:
        nonlocal end
        end = struct.end

    deletes = IdRanges(walk(update, visit).deletes)
    return update[:end] + encode_deletes(without(deletes, known))


def deletion(ranges: IdRanges) -> bytes:
    """The update that deletes these ids and brings nothing else."""
    return b"\0" + encode_deletes(ranges)


def encode_deletes(ranges: IdRanges) -> bytes:
    """A delete set as it stands at the end of an update."""
    encoded = [wire.uint(len(ranges.clients()))]
    for client in ranges.clients():
        intervals = ranges.intervals(client)
        encoded += [wire.uint(client), wire.uint(len(intervals))]
        encoded += [wire.uint(start) + wire.uint(end - start) for start, end in intervals]
    return b"".join(encoded)


def without(ranges: IdRanges, others: IdRanges) -> IdRanges:
    """What is in the first set and not in the second."""
    rest = IdRanges()
    for client in ranges.clients():
        gaps = iter(others.intervals(client))
        gap = next(gaps, None)
        for start, end in ranges.intervals(client):
            while gap is not None and gap[1] <= start:
                gap = next(gaps, None)
            while gap is not None and gap[0] < end:
                rest.add(client, start, gap[0])
                start = min(gap[1], end)
                if gap[1] > end:
                    break
                gap = next(gaps, None)
            rest.add(client, start, end)
    return rest
