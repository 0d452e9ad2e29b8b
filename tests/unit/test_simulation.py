"""A small town of nodes does what the capacity model predicts, and loses nothing."""

import asyncio
import time
from dataclasses import asdict

import pytest

from benchmarks.capacity import predict
from benchmarks.model.figures import Load
from benchmarks.simulate import Times, simulate
from benchmarks.simulated.loop import SimulatedLoop
from benchmarks.simulated.watch import Delays, Watched

OFF = 0.15
"""How far the model may be off."""
TIMES = Times(coming=2.0, settling=1.0, warming=1.0, writing=5.0, alone=6.0, back=2.0)

QUIET = Load(nodes=5, connections=40, edits=1.0, moves=0.3)
BUSY = Load(nodes=3, connections=40, people=6, edits=2.0, moves=4.0, commit=0.02)
"""Much shares a commit or a message on presence, and what others wrote often comes during a commit."""

COUNTS = (
    "published_per_edit",
    "received_per_edit",
    "frames_per_edit",
    "saved_per_edit",
    "rows_per_edit",
    "commits",
    "presence_published_per_news",
    "presence_received_per_news",
    "presence_frames_per_news",
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("load", "seed", "times"),
    [
        (QUIET, 2, ("delay_mean", "delay_all", "alone_mean", "alone_all", "alone_worst")),
        (BUSY, 1, ("delay_mean", "alone_mean", "alone_worst")),
    ],
    ids=["quiet", "busy"],
)
def test_a_small_town_does_what_is_predicted_and_loses_nothing(
    load: Load, seed: int, times: tuple[str, ...]
) -> None:
    predicted, simulated = asdict(predict(load)), simulate(load, TIMES, seed=seed)
    off = {name: simulated[name] / predicted[name] for name in (*COUNTS, *times)}
    assert {name: ratio for name, ratio in off.items() if abs(ratio - 1) > OFF} == {}


def test_simulated_time_passes_while_nothing_is_to_be_done() -> None:
    seen: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, asyncio.get_running_loop().time()))

    async def run() -> None:
        await asyncio.gather(wait("late", 3_600.0), wait("soon", 0.25))

    began = time.monotonic()
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(run())
    assert seen == [("soon", 0.25), ("late", 3_600.0)]
    assert time.monotonic() - began < 60


def test_who_waits_for_ever_in_simulated_time_is_told_so() -> None:
    loop = SimulatedLoop()
    waiting = loop.create_task(asyncio.Event().wait())
    with pytest.raises(RuntimeError, match="nothing is due"):
        loop.run_until_complete(waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(waiting)
    loop.close()


def test_an_edit_is_late_by_each_copy_but_that_where_it_was_made() -> None:
    delays = Delays()
    document = Watched(delays)
    for node in (1, 2, 3):
        document.follow(node, 10)
    document.committed(1, 11, 12, 5.0)
    document.committed(2, 13, 13, 5.5)
    document.reached(1, 12, 5.0)
    document.reached(2, 13, 6.0)
    document.reached(3, 12, 7.0)
    assert sorted(delay.seconds for delay in delays.each) == [1.0, 1.0, 2.0, 2.0]
    assert [delay.seconds for delay in delays.all] == [2.0, 2.0]
    document.reached(3, 13, 7.0)
    document.reached(1, 13, 9.5)
    assert [(delay.committed_at, delay.seconds) for delay in delays.all][2:] == [(5.5, 4.0)]
