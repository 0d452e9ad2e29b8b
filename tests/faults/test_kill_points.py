"""SIGKILL at every point that matters: nothing that was seen or acknowledged may be missing afterwards.

``python -m tests.faults`` does the same for as long as you like.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.migrating import kill_migrating
from tests.faults.points import AT_RANDOM, STORES, Points
from tests.faults.series import Kill, series
from tests.support.postgres import new_database, new_server

SEED = 20
OLD_FILE, NO_FILE = (2, 9, 16, 24, 31), (3, 17, 38)
"""The statement, of those that bring a schema up to date, at which each server is killed."""


async def kill_in_series(
    directory: Path, people: int, seed: int, points: list[str], node: str, store: str | None = None
) -> list[Kill]:
    directory.mkdir()
    random.Random(seed).shuffle(points)
    async with series(directory, people=people, seed=seed, node=node, store=store) as killing:
        kills = await killing.run(points)
        assert await killing.finish() == []
    return kills


async def kill_in_migrations(
    directory: Path, cases: list[tuple[int, bool]], new_store: Callable[[], str | None] = lambda: None
) -> list[Kill]:
    directory.mkdir()
    kills = [
        await kill_migrating(directory / f"{passing}-{old}", passing, old=old, store=new_store())
        for passing, old in cases
    ]
    assert None not in kills, "there are fewer statements than that"
    return [kill for kill in kills if kill is not None]


def nothing_is_lost(kills: list[Kill], points: Points) -> None:
    assert [kill for kill in kills if kill.lost or kill.doubled] == []
    assert {kill.point for kill in kills} == {AT_RANDOM, *points.all}
    assert sum(kill.at_stake for kill in kills) > 0, "no kill came between an edit and its acknowledgement"


@pytest.mark.timeout(400)
async def test_nothing_seen_or_acknowledged_is_lost_wherever_the_process_is_killed(
    tmp_path: Path, node: str
) -> None:
    points = STORES["sqlite"]
    of_two = [*points.editing, *points.editing, *points.compaction, *points.restore, AT_RANDOM]
    of_four = [*points.editing, *points.compaction, *[AT_RANDOM] * 9]
    migrations = [(passing, True) for passing in OLD_FILE] + [(passing, False) for passing in NO_FILE]
    done = await asyncio.gather(
        kill_in_series(tmp_path / "two", 2, SEED, of_two, node),
        kill_in_series(tmp_path / "four", 4, SEED + 1, of_four, node),
        kill_in_migrations(tmp_path / "migrations", migrations),
    )
    nothing_is_lost([kill for kills in done for kill in kills], points)


@pytest.mark.timeout(400)
async def test_nor_with_postgresql(tmp_path: Path, node: str) -> None:
    points = STORES["postgresql"]
    server = await asyncio.to_thread(new_server)
    try:
        some = [*points.editing, *points.compaction, *points.restore, AT_RANDOM, AT_RANDOM]
        done = await asyncio.gather(
            kill_in_series(tmp_path / "series", 3, SEED, some, node, new_database(server.url)),
            kill_in_migrations(
                tmp_path / "migrations", [(5, False), (2, False)], lambda: new_database(server.url)
            ),
        )
    finally:
        await asyncio.to_thread(server.close)
    nothing_is_lost([kill for kills in done for kill in kills], points)
