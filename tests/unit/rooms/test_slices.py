"""Work that takes long is done in slices, by a clock that the test owns."""

import asyncio

import pytest

from collabd.rooms.slices import SLICE_SECONDS, Pace, Slices, Work, at_once
from tests.support.clock import Clock


def work(clock: Clock, count: int, seconds: float) -> "Work[int]":
    for _ in range(count):
        clock.now += seconds
        yield
    return count


def test_what_is_quick_is_done_at_once() -> None:
    clock = Clock()
    slices = Slices(work(clock, 10, SLICE_SECONDS / 20), clock)
    assert slices.advance()
    assert slices.result == 10


def test_what_takes_longer_is_done_in_slices() -> None:
    clock = Clock()
    slices = Slices(work(clock, 10, SLICE_SECONDS / 1.5), clock)
    counts = 0
    while not slices.advance():
        counts += 1
    assert counts == 5, "two steps fill a slice"
    assert slices.result == 10
    assert at_once(work(clock, 3, 1.0)) == 3


async def test_the_loop_has_a_turn_after_each_slice() -> None:
    clock = Clock()
    turns: list[float] = []

    async def somebody_else() -> None:
        while True:
            turns.append(clock.now)
            await asyncio.sleep(0)

    task = asyncio.create_task(somebody_else())
    assert await Slices(work(clock, 5, 1.0), clock).finished() == 5
    task.cancel()
    assert set(turns) >= {1.0, 2.0, 3.0, 4.0}


async def test_what_the_work_raises_is_raised() -> None:
    def fails() -> "Work[None]":
        yield
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Slices(fails()).finished()


def test_the_pace_follows_what_structs_cost() -> None:
    pace = Pace()
    for _ in range(20):
        pace.took(0.0, is_full=True)
    assert pace.structs == Pace.MOST
    pace.begin(is_large=False)
    assert pace.structs == Pace.MOST
    for _ in range(20):
        pace.took(SLICE_SECONDS, is_full=True)
    assert pace.structs == 1
    for _ in range(20):
        pace.took(0.0, is_full=False)
    assert pace.structs == 1, "little that was quick says nothing of more"
    for _ in range(20):
        pace.took(0.0, is_full=True)
    pace.begin(is_large=False)
    assert pace.structs == Pace.FEWEST, "it was slow before"
    for _ in range(Pace.CAREFUL):
        pace.begin(is_large=False)
    for _ in range(10):
        pace.took(0.0, is_full=True)
    pace.begin(is_large=False)
    assert pace.structs == Pace.MOST, "that was long ago"


def test_large_work_begins_with_little() -> None:
    pace = Pace()
    for _ in range(20):
        pace.took(0.0, is_full=True)
    pace.begin(is_large=True)
    assert pace.structs == Pace.FEWEST
