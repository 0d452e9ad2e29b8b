"""Runs a whole town of nodes in one process, over simulated time, and holds the capacity model against it.

    .venv/bin/python benchmarks/simulate.py --json benchmarks/capacity.json   # 11 minutes, 2.2 GB
    .venv/bin/python benchmarks/simulate.py --nodes 5 --connections 200
    .venv/bin/python benchmarks/simulate.py --publish benchmarks/capacity.json

Rooms, registries, clusters and bridges are the real ones; people are connections without sockets. Simulated
are what lies between: the time a commit, a query and a message take. All come, are left alone, write and move
at random, lose the bridge and get it back; in the end all copies must be equal and hold all that was written.
"""

import asyncio
import gc
import json
import logging
import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pycrdt import Text

from benchmarks.capacity import load_from, parser_of, predict
from benchmarks.measure.resident import resident
from benchmarks.model.figures import MEASURED, Load
from benchmarks.simulated.loop import SimulatedLoop
from benchmarks.simulated.nodes import Town
from benchmarks.simulated.people import PRESENCE, QUIET, SAVED, UPDATE, Crowd
from benchmarks.simulated.report import lines, page, table
from benchmarks.simulated.watch import Delay, Delays, Watched
from benchmarks.typists import ROOT, seed
from collabd.bridge import messages
from collabd.rooms.registry import FOLLOW_ALONE_SECONDS, FOLLOW_SECONDS
from collabd.rooms.room import DocumentRoom

PAGE = Path(__file__).resolve().parent.parent / "docs" / "capacity.md"
LOOK_SECONDS = 0.002
"""How often it is looked whether all have everything."""


@dataclass(frozen=True)
class Times:
    """How long each part takes, in simulated seconds."""

    coming: float = 10.0
    settling: float = 3.0
    warming: float = 2.0
    """All write, and nothing is counted yet."""
    writing: float = 5.0
    alone: float = 5.0
    """Without the bridge. After 7 s nodes would give each other up for dead."""
    back: float = 5.0
    """With the bridge again, before all come to rest."""


