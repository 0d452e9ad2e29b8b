"""How often peers are told who is here, and what those are told that lag behind."""

import pytest

from collabd.protocol import awareness, messages
from collabd.protocol.awareness import Entry
from collabd.rooms.broadcast import (
    BEHIND,
    PEERS_AT_ONCE,
    SECONDS_BETWEEN,
    SECONDS_PER_PEER,
    PresenceBroadcast,
)
from collabd.rooms.outbox import Frame, QueuedOutbox
from collabd.rooms.peer import Peer
from collabd.rooms.presence import Presence
from collabd.rooms.room import LARGE_MESSAGE

from .kit import ManualLoop, Recorder


class Person:
    """A peer with a client id of its own."""

    def __init__(self, hall: "Hall", client: int) -> None:
        self.hall = hall
        self.client = client
        self.got = Recorder()
        self.peer = Peer(self.got)
        self.clock = 0

    def show(self, state: str | None) -> None:
        self.clock += 1
        self.hall.receive(self.peer, [Entry(self.client, self.clock, state)])

    @property
    def heard(self) -> list[tuple[int, str | None]]:
        """What it was told, in order."""
        return [(entry.client, entry.state) for entry in self.got.entries]

    def lags(self, *, still: bool = True) -> None:
        self.got.waiting = BEHIND + 1 if still else 0


class Hall:
    """As much of a room as presence needs."""

    def __init__(self) -> None:
        self.loop = ManualLoop()
        self.presence = Presence(1_000)
        self.peers: dict[int, Peer] = {}
        self.broadcast = PresenceBroadcast(self.presence, self.peers, self.loop)  # type: ignore[arg-type]

    def join(self, peer: Peer) -> None:
        self.peers[peer.number] = peer
        self.broadcast.tell(peer, self.presence.join(peer.number, "somebody"))

    def person(self, client: int) -> Person:
        person = Person(self, client)
        self.join(person.peer)
        return person

    def receive(self, peer: Peer, entries: list[Entry]) -> None:
        self.broadcast.spread(self.presence.receive(peer.number, entries))

    def leave(self, person: Person) -> None:
        del self.peers[person.peer.number]
        self.broadcast.forget(person.peer)
        self.broadcast.spread(self.presence.leave(person.peer.number))


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_at_rest_news_goes_out_at_once(hall: Hall) -> None:
    ada, ben = hall.person(1), hall.person(2)
    for number in range(3):
        ada.show(f'{{"at":{number}}}')
        hall.loop.advance()
        assert ben.heard[-1] == (1, f'{{"at":{number}}}')
        hall.loop.advance(SECONDS_BETWEEN)
    assert len(ben.heard) == 3


def test_a_busy_room_hears_20_times_a_second_how_things_stand(hall: Hall) -> None:
    ada, eve, ben = hall.person(1), hall.person(3), hall.person(2)
    for number in range(1_000):
        ada.show(f'{{"at":{number}}}')
        eve.show(f'{{"at":{number}}}')
        hall.loop.advance(0.001)
    hall.loop.advance(SECONDS_BETWEEN)
    told = ben.got.of(messages.AwarenessMessage)
    assert 20 <= len(told) <= 21
    assert all(len(awareness.decode(message.payload)) == 2 for message in told)
    assert ben.heard[-2:] == [(1, '{"at":999}'), (3, '{"at":999}')]
    assert {client for client, _ in ada.heard} == {3}, "nobody is told of itself"
    assert not hall.broadcast.is_due


def test_who_leaves_just_after_a_broadcast_is_gone_with_the_next(hall: Hall) -> None:
    ada, ben = hall.person(1), hall.person(2)
    ada.show("{}")
    hall.loop.advance()
    hall.leave(ada)
    hall.loop.advance(SECONDS_BETWEEN)
    assert ben.heard == [(1, "{}"), (1, None)]


def test_a_newcomer_hears_of_everybody_at_once(hall: Hall) -> None:
    ada = hall.person(1)
    ada.show("{}")
    hall.loop.advance()
    assert hall.person(2).heard == [(1, "{}")]


def test_a_large_room_is_told_bit_by_bit(hall: Hall) -> None:
    speaker, *others = [hall.person(client) for client in range(1, 2 * PEERS_AT_ONCE + 2)]
    speaker.show("{}")
    hall.loop.advance()
    assert [bool(person.heard) for person in others].count(True) == PEERS_AT_ONCE - 1
    hall.leave(others[-1])
    hall.loop.advance(PEERS_AT_ONCE * SECONDS_PER_PEER)
    assert [bool(person.heard) for person in others].count(True) == 2 * PEERS_AT_ONCE - 1
    hall.loop.advance(PEERS_AT_ONCE * SECONDS_PER_PEER)
    assert not others[-1].heard, "it left before it was its turn"


# Who lags


