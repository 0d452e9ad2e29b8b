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

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from collabd.errors import UpdateRejected
from collabd.protocol.causality import Split
from collabd.protocol.ranges import IdRanges
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

MAX_STRUCTS = 100
"""Structs of one step. pycrdt joins neighbours after each, in time that grows with their square: 140,000
characters typed one by one take a minute at once and 0.2 s in such pieces. Nothing interrupts a step, and
hostile structs can cost as much as their document has items, 0.15 µs each."""

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
        if summary is None:
            summary = check_update(update)
        if self._typed(summary) if summary.beside is not None else self._deleted(summary):
            steps = [Step(frozenset(), update)]
            reached = [client for client, _, _ in summary.structs]
        else:
            steps, reached = self._take(update)
        if self.waiting:
            steps += self._wake(reached)
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

    def _wake(self, reached: list[int]) -> list[Step]:
        """Takes in what waited for these clients' clocks, and what waited for that in turn."""
        steps: list[Step] = []
        while reached:
            client = reached.pop()
            while (woken := self.waiting.wake(client, self.clocks)) is not None:
                piece, update = woken
                try:
                    taken, clients = self._take(piece, update)
                except UpdateRejected:
                    self.waiting.drop(update)
                    continue
                self.waiting.done(update)
                steps += taken
                reached += clients
        return steps

    def _take(self, update: bytes, whole: bytes | None = None) -> tuple[list[Step], list[int]]:
        """The steps for what of an update is ready, and the clients whose clocks it moves.

        ``whole`` is the update of which this one is a piece that waited.
        """
        parts = Split(update, self.clocks)
        before = self.clocks.copy()
        self._take_structs(parts)
        deletes = parts.deletes
        for client, start, end in deletes:
            self.deletes.add(client, start, end)
        pairs = {
            (client, clock)
            for client, clock in parts.summary.pairs
            if before.get(client, 0) <= clock < self.clocks.get(client, 0)
        }
        own: set[Id] = set()
        theirs: set[Id] = set()
        if pairs or self._pairs:
            cuts = {(client, have) for client, have in before.items()}
            for struct in parts.structs:
                if struct.left is not None:
                    cuts.add((struct.left[0], struct.left[1] + 1))
                if struct.right is not None:
                    cuts.add(struct.right)
            own = torn(pairs, cuts, deletes)
            theirs = torn(self._pairs, cuts, deletes)
            self._pairs |= pairs
            self._pairs -= own | theirs
        if whole is not None or update not in self.waiting:
            early = parts.early(MAX_STRUCTS)
            if early and whole is None:
                self.waiting.add(update, parts.early_structs(), parts.summary.deletes)
            for needed, passed, piece in early:
                self.waiting.put_to_sleep(whole or update, needed, passed, piece)
        ready = parts.ready(MAX_STRUCTS)
        steps = [Step(frozenset(), mend(tear(part, own) if own else part)) for part in ready]
        if theirs:
            steps[0] = Step(frozenset(theirs), steps[0].update)
        return steps, list({struct.client: None for struct in parts.structs})

    def _take_structs(self, parts: Split) -> None:
        deletes = IdRanges(parts.deletes)
        before: dict[int, tuple[int, int]] = {}
        types: list[Id] = []
        try:
            for struct in parts.structs:
                client = struct.client
                have = self.clocks.get(client, 0)
                if client not in before:
                    before[client] = (len(self._starts.get(client, ())), have)
                place = self._place_of(struct, have, deletes)
                self._put(client, have, place)
                self.clocks[client] = struct.clock + struct.length
                if struct.content == TYPE and place != _GONE:
                    self._types.setdefault(client, {})[struct.clock] = self._inside(struct.kind, place)
                    types.append((client, struct.clock))
        except UpdateRejected:
            self._take_back(before, types)
            raise

    def _take_back(self, before: dict[int, tuple[int, int]], types: Iterable[Id]) -> None:
        for client, (count, clock) in before.items():
            if client in self._starts:
                del self._starts[client][count:], self._places[client][count:]
            self.clocks[client] = clock
            if not clock:
                del self.clocks[client]
        for client, clock in types:
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

    def _place_of(self, struct: Struct, have: int, deletes: IdRanges) -> int:
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
            if not deletes.covers(struct.client, struct.clock, end):
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