class Simulation:
    """One run."""

    def __init__(self, load: Load, times: Times, *, seed: int = 1, watched: int = 2_000) -> None:
        self.load = load
        self.times = times
        self.found: dict[str, float] = {}
        self.counted: dict[str, dict[str, int]] = {}
        """What was counted in each part."""
        self._loop = asyncio.get_running_loop()
        self._delays = Delays()
        self._documents = [f"document {number:06}" for number in range(round(load.documents))]
        self._watched = {name: Watched(self._delays) for name in self._documents[:watched]}
        self._town = Town(load, seed, self._on_commit)
        self._crowd = Crowd(self._town, self._documents, self._watched)
        self._began = time.monotonic()

    def _on_commit(self, node: int, name: str, first: int, last: int) -> None:
        watched = self._watched.get(name)
        if watched is not None:
            watched.committed(node, first, last, self._loop.time())

    async def run(self) -> None:
        """Do all of it."""
        town, crowd, times = self._town, self._crowd, self.times
        for name in self._documents:
            await town.store.append(name, None, [seed(self.load.structs)])
        await town.start()
        self._say("all nodes have started")
        empty = resident()
        await crowd.join(times.coming)
        await asyncio.sleep(times.settling)
        logged = town.counts()["rows"] * MEASURED.logged
        self.found["memory"] = (resident() - empty - logged) / self.load.nodes
        self.found["rooms"] = len(self._rooms()) / self.load.nodes
        self.found["copies"] = len(self._rooms()) / len(self._documents)
        self._say("all people are there")

        crowd.begin()
        await asyncio.sleep(times.warming)
        began = self._loop.time()
        await self._part("writing", times.writing)
        self._take_up_delays("delay", began, self._loop.time())

        town.cut()
        began = self._loop.time()
        # What a node asks the store next, it waited for as if it heard of everything.
        await asyncio.sleep(FOLLOW_SECONDS + 0.2)
        await self._part("alone", times.alone - FOLLOW_SECONDS - 0.2)
        healed, before = self._loop.time(), self._counts()
        town.heal()
        await self._until_all_have(await self._heads())
        self.found["healed"] = self._loop.time() - healed
        self._say("all have everything again")
        await asyncio.sleep(times.back - self.found["healed"])
        self._take_in("back", before)
        self._take_up_delays("alone", began + FOLLOW_SECONDS + 0.2, healed - FOLLOW_ALONE_SECONDS - 0.5)

        crowd.rest()
        await asyncio.sleep(3 * FOLLOW_SECONDS)
        await self._check()
        self._say("all copies are equal, and nothing is lost")
        await town.stop()

    def _say(self, text: str) -> None:
        wall, megabytes = time.monotonic() - self._began, resident(tidy=False) / 2**20
        print(
            f"{self._loop.time():6.1f} s simulated, {wall:4.0f} s real, {megabytes:,.0f} MB: {text}",
            file=sys.stderr,
            flush=True,
        )

    def _rooms(self) -> list[DocumentRoom]:
        return [room for node in self._town.nodes for room in node.registry.neighbours()]

    async def _part(self, name: str, seconds: float) -> None:
        """Let time pass, and keep what happened meanwhile."""
        before = self._counts()
        await asyncio.sleep(seconds)
        self._take_in(name, before)

    def _take_in(self, name: str, before: "Counter[str]") -> None:
        self.counted[name] = dict(self._counts() - before)
        self._say(f"{name}: {json.dumps(self.counted[name])}")

    def _counts(self) -> "Counter[str]":
        counts = self._town.counts()
        counts.update(self._crowd.counts)
        counts["edits"] = sum(person.typed for person in self._crowd.people)
        counts["flushed"] = sum(document.head for document in self._town.store._by_id.values())
        return counts

    def _take_up_delays(self, name: str, since: float, until: float) -> None:
        """Keep how late edits were that were committed in between."""

        def seconds(delays: list[Delay]) -> list[float]:
            return [delay.seconds for delay in delays if since <= delay.committed_at < until]

        each, all_of_them = seconds(self._delays.each), seconds(self._delays.all)
        if each and all_of_them:
            self.found[f"{name}_mean"] = mean(each)
            self.found[f"{name}_all"] = mean(all_of_them)
            self.found[f"{name}_worst"] = max(each)
            self.found[f"{name}_watched"] = len(all_of_them)

    async def _heads(self) -> dict[str, int]:
        found = await self._town.store.find_all(self._documents)
        return {name: info.head for name, info in found.items()}

    async def _until_all_have(self, heads: dict[str, int]) -> None:
        behind = self._rooms()
        while behind := [room for room in behind if room.head < heads[room.name]]:
            await asyncio.sleep(LOOK_SECONDS)

    async def _check(self) -> None:
        """All copies are equal, all that was written is there, and all of it is acknowledged."""
        people, typed = self._crowd.people, Counter[str]()
        for person in people:
            typed[person.document] += person.typed
            assert not self.load.acknowledged or person.saved == person.said, "not all is acknowledged"
        assert not self._crowd.counts["closed"], "somebody was closed"
        heads = await self._heads()
        texts: dict[str, str] = {}
        for room in self._rooms():
            name = room.name
            assert room.head == heads[name], "a copy is behind"
            text = str(room.ydoc.get(ROOT, type=Text))
            assert texts.setdefault(name, text) == text, "copies differ"
            assert len(text) == typed[name] + 20 * self.load.structs, "something is lost or doubled"
            assert heads[name] == typed[name] + 1
        assert len(texts) == len(self._documents)


def per(counted: dict[str, int], what: list[str], of: str) -> float:
    """How often it happened, for each time that something else did."""
    return sum(counted.get(name, 0) for name in what) / counted[of]


