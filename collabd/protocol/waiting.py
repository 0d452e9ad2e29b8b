"""The updates that wait for one they build on: what of them waits, for which clock, and what it holds.

Whether an update that comes again brings anything new cannot be told by its ids while they are not
integrated: anybody may claim ids that somebody else will use. Of what waits, only the same bytes at the same
ids count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from collabd.protocol import wire
from collabd.protocol.ranges import IdRanges
from collabd.protocol.walk import SKIP, Id, Struct, UpdateSummary, walk

Clocks = Mapping[int, int]
Range = tuple[int, int, int]
"""A client, and the half-open stretch of its clocks."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """One update of which something waits."""

    update: bytes
    order: int
    """Grows from update to update. Those that may wake together do so in this order, which is that of the
    log, so that a document loaded from it ends like the one before."""
    structs: dict[bytes, Id]
    """Fingerprints of those structs that had to wait when it came, with the client and the clock each ends
    at."""
    deletes: tuple[Range, ...]
    clients: frozenset[int]
    asleep: set[int] = field(default_factory=set)
    """The numbers of its pieces that wait."""


class _Sleeper(NamedTuple):
    """A piece of an update, and a clock that must be passed for it to be looked at again."""

    clock: int
    order: int
    piece: bytes
    number: int
    waiter: _Waiter


class Waiting:
    """Updates of which something waits. ``update in waiting`` tells whether the same bytes are among them."""

    __slots__ = ("_asleep", "_clients", "_count", "_entries", "_holders", "_sleepers", "_waiters")

    def __init__(self) -> None:
        self._waiters: dict[bytes, _Waiter] = {}
        self._holders: dict[bytes, list[_Waiter]] = {}
        """By fingerprint of a struct, the updates in which it waits."""
        self._clients: dict[int, int] = {}
        """Of how many updates structs of a client wait."""
        self._sleepers: dict[int, list[_Sleeper]] = {}
        """By client, what is looked at again when the client passes a clock. Some of it may be awake."""
        self._entries = self._asleep = 0
        """How many entries ``_sleepers`` has, and how many pieces are asleep."""
        self._count = 0

    def __contains__(self, update: bytes) -> bool:
        return update in self._waiters

    def __bool__(self) -> bool:
        return bool(self._waiters)

    @property
    def pieces(self) -> list[bytes]:
        """Those parts of updates that wait, in the order in which they came."""
        asleep = {
            sleeper.number: sleeper.piece
            for sleepers in self._sleepers.values()
            for sleeper in sleepers
            if sleeper.number in sleeper.waiter.asleep
        }
        return [asleep[number] for number in sorted(asleep)]

    def add(
        self, update: bytes, structs: Iterable[tuple[int, int, int, bytes]], deletes: tuple[Range, ...]
    ) -> None:
        """Begin to keep an update, of which so far nothing waits.

        Args:
            structs: client, first clock, the clock behind the last, and bytes of those of its structs that
                must wait.
            deletes: all that it deletes.
        """
        self._count += 1
        fingerprints: dict[bytes, Id] = {}
        clients = set()
        for client, clock, end, encoded in structs:
            fingerprints[_fingerprint(client, clock, encoded)] = client, end
            clients.add(client)
        waiter = _Waiter(update, self._count, fingerprints, deletes, frozenset(clients))
        self._waiters[update] = waiter
        for fingerprint in fingerprints:
            self._holders.setdefault(fingerprint, []).append(waiter)
        for client in clients:
            self._clients[client] = self._clients.get(client, 0) + 1

    def put_to_sleep(self, update: bytes, needed: Id, passed: Id, piece: bytes) -> None:
        """Keep a piece of an update that was added until that exists which it needs, or until there is
        something else in the place of its first struct (where ``passed`` is)."""
        waiter = self._waiters[update]
        self._count += 1
        waiter.asleep.add(self._count)
        self._asleep += 1
        for client, clock in {needed, passed}:
            sleeper = _Sleeper(clock, waiter.order, piece, self._count, waiter)
            heappush(self._sleepers.setdefault(client, []), sleeper)
            self._entries += 1

    def wake(self, client: int, clocks: Clocks) -> tuple[bytes, bytes] | None:
        """The next piece that waited for a clock the client has passed, and its update; None if there is
        none.

        Tell what became of it: :meth:`done`, or :meth:`drop`.
        """
        sleepers = self._sleepers.get(client)
        while sleepers and sleepers[0].clock < clocks.get(client, 0):
            sleeper = heappop(sleepers)
            self._entries -= 1
            if sleeper.number in sleeper.waiter.asleep:
                sleeper.waiter.asleep.remove(sleeper.number)
                self._asleep -= 1
                return sleeper.piece, sleeper.waiter.update
        return None

    def done(self, update: bytes) -> None:
        """A piece that woke was taken in, and what of it must wait again was put to sleep again."""
        waiter = self._waiters[update]
        if not waiter.asleep:
            self._forget(waiter)

    def drop(self, update: bytes) -> None:
        """Keep nothing of an update any longer."""
        waiter = self._waiters.get(update)
        if waiter is not None:
            self._forget(waiter)

    def repeats(self, update: bytes, summary: UpdateSummary, clocks: Clocks, deletes: IdRanges) -> bool:
        """Whether all that an update brings beyond a document waits here already.

        A deletion has no bytes to compare, so its ids count; but only those in updates all of whose structs
        stand in this one too, or are not waited for any more. Others may turn out to be harmful, and are then
        dropped with their deletions.

        Args:
            clocks: the document's state vector.
            deletes: its delete set.
        """
        if not self._waiters:
            return False
        for client, _, end in summary.structs:
            if end > clocks.get(client, 0) and client not in self._clients:
                return False
        early: list[Range] = []
        for client, start, end in summary.deletes:
            have = clocks.get(client, 0)
            if not deletes.covers(client, start, min(end, have)):
                return False
            if end > have:
                early.append((client, max(start, have), end))
        brought: set[bytes] = set()

        def visit(struct: Struct) -> None:
            client, clock, length, content, *_ = struct
            if content != SKIP and clock + length > clocks.get(client, 0):
                brought.add(_fingerprint(client, clock, update[struct.begin : struct.end]))

        walk(update, visit)
        if not brought <= self._holders.keys():
            return False
        if not early:
            return True
        known = IdRanges(
            deleted
            for waiter in self._waiters.values()
            if waiter.deletes
            and all(
                fingerprint in brought or end <= clocks.get(client, 0)
                for fingerprint, (client, end) in waiter.structs.items()
            )
            for deleted in waiter.deletes
        )
        return all(known.covers(client, start, end) for client, start, end in early)

    def _forget(self, waiter: _Waiter) -> None:
        del self._waiters[waiter.update]
        self._asleep -= len(waiter.asleep)
        waiter.asleep.clear()
        if self._entries > 4 * self._asleep:
            self._sweep()
        for fingerprint in waiter.structs:
            holders = self._holders[fingerprint]
            if len(holders) > 1:
                holders.remove(waiter)
            else:
                del self._holders[fingerprint]
        for client in waiter.clients:
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]

    def _sweep(self) -> None:
        """Lets go of what is not asleep any more, before it is most of what is kept."""
        swept = {
            client: [sleeper for sleeper in sleepers if sleeper.number in sleeper.waiter.asleep]
            for client, sleepers in self._sleepers.items()
        }
        self._sleepers = {client: sleepers for client, sleepers in swept.items() if sleepers}
        for sleepers in self._sleepers.values():
            heapify(sleepers)
        self._entries = sum(map(len, self._sleepers.values()))


def _fingerprint(client: int, clock: int, encoded: bytes) -> bytes:
    return blake2b(wire.uint(client) + wire.uint(clock) + encoded, digest_size=16).digest()
