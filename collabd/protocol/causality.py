"""What of an update can take effect now, and what must wait for others.

A struct can be integrated once all of its client's clocks before it and the structs it refers to are. pycrdt
keeps what must wait on its own, but not safely: it leaves holes in its document, takes them for what they
should hold, and updates that reach into one crash the process. So it is given nothing early: split an update
first, apply what is ready, and split again what is early once that has come which it waits for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush

from collabd.protocol import wire
from collabd.protocol.walk import MAX_CLOCK, SKIP, Id, Struct, UpdateSummary, walk

MAX_STRUCTS = 100
"""Structs of a piece. pycrdt joins neighbours after each update, in time that grows with their square:
140,000 characters typed one by one take a minute at once and 0.2 s in such pieces."""

Range = tuple[int, int, int]
"""A client, and the half-open stretch of its clocks."""


class Split:
    """An update in two: what a document with given clocks integrates, and the rest."""

    def __init__(self, update: bytes, clocks: Mapping[int, int]) -> None:
        """Splits ``update`` by the document's state vector. Raises MalformedInput as ``walk`` does."""
        self._update = update
        self._runs: dict[int, list[Struct]] = {}
        self.summary: UpdateSummary = walk(update, self._visit)
        """What ``walk`` says of the whole update."""
        self._reached = dict(clocks)
        self.structs: list[Struct] = []
        """The structs that are ready and bring something new, in an order in which they can be integrated."""
        self._late: list[tuple[Id, list[Struct], int]] = []
        """What a client's run waits for, the run, and where in it the first struct is that waits."""
        self._take()
        self.deletes: list[Range] = []
        """The deletions that are ready."""
        self._late_deletes: list[Range] = []
        for client, start, end in self.summary.deletes:
            have = self._reached.get(client, 0)
            if start < have:
                self.deletes.append((client, start, min(end, have)))
            if end > have:
                self._late_deletes.append((client, max(start, have), end))

    def ready(self, at_most: int) -> list[bytes]:
        """What is ready, as updates of so many structs each; apply them in order."""
        if not self.structs and not self.deletes:
            return []
        if len(self.structs) <= at_most and self._is_whole:
            return [self._update]
        pieces = [self.structs[start : start + at_most] for start in range(0, len(self.structs), at_most)]
        updates = [self._encode(_by_client(piece), ()) for piece in pieces[:-1]]
        return [*updates, self._encode(_by_client(pieces[-1] if pieces else ()), self.deletes)]

    def early(self, at_most: int) -> list[tuple[Id, Id, bytes]]:
        """What must wait, as updates of so many structs each. With each the id that it waits for and its own
        first struct's last id: once that exists, whoever brought it, the rest may have nothing to wait for.

        Where one ends doesn't depend on what of the update is ready: what remains of a piece is the same
        whenever the update is split, be it once a document was loaded again.
        """
        early = []
        for needed, structs, first in self._late:
            piece: list[Struct] = []
            for index in range(first, len(structs)):
                struct = structs[index]
                if piece and (struct.content == SKIP or index % at_most == 0):
                    early.append((needed, _last(piece[0]), self._encode([piece], ())))
                    piece = []
                if struct.content != SKIP:
                    if not piece and index > first:
                        needed = (struct.client, struct.clock - 1)
                    piece.append(struct)
            if piece:
                early.append((needed, _last(piece[0]), self._encode([piece], ())))
        for client, start, end in self._late_deletes:
            early.append(((client, start), (client, start), self._encode((), [(client, start, end)])))
        return early

    def early_structs(self) -> Iterator[tuple[int, int, int, bytes]]:
        """The structs that must wait: client, first clock, the clock behind the last, and bytes of each."""
        for _, structs, first in self._late:
            for struct in structs[first:]:
                if struct.content != SKIP:
                    encoded = self._update[struct.begin : struct.end]
                    yield struct.client, struct.clock, struct.clock + struct.length, encoded

    @property
    def _is_whole(self) -> bool:
        """Whether all of the update is ready and new."""
        return not self._late_deletes and len(self.structs) == sum(map(len, self._runs.values()))

    def _visit(self, struct: Struct) -> None:
        self._runs.setdefault(struct.client, []).append(struct)

    def _take(self) -> None:
        """Finds what is ready, and raises what is reached accordingly."""
        runs, reached = self._runs, self._reached
        taken = dict.fromkeys(runs, 0)
        needed: dict[int, Id] = {}
        waiting: dict[int, list[tuple[int, int]]] = {}
        # From the highest id on, as Yjs does: of items put at one place, each then belongs right there.
        todo = sorted(runs)
        while todo:
            client = todo.pop()
            structs = runs[client]
            at = taken[client]
            while at < len(structs):
                struct = structs[at]
                have = reached.get(client, 0)
                end = struct.clock + struct.length
                if end <= have:
                    at += 1
                    continue
                if struct.clock > have or struct.content == SKIP:
                    needed[client] = (client, (end if struct.content == SKIP else struct.clock) - 1)
                    break
                missing = next((id_ for id_ in _refers(struct) if id_[1] >= reached.get(id_[0], 0)), None)
                if missing is not None:
                    needed[client] = missing
                    heappush(waiting.setdefault(missing[0], []), (missing[1], client))
                    break
                reached[client] = end
                self.structs.append(struct)
                at += 1
            taken[client] = at
            sleepers = waiting.get(client)
            while sleepers and sleepers[0][0] < reached.get(client, 0):
                todo.append(heappop(sleepers)[1])
        for client, structs in runs.items():
            if taken[client] < len(structs):
                self._late.append((needed[client], structs, taken[client]))

    def _encode(self, runs: Sequence[Sequence[Struct]], deletes: Iterable[Range]) -> bytes:
        return _encode(self._update, runs, deletes)


