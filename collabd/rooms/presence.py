"""Who is here, as the room vouches for it. Pure: entries in, entries to broadcast out.

A connection owns one awareness client id: the first it speaks for. Entries for other ids are dropped, since
stock providers rebroadcast everybody's. The clocks that leave the room are the room's own and only ever grow,
because clients ignore an entry whose clock they have seen, also after its owner left and came back with the
clock it had, and also after they were away themselves and forgot the entry but not the clock; be it that the
room was unloaded meanwhile, or the server started again.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from collabd.protocol.awareness import Entry

REMEMBERED_CLOCKS: Final = 4096
"""Clients that have left whose clocks are still known."""
MAX_CLOCK: Final = 2**32 - 2**20
"""Entries beyond it are dropped: the room needs clocks above those it receives, and 32 bits hold no more."""


class _Sent(NamedTuple):
    clock: int
    at: int
    """When, on the clock of ``Presence.time``."""


class _Member(NamedTuple):
    person: str
    since: int


class Presence:
    """The awareness of one room.

    Args:
        floor: where the clocks begin that leave the room. It must be above those of the room before this one,
            from which clients may still know each other: take it from the time.
    """

    def __init__(self, floor: int = 0) -> None:
        self._floor = floor
        self._owner: dict[int, int] = {}
        self._owned: dict[int, int] = {}
        self._members: dict[int, _Member] = {}
        self._received: dict[int, int] = {}
        self._sent: dict[int, _Sent] = {}
        self.time = 0
        """Comings and tellings so far."""
        self._present: dict[int, Entry] = {}

    def join(self, peer: int, person: str) -> list[Entry]:
        """Take in a connection of ``person``; the answer is everybody it should hear of."""
        self.time += 1
        self._members[peer] = _Member(person, self.time)
        return [self._publish(entry.client, 0, entry.state) for entry in self.everyone()]

    def everyone(self) -> list[Entry]:
        """An entry for each client that is present."""
        return list(self._present.values())

    def receive(self, peer: int, entries: Sequence[Entry]) -> list[Entry]:
        """Take in what a connection says; the answer is what changed, to be broadcast."""
        return [
            self._publish(entry.client, entry.clock, entry.state)
            for entry in entries
            if self._may_speak(peer, entry) and self._is_news(entry)
        ]

    def leave(self, peer: int) -> list[Entry]:
        """Forget a connection; the answer is the removal to broadcast."""
        del self._members[peer]
        client = self._owned.pop(peer, None)
        if client is None:
            return []
        del self._owner[client]
        self._received.pop(client, None)
        if client not in self._present:
            return []
        return [self._publish(client, 0, None)]

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

    def _may_speak(self, peer: int, entry: Entry) -> bool:
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
        self._owner[entry.client] = peer
        self._owned[peer] = entry.client
        self._received.pop(entry.client, None)
        return True

    def _may_be_hearsay(self, peer: int, client: int) -> bool:
        """Whether the connection was told of the client here, and so may only repeat what it heard. Whoever
        does that has a clock that the room gave out."""
        return client in self._owner or (
            client in self._sent and self._sent[client].at > self._members[peer].since
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
        clock = max(clock, self._clock_sent(client) + 1)
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
