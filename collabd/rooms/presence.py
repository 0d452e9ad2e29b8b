"""Who is here, as the room vouches for it. Pure: entries in, entries to broadcast out.

A connection owns one awareness client id: the first it speaks for. Entries for other ids are dropped, since
stock providers rebroadcast everybody's. The clocks that leave the room are the room's own and only ever grow,
because clients ignore an entry whose clock they have seen, also after its owner left and came back with the
clock it had, and also after they were away themselves and forgot the entry but not the clock; be it that the
room was unloaded meanwhile, or the server started again.

Other nodes speak for the clients that are connected to them. A client that two nodes speak for belongs to the
one to which it came last: the other one did not notice yet that its connection is dead.
"""

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from collabd.bridge.messages import Person
from collabd.protocol.awareness import Entry

REMEMBERED_CLOCKS: Final = 4096
"""Clients that have left whose clocks are still known."""
AHEAD: Final = 2**16
"""How far beyond the time clocks may be: a client has to be busy for an hour to get there with what it says.
Those beyond are its own doing, so they are not told to others. Nor is anybody raised above them, whom all who
are still there when the room begins anew would take for somebody of the past."""
MAX_CLOCK: Final = 2**32 - 2**20
"""Entries beyond it are dropped: the room needs clocks above those it receives, and 32 bits hold no more."""


class _Sent(NamedTuple):
    clock: int
    at: int
    """When, on the clock of ``Presence.time``."""


class _Member(NamedTuple):
    person: str
    since: int


class _Elsewhere(NamedTuple):
    node: bytes
    person: str
    since: int
    """When it came to that node, in milliseconds since the epoch."""
    clock: int
    """What that node said last."""


