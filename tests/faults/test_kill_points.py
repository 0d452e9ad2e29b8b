"""SIGKILL at every point that matters: nothing that was seen or acknowledged may be missing afterwards.

``python -m tests.faults`` does the same for as long as you like.
"""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.migrating import kill_migrating
from tests.faults.points import AT_RANDOM, COMPACTION, EDITING, POINTS, RESTORE
from tests.faults.series import Kill, series

SEED = 20
OLD_FILE, NO_FILE = (2, 9, 16, 24, 31), (3, 17, 38)
"""The statement, of those that bring a schema up to date, at which each server is killed."""


async def kill_in_series(directory: Path, people: int, seed: int, points: list[str], node: str) -> list[Kill]:
    directory.mkdir()
    random.Random(seed).shuffle(points)
    async with series(directory, people=people, seed=seed, node=node) as killing:
        kills = await killing.run(points)
        assert await killing.finish() == []
    return kills


async def kill_in_migrations(directory: Path) -> list[Kill]:
    directory.mkdir()
    cases = [(passing, True) for passing in OLD_FILE] + [(passing, False) for passing in NO_FILE]
    kills = [await kill_migrating(directory / f"{passing}-{old}", passing, old=old) for passing, old in cases]
    assert None not in kills, "there are fewer statements than that"
    return [kill for kill in kills if kill is not None]


@pytest.mark.timeout(400)
async def test_nothing_seen_or_acknowledged_is_lost_wherever_the_process_is_killed(
    tmp_path: Path, node: str
) -> None:
    of_two = [*EDITING, *EDITING, *COMPACTION, *RESTORE, AT_RANDOM]
    of_four = [*EDITING, *COMPACTION, *[AT_RANDOM] * 5]
    both, four, migrations = await asyncio.gather(
        kill_in_series(tmp_path / "two", 2, SEED, of_two, node),
        kill_in_series(tmp_path / "four", 4, SEED + 1, of_four, node),
        kill_in_migrations(tmp_path / "migrations"),
    )
    kills = both + four + migrations
    assert [kill for kill in kills if kill.lost or kill.doubled] == []
    assert {kill.point for kill in kills} == {AT_RANDOM, *POINTS}
    assert len(kills) >= 49
    assert sum(kill.at_stake for kill in kills) > 0, "no kill came between an edit and its acknowledgement"
