"""A crowd is sent edits a few peers at a time: each gets all of them, once and in order."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from collabd.rooms.outbox import Frame
from collabd.rooms.peer import Peer
from collabd.rooms.relay import COMMIT_SECONDS, PEERS_AT_ONCE, WRITERS, CrowdRelay

from .kit import ManualLoop

NOBODY = 0


class Notebook:
    """An outbox that keeps the frames."""

    waiting = 0
    write_framed = None

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def send(self, frame: Frame) -> None:
        self.got.append(frame.payload)

    def ping(self, answered: Callable[[], None]) -> None: ...

    def close(self, error: Exception, *, discard: bool = False) -> None: ...


class Person:
    def __init__(self) -> None:
        self.notebook = Notebook()
        self.peer = Peer(self.notebook)
        self.number = self.peer.number
        self.expected: list[bytes] = []

    @property
    def got(self) -> list[bytes]:
        return self.notebook.got


class Hall:
    """As much of a room as it takes."""

    def __init__(self, people: int = 0) -> None:
        self.loop = ManualLoop()
        self.peers: dict[int, Peer] = {}
        self.in_flight: object | None = None
        self.relay = CrowdRelay(self.peers, self, cast(asyncio.AbstractEventLoop, self.loop))
        self.people: list[Person] = []
        self.relayed = 0
        for _ in range(people):
            self.join()

    def join(self) -> Person:
        person = Person()
        self.peers[person.number] = person.peer
        self.people.append(person)
        return person

    def leave(self, person: Person) -> None:
        self.people.remove(person)
        del self.peers[person.number]

    def say(self, *authors: Person, frames: int = 1) -> None:
        """Relay something that these people wrote, or somebody who is not here."""
        fresh = [b"%d" % (self.relayed + number) for number in range(frames)]
        self.relayed += frames
        for person in self.people:
            if list(authors) != [person]:
                person.expected += fresh
        self.relay.relay([Frame(one) for one in fresh], {author.number for author in authors} or {NOBODY})

    @property
    def behind(self) -> list[Person]:
        return [person for person in self.people if person.got != person.expected]


def test_the_others_are_sent_it_a_few_at_a_time() -> None:
    hall = Hall(3 * PEERS_AT_ONCE + 1)
    hall.say(hall.people[-1])
    for left in (2 * PEERS_AT_ONCE, PEERS_AT_ONCE, 0):
        assert len(hall.behind) == left
        assert hall.relay.is_due == (left > 0)
        hall.loop.turn()
    assert hall.people[-1].got == [], "its author has it"


def test_those_who_wrote_last_are_sent_it_at_once() -> None:
    hall = Hall(200)
    *earlier, writer = hall.people[-WRITERS - 1 :]
    for person in earlier:
        hall.say(person)
        hall.loop.advance()
    hall.say(writer)
    assert not set(hall.behind) & set(earlier[1:])
    assert earlier[0] in hall.behind, "so many and no more"
    hall.say(*hall.people[100 : 100 + WRITERS])
    assert not set(hall.behind) & set(hall.people[100 : 100 + WRITERS])


def test_what_many_wrote_together_everybody_is_sent_at_once() -> None:
    hall = Hall(200)
    hall.say()
    hall.say(*hall.people[: WRITERS + 1])
    assert hall.behind == []
    assert not hall.relay.is_due


def test_who_waits_gets_all_there_is_when_it_is_his_turn() -> None:
    hall = Hall(5 * PEERS_AT_ONCE)
    writer, last = hall.people[-1], hall.people[-2]
    hall.say(writer)
    hall.say(writer, frames=2)
    assert len(hall.behind) == 4 * PEERS_AT_ONCE - 1 + PEERS_AT_ONCE, "no second slice in this turn"
    hall.say()
    assert writer.got == writer.expected == [b"3"]
    while last.got == []:
        assert last in hall.behind
        hall.loop.turn()
    assert last.got == [b"0", b"1", b"2", b"3"]
    hall.loop.advance()
    assert hall.behind == []


def test_who_waited_longest_comes_first_however_much_is_said() -> None:
    hall = Hall(10 * PEERS_AT_ONCE)
    writer = hall.people[0]
    for _ in range(10):
        hall.say(writer)
        hall.loop.turn()
    assert all(person.got[:1] == [b"0"] for person in hall.people[1:])


def test_who_leaves_is_sent_nothing_more_and_who_joins_what_comes_then() -> None:
    hall = Hall(3 * PEERS_AT_ONCE)
    hall.say()
    leaver = hall.people[-1]
    hall.leave(leaver)
    newcomer = hall.join()
    hall.loop.advance()
    assert leaver.got == newcomer.got == []
    hall.say()
    hall.loop.advance()
    assert newcomer.got == [b"1"]
    assert hall.behind == []


def test_one_can_be_sent_what_it_lacks_before_its_turn() -> None:
    hall = Hall(3 * PEERS_AT_ONCE)
    asker = hall.people[-1]
    hall.relay.catch_up(asker.peer)
    hall.say()
    hall.relay.catch_up(asker.peer)
    assert asker.got == [b"0"]
    hall.loop.advance()
    assert asker.got == [b"0"]


def test_what_waits_for_it_is_called_when_all_have_been_sent_what_came_before() -> None:
    hall = Hall(4 * PEERS_AT_ONCE)
    called: list[str] = []
    hall.relay.then(lambda: called.append("nothing"))
    assert called == ["nothing"], "there is nothing to wait for"
    hall.say()
    hall.relay.then(lambda: called.append("first"))
    first = list(hall.people)
    hall.loop.turn()
    hall.say()
    hall.relay.then(lambda: called.append("second"))
    while "first" not in called:
        assert not all(person.got for person in first)
        hall.loop.turn()
    assert all(person.got for person in first)
    assert hall.behind
    assert "second" not in called
    hall.loop.advance()
    assert called == ["nothing", "first", "second"]
    assert not hall.relay.is_due


def test_a_commit_goes_first() -> None:
    hall = Hall(10 * PEERS_AT_ONCE)
    hall.say()
    hall.in_flight = "a batch"
    hall.loop.turn()
    hall.loop.turn()
    assert len(hall.behind) == 9 * PEERS_AT_ONCE
    hall.loop.advance(COMMIT_SECONDS)
    assert len(hall.behind) == 8 * PEERS_AT_ONCE, "but not for long"
    hall.in_flight = None
    hall.say()
    assert sum(not person.got for person in hall.people) == 7 * PEERS_AT_ONCE, "it is over"
    hall.loop.advance()
    assert hall.behind == []
    assert not hall.relay.is_due


@pytest.mark.parametrize("turns", [0, 1, 9])
def test_all_can_be_sent_at_once_what_they_lack(turns: int) -> None:
    hall = Hall(4 * PEERS_AT_ONCE)
    called: list[bool] = []
    hall.say(frames=2)
    hall.relay.then(lambda: called.append(True))
    for _ in range(turns):
        hall.loop.turn()
    hall.relay.finish()
    assert called == [True]
    assert hall.behind == []
    assert not hall.relay.is_due
    hall.loop.advance()
    assert hall.behind == []


def test_nothing_is_kept_of_what_all_have() -> None:
    hall = Hall(10 * PEERS_AT_ONCE)
    for _ in range(100):
        hall.say(hall.people[0])
        hall.loop.turn()
        assert len(hall.relay._news) <= 11
    hall.loop.advance()
    assert not hall.relay._news
    assert not hall.relay._behind


@given(st.data())
def test_who_stays_gets_everything_once_and_in_order(data: st.DataObject) -> None:
    hall = Hall(data.draw(st.integers(0, 60)))
    gone: list[tuple[Person, list[bytes]]] = []
    told: list[int] = []

    def tell(count: int) -> None:
        told.append(count)
        for person in hall.people:
            assert len(person.got) >= sum(int(frame) < count for frame in person.expected)

    some = st.lists(st.integers(0, 999), max_size=40, unique_by=lambda number: number % 60)
    steps = ["say", "say", "turn", "turn", "join", "leave", "catch up", "then", "finish", "commit"]
    for step in data.draw(st.lists(st.sampled_from(steps))):
        if step == "join":
            hall.join()
        elif step == "turn":
            hall.loop.turn()
        elif step == "say":
            authors = {number % len(hall.people) for number in data.draw(some)} if hall.people else set()
            hall.say(*(hall.people[number] for number in authors), frames=data.draw(st.integers(1, 3)))
        elif step == "then":
            hall.relay.then(partial(tell, hall.relayed))
        elif step == "commit":
            hall.in_flight = None if hall.in_flight else "a batch"
        elif step == "finish":
            hall.relay.finish()
        elif hall.people:
            person = data.draw(st.sampled_from(hall.people))
            if step == "leave":
                hall.leave(person)
                gone.append((person, list(person.got)))
            else:
                hall.relay.catch_up(person.peer)
                assert person.got == person.expected
        for person in hall.people:
            assert person.got == person.expected[: len(person.got)]
    event(f"somebody lacked something: {bool(hall.behind)}")
    hall.loop.advance(COMMIT_SECONDS * len(hall.people))
    assert hall.behind == []
    assert all(person.got == before for person, before in gone)
    assert told == sorted(told)
