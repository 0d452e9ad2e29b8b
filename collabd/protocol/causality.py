"""What of an update can take effect now, and what must wait for others.

A struct can be integrated once all of its client's clocks before it and the structs it refers to are. pycrdt
keeps what must wait on its own, but not safely: it leaves holes in its document, takes them for what they
should hold, and updates that reach into one crash the process. So it is given nothing early: ``split`` an
update first, apply what is ready, keep what is early and split that again whenever something was applied.
"""

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import NamedTuple

from collabd.protocol import wire
from collabd.protocol.walk import SKIP, Id, Struct, walk


class Split(NamedTuple):
    """An update in two; None for a part that is empty."""

    ready: bytes | None
    """What a document with the given clocks integrates whole. It leaves out what the document has."""

    early: bytes | None
    """The rest."""

    structs: list[Struct]
    """The structs that are ready, in an order in which they can be integrated."""


def split(update: bytes, clocks: Mapping[int, int]) -> Split:
    """Splits an update by what a document with these clocks (its state vector) can integrate.

    Raises MalformedInput as ``walk`` does.
    """
    runs: dict[int, list[Struct]] = {}

    def visit(struct: Struct) -> None:
        runs.setdefault(struct.client, []).append(struct)

    summary = walk(update, visit)
    reached = dict(clocks)
    taken, order = _take(runs, reached)
    ready: list[bytes] = []
    early: list[bytes] = []
    for client, structs in runs.items():
        have = clocks.get(client, 0)
        now, rest = structs[: taken[client]], structs[taken[client] :]
        ready += _run(update, [struct for struct in now if struct.clock + struct.length > have])
        while rest and rest[0].content == SKIP:
            rest = rest[1:]
        early += _run(update, rest)
    deletes_now: list[tuple[int, int, int]] = []
    deletes_later: list[tuple[int, int, int]] = []
    for client, start, end in summary.deletes:
        have = reached.get(client, 0)
        if start < have:
            deletes_now.append((client, start, min(end, have)))
        if end > have:
            deletes_later.append((client, max(start, have), end))
    return Split(_update(ready, deletes_now), _update(early, deletes_later), order)


def _take(runs: Mapping[int, list[Struct]], reached: dict[int, int]) -> tuple[dict[int, int], list[Struct]]:
    """How many structs of each run can be integrated, and all that are new of these in an order in which they
    can be; raises ``reached`` accordingly."""
    taken = dict.fromkeys(runs, 0)
    order: list[Struct] = []
    waiting: dict[int, list[tuple[int, int]]] = {}
    todo = list(runs)
    while todo:
        client = todo.pop()
        structs = runs[client]
        at = taken[client]
        while at < len(structs):
            struct = structs[at]
            have = reached.get(client, 0)
            end = struct.clock + struct.length
            if struct.clock > have or (struct.content == SKIP and end > have):
                break
            missing = next((id_ for id_ in _refers(struct) if id_[1] >= reached.get(id_[0], 0)), None)
            if missing is not None:
                heappush(waiting.setdefault(missing[0], []), (missing[1], client))
                break
            if end > have:
                reached[client] = end
                order.append(struct)
            at += 1
        taken[client] = at
        sleepers = waiting.get(client)
        while sleepers and sleepers[0][0] < reached.get(client, 0):
            todo.append(heappop(sleepers)[1])
    return taken, order


def _refers(struct: Struct) -> list[Id]:
    """The ids of other clients that the struct cannot do without."""
    refers = (struct.left, struct.right, struct.parent)
    return [id_ for id_ in refers if isinstance(id_, tuple) and id_[0] != struct.client]


def _run(update: bytes, structs: list[Struct]) -> list[bytes]:
    if not structs:
        return []
    first, last = structs[0], structs[-1]
    head = wire.uint(len(structs)) + wire.uint(first.client) + wire.uint(first.clock)
    return [head + update[first.begin : last.end]]


def _update(runs: list[bytes], deletes: list[tuple[int, int, int]]) -> bytes | None:
    if not runs and not deletes:
        return None
    ranges: dict[int, list[bytes]] = {}
    for client, start, end in deletes:
        ranges.setdefault(client, []).append(wire.uint(start) + wire.uint(end - start))
    encoded = [wire.uint(client) + wire.uint(len(some)) + b"".join(some) for client, some in ranges.items()]
    return wire.uint(len(runs)) + b"".join(runs) + wire.uint(len(ranges)) + b"".join(encoded)
