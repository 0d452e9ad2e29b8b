"""Who is here on which node: that all nodes come to see the same, whatever of their messages is lost."""

from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.bridge.messages import Person
from collabd.protocol.awareness import Entry
from collabd.rooms.presence import AHEAD, MAX_CLOCK, Presence

ONE, TWO = b"node one", b"node two"
FLOOR = 10**6
"""Above all clocks that clients have themselves."""


def states(presence: Presence) -> dict[int, str | None]:
    return {entry.client: entry.state for entry in presence.everyone()}


def there(client: int, *, clock: int = 1, since: int = 100, who: str = "ada", state: str = "{}") -> Person:
    return Person(client, clock, since, who, state)


def gone(client: int) -> Person:
    return Person(client, 9, 0, "", None)


def test_a_node_speaks_for_its_clients() -> None:
    presence = Presence()
    (entry,) = presence.hear(ONE, [there(5)])
    assert (entry.client, entry.state) == (5, "{}")
    assert presence.hear(ONE, [there(5)]) == [], "it says it again"
    assert [entry.state for entry in presence.hear(ONE, [there(5, clock=2, state='{"a":1}')])] == ['{"a":1}']
    assert presence.hear(TWO, [gone(5)]) == [], "it is not that node's"
    assert [entry.state for entry in presence.hear(ONE, [gone(5)])] == [None]
    assert presence.hear(ONE, [gone(5)]) == []
    assert states(presence) == {}


def test_clocks_that_leave_the_room_only_grow() -> None:
    presence = Presence(1000)
    clocks = [entry.clock for entry in presence.hear(ONE, [there(5, clock=7)])]
    clocks += [entry.clock for entry in presence.join(1, "ben")]
    clocks += [entry.clock for entry in presence.hear(ONE, [there(5, clock=8)])]
    clocks += [entry.clock for entry in presence.lose(ONE)]
    clocks += [entry.clock for entry in presence.hear(TWO, [there(5, clock=1)])]
    assert clocks == sorted(set(clocks))
    assert len(clocks) == 5


@pytest.mark.parametrize("moves", [0, 3])
@pytest.mark.parametrize("floors", [(0, 1000), (1000, 0)])
def test_who_changes_nodes_sees_those_who_stayed(floors: tuple[int, int], moves: int) -> None:
    one, two = (Presence(FLOOR + floor) for floor in floors)
    two.join(1, "bob")
    two.receive(1, [Entry(7, 0, "{}")], now=100)
    one.hear(TWO, two.told())
    seen = [entry.clock for entry in one.join(1, "ada")]
    one.receive(1, [Entry(5, 0, "{}")], now=200)
    two.hear(ONE, one.told([5]))
    for move in range(moves):
        two.receive(1, [Entry(7, move + 1, f'{{"at":{move}}}')])
        seen += [entry.clock for entry in one.hear(TWO, two.told([7]))]
    one.leave(1)
    two.hear(ONE, one.told([5]))
    seen += [entry.clock for entry in two.join(2, "ada") if entry.client == 7]
    assert seen == sorted(set(seen)), "what has a clock that was seen is ignored"
    assert len(seen) == moves + 2


def test_who_changes_nodes_before_that_is_told_sees_those_who_stayed() -> None:
    """As when a node dies: time alone has to tell."""
    one, two = Presence(FLOOR + 900), Presence(FLOOR)
    two.join(1, "bob")
    two.receive(1, [Entry(7, 0, "{}")], now=100)
    one.hear(TWO, two.told())
    seen = [entry.clock for entry in one.join(1, "ada", FLOOR + 1000)]
    (again,) = two.join(2, "ada", FLOOR + 1016)
    assert again.clock > max(seen)


def test_a_client_s_own_clock_is_no_measure_for_others() -> None:
    """They would soon be used up."""
    one, two = Presence(FLOOR), Presence(FLOOR)
    two.join(1, "eve")
    two.receive(1, [Entry(7, MAX_CLOCK, "{}")], now=100)
    one.hear(TWO, two.told())
    one.join(1, "ada", FLOOR)
    one.receive(1, [Entry(5, 0, "{}")], now=200)
    (told,) = one.told([5])
    assert told.clock < FLOOR + AHEAD


