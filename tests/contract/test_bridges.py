"""What every bridge promises; see ``collabd.bridge.base``."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from collabd.bridge.outgoing import Limits
from tests.support.bridges import hears, holds, nothing_raised

from .bridges import PLACES, Place

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=PLACES)
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with nothing_raised(), PLACES[request.param]() as place:
        yield place


async def test_what_is_published_reaches_all_others_in_order(place: Place) -> None:
    (one, at_one), (two, at_two), (three, at_three) = [await place.node() for _ in range(3)]
    for bridge in (one, two, three):
        assert await bridge.subscribe("notes")
    payloads = [b"", b"1", b"x" * 100_000, bytes(range(256)), b"2"]
    for payload in payloads:
        one.publish("notes", payload)
    for _, hearer in ((two, at_two), (three, at_three)):
        await hearer.has(len(payloads))
        assert hearer.payloads("notes") == payloads
        assert hearer.gaps == []
    await hears(two, at_one, "notes")
    assert at_one.heard == []
    assert at_two.nodes == {one.node}  # type: ignore[attr-defined]
    assert (two.figures.received, two.figures.refused.total(), two.figures.gaps) == (len(payloads), 0, 0)


async def test_only_who_follows_a_channel_hears_it(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(), await place.node()
    names = ["notes", "notes/1", "a b\nc", "été {x}", "*", "n" * 255]
    for name in names[1:]:
        assert await two.subscribe(name)
    for name in names:
        one.publish(name, name.encode())
    await hears(one, at_two, names[-1])
    assert at_two.heard == [(name, name.encode()) for name in names[1:]]


async def test_what_is_published_after_a_subscription_stands_is_not_missed(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(), await place.node()
    for number in range(50):
        assert await two.subscribe(str(number))
        one.publish(str(number), b"at once")
    await at_two.has(50)


async def test_payloads_of_one_turn_share_a_command(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(), await place.node()
    await two.subscribe("notes")
    for number in range(20):
        one.publish("notes", b"%d" % number)
    await at_two.has(20)
    assert (one.figures.published, one.figures.commands) == (20, 1)


async def test_a_large_turn_is_split_and_arrives_whole(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(), await place.node()
    await two.subscribe("notes")
    payloads = [b"%d" % number * 10_000 for number in range(40)]
    for payload in payloads:
        one.publish("notes", payload)
    await at_two.has(40)
    assert at_two.payloads("notes") == payloads
    assert 1 < one.figures.commands < 40


async def test_nothing_is_heard_once_a_subscription_has_ended(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(), await place.node()
    for name in ("notes", "notes", "other"):
        assert await two.subscribe(name)
    two.unsubscribe("notes")
    two.unsubscribe("never followed")
    one.publish("notes", b"too late")
    await hears(one, at_two, "other")
    assert at_two.heard == []


async def test_a_channel_can_be_followed_again_at_once(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(), await place.node()
    assert await two.subscribe("notes")
    for _ in range(3):
        two.unsubscribe("notes")
        assert await two.subscribe("notes")
        one.publish("notes", b"heard")
    await hears(one, at_two, "notes")
    assert len(at_two.heard) == 3


async def test_the_first_time_up_is_told_too(place: Place) -> None:
    _, hearer = await place.node()
    assert hearer.states == ["up"]


async def test_before_it_is_started_everything_can_be_called(place: Place) -> None:
    bridge, _ = await place.node(started=False)
    bridge.publish("notes", b"lost")
    assert not await bridge.subscribe("notes")
    bridge.unsubscribe("notes")
    assert (bridge.is_up, bridge.figures.dropped) == (False, 1)
    assert bridge.trouble
    await bridge.close()


async def test_a_node_that_is_cut_off_goes_on_and_is_told_when_it_is_back(place: Place) -> None:
    (one, at_one), (two, at_two) = await place.node(), await place.node()
    assert await one.subscribe("before")
    assert await two.subscribe("before")
    await hears(two, at_one, "before")
    await place.cut(two)
    await at_two.told("up", "down")
    assert (two.is_up, bool(two.trouble)) == (False, True)
    two.publish("before", b"lost")
    one.publish("before", b"missed")
    assert two.figures.dropped == 1
    assert not await two.subscribe("meanwhile")
    assert await one.subscribe("meanwhile")
    await place.heal(two)
    await at_two.told("up", "down", "up")
    assert (two.is_up, two.trouble) == (True, "")
    one.publish("meanwhile", b"heard")
    await hears(one, at_two, "meanwhile")
    assert at_two.payloads("meanwhile") == [b"heard"]
    # Both find that something is missing, as soon as there is something.
    await hears(one, at_two, "before")
    await hears(two, at_one, "before")
    assert (at_one.gaps, at_one.heard) == (["before"], [])
    assert two.figures.interruptions == 1


async def test_what_ended_meanwhile_is_not_followed_when_a_node_is_back(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(), await place.node()
    for name in ("notes", "other"):
        assert await two.subscribe(name)
    await place.cut(two)
    await at_two.until(lambda: not two.is_up)
    two.unsubscribe("notes")
    await place.heal(two)
    await at_two.until(lambda: two.is_up)
    one.publish("notes", b"nobody hears")
    await hears(one, at_two, "other")
    assert at_two.heard == []


async def test_of_a_payload_that_is_too_large_the_gap_is_told_at_once(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(limits=Limits(payload=100)), await place.node()
    assert await two.subscribe("notes")
    one.publish("notes", b"x" * 100)
    await at_two.until(lambda: at_two.heard)
    one.publish("notes", b"x" * 101)
    await at_two.until(lambda: at_two.gaps == ["notes"])
    assert len(at_two.heard) == 1
    assert (one.figures.dropped, two.figures.gaps) == (1, 1)


async def test_what_finds_the_queue_full_leaves_a_gap(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(limits=Limits(size=100, count=10)), await place.node()
    assert await two.subscribe("notes")
    for _ in range(30):
        one.publish("notes", b"x")
    await at_two.has(10)
    for _ in range(3):
        one.publish("notes", b"x" * 45)
    await at_two.has(12)
    await hears(one, at_two, "notes")
    assert one.figures.dropped == 21
    assert set(at_two.gaps) == {"notes"}


async def test_a_listener_that_fails_harms_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    (one, _), (two, at_two) = await place.node(), await place.node()
    assert await two.subscribe("notes")
    at_two.failing = True
    one.publish("notes", b"1")
    await at_two.until(lambda: at_two.heard)
    await place.cut(two)
    await at_two.until(lambda: at_two.states[-1] == "down")
    await place.heal(two)
    await at_two.until(lambda: at_two.states[-1] == "up")
    at_two.failing = False
    await hears(one, at_two, "notes")
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(failures) == 3


async def test_who_has_another_key_is_not_let_in(place: Place) -> None:
    (one, _), (two, at_two) = await place.node(), await place.node()
    stranger, _ = await place.node(key=b"another key, of somebody else")
    assert await two.subscribe("notes")
    stranger.publish("notes", b"forged")
    await holds(lambda: two.figures.refused)
    await hears(one, at_two, "notes")
    assert at_two.heard == []
    assert two.figures.refused == {"forged": 1}


async def test_leaving_sends_what_was_published_and_nothing_after(place: Place) -> None:
    (one, at_one), (two, at_two) = await place.node(), await place.node()
    assert await two.subscribe("notes")
    for _ in range(60):
        # More than the system holds between two processes.
        one.publish("notes", b"the last words " * 8_000)
    await one.close()
    await one.close()
    await at_two.has(60)
    one.publish("notes", b"lost")
    assert not await one.subscribe("notes")
    one.unsubscribe("notes")
    assert (one.is_up, one.figures.dropped) == (False, 1)
    assert at_one.states == ["up"]
    assert two.is_up


async def test_many_publish_and_follow_at_once(place: Place) -> None:
    nodes = [await place.node() for _ in range(3)]
    names = [f"document {number}" for number in range(20)]
    await asyncio.gather(*(bridge.subscribe(name) for bridge, _ in nodes for name in names))
    for turn in range(30):
        for bridge, _ in nodes:
            for name in names:
                bridge.publish(name, b"%d" % turn)
        await asyncio.sleep(0)
    for bridge, hearer in nodes:
        await hearer.has(2 * 20 * 30)
        assert hearer.gaps == []
        assert bridge.figures.commands <= 20 * 30
        for name in names:
            heard = [int(payload) for payload in hearer.payloads(name)]
            assert sorted(heard) == sorted(2 * list(range(30)))
