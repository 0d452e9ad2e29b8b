"""Searches for garbage look at what is new only, but what is in a circle goes in the end."""

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from collabd.garbage import HOUR, PATIENCE_SECONDS, Garbage


class Node:
    """Something that can hold itself."""

    def __init__(self) -> None:
        self.itself: Node | None = None


class House:
    def __init__(self) -> None:
        self.now = 0.0
        self.is_quiet = False
        self.garbage = Garbage(lambda: self.is_quiet, lambda: self.now)
        self.whole_searches = 0

    def watch(self, phase: str, info: dict[str, int]) -> None:
        self.whole_searches += phase == "stop" and info["generation"] == 2


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    house.garbage.begin()
    gc.callbacks.append(house.watch)
    yield house
    gc.callbacks.remove(house.watch)
    house.garbage.end()


def circle() -> Callable[[], Node | None]:
    node = Node()
    node.itself = node
    return weakref.ref(node)


def test_what_is_new_and_in_a_circle_goes_soon(house: House) -> None:
    lost = circle()
    house.now = PATIENCE_SECONDS
    house.garbage.tick()
    assert lost() is None
    assert house.whole_searches == 0


def test_much_that_is_new_is_set_aside_at_once(house: House) -> None:
    before = gc.get_freeze_count()
    nodes = [Node() for _ in range(50_000)]
    house.garbage.tick()
    assert gc.get_freeze_count() >= before + len(nodes)
    assert house.whole_searches == 0


def aged_circle(house: House) -> Callable[[], Node | None]:
    """A circle that was held for so long that it was set aside."""
    node = Node()
    node.itself = node
    house.now += PATIENCE_SECONDS
    house.garbage.tick()
    assert gc.get_freeze_count() > 0
    assert not any(thing is node for thing in gc.get_objects())
    return weakref.ref(node)


def test_what_is_old_and_in_a_circle_goes_when_nobody_is_connected(house: House) -> None:
    lost = aged_circle(house)
    house.garbage.tick()
    assert lost() is not None
    house.is_quiet = True
    house.garbage.tick()
    assert lost() is None
    for _ in range(10):
        house.garbage.tick()
    assert house.whole_searches == 1, "nothing happens meanwhile"


def test_it_goes_within_an_hour_if_there_is_always_somebody(house: House) -> None:
    lost = aged_circle(house)
    house.now = HOUR - 1
    house.garbage.tick()
    assert lost() is not None
    house.now = HOUR
    house.garbage.tick()
    assert lost() is None


def test_afterwards_all_is_as_before() -> None:
    before = gc.get_threshold()
    garbage = Garbage(lambda: True)
    garbage.begin()
    garbage.end()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