def figures(simulation: Simulation) -> dict[str, float]:
    """What was found, by the names of what is predicted."""
    writing, alone, back = (simulation.counted[part] for part in ("writing", "alone", "back"))
    seconds, load = simulation.times.writing, simulation.load
    edits = [f"{{}} {messages.COMMITTED}", f"{{}} {messages.REACHED}"]

    def named(names: list[str], how: str) -> list[str]:
        return [name.format(how) for name in names]

    presence = [f"{{}} {messages.PRESENT}"]
    asked = [f"{{}} {kind}" for kind in (messages.PRESENT, messages.ONLY, messages.WHO)]
    copies = simulation.found["rooms"] * load.nodes
    beats = f"received {messages.ALIVE}"
    payloads = {
        how: sum(count for name, count in writing.items() if name.startswith(f"{how} "))
        for how in ("published", "received")
    }
    return {
        **simulation.found,
        "edits": writing["edits"] / seconds,
        "published_per_edit": per(writing, named(edits, "published"), "edits"),
        "received_per_edit": per(writing, named(edits, "received"), "edits"),
        "frames_per_edit": per(writing, [UPDATE], "edits"),
        "saved_per_edit": per(writing, [SAVED], "edits"),
        "rows_per_edit": per(writing, ["rows"], "edits"),
        "commits": writing["commits"] / seconds,
        "news": writing["news"] / seconds,
        "presence_published_per_news": per(writing, named(presence, "published"), "news"),
        "presence_received_per_news": per(writing, named(presence, "received"), "news"),
        "presence_frames_per_news": per(writing, [PRESENCE], "news"),
        "keepalives": writing.get(QUIET, 0) / seconds,
        "echoes": writing.get("echoes", 0) / seconds,
        "signs_of_life_received": writing.get(beats, 0) / seconds,
        "frames_out": per(writing, [UPDATE, SAVED, PRESENCE, QUIET], "edits") * writing["edits"] / seconds,
        "frames_in": (writing["edits"] + writing["news"] + writing.get("echoes", 0)) / seconds,
        "bridge_published": payloads["published"] / seconds,
        "bridge_received": payloads["received"] / seconds,
        "redis_commands": writing["commands"] / seconds,
        "redis_deliveries": writing["deliveries"] / seconds,
        "redis_bytes_in": writing["bytes_in"] / seconds,
        "redis_bytes_out": writing["bytes_out"] / seconds,
        "alone_queries": alone["queries"] / (simulation.times.alone - FOLLOW_SECONDS - 0.2),
        # Beside news: who is there, told and asked when the bridge is back.
        "back_published_per_copy": (
            per(back, named(asked, "published"), "edits") * back["edits"] - back["news"]
        )
        / copies,
        "back_received_per_copy": per(back, named(asked, "received"), "edits") * back["edits"] / copies,
        "log_reads_per_edit": (writing["queries"] - load.nodes * seconds / FOLLOW_SECONDS) / writing["edits"],
    }


def simulate(
    load: Load, times: Times | None = None, *, seed: int = 1, watched: int = 2_000
) -> dict[str, float]:
    """Run a town; what was found, by the names of what is predicted.

    Raises:
        AssertionError: something was lost, or copies differ.
    """

    async def run() -> dict[str, float]:
        simulation = Simulation(load, times or Times(), seed=seed, watched=watched)
        # Millions of objects that stay, and nothing that has to be looked for among them.
        gc.disable()
        try:
            await simulation.run()
        finally:
            gc.enable()
        return figures(simulation)

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(run())


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--publish", type=Path, help="put figures written earlier into the documentation")
    given = parser.parse_args()
    if given.publish:
        PAGE.write_text(page(PAGE.read_text(), json.loads(given.publish.read_text())))
        return
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Rooms are asked about in the order of a set.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    logging.basicConfig(level=logging.ERROR)
    load = load_from(given)
    began = time.monotonic()
    predicted, simulated = asdict(predict(load)), simulate(load, seed=given.seed)
    print(table(lines(predicted, simulated)))
    if given.json:
        data: dict[str, Any] = {"load": asdict(load), "predicted": predicted, "simulated": simulated}
        given.json.write_text(json.dumps(data, indent=1) + "\n")
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