class Presence:
    """The awareness of one room.

    Args:
        floor: where the clocks begin that leave the room. It must be above those of the room before this one,
            from which clients may still know each other: take it from the time.
    """

    def __init__(self, floor: int = 0) -> None:
        self._floor = floor
        self._now = floor
        self._base = floor
        """No clock leaves the room below this."""
        self._owner: dict[int, int] = {}
        self._owned: dict[int, int] = {}
        self._members: dict[int, _Member] = {}
        self._received: dict[int, int] = {}
        self._sent: dict[int, _Sent] = {}
        self._came: dict[int, int] = {}
        """When the clients came that are connected here, in milliseconds since the epoch."""
        self._elsewhere: dict[int, _Elsewhere] = {}
        self.time = 0
        """Comings and tellings so far."""
        self._present: dict[int, Entry] = {}

    def join(self, peer: int, person: str, floor: int = 0) -> list[Entry]:
        """Take in a connection of ``person``; the answer is everybody it should hear of.

        It may have heard of them on another node, whose clocks are its own: what that told of those who came
        to it or left it, and the time (``floor``, as for a new room), say how far they are at least.
        """
        self.time += 1
        self._members[peer] = _Member(person, self.time)
        self._look_at(floor)
        for entry in self.everyone():
            self._raise_above(entry.clock)
        return [self._publish(entry.client, 0, entry.state) for entry in self.everyone()]

    def everyone(self) -> list[Entry]:
        """An entry for each client that is present."""
        return list(self._present.values())

    def receive(self, peer: int, entries: Sequence[Entry], now: int = 0) -> list[Entry]:
        """Take in what a connection says at the time ``now``, in milliseconds since the epoch; the answer is
        what changed, to be broadcast."""
        return [
            self._publish(entry.client, entry.clock, entry.state)
            for entry in entries
            if self._may_speak(peer, entry, now) and self._is_news(entry)
        ]

    def leave(self, peer: int) -> list[Entry]:
        """Forget a connection; the answer is the removal to broadcast."""
        del self._members[peer]
        client = self._owned.pop(peer, None)
        if client is None:
            return []
        self._disown(client)
        if client not in self._present:
            return []
        return [self._publish(client, 0, None)]

    # Other nodes

    def hear(self, node: bytes, people: Sequence[Person], floor: int = 0) -> list[Entry]:
        """Take in what another node says of its clients at a time (``floor``, as for a new room); the answer
        is what changed, to be broadcast here."""
        self._look_at(floor)
        return [
            self._publish(person.client, person.clock, person.state)
            for person in people
            if (self._has_left(node, person) if person.state is None else self._is_there(node, person))
        ]

    def lose(self, node: bytes, but: Collection[int] = ()) -> list[Entry]:
        """Another node is gone, and its clients with it, or all but some; the answer are the removals to
        broadcast here."""
        gone = [
            client
            for client, elsewhere in self._elsewhere.items()
            if elsewhere.node == node and client not in but
        ]
        for client in gone:
            del self._elsewhere[client]
        return [self._publish(client, 0, None) for client in gone]

    def told(self, clients: Iterable[int] | None = None) -> list[Person]:
        """What there is to tell other nodes of these clients, or of all that are connected here."""
        found: list[Person] = []
        for client in self._owner if clients is None else clients:
            clock = self._clock_sent(client)
            if client in self._owner and client in self._present:
                person = self._members[self._owner[client]].person
                found.append(Person(client, clock, self._came[client], person, self._present[client].state))
            elif client not in self._elsewhere:
                found.append(Person(client, clock, 0, "", None))
        return found

    def _has_left(self, node: bytes, person: Person) -> bool:
        elsewhere = self._elsewhere.get(person.client)
        if elsewhere is None or elsewhere.node != node:
            return False
        del self._elsewhere[person.client]
        self._raise_above(person.clock)
        return True

    def _is_there(self, node: bytes, person: Person) -> bool:
        client = person.client
        owner, elsewhere = self._owner.get(client), self._elsewhere.get(client)
        if not 0 <= person.clock <= MAX_CLOCK:
            return False
        if owner is not None:
            if self._members[owner].person != person.who or person.since <= self._came[client]:
                return False
            del self._owned[owner]
            self._disown(client)
        elif elsewhere is not None and elsewhere.node == node:
            if (person.since, person.clock) <= (elsewhere.since, elsewhere.clock):
                return False
        elif elsewhere is not None and (elsewhere.person != person.who or person.since <= elsewhere.since):
            return False
        if elsewhere is None or elsewhere.node != node:
            self._raise_above(person.clock)
        self._elsewhere[client] = _Elsewhere(node, person.who, person.since, person.clock)
        return True

    def _look_at(self, floor: int) -> None:
        self._now = max(self._now, floor)
        self._base = max(self._base, self._now)

    def _raise_above(self, clock: int) -> None:
        if clock < self._now + AHEAD:
            self._base = max(self._base, clock + 1)

    def _disown(self, client: int) -> None:
        del self._owner[client]
        del self._came[client]
        self._received.pop(client, None)

    def may_echo(self, peer: int) -> bool:
        """Whether the connection's own entries may be sent back to it.

        A client takes an entry about itself with a higher clock for the truth, so an entry whose clock the
        room had to raise must not return to its owner.
        """
        client = self._owned.get(peer)
        return client is None or self._clock_sent(client) == self._received.get(client)

    def client_of(self, peer: int) -> int | None:
        """The awareness client id that a connection speaks for."""
        return self._owned.get(peer)

    def joined_at(self, peer: int) -> int:
        """When the connection joined, on the clock of ``time``."""
        return self._members[peer].since

    @property
    def known(self) -> AbstractSet[int]:
        """The clients that are present, and those that have left and are not forgotten."""
        return self._sent.keys()

    def latest(self, client: int) -> Entry | None:
        """What there is to say of a client now; None if it is not known."""
        entry = self._present.get(client)
        if entry is None and client in self._sent:
            entry = Entry(client, self._sent[client].clock, None)
        return entry

    def state_of(self, peer: int) -> str | None:
        """What the connection said last about itself, as JSON."""
        client = self._owned.get(peer)
        entry = None if client is None else self._present.get(client)
        return None if entry is None else entry.state

    def _may_speak(self, peer: int, entry: Entry, now: int) -> bool:
        owner = self._owner.get(entry.client)
        if owner == peer:
            return True
        if peer in self._owned or entry.state is None:
            return False
        if self._floor <= entry.clock <= self._clock_sent(entry.client) and self._may_be_hearsay(
            peer, entry.client
        ):
            return False
        if owner is not None:
            # A reconnecting client takes over from its own connection that has not been noticed to be dead.
            if self._members[owner].person != self._members[peer].person:
                return False
            del self._owned[owner]
        elsewhere = self._elsewhere.get(entry.client)
        if elsewhere is not None:
            if elsewhere.person != self._members[peer].person:
                return False
            del self._elsewhere[entry.client]
        self._owner[entry.client] = peer
        self._owned[peer] = entry.client
        # Later than wherever it was before, whatever the clocks of those machines say.
        self._came[entry.client] = now if elsewhere is None else max(now, elsewhere.since + 1)
        self._received.pop(entry.client, None)
        return True

    def _may_be_hearsay(self, peer: int, client: int) -> bool:
        """Whether the connection was told of the client here, and so may only repeat what it heard. Whoever
        does that has a clock that the room gave out."""
        return (
            client in self._owner
            or client in self._elsewhere
            or (client in self._sent and self._sent[client].at > self._members[peer].since)
        )

    def _clock_sent(self, client: int) -> int:
        return self._sent[client].clock if client in self._sent else self._floor

    def _is_news(self, entry: Entry) -> bool:
        received = self._received.get(entry.client, -1)
        if not received <= entry.clock <= MAX_CLOCK or (entry.clock == received and entry.state is not None):
            return False
        self._received[entry.client] = entry.clock
        return entry.state is not None or entry.client in self._present

    def _publish(self, client: int, clock: int, state: str | None) -> Entry:
        least = max(self._clock_sent(client) + 1, self._base)
        clock = max(clock, least) if clock < self._now + AHEAD else least
        self.time += 1
        self._sent.pop(client, None)
        self._sent[client] = _Sent(clock, self.time)
        entry = Entry(client, clock, state)
        if state is None:
            self._present.pop(client, None)
            self._forget_old_clocks()
        else:
            self._present[client] = entry
        return entry

    def _forget_old_clocks(self) -> None:
        excess = len(self._sent) - len(self._present) - REMEMBERED_CLOCKS
        if excess > 0:
            gone = [client for client in self._sent if client not in self._present][:excess]
            for client in gone:
                del self._sent[client]
