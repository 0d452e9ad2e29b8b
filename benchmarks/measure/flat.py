"""Whether an edit costs the same beside ten thousand other documents, in a long text, after many people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .documents import ROOT, text_by, text_of
from .kinds import Kind
from .load import Run, generator, put_load
from .report import Cell, Results, Runs, cell, median, servers_of, table
from .saturation import WORKS as SATURATION
from .servers import COLLABD, HOCUSPOCUS, Bench, Running, running


@dataclass(frozen=True)
class Work:
    """What is there beside those who write: other open documents, or what was written before.

    Args:
        beside: the work with little of it, to which this one is compared.
    """

    about: str
    others: int = 0
    seed: Callable[[], bytes] | None = None
    beside: str | None = None


WORKS = {
    "few documents": Work("**pair** beside 50 other open documents", others=50),
    "many documents": Work(
        "**pair** beside 10,000 other open documents", others=10_000, beside="few documents"
    ),
    "short": Work("**team** in a text of 1 KB", seed=lambda: text_of(1_000)),
    "long": Work("**team** in a text of 1 MB", seed=lambda: text_of(1_000_000), beside="short"),
    "few people": Work("**team** where 10 client ids wrote before", seed=lambda: text_by(10)),
    "many people": Work(
        "**team** where 3,000 client ids wrote before", seed=lambda: text_by(3_000), beside="few people"
    ),
}


def measure(bench: Bench, server: str, work: str) -> Run:
    what = WORKS[work]
    with running(bench, server) as run:
        if what.seed is not None:
            file = bench.scratch / f"{work}.update"
            if not file.exists():
                file.write_bytes(what.seed())
            return put_load(
                bench, run, f"{SATURATION['team'][1]} --root {ROOT} --seed '{file}'", prefix="flat"
            ).found
        others = bench.pick(what.others, min(what.others, 500))
        return _beside(bench, run, others)


def _beside(bench: Bench, run: Running, others: int) -> Run:
    with generator(bench, run, f"--rooms {others} --clients 1 --writers 0 --seconds 1000", "other") as idle:
        assert idle.stdout is not None
        assert idle.stderr is not None
        if not idle.stdout.readline():
            return {"failed": True, "why": f"{others} documents could not be opened: {idle.stderr.read()}"}
        return put_load(bench, run, SATURATION["pair"][1], prefix="flat").found


def tables(results: Results) -> str:
    rows = [(WORKS[work].about, *_beside_little(results, work)) for work in results]
    return table("updates/s, and how many times that is what it is with little", servers_of(results), rows)


def _beside_little(results: Results, work: str) -> tuple[Mapping[str, Runs], Cell]:
    """What was measured, with how many times that is what it is with little; and how to tell it."""
    little = results.get(WORKS[work].beside or "", {})
    medians = {name: median(runs, "updates_per_s") for name, runs in little.items()}
    if not any(medians.values()):
        return results[work], cell("{:,.0f}", "updates_per_s")
    compared = {
        name: [
            {**run, "times": run["updates_per_s"] / base} if not run["failed"] and base else run
            for base in [medians.get(name)]
            for run in runs
        ]
        for name, runs in results[work].items()
    }
    return compared, cell("{:,.0f} ({:.2f} x)", "updates_per_s", "times")


KIND = Kind("flat", __doc__, tuple(WORKS), (COLLABD, HOCUSPOCUS), measure, tables)