def _encode(update: bytes, runs: Sequence[Sequence[Struct]], deletes: Iterable[Range]) -> bytes:
    """The update of these structs of ``update``, each client's in one run, and these deletions."""
    encoded = [wire.uint(len(runs))]
    for structs in runs:
        first, last = structs[0], structs[-1]
        encoded += [wire.uint(len(structs)), wire.uint(first.client), wire.uint(first.clock)]
        encoded.append(update[first.begin : last.end])
    ranges: dict[int, list[bytes]] = {}
    for client, start, end in deletes:
        ranges.setdefault(client, []).append(wire.uint(start) + wire.uint(end - start))
    encoded.append(wire.uint(len(ranges)))
    for client, some in ranges.items():
        encoded += [wire.uint(client), wire.uint(len(some)), *some]
    return b"".join(encoded)


def cut(update: bytes, at_most: int) -> list[bytes]:
    """Updates of at most so many structs or deleted ranges each that, taken in one after the other, come to
    the same; none if the update is that small itself. Raises MalformedInput as ``walk`` does.

    Whatever of the update stands on other parts of it comes after these.
    """
    runs: dict[int, list[Struct]] = {}

    def visit(struct: Struct) -> None:
        if struct.content != SKIP:
            runs.setdefault(struct.client, []).append(struct)

    deletes = walk(update, visit).deletes
    structs = _in_order(runs)
    if len(structs) <= at_most and len(deletes) <= at_most:
        return []
    pieces: list[bytes] = []
    piece: dict[int, list[Struct]] = {}
    count = 0
    for struct in structs:
        run = piece.get(struct.client)
        if count == at_most or (run is not None and run[-1].clock + run[-1].length != struct.clock):
            pieces.append(_encode(update, list(piece.values()), ()))
            piece, count = {}, 0
        piece.setdefault(struct.client, []).append(struct)
        count += 1
    if piece:
        pieces.append(_encode(update, list(piece.values()), ()))
    pieces += [
        _encode(update, (), deletes[start : start + at_most]) for start in range(0, len(deletes), at_most)
    ]
    return pieces


def _in_order(runs: Mapping[int, Sequence[Struct]]) -> list[Struct]:
    """All structs, each behind those that it refers to. (Those that refer to each other in a circle, which
    nobody can integrate, come last.)"""
    if len(runs) <= 1:
        return [struct for structs in runs.values() for struct in structs]
    ordered: list[Struct] = []
    taken = dict.fromkeys(runs, 0)
    waiting: dict[int, list[tuple[int, int]]] = {}
    todo = sorted(runs)
    while todo:
        client = todo.pop()
        structs = runs[client]
        at = taken[client]
        while at < len(structs):
            missing = next((id_ for id_ in _refers(structs[at]) if _is_ahead(id_, runs, taken)), None)
            if missing is not None:
                heappush(waiting.setdefault(missing[0], []), (missing[1], client))
                break
            ordered.append(structs[at])
            at += 1
        taken[client] = at
        reached = structs[at].clock if at < len(structs) else MAX_CLOCK
        sleepers = waiting.get(client)
        while sleepers and sleepers[0][0] < reached:
            todo.append(heappop(sleepers)[1])
    for client, structs in runs.items():
        ordered += structs[taken[client] :]
    return ordered


def _is_ahead(id_: Id, runs: Mapping[int, Sequence[Struct]], taken: Mapping[int, int]) -> bool:
    client, clock = id_
    structs = runs.get(client)
    return structs is not None and taken[client] < len(structs) and structs[taken[client]].clock <= clock


def _last(struct: Struct) -> Id:
    return struct.client, struct.clock + struct.length - 1


def _refers(struct: Struct) -> list[Id]:
    """The ids of other clients that the struct cannot do without."""
    refers = (struct.left, struct.right, struct.parent)
    return [id_ for id_ in refers if isinstance(id_, tuple) and id_[0] != struct.client]


def _by_client(structs: Iterable[Struct]) -> list[list[Struct]]:
    runs: dict[int, list[Struct]] = {}
    for struct in structs:
        runs.setdefault(struct.client, []).append(struct)
    return list(runs.values())
