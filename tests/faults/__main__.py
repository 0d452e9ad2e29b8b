"""The long run: kill servers, point by point and at random, and look after each kill whether all is there.

    python -m tests.faults --kills 1000 --store sqlite --store postgresql --minutes 60

Prints a table, and exits with 1 if anything was lost or doubled.
"""

import argparse
import asyncio
import atexit
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripts.page import find_node
from tests.faults.migrating import POINT, kill_migrating
from tests.faults.points import AT_RANDOM, STORES
from tests.faults.series import Kill, series
from tests.support.postgres import PostgresServer, new_database, new_server

PER_SERIES = 25
SHOWN = 5
"""Of each kill's losses."""
MOST_STATEMENTS = {"sqlite": 48, "postgresql": 8}
"""About as many as it takes to make a schema."""


class Run:
    """All series of one call."""

    def __init__(self, kills: int, until: float, stores: list[str], seed: int, directory: Path) -> None:
        self.kills: dict[tuple[str, str], list[Kill]] = defaultdict(list)
        """By store and point."""
        self.wrong: list[str] = []
        """What was not as it should be once everybody had come back, or ended a series."""
        self._left = kills
        self._until = until
        self._chance = random.Random(seed)
        self._directory = directory
        self._series = zip(itertools.count(), itertools.cycle(stores), strict=False)
        found = find_node()
        self._node = None if found is None else found.executable
        self._points = {store: self._endless_points(store) for store in stores}
        self._postgres: PostgresServer | None = None

    async def go_on(self) -> None:
        """Run series after series until there were enough kills or the time is over."""
        for number, store in self._series:
            points = list(itertools.islice(self._points[store], min(PER_SERIES, self._left)))
            if not points or time.monotonic() > self._until:
                return
            self._left -= len(points)
            directory = self._directory / str(number)
            directory.mkdir()
            try:
                await self._kill(store, directory, number, points)
            except Exception as error:
                self.wrong.append(f"series {number} ({store}, {directory}): {type(error).__name__}: {error}")
            done = sum(map(len, self.kills.values()))
            print(f"{time.strftime('%H:%M:%S')} {done} kills, {self.losses()} with losses", flush=True)

    async def _kill(self, store: str, directory: Path, number: int, points: list[str]) -> None:
        migrations = points.count(POINT)
        is_file = store == "sqlite"
        for passing in range(migrations):
            kill = await kill_migrating(
                directory / f"migration-{passing}",
                self._chance.randint(1, MOST_STATEMENTS[store]),
                old=is_file and self._chance.random() < 0.7,
                store=None if is_file else self._new_database(),
            )
            if kill is not None:
                self.kills[store, POINT].append(kill)
        people = self._chance.randint(2, 4)
        node = self._node if number % 3 == 0 else None
        url = None if is_file else self._new_database()
        async with series(directory, people=people, seed=number, node=node, store=url) as killing:
            for kill in await killing.run(point for point in points if point != POINT):
                self.kills[store, kill.point].append(kill)
            self.wrong += [
                f"series {number} ({store}, {directory}): {what}" for what in await killing.finish()
            ]

    def _new_database(self) -> str:
        """One on a server of its own, which flushes what it writes as those in use do."""
        if self._postgres is None:
            self._postgres = new_server()
            atexit.register(self._postgres.close)
        return new_database(self._postgres.url)

    def _endless_points(self, store: str) -> Iterator[str]:
        while True:
            some = [AT_RANDOM, AT_RANDOM, AT_RANDOM, *STORES[store].all]
            self._chance.shuffle(some)
            yield from some

    def losses(self) -> int:
        """Kills after which something was missing or doubled."""
        return sum(bool(kill.lost or kill.doubled) for kills in self.kills.values() for kill in kills)

    def table(self) -> str:
        """What was done, by store and point."""
        lines = [f"{'store':10} {'point':36} {'kills':>6} {'at stake':>9} {'lost':>5} {'doubled':>8}"]
        rows = [*sorted(self.kills.items()), (("all", ""), list(itertools.chain(*self.kills.values())))]
        for (store, point), kills in rows:
            at_stake = sum(kill.at_stake for kill in kills)
            lost, doubled = (sum(len(kill.lost) for kill in kills), sum(len(kill.doubled) for kill in kills))
            lines.append(f"{store:10} {point:36} {len(kills):6} {at_stake:9} {lost:5} {doubled:8}")
        return "\n".join(lines)


async def main(options: argparse.Namespace) -> int:
    # What was wrong is to be looked at, so it stays then.
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    until = time.monotonic() + options.minutes * 60
    run = Run(options.kills, until, options.store or ["sqlite"], options.seed, directory)
    await asyncio.gather(*[run.go_on() for _ in range(options.parallel)])
    print(run.table())
    for kills in run.kills.values():
        for kill in kills:
            if kill.lost or kill.doubled:
                print(kill._replace(lost=kill.lost[:SHOWN], doubled=kill.doubled[:SHOWN]))
    print("\n".join(run.wrong))
    if run.losses() or run.wrong:
        print(f"see {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--store", action="append", choices=STORES, help="may be given again")
    parser.add_argument("--minutes", type=float, default=60, help="begin nothing new after so long")
    parser.add_argument("--parallel", type=int, default=3, help="servers at the same time")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}")
    sys.exit(asyncio.run(main(chosen)))