def test_what_somebody_makes_of_his_clock_is_not_told_and_not_caught_up_with() -> None:
    """Who is still there when the server starts again would take everybody for somebody of the past."""
    presence = Presence(FLOOR)
    presence.join(1, "eve")
    (first,) = presence.receive(1, [Entry(7, FLOOR + AHEAD, "{}")])
    (second,) = presence.receive(1, [Entry(7, FLOOR + 2 * AHEAD, '{"a":1}')])
    assert FLOOR < first.clock < second.clock < FLOOR + 10
    assert not presence.may_echo(1)
    presence.join(2, "ada")
    presence.receive(2, [Entry(5, 0, "{}")])
    for peer in range(3, 20):
        assert all(entry.clock < FLOOR + 100 for entry in presence.join(peer, "ben", FLOOR + peer))


def test_who_came_last_to_a_node_is_there_and_not_where_he_was() -> None:
    presence = Presence()
    presence.hear(ONE, [there(5, since=100, clock=50)])
    assert presence.hear(TWO, [there(5, since=99, clock=80)]) == [], "that was before"
    assert presence.hear(TWO, [there(5, since=101, clock=1, state='{"a":1}')])
    assert presence.hear(ONE, [there(5, since=100, clock=60)]) == []
    assert presence.hear(ONE, [gone(5)]) == []
    assert states(presence) == {5: '{"a":1}'}


def test_who_comes_back_here_leaves_the_other_node_and_the_other_way_round() -> None:
    presence = Presence(FLOOR)
    presence.hear(ONE, [there(5, since=100)])
    presence.join(1, "ada")
    assert presence.receive(1, [Entry(5, 2, '{"a":1}')], now=50), "that machine's clock is behind"
    (told,) = presence.told()
    assert told.since == 101
    assert presence.hear(ONE, [there(5, since=100, clock=90)]) == []
    assert presence.hear(ONE, [gone(5)]) == []
    assert states(presence) == {5: '{"a":1}'}
    assert presence.hear(ONE, [there(5, since=102, clock=1, state='{"b":1}')])
    assert presence.client_of(1) is None
    assert presence.leave(1) == []
    assert states(presence) == {5: '{"b":1}'}


def test_nobody_takes_over_what_is_another_s() -> None:
    presence = Presence()
    presence.hear(ONE, [there(5, who="ada")])
    presence.join(1, "eve")
    assert presence.receive(1, [Entry(5, 2**20, '{"a":1}')], now=500) == []
    assert presence.hear(TWO, [there(5, who="eve", since=999)]) == []
    presence.join(2, "ben")
    presence.receive(2, [Entry(6, 1, "{}")], now=500)
    assert presence.hear(ONE, [there(6, who="eve", since=999)]) == []
    assert states(presence) == {5: "{}", 6: "{}"}


@pytest.mark.parametrize("clock", [-1, MAX_CLOCK + 1])
def test_a_clock_out_of_bounds_is_passed_over(clock: int) -> None:
    assert Presence().hear(ONE, [there(5, clock=clock)]) == []


def test_a_lost_node_takes_all_of_its_people_along_or_all_but_some() -> None:
    presence = Presence()
    presence.hear(ONE, [there(5), there(6), there(7)])
    presence.hear(TWO, [there(8)])
    assert [entry.client for entry in presence.lose(ONE, but=[6])] == [5, 7]
    assert [entry.client for entry in presence.lose(ONE)] == [6]
    assert states(presence) == {8: "{}"}


def test_what_is_told_is_what_is_here() -> None:
    presence = Presence()
    presence.join(1, "ada")
    presence.receive(1, [Entry(5, 3, "{}")], now=70)
    presence.hear(ONE, [there(6)])
    clock = presence.everyone()[0].clock
    assert presence.told() == [Person(5, clock, 70, "ada", "{}")]
    assert presence.told([6]) == []
    presence.leave(1)
    (left,) = presence.told([5])
    assert (left.client, left.state) == (5, None)
    assert left.clock > clock


