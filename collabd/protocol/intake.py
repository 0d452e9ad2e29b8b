"""What pycrdt may be given next, without harm to its document or to the process.

``check_update`` looks at one update by itself. Some harm shows only beside what came before, and pycrdt 0.14
looks for none of it:

- what comes before that which it builds on leaves holes that later updates fall into (a segmentation fault);
- a cut through a surrogate pair leaves the document with other clocks than it says (``surrogates``);
- several values under one key, once cut, stay behind with a dangling pointer when their map goes;
- a string in an array makes whoever reads the array loop for ever;
- types nested deep overflow the stack when the outermost is deleted;
- an item whose parent is no type is refused halfway through the update;
- many structs at once take time that grows with their square.

An Intake knows what stands where in one document, in little memory (a stretch of the same kind is one entry),
and turns each update into steps that are safe.
"""

import json
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from collabd.errors import MalformedInput, UpdateRejected
from collabd.protocol.causality import MAX_STRUCTS, Range, Split
from collabd.protocol.ranges import IdRanges
from collabd.protocol.runs import Run
from collabd.protocol.structure import MAX_TYPE_NESTING
from collabd.protocol.surrogates import mend, tear, torn
from collabd.protocol.update import check_update
from collabd.protocol.waiting import Waiting
from collabd.protocol.walk import (
    DELETED,
    EMBED,
    FORMAT,
    GC,
    STRING,
    TEXT,
    TYPE,
    XML_TEXT,
    Id,
    Struct,
    UpdateSummary,
)

INDEX_VERSION = 1
"""Goes up whenever what an intake knows of a document would be another."""

_ROOT = 7
_HOLDER = 0x7
_KEYED = 0x8
_DEPTH = 4
_TEXTUAL = (TEXT, XML_TEXT, _ROOT)
_GONE = -1
"""The place of what pycrdt keeps nothing of: what stood in, or beside, something deleted for good."""


class Step(NamedTuple):
    """One thing to do with the pycrdt document, after those before it."""

    torn: frozenset[Id]
    """If not empty: first replace the document by one loaded from ``tear(whole document, torn)``."""

    update: bytes
    """Then apply this."""


class Known(NamedTuple):
    """What a document has and what waits in it. All of it goes on changing with the document."""

    clocks: Mapping[int, int]
    """The state vector."""
    deletes: IdRanges
    """The delete set."""
    waiting: Waiting
    """The updates of which something waits for others."""


class _Change:
    """What one update has changed of an intake so far, to be taken back if the rest is refused."""

    def __init__(self, deletes: Sequence[Range]) -> None:
        self._deletes = deletes
        self.before: dict[int, tuple[int, int]] = {}
        """For each client it brings something of: how many stretches there were, and its clock."""
        self.types: list[Id] = []

    @cached_property
    def deletes(self) -> IdRanges:
        """What the update deletes."""
        return IdRanges(self._deletes)

    def brings(self, at: Id, clocks: Mapping[int, int]) -> bool:
        client, clock = at
        return client in self.before and self.before[client][1] <= clock < clocks[client]


def _begun(structs: Iterable[Struct]) -> Iterator[Id]:
    """Where structs make an item begin."""
    for struct in structs:
        if struct.left is not None:
            yield struct.left[0], struct.left[1] + 1
        if struct.right is not None:
            yield struct.right


