"""Several nodes on one store, with a bridge between them that does what a test says."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from collabd.auth.base import Principal
from collabd.bridge.base import Bridge
from collabd.bridge.local import Faults, Hub, LocalBridge
from collabd.bridge.messages import Alive, Committed, Look, Only, Present, Reached, Who, encode
from collabd.errors import DocumentDeleted, Overloaded, StoreUnavailable
from collabd.protocol.awareness import Entry
from collabd.rooms import cluster
from collabd.rooms.cluster import BEAT_SECONDS, SAID_WHOLE, SILENT_SECONDS, WHOLE_SECONDS, Cluster
from collabd.rooms.loading import MANY_UPDATES
from collabd.rooms.registry import Registry
from collabd.rooms.room import DocumentRoom
from tests.support.clock import Clock

from .kit import SAVED_AS, Member, ScriptedStore, Writer, text_of, turns

KEY = b"the key of the cluster"
ADA = Principal("ada", "Ada")


class CountingStore(ScriptedStore):
    """A store that several nodes use, and that counts how often its log is read."""

    def __init__(self) -> None:
        super().__init__(holds=False)
        self.is_shared = True
        self.reads = 0

    def history(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.reads += 1
        return super().history(*args, **kwargs)


class Node:
    """One of them."""

    def __init__(self, store: ScriptedStore, bridge: LocalBridge, clock: Clock) -> None:
        self.bridge = bridge
        self.cluster = Cluster(clock=clock)
        self.registry = Registry(store, cluster=self.cluster)
        self.changes = 0
        self._working: asyncio.Task[None] | None = None

    async def start(self, bridge: Bridge | None = None) -> None:
        await self.cluster.start(bridge or self.bridge, self.registry, self._count)
        self._working = asyncio.create_task(self._work())

    def _count(self) -> None:
        self.changes += 1

    async def _work(self) -> None:
        """What the cluster does by itself, but for its beats: these come when a test says so."""
        await self.cluster._work_on()

    async def close(self) -> None:
        if self._working is not None:
            self._working.cancel()
        await self.registry.drain(1.0)
        await self.cluster.close()

    async def member(self, client: int, *, principal: Principal = ADA) -> Member:
        room = await self.registry.open(SAVED_AS)
        return Member(room, client, principal=principal).join()

    @property
    def room(self) -> DocumentRoom:
        room = self.registry.get(SAVED_AS)
        assert room is not None, "nobody opened it"
        return room


class Town:
    """A store and the nodes that serve it."""

    def __init__(self, store: ScriptedStore | None = None) -> None:
        self.store = store or CountingStore()
        self.clock = Clock(1000.0)
        self.hub = Hub(KEY)
        self.nodes: list[Node] = []

    async def node(self) -> Node:
        node = Node(self.store, self.hub.bridge(), self.clock)
        await node.start()
        self.nodes.append(node)
        return node

    def beat(self, seconds: float = BEAT_SECONDS) -> None:
        """Let time pass, a beat at a time."""
        for _ in range(round(seconds / BEAT_SECONDS)):
            self.clock.now += BEAT_SECONDS
            for node in self.nodes:
                node.cluster.beat()

    async def calm(self, *members: Member) -> None:
        """Let everybody read and answer until nobody has anything to say."""
        quiet = 0
        while quiet < 3:
            for node in self.nodes:
                for room in node.registry.neighbours():
                    await room.flushed()
            await turns()
            quiet = 0 if any([member.read() for member in members]) else quiet + 1

    @property
    def reads(self) -> int:
        assert isinstance(self.store, CountingStore)
        return self.store.reads


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    yield town
    for node in town.nodes:
        await node.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


# Edits


async def test_what_is_typed_on_one_node_is_seen_on_the_other_without_reading_the_log(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    for word in ("a ", "b ", "c "):
        ada.type(word)
        await town.calm(ada, ben)
        ben.type(word.upper())
        await town.calm(ada, ben)
    assert ada.text == ben.text == "a A b B c C "
    assert one.room.head == two.room.head == 6
    assert town.reads == 0


async def test_what_is_committed_while_a_commit_is_under_way_is_put_before_it() -> None:
    town = Town(ScriptedStore(holds=True))
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.type("ada ")
    ben.type("ben ")
    await turns()
    assert len(town.store.held) == 2
    town.store.release()
    await turns()
    assert two.room.head == 0, "its own commit is under way"
    town.store.release()
    await town.calm(ada, ben)
    assert one.room.head == two.room.head == 2
    assert ada.text == ben.text
    assert town.store.loads == 2
    for node in town.nodes:
        await node.close()


async def test_what_is_missed_is_read_from_the_log(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    town.hub.faults = Faults(drop=1.0)
    ada.type("lost ")
    await town.calm(ada, ben)
    assert ben.text == ""
    town.hub.faults = Faults()
    ada.type("heard")
    await town.calm(ada, ben)
    await until(lambda: two.room.head == 2)
    await town.calm(ada, ben)
    assert ben.text == "lost heard"
    assert town.reads >= 1


async def test_the_last_of_a_quiet_document_is_found_by_following_the_store(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    town.hub.faults = Faults(drop=1.0)
    ada.type("lost")
    await town.calm(ada, ben)
    await two.registry.follow()
    await town.calm(ada, ben)
    assert ben.text == "lost"


async def test_what_is_large_is_told_of_and_read_from_the_log(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.type("x" * (SAID_WHOLE + 1))
    await until(lambda: two.room.head == 1)
    await town.calm(ada, ben)
    assert ben.text == ada.text
    assert town.reads == 1


async def test_what_is_committed_while_a_document_is_loaded_is_not_missed(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada = await one.member(1)
    ada.type("before ")
    await town.calm(ada)
    town.store.may_load.clear()
    opening = asyncio.create_task(two.registry.open(SAVED_AS))
    await turns()
    ada.type("meanwhile")
    await one.room.flushed()
    await turns()
    town.store.may_load.set()
    room = await opening
    await until(lambda: room.head == 2)
    assert text_of(room.state()) == "before meanwhile"


async def test_nodes_that_make_a_document_at_once_make_one(town: Town) -> None:
    nodes = [await town.node() for _ in range(3)]
    members = [await node.member(number + 1) for number, node in enumerate(nodes)]
    for member in members:
        member.type(f"{member.writer.client} ")
    await town.calm(*members)
    await until(lambda: all(node.room.head == 3 for node in nodes))
    await town.calm(*members)
    assert len({member.text for member in members}) == 1
    assert len({node.room.document_id for node in nodes}) == 1


async def test_a_deleted_document_closes_everywhere(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.type("hello")
    await town.calm(ada, ben)
    await one.registry.delete(SAVED_AS)
    await until(lambda: not ben.is_open)
    assert isinstance(ben.got.closed_by, DocumentDeleted)


async def test_a_document_made_anew_is_another_one(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.type("old")
    await town.calm(ada, ben)
    town.hub.faults = Faults(drop=1.0)
    await one.registry.delete(SAVED_AS)
    await one.registry.create(SAVED_AS, ada.writer.state)
    town.hub.faults = Faults()
    eve = await one.member(3)
    eve.type("new")
    await until(lambda: not ben.is_open)
    assert isinstance(ben.got.closed_by, DocumentDeleted)


async def test_a_closed_document_is_not_listened_to(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.type("hello")
    await town.calm(ada, ben)
    ben.leave()
    await town.calm(ada)
    two.registry.unload(SAVED_AS)
    received = two.bridge.figures.received
    ada.type(" there")
    await town.calm(ada)
    assert two.bridge.figures.received == received
    ben = await two.member(2)
    await town.calm(ada, ben)
    assert ben.text == "hello there"
    ada.type("!")
    await town.calm(ada, ben)
    assert ben.text == "hello there!"


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_the_bridge_does_all_come_to_the_same(seed: int) -> None:
    """Dropped, doubled and overtaken messages, nodes cut off and separated, while three of them write."""
    town = Town()
    town.hub = Hub(KEY, seed=seed)
    chance = random.Random(seed)
    nodes = [await town.node() for _ in range(3)]
    members = [await nodes[number % 3].member(number + 1) for number in range(6)]
    town.hub.faults = Faults(drop=0.2, double=0.2, reorder=0.3)
    for step in range(60):
        member = chance.choice(members)
        member.type(f"{step} ")
        if chance.random() < 0.3:
            await turns(chance.randrange(5))
        if chance.random() < 0.1:
            node = chance.choice(nodes)
            town.hub.cut(node.bridge)
            await turns(3)
            town.hub.heal(node.bridge)
    town.hub.faults = Faults()
    await town.calm(*members)
    for node in nodes:
        await node.registry.follow()
    await until(lambda: all(node.room.head == 60 for node in nodes))
    await town.calm(*members)
    texts = {member.text for member in members} | {text_of(node.room.state()) for node in nodes}
    assert len(texts) == 1
    assert sorted(map(int, texts.pop().split())) == list(range(60)), "nothing is lost, nothing doubled"
    stored = await town.store.load(SAVED_AS)
    assert stored is not None
    assert stored.head == 60
    for node in nodes:
        await node.close()


# Presence


def present(member: Member) -> dict[int, str]:
    """Who else is there for a client, going by all it was told."""
    latest: dict[int, Entry] = {}
    for entry in member.got.entries:
        if entry.client not in latest or entry.clock > latest[entry.client].clock:
            latest[entry.client] = entry
    own = member.writer.client
    return {client: entry.state for client, entry in latest.items() if entry.state and client != own}


async def sees(member: Member, people: dict[int, str]) -> None:
    await until(lambda: present(member) == people)


async def test_people_see_each_other_across_nodes(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.show('{"name":"Ada"}', 1)
    ben.show('{"name":"Ben"}', 1)
    await sees(ada, {2: '{"name":"Ben"}'})
    await sees(ben, {1: '{"name":"Ada"}'})
    ada.show('{"name":"Ada","cursor":1}', 2)
    await sees(ben, {1: '{"name":"Ada","cursor":1}'})
    ada.leave()
    await sees(ben, {})


async def test_who_comes_to_another_node_sees_at_once_who_is_there(town: Town) -> None:
    one = await town.node()
    ada = await one.member(1)
    ada.show('{"name":"Ada"}', 1)
    await town.calm(ada)
    two = await town.node()
    ben = await two.member(2)
    await sees(ben, {1: '{"name":"Ada"}'})


async def test_a_renewal_reaches_other_nodes_though_it_says_the_same(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.show("{}", 1)
    await sees(ben, {1: "{}"})
    before = len(ben.got.entries)
    ada.show("{}", 2)
    await until(lambda: len(ben.got.entries) > before)
    assert present(ben) == {1: "{}"}


async def test_a_node_that_dies_takes_its_people_with_it(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.show("{}", 1)
    ben.show("{}", 1)
    await sees(ben, {1: "{}"})
    town.beat()
    await turns()
    town.nodes.remove(one)
    town.hub.cut(one.bridge)
    town.beat(SILENT_SECONDS - 1)
    await turns()
    assert 1 in present(ben)
    town.beat(BEAT_SECONDS)
    await sees(ben, {})
    town.nodes.append(one)


async def test_a_node_that_leaves_takes_its_people_with_it_at_once(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.show("{}", 1)
    await sees(ben, {1: "{}"})
    await one.cluster.close()
    await sees(ben, {})


async def test_a_node_that_was_only_away_brings_its_people_back(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.show("{}", 1)
    ben.show("{}", 1)
    await sees(ben, {1: "{}"})
    town.hub.separate(one.bridge, two.bridge)
    town.beat(SILENT_SECONDS + 2 * BEAT_SECONDS)
    await sees(ben, {})
    await sees(ada, {})
    town.hub.unite(one.bridge, two.bridge)
    town.beat()
    await sees(ben, {1: "{}"})
    await sees(ada, {2: "{}"})


async def test_an_interruption_loses_nobody(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    town.hub.cut(two.bridge)
    ada.show("{}", 1)
    ben.show("{}", 1)
    await town.calm(ada, ben)
    town.hub.heal(two.bridge)
    await sees(ben, {1: "{}"})
    await sees(ada, {2: "{}"})


async def test_whose_leaving_was_not_heard_of_is_gone_once_something_else_is_heard(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben, cem = await one.member(1), await two.member(2), await one.member(3)
    ada.show("{}", 1)
    cem.show("{}", 1)
    await sees(ben, {1: "{}", 3: "{}"})
    town.hub.faults = Faults(drop=1.0)
    ada.leave()
    await until(lambda: 1 not in present(cem))
    await asyncio.sleep(0.1)  # nothing tells of what is not said
    town.hub.faults = Faults()
    cem.show("{}", 2)
    await sees(ben, {3: "{}"})


@pytest.mark.parametrize("count", [4, 12])
async def test_that_many_nodes_come_back_at_once_takes_a_few_messages_of_each(town: Town, count: int) -> None:
    nodes = [await town.node() for _ in range(count)]
    members = [await node.member(number + 1) for number, node in enumerate(nodes)]
    for node in nodes:
        town.hub.cut(node.bridge)
    for member in members:
        member.show("{}", 1)
    await town.calm(*members)
    before = sum(node.bridge.figures.published for node in nodes)
    for node in nodes:
        town.hub.heal(node.bridge)
    for member in members:
        own = member.writer.client
        await sees(member, {number + 1: "{}" for number in range(count) if number + 1 != own})
    await asyncio.sleep(2 * WHOLE_SECONDS)
    assert sum(node.bridge.figures.published for node in nodes) - before <= 8 * count


async def test_who_asks_alone_is_answered_at_once_and_who_asks_again_soon_is_answered(town: Town) -> None:
    one = await town.node()
    ada = await one.member(1)
    ada.show("{}", 1)
    await town.calm(ada)
    two, three = await town.node(), await town.node()
    began = asyncio.get_running_loop().time()
    ben = await two.member(2)
    await sees(ben, {1: "{}"})
    eve = await three.member(3)
    await sees(eve, {1: "{}"})
    one.room.say_who()  # now, or when it is time
    told = one.bridge.figures.published
    for _ in range(5):
        one.room.say_who()
    assert one.bridge.figures.published == told
    await until(lambda: one.bridge.figures.published == told + 2)
    assert asyncio.get_running_loop().time() - began >= WHOLE_SECONDS


async def test_who_comes_back_on_another_node_is_not_removed_by_the_first(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2, principal=Principal("ben", "Ben"))
    ada.show('{"at":1}', 1)
    await sees(ben, {1: '{"at":1}'})
    again = await two.member(1)
    again.show('{"at":2}', 2)
    await sees(ben, {1: '{"at":2}'})
    await town.calm(ada, ben, again)
    ada.leave()
    await town.calm(ben, again)
    one.room.say_who()
    await town.calm(ben, again)
    assert present(ben) == {1: '{"at":2}'}


async def test_nobody_speaks_for_another_s_client_on_another_node(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada = await one.member(1)
    eve = await two.member(2, principal=Principal("eve", "Eve"))
    ada.show('{"name":"Ada"}', 1)
    await sees(eve, {1: '{"name":"Ada"}'})
    eve.show('{"name":"not Ada"}', 5, client=1)
    eve.show(None, 6, client=1)
    await town.calm(ada, eve)
    ben = await one.member(3)
    await sees(ben, {1: '{"name":"Ada"}'})
    await sees(eve, {1: '{"name":"Ada"}'})


async def test_what_was_revoked_is_looked_up_at_once_elsewhere(town: Town) -> None:
    one, two = await town.node(), await town.node()
    before = two.changes
    one.cluster.tell_changed()
    await until(lambda: two.changes > before)
    assert one.changes <= 1, "it knows itself"


async def test_what_makes_no_sense_is_passed_over(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    for payload in (
        b"",
        b"\x00",
        b"\x00\x01\x00\x01\x00",
        b"\x63",
        b"\x02\xff",
        b"\x00\x01\x01\x01\x02\xff\xff",
    ):
        one.bridge.publish(f"document:{SAVED_AS}", payload)
        one.bridge.publish("nodes", payload)
    ada.type("hello")
    await town.calm(ada, ben)
    assert ben.text == "hello"


class Tomorrows:
    """The end of a node of a later version, which says more than is known today."""

    def __init__(self, bridge: LocalBridge) -> None:
        self._bridge = bridge

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bridge, name)

    def publish(self, channel: str, payload: bytes) -> None:
        self._bridge.publish(channel, b"\x7fsomething new")
        self._bridge.publish(channel, payload + b"more of it")


async def test_a_node_of_a_later_version_is_understood(town: Town) -> None:
    one = await town.node()
    later = Node(town.store, town.hub.bridge(), town.clock)
    await later.start(Tomorrows(later.bridge))
    town.nodes.append(later)
    ada, ben = await one.member(1), await later.member(2)
    ben.show('{"name":"Ben"}', 1)
    await sees(ada, {2: '{"name":"Ben"}'})
    for word in ("a ", "b "):
        for member in (ada, ben):
            member.type(word)
            await town.calm(ada, ben)
    assert ada.text == ben.text
    assert len(ada.text.split()) == 4
    assert town.reads == 0, "it was all understood"
    ben.leave()
    await sees(ada, {})


async def test_an_update_that_is_none_is_not_taken_from_another_node(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    ada.type("hello ")
    await town.calm(ada, ben)
    document_id = two.room.document_id
    assert document_id is not None
    one.cluster.publish(f"document:{SAVED_AS}", Committed(document_id, 2, [b"\xff\xff"]))
    await town.calm(ada, ben)
    ada.type("there")
    await town.calm(ada, ben)
    await two.registry.follow()
    await until(lambda: two.room.head == 2)
    await town.calm(ada, ben)
    assert ben.is_open
    assert ben.text == "hello there"


async def test_what_concerns_no_open_document_is_passed_over(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    for message in (Committed(1, 1, [b"\0\0"]), Reached(1, 1), Present([]), Only([]), Who(), Look(), Alive()):
        two.cluster.received("document:closed", b"somebody", [encode(message)], missed=True)
    two.cluster.received("nodes", b"somebody", [], missed=True)
    room = two.room
    room.end(Overloaded("the room has ended"))
    room.hear(Reached(1, 9))
    room.hear_of(b"somebody", [])
    room.lose(b"somebody")
    room.say_who()
    ada.type("hello")
    await town.calm(ada)
    assert not ben.is_open


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), RuntimeError("broken")])
async def test_a_store_that_fails_is_looked_at_again(
    failure: Exception, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    town.hub.faults = Faults(drop=1.0)
    ada.type("hello")
    await town.calm(ada, ben)
    asked = asyncio.Event()

    async def find_all(names: Sequence[str]) -> Any:
        asked.set()
        raise failure

    with monkeypatch.context() as away:
        away.setattr(town.store, "find_all", find_all)
        two.cluster.fall_behind(SAVED_AS)
        await asked.wait()
        await town.calm(ada, ben)
    assert ben.text == ""
    two.cluster.fall_behind(SAVED_AS)
    await until(lambda: two.room.head == 1)


async def test_many_documents_are_caught_up_with_some_at_a_time(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CAUGHT_UP_AT_ONCE", 2)
    one, two = await town.node(), await town.node()
    names = [f"notes {number}" for number in range(5)]
    rooms = [await two.registry.open(name) for name in names]
    town.hub.cut(two.bridge)
    for name in names:
        await (await one.registry.open(name)).submit(Writer(1).append("hello"))
    town.hub.heal(two.bridge)
    await town.calm()
    assert [room.head for room in rooms] == [0] * 5
    town.beat(3 * BEAT_SECONDS)
    await until(lambda: [room.head for room in rooms] == [1] * 5)


async def test_a_subscription_that_stands_late_is_made_up_for(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada, ben = await one.member(1), await two.member(2)
    town.hub.faults = Faults(drop=1.0)
    ada.type("hello")
    await town.calm(ada, ben)
    two.cluster.subscribed("nodes")
    two.cluster.subscribed(f"document:{SAVED_AS}")
    await until(lambda: two.room.head == 1)


async def test_nodes_that_died_are_not_remembered_for_ever(town: Town) -> None:
    one = await town.node()
    for number in range(cluster.LOST_REMEMBERED + 5):
        one.cluster.received("nodes", number.to_bytes(8, "big"), [encode(Alive())], missed=False)
    assert one.cluster.nodes == cluster.LOST_REMEMBERED + 5
    town.beat(SILENT_SECONDS + 2 * BEAT_SECONDS)
    assert one.cluster.nodes == 0
    assert len(one.cluster._lost) == cluster.LOST_REMEMBERED


async def test_a_long_log_is_opened_as_it_was_written(town: Town) -> None:
    one, two = await town.node(), await town.node()
    ada = await one.member(1)
    for number in range(2 * MANY_UPDATES):
        ada.type(f"{number} ")
        await turns(1)
    await town.calm(ada)
    room = await two.registry.open(SAVED_AS)
    assert room.head == one.room.head
    assert text_of(room.state()) == ada.text