def test_who_lags_is_told_nothing_until_it_has_caught_up_and_then_how_things_stand(hall: Hall) -> None:
    ada, ben, eve, gone, slow = (hall.person(client) for client in (1, 2, 3, 4, 5))
    for person in (ada, ben, eve, gone):
        person.show('{"here":1}')
    hall.loop.advance(SECONDS_BETWEEN)
    before = len(slow.heard)
    assert before == 4
    slow.lags()
    for number in range(50):
        ada.show(f'{{"at":{number}}}')
        if number == 7:
            ben.show('{"at":"last"}')
        hall.loop.advance(SECONDS_BETWEEN)
    hall.leave(gone)
    hall.loop.advance(10.0)
    assert len(slow.heard) == before
    assert len(ada.heard) == 5, "nobody else is affected"
    slow.lags(still=False)
    hall.loop.advance(SECONDS_BETWEEN)
    assert sorted(slow.heard[before:]) == [(1, '{"at":49}'), (2, '{"at":"last"}'), (4, None)]
    hall.loop.advance(10.0)
    assert not hall.broadcast.is_due


def test_who_has_caught_up_does_not_hear_twice(hall: Hall) -> None:
    ada, slow = hall.person(1), hall.person(5)
    slow.lags()
    ada.show('{"at":1}')
    hall.loop.advance(SECONDS_BETWEEN)
    slow.lags(still=False)
    ada.show('{"at":2}')
    hall.loop.advance(SECONDS_BETWEEN)
    ada.show('{"at":3}')
    hall.loop.advance(SECONDS_BETWEEN)
    assert slow.heard == [(1, '{"at":2}'), (1, '{"at":3}')]


def test_who_lags_and_leaves_is_forgotten(hall: Hall) -> None:
    ada, slow = hall.person(1), hall.person(5)
    slow.lags()
    ada.show("{}")
    hall.loop.advance(SECONDS_BETWEEN)
    assert hall.broadcast.is_due
    hall.leave(slow)
    hall.loop.advance(SECONDS_BETWEEN)
    assert not hall.broadcast.is_due


async def test_presence_closes_nobody_and_edits_do(hall: Hall) -> None:
    outbox = QueuedOutbox(BEHIND + 1_000)
    hall.join(Peer(outbox))
    people = [hall.person(client) for client in range(1, 40)]
    for _ in range(100):
        for person in people:
            person.show(f'{{"large":"{"x" * 8_000}"}}')
        hall.loop.advance(SECONDS_BETWEEN)
    assert BEHIND < outbox.waiting < BEHIND + 10_000
    assert not outbox.closed.done()
    for _ in range(3):
        outbox.send(Frame(bytes(8_000)))
    assert outbox.closed.done()


async def test_not_even_a_newcomer_s_first_message_closes_it(hall: Hall) -> None:
    for client in range(1, 40):
        hall.person(client).show(f'{{"large":"{"x" * 8_000}"}}')
    outbox = QueuedOutbox(BEHIND)
    hall.join(Peer(outbox))
    assert outbox.waiting > BEHIND
    assert not outbox.closed.done()


# What comes back


def test_a_message_holds_no_more_than_is_cheap_to_read_when_it_comes_back(hall: Hall) -> None:
    people = [hall.person(client) for client in range(1, 201)]
    for person in people:
        person.show(f'{{"name":"{"x" * 100}"}}')
    frames = hall.person(300).got.frames
    assert len(frames) > 1
    assert max(map(len, frames)) < LARGE_MESSAGE
    assert len(hall.person(301).heard) == 200


def test_a_repeated_broadcast_is_recognized(hall: Hall) -> None:
    people = [hall.person(client) for client in range(1, 13)]
    for person in people:
        person.show(f'{{"name":"{"x" * 100}"}}')
    watcher = hall.person(300)
    for person in people:
        person.show(f'{{"name":"{"y" * 100}"}}')
    hall.loop.advance(SECONDS_BETWEEN)
    late = hall.person(301)
    ((*_, cut), (*_, whole)) = people[0].got.frames, watcher.got.frames
    assert len(cut) < len(whole)
    assert hall.broadcast.is_hearsay(watcher.peer, whole)
    assert hall.broadcast.is_hearsay(people[0].peer, cut)
    assert not hall.broadcast.is_hearsay(people[1].peer, cut), "that is not what it was told"
    assert not hall.broadcast.is_hearsay(watcher.peer, whole[:-1] + b" ")
    assert not hall.broadcast.is_hearsay(late.peer, whole), "it was not here"


def test_after_the_end_nobody_is_told_anything(hall: Hall) -> None:
    ada, ben = hall.person(1), hall.person(2)
    ada.show("{}")
    hall.broadcast.close()
    ada.show("[]")
    hall.loop.advance(10.0)
    assert ben.heard == []