class Intake:
    """The places of one document's items, and the updates that wait for others.

    A place says what kind of type (or a root) an item stands in, whether under a key, and how deep; as one
    number: ``_ROOT`` or a type's kind, ``_KEYED``, and the depth from bit ``_DEPTH`` on.
    """

    __slots__ = ("_pairs", "_places", "_starts", "_types", "clocks", "deletes", "waiting")

    def __init__(self, state: bytes = b"\0\0") -> None:
        """Begins with what a document's full state has.

        Raises UpdateRejected if it has what would be refused of an update.
        """
        self.clocks: dict[int, int] = {}
        """The document's state vector, once all steps given out are carried out."""
        self.deletes = IdRanges()
        """Its delete set."""
        self._starts: dict[int, list[int]] = {}
        self._places: dict[int, list[int]] = {}
        self._types: dict[int, dict[int, int]] = {}
        self._pairs: set[Id] = set()
        self.waiting = Waiting()
        """The updates of which something waits for others."""
        self.offer(state)

    @classmethod
    def from_index(cls, index: bytes) -> "Intake | None":
        """What :meth:`index` was made of; None if a program that knows it otherwise made it.

        Raises MalformedInput if it is no such thing.
        """
        try:
            version, clocks, deletes, places, types, pairs = json.loads(index)
            if version != INDEX_VERSION:
                return None
            intake = cls()
            intake.clocks = dict(clocks)
            intake.deletes = IdRanges.from_intervals(deletes)
            intake._starts = {client: starts for client, starts, _ in places}
            intake._places = {client: kinds for client, _, kinds in places}
            intake._types = {client: dict(inside) for client, inside in types}
            intake._pairs = {(client, clock) for client, clock in pairs}
        except (ValueError, TypeError) as error:
            raise MalformedInput(f"the index of a snapshot cannot be read: {error}") from error
        return intake

    def index(self) -> bytes:
        """All that is known of the document, but not what waits, to be read faster than the document."""
        known = [
            INDEX_VERSION,
            list(self.clocks.items()),
            self.deletes.all_intervals(),
            [(client, starts, self._places[client]) for client, starts in self._starts.items()],
            [(client, list(inside.items())) for client, inside in self._types.items()],
            sorted(self._pairs),
        ]
        return json.dumps(known, separators=(",", ":")).encode()

    @property
    def known(self) -> Known:
        """What the document has once all steps given out are carried out, and what waits in it."""
        return Known(self.clocks, self.deletes, self.waiting)

    def offer(self, update: bytes, summary: UpdateSummary | None = None) -> list[Step]:
        """The steps by which the document takes in an update, and all that waited for it.

        What must wait itself is kept. ``summary`` is what ``check_update`` said, if it was asked. Raises
        UpdateRejected if what could be taken in now would do harm: then nothing of the update is kept. If
        what waited turns out to be harmful, all that waits of the same update is dropped from ``waiting``: no
        less, so that it need not be known of an update, when its document is loaded, which parts were.
        """
        work = self.offering(update, check_update(update) if summary is None else summary)
        try:
            while True:
                next(work)
        except StopIteration as stop:
            steps: list[Step] = stop.value
            return steps

    def takes_simply(self, summary: UpdateSummary) -> bool:
        """Takes in an update that is itself the one step, as nearly all are, and sets nothing else free; else
        leaves everything as it was. This is what :meth:`offer` would do, only quicker."""
        if self.waiting or summary.pieces:
            return False
        return self._typed(summary) if summary.beside is not None else self._deleted(summary)

    def types_on(self, run: Run) -> bool:
        """Takes in what somebody typed on, or leaves everything as it was: what :meth:`takes_simply` would do
        with its summary, only quicker."""
        client, clocks = run.client, self.clocks
        if self.waiting or clocks.get(client, 0) != run.start:
            return False
        for other, clock in run.spot.needs:
            if clock >= clocks.get(other, 0):
                return False
        if self._pairs and not self._pairs.isdisjoint(run.cuts):
            return False
        # It stands where the client's last item does, which it was put behind.
        if self._places[client][-1] & (_HOLDER | _KEYED) not in _TEXTUAL:
            return False
        clocks[client] = run.end
        return True

    def offering(self, update: bytes, summary: UpdateSummary) -> Generator[None, None, list[Step]]:
        """Does what :meth:`offer` does, and yields wherever it may be interrupted: nothing else must be asked
        of the intake before it has ended. A large update should have been cut (``summary.pieces``)."""
        if summary.pieces:
            steps, reached = yield from self._take(summary.pieces, summary, update)
        elif self._typed(summary) if summary.beside is not None else self._deleted(summary):
            steps = [Step(frozenset(), update)]
            reached = [client for client, _, _ in summary.structs]
        else:
            steps, reached = yield from self._take((update,), summary, update)
        if self.waiting:
            steps += yield from self._wake(reached)
        return steps

    def _typed(self, summary: UpdateSummary) -> bool:
        """Takes in one string where there can be no doubt about it, else leaves everything as it was."""
        client, start, end = summary.structs[0]
        clocks = self.clocks
        if clocks.get(client, 0) != start or summary.beside is None:
            return False
        for other, clock in summary.needs or ():
            if clock >= clocks.get(other, 0):
                return False
        if self._pairs and not self._pairs.isdisjoint(summary.cuts):
            return False
        place = self._place(summary.beside)
        if place & (_HOLDER | _KEYED) not in _TEXTUAL:
            return False
        self._put(client, start, place)
        clocks[client] = end
        return True

    def _deleted(self, summary: UpdateSummary) -> bool:
        """Takes in deletions where there can be no doubt about them, else leaves everything as it was."""
        if summary.structs or torn(self._pairs, (), summary.deletes):
            return False
        for client, _, end in summary.deletes:
            if end > self.clocks.get(client, 0):
                return False
        for client, start, end in summary.deletes:
            self.deletes.add(client, start, end)
        return bool(summary.deletes)

    def _wake(self, reached: list[int]) -> Generator[None, None, list[Step]]:
        """Takes in what waited for these clients' clocks, and what waited for that in turn."""
        steps: list[Step] = []
        while reached:
            client = reached.pop()
            while (woken := self.waiting.wake(client, self.clocks)) is not None:
                piece, update = woken
                try:
                    taken, clients = yield from self._take((piece,), None, update, woke=True)
                except UpdateRejected:
                    self.waiting.drop(update)
                    continue
                self.waiting.done(update)
                steps += taken
                reached += clients
        return steps

    def _take(
        self, pieces: Sequence[bytes], summary: UpdateSummary | None, whole: bytes, *, woke: bool = False
    ) -> Generator[None, None, tuple[list[Step], list[int]]]:
        """The steps for what of an update is ready, and the clients whose clocks it moves.

        ``pieces`` are the update; ``summary`` says what it has in all, and is left out if it is one piece. If
        it ``woke`` it is itself but a piece of ``whole``, which waits already.
        """
        parts = Split(pieces[0], self.clocks)
        if summary is None:
            summary = parts.summary
        change = _Change(summary.deletes)
        cuts: set[Id] | None = set() if summary.pairs or self._pairs else None
        ready: list[bytes] = []
        early: list[tuple[Id, Id, bytes]] = []
        early_structs: list[tuple[int, int, int, bytes]] = []
        ready_deletes: list[Range] = []
        pairs: set[Id] = set()
        try:
            for piece in pieces:
                if piece is not pieces[0]:
                    parts = Split(piece, self.clocks)
                self._take_structs(parts.structs, change)
                ready += parts.ready(MAX_STRUCTS)
                early += parts.early(MAX_STRUCTS)
                early_structs += parts.early_structs()
                ready_deletes += parts.deletes
                pairs.update(parts.summary.pairs)
                if cuts is not None:
                    cuts.update(_begun(parts.structs))
                yield
        except UpdateRejected:
            self._take_back(change)
            raise
        for number, (client, start, end) in enumerate(ready_deletes):
            self.deletes.add(client, start, end)
            if not number % 1000:
                yield
        own: set[Id] = set()
        theirs: set[Id] = set()
        if cuts is not None:
            cuts.update((client, have) for client, (_, have) in change.before.items())
            pairs = {pair for pair in pairs if change.brings(pair, self.clocks)}
            own = torn(pairs, cuts, ready_deletes)
            theirs = torn(self._pairs, cuts, ready_deletes)
            self._pairs |= pairs
            self._pairs -= own | theirs
        if early and (woke or whole not in self.waiting):
            if not woke:
                self.waiting.add(whole, early_structs, summary.deletes)
            for needed, passed, late in early:
                self.waiting.put_to_sleep(whole, needed, passed, late)
        steps = []
        for part in ready:
            steps.append(Step(frozenset(), mend(tear(part, own) if own else part)))
            yield
        if theirs:
            steps[0] = Step(frozenset(theirs), steps[0].update)
        return steps, list(change.before)

    def _take_structs(self, structs: Iterable[Struct], change: "_Change") -> None:
        for struct in structs:
            client = struct.client
            have = self.clocks.get(client, 0)
            if client not in change.before:
                change.before[client] = (len(self._starts.get(client, ())), have)
            place = self._place_of(struct, have, change)
            self._put(client, have, place)
            self.clocks[client] = struct.clock + struct.length
            if struct.content == TYPE and place != _GONE:
                self._types.setdefault(client, {})[struct.clock] = self._inside(struct.kind, place)
                change.types.append((client, struct.clock))

    def _take_back(self, change: "_Change") -> None:
        for client, (count, clock) in change.before.items():
            if client in self._starts:
                del self._starts[client][count:], self._places[client][count:]
            self.clocks[client] = clock
            if not clock:
                del self.clocks[client]
        for client, clock in change.types:
            del self._types[client][clock]

    def _place(self, at: Id) -> int:
        client, clock = at
        return self._places[client][bisect_right(self._starts[client], clock) - 1]

    def _put(self, client: int, start: int, place: int) -> None:
        places = self._places.get(client)
        if places is None:
            self._places[client] = [place]
            self._starts[client] = [start]
        elif not places or places[-1] != place:
            places.append(place)
            self._starts[client].append(start)

    def _place_of(self, struct: Struct, have: int, change: "_Change") -> int:
        """Where an item is put of which the document has the clocks below ``have``.

        Raises UpdateRejected if it must not stand there.
        """
        content = struct.content
        if content == GC:
            return _GONE
        place = _GONE
        if struct.left is not None:
            place = self._place(struct.left)
        if struct.right is not None and place == _GONE:
            place = self._place(struct.right)
        if isinstance(struct.parent, str):
            place = _ROOT | (_KEYED if struct.keyed else 0)
        elif struct.parent is not None:
            place = self._within(struct.parent)
            if place != _GONE and struct.keyed:
                place |= _KEYED
        if struct.clock < have:
            known = self._place((struct.client, have - 1))
            if place == _GONE:
                place = known
            elif known not in (place, _GONE):
                raise UpdateRejected("an item contradicts what is known of it")
        if place == _GONE or content == DELETED:
            return place
        if content in (STRING, FORMAT, EMBED) and place & (_HOLDER | _KEYED) not in _TEXTUAL:
            raise UpdateRejected("a text stands where there can be none")
        if place & _KEYED and struct.length > 1:
            end = struct.clock + struct.length
            if not change.deletes.covers(struct.client, struct.clock, end):
                raise UpdateRejected("several values stand under one key")
        return place

    def _within(self, parent: Id) -> int:
        client, clock = parent
        place = self._types.get(client, {}).get(clock)
        if place is None:
            if self._place(parent) != _GONE and not self.deletes.covers(client, clock, clock + 1):
                raise UpdateRejected("an item stands in something that is no type")
            return _GONE
        return place

    def _inside(self, kind: int, place: int) -> int:
        depth = (place >> _DEPTH) + 1
        if depth > MAX_TYPE_NESTING:
            raise UpdateRejected(f"types are nested deeper than {MAX_TYPE_NESTING} levels")
        return kind | depth << _DEPTH
