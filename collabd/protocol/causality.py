"""What of an update can take effect now, and what must wait for others.

A struct can be integrated once all of its client's clocks before it and the structs it refers to are. pycrdt
keeps what must wait on its own, but not safely: it leaves holes in its document, takes them for what they
should hold, and updates that reach into one crash the process. So it is given nothing early: split an update
first, apply what is ready, and split again what is early once that has come which it waits for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush

from collabd.protocol import wire
from collabd.protocol.walk import SKIP, Id, Struct, UpdateSummary, walk

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

    def early_structs(self) -> Iterator[tuple[int, int, bytes]]:
        """The structs that must wait: client, clock and bytes of each."""
        for _, structs, first in self._late:
            for struct in structs[first:]:
                if struct.content != SKIP:
                    yield struct.client, struct.clock, self._update[struct.begin : struct.end]

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
        todo = list(runs)
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
        encoded = [wire.uint(len(runs))]
        for structs in runs:
            first, last = structs[0], structs[-1]
            encoded += [wire.uint(len(structs)), wire.uint(first.client), wire.uint(first.clock)]
            encoded.append(self._update[first.begin : last.end])
        ranges: dict[int, list[bytes]] = {}
        for client, start, end in deletes:
            ranges.setdefault(client, []).append(wire.uint(start) + wire.uint(end - start))
        encoded.append(wire.uint(len(ranges)))
        for client, some in ranges.items():
            encoded += [wire.uint(client), wire.uint(len(some)), *some]
        return b"".join(encoded)


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
