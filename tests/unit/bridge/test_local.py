import asyncio

from collabd.bridge.local import OVERTAKEN_SECONDS, Faults, Hub, LocalBridge
from tests.support.bridges import KEY, Hearer, hears

SENT = 200


async def line(seed: int = 0) -> tuple[Hub, LocalBridge, LocalBridge, Hearer]:
    """Two nodes, of which the second follows what the first says."""
    hub, hearer = Hub(KEY, seed=seed), Hearer()
    one, two = hub.bridge(), hub.bridge()
    await one.start(Hearer())
    await two.start(hearer)
    await two.subscribe("notes")
    return hub, one, two, hearer


async def numbers(faults: Faults, seed: int = 0) -> tuple[list[int], Hearer, LocalBridge]:
    """Which of the numbers that were said came, in which order."""
    hub, one, two, hearer = await line(seed)
    hub.faults = faults
    for number in range(SENT):
        one.publish("notes", b"%d" % number)
        await asyncio.sleep(0)
    await asyncio.sleep(faults.delay[1] + 2 * OVERTAKEN_SECONDS)
    hub.faults = Faults()
    await hears(one, hearer, "notes")
    return [int(payload) for payload in hearer.payloads("notes")], hearer, two


async def test_without_faults_nothing_is_lost() -> None:
    came, hearer, _ = await numbers(Faults())
    assert came == list(range(SENT))
    assert hearer.gaps == []


async def test_lost_messages_are_gaps() -> None:
    came, hearer, two = await numbers(Faults(drop=0.3))
    assert SENT / 2 < len(came) < SENT * 0.9
    gaps = sum(after != before + 1 for before, after in zip(came, [*came[1:], SENT], strict=True))
    assert (len(hearer.gaps), two.figures.gaps) == (gaps, gaps)


async def test_doubled_messages_come_once() -> None:
    came, hearer, two = await numbers(Faults(double=0.3))
    assert came == list(range(SENT))
    assert hearer.gaps == []
    assert two.figures.refused["late"] > SENT * 0.1


async def test_overtaken_messages_are_refused_and_told_of_as_gaps() -> None:
    came, hearer, two = await numbers(Faults(reorder=0.2))
    assert came == sorted(came)
    assert len(came) + two.figures.refused["late"] == SENT
    assert len(came) < SENT
    assert hearer.gaps


async def test_delayed_messages_stay_in_order() -> None:
    came, hearer, _ = await numbers(Faults(delay=(0.001, 0.02)))
    assert came == list(range(SENT))
    assert hearer.gaps == []


async def test_chance_repeats_itself() -> None:
    faults = Faults(drop=0.3, double=0.1)
    first, *_ = await numbers(faults, seed=7)
    again, *_ = await numbers(faults, seed=7)
    other, *_ = await numbers(faults, seed=8)
    assert first == again != other


async def test_what_is_on_its_way_is_lost_when_a_node_is_cut_off() -> None:
    hub, one, two, hearer = await line()
    hub.faults = Faults(delay=(0.5, 0.5))
    one.publish("notes", b"lost")
    await asyncio.sleep(0)
    hub.cut(two)
    hub.cut(two)
    hub.heal(two)
    hub.faults = Faults()
    assert hearer.states == ["up", "down", "up"]
    await hears(one, hearer, "notes")
    assert hearer.heard == []


async def test_separated_nodes_do_not_notice() -> None:
    hub, one, two, hearer = await line()
    hub.separate(one, two)
    three = hub.bridge()
    await three.start(Hearer())
    one.publish("notes", b"lost")
    await hears(three, hearer, "notes")
    hub.unite(two, one)
    await hears(one, hearer, "notes")
    assert (hearer.heard, hearer.states, one.is_up) == ([], ["up"], True)


async def test_who_has_left_does_not_come_back() -> None:
    hub, one, two, hearer = await line()
    await two.close()
    hub.heal(two)
    one.publish("notes", b"nobody hears")
    await asyncio.sleep(0)
    assert (two.is_up, two.trouble, hearer.heard) == (False, "closed", [])


async def test_nothing_brings_up_a_node_that_is_not_started() -> None:
    hub, hearer = Hub(KEY), Hearer()
    bridge = hub.bridge()
    hub.cut(bridge)
    hub.heal(bridge)
    assert not bridge.is_up
    await bridge.start(hearer)
    assert (bridge.is_up, hearer.states) == (True, ["up"])