class Town:
    """Nodes, and people who come, move about, and leave."""

    def __init__(self, count: int, chance: Random) -> None:
        self.chance = chance
        self.nodes = [Presence(FLOOR + 1000 * number) for number in range(count)]
        self._ids = [bytes([number]) * 8 for number in range(count)]
        self._on_the_way: dict[tuple[int, int], deque[list[Person]]] = {
            (sender, reader): deque()
            for sender in range(count)
            for reader in range(count)
            if sender != reader
        }
        self.peers: dict[int, tuple[int, int]] = {}
        """By peer: the node, and the client."""
        self._alive: dict[int, int] = {}
        """By client: its connection that is not dead."""
        self.states: dict[int, str] = {}
        """What each client that is connected said last."""
        self._clocks: dict[int, int] = {}
        self._now = 0
        self._next = 0

    def step(self) -> None:
        self._now += 1
        kind = self.chance.choice(("come", "move", "say", "leave", "deliver", "deliver", "lose"))
        if kind == "come" or not self.peers:
            self._connect(self.chance.randrange(len(self.nodes)), client=100 + self._next)
        elif kind == "say":
            self._say(self.chance.choice(list(self.peers)))
        elif kind == "leave":
            self._leave(self.chance.choice(list(self.peers)))
        elif kind == "move":
            # The old connection is noticed to be dead some time later, or before.
            peer = self.chance.choice(list(self.peers))
            node, client = self.peers[peer]
            self._connect((node + 1) % len(self.nodes), client)
        else:
            waiting = [queue for queue in self._on_the_way.values() if queue]
            if waiting:
                queue = self.chance.choice(waiting)
                said = queue.popleft()
                if kind == "deliver":
                    self._deliver(queue, said)

    def end(self) -> None:
        """Dead connections are noticed, everything that is on its way comes, and all say who is there."""
        for peer in [peer for peer, (_, client) in self.peers.items() if self._alive.get(client) != peer]:
            self._leave(peer)
        for _ in range(2):
            for (sender, reader), queue in self._on_the_way.items():
                while queue:
                    self.nodes[reader].hear(self._ids[sender], queue.popleft())
                people = self.nodes[sender].told()
                self.nodes[reader].hear(self._ids[sender], people)
                self.nodes[reader].lose(
                    self._ids[sender], but=[each.client for each in people if each.state is not None]
                )

    def _deliver(self, queue: deque[list[Person]], said: list[Person]) -> None:
        for (sender, reader), other in self._on_the_way.items():
            if other is queue:
                self.nodes[reader].hear(self._ids[sender], said)

    def _connect(self, node: int, client: int) -> None:
        self._next += 1
        self.nodes[node].join(self._next, f"person {client}")
        self.peers[self._next] = node, client
        self._alive[client] = self._next
        self._say(self._next)

    def _say(self, peer: int) -> None:
        node, client = self.peers[peer]
        if self._alive.get(client) != peer:
            return
        clock = self._clocks[client] = self._clocks.get(client, 0) + 1
        self.states[client] = f'{{"clock":{clock}}}'
        said = [Entry(client, clock, self.states[client])]
        self._tell(node, self.nodes[node].receive(peer, said, now=self._now))

    def _leave(self, peer: int) -> None:
        node, client = self.peers.pop(peer)
        if self._alive.get(client) == peer:
            del self._alive[client], self.states[client]
        self._tell(node, self.nodes[node].leave(peer))

    def _tell(self, node: int, changes: list[Entry]) -> None:
        people = self.nodes[node].told([entry.client for entry in changes])
        for (sender, _), queue in self._on_the_way.items():
            if sender == node and people:
                queue.append(people)


@given(st.integers(2, 4), st.integers(0, 2**32), st.integers(1, 80))
def test_all_nodes_come_to_see_who_is_connected_and_nobody_else(count: int, seed: int, steps: int) -> None:
    town = Town(count, Random(seed))
    for _ in range(steps):
        town.step()
    town.end()
    for presence in town.nodes:
        assert states(presence) == town.states
