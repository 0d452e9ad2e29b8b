"""Long logs in fewer updates.

Somebody who types makes an update for each key, and somebody who deletes, too. In Yjs an item that goes on
where the one before ended is the same as one item with both texts, so that a run of such updates can be one:
a tenth of the updates to be checked and taken in.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from collabd.protocol import wire
from collabd.protocol.update import DELETED, TYPED, clock_of

LONGEST_RUN: Final = 4096
"""Characters from which on a run is not added to, so that its update is none of the large ones."""


def squash(updates: Iterable[bytes]) -> Iterator[bytes]:
    """Updates that come to the same as ``updates``, in their order, and are mostly fewer.

    They need not have been checked: what is not simply typed or deleted goes by as it is.
    """
    first = b""
    pieces: list[bytes] = []
    run_client = run_right = run_right_clock = None
    start = end = size = 0
    for update in updates:
        if typed := TYPED(update):
            client, start_, both, left, near, near_clock, right, right_clock, length, text = typed.groups()
            if len(text) == length[0] and text.isascii():
                at = clock_of(start_)
                if (
                    pieces
                    and at == end
                    and end - start < LONGEST_RUN
                    and client == run_client
                    and near == client
                    and (left or both)
                    and clock_of(near_clock) == end - 1
                    and right == run_right
                    and right_clock == run_right_clock
                ):
                    pieces.append(text)
                    end += len(text)
                    continue
                yield from _run(first, size, pieces, run_client, start, end)
                first, size, pieces = update, typed.start(9), [text]
                start, end = at, at + len(text)
                run_client, run_right, run_right_clock = client, right, right_clock
                if not (left or both):
                    # It stands in front of something, and so does what goes on behind it: as both, or not.
                    run_right, run_right_clock = near, near_clock
                continue
        elif deleted := DELETED(update):
            client, at_, length_ = deleted.groups()
            at, length_deleted = clock_of(at_), clock_of(length_)
            if length_deleted:
                if not pieces and client == run_client and first:
                    if at == end:
                        end += length_deleted
                        size += 1
                        continue
                    if at + length_deleted == start:
                        start = at
                        size += 1
                        continue
                yield from _run(first, size, pieces, run_client, start, end)
                first, size, pieces, run_client = update, 1, [], client
                start, end = at, at + length_deleted
                continue
        yield from _run(first, size, pieces, run_client, start, end)
        first, pieces, run_client = b"", [], None
        yield update
    yield from _run(first, size, pieces, run_client, start, end)


def _run(
    first: bytes, size: int, pieces: list[bytes], client: bytes | None, start: int, end: int
) -> Iterator[bytes]:
    """The update of a run that began with ``first``: typed if it has pieces, else deleted, ``size`` times."""
    if not first:
        return
    if pieces:
        if len(pieces) == 1:
            yield first
        else:
            yield first[:size] + wire.octets(b"".join(pieces)) + b"\0"
    elif size == 1 or client is None:
        yield first
    else:
        yield b"\x00\x01" + client + b"\x01" + wire.uint(start) + wire.uint(end - start)
