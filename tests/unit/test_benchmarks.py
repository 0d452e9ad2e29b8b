"""What the benchmarks make of their figures, and that the documentation holds those of the results."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.costs import WAYS, costs
from benchmarks.measure import KINDS, pace
from benchmarks.measure.exposition import read_exposition
from benchmarks.measure.flat import KIND as FLAT
from benchmarks.measure.kinds import Kind
from benchmarks.measure.many import KIND as MANY
from benchmarks.measure.plot import plot
from benchmarks.measure.publish import pages, tables, with_figures
from benchmarks.measure.report import cell, median
from collabd.telemetry import Telemetry
from scripts.page import ROOT

RESULTS: Mapping[str, Any] = json.loads((ROOT / "benchmarks" / "results.json").read_text())
SVG = "{http://www.w3.org/2000/svg}"


def run(**figures: float | None) -> dict[str, Any]:
    return {"failed": False, **figures}


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md", "docs/performance.svg"])
def test_figures_in_the_documentation_are_those_of_the_results(page: str) -> None:
    assert pages(dict(RESULTS))[ROOT / page] == (ROOT / page).read_text(), "run compare.py --publish"


def test_tables_hold_every_kind_that_was_measured_and_its_medians() -> None:
    told = tables(dict(RESULTS))
    assert re.findall(r"^### (\w+)$", told, re.MULTILINE) == [
        kind.name for kind in KINDS if kind.name in RESULTS
    ]
    for by_server in RESULTS["saturation"]["results"].values():
        for runs in by_server.values():
            assert f" {median(runs, 'updates_per_s'):,.0f} |" in told


def test_every_kind_is_described_and_can_be_asked_for() -> None:
    for page in ("benchmarks/README.md", "docs/performance.md"):
        text = (ROOT / page).read_text()
        assert [kind.name for kind in KINDS if f"\n| `{kind.name}` |" not in text] == []


def test_a_median_is_that_of_the_rounds_that_did_not_fail() -> None:
    runs = [run(p50_ms=1.0), {"failed": True, "p50_ms": 99.0}, run(p50_ms=3.0)]
    assert median(runs, "p50_ms") == 2
    assert cell("{:.1f}", "p50_ms")(runs) == "2.0"
    assert cell("{:.1f}", "p50_ms")([{"failed": True, "p50_ms": 99.0}]) == "failed"
    assert cell("{:.1f} {:.1f}", "p50_ms", "commit_mean_ms")(runs) == "-"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_failed_is_told(kind: Kind) -> None:
    told = kind.tables({work: {"collabd": [{"failed": True, "why": "x"}]} for work in kind.works})
    assert "| failed |" in told


def test_a_commit_is_told_beside_what_hocuspocus_takes() -> None:
    told = pace.tables(
        {
            "team": {
                "collabd": [run(p50_ms=0.9, p99_ms=3.0, commit_mean_ms=0.25, commit_p99_ms=1.0)],
                "Hocuspocus": [run(p50_ms=0.5, p99_ms=2.0)],
            }
        }
    )
    assert "0.50 + 0.25 = 0.75 ms" in told
    assert "1.50 times Hocuspocus's" in told


def test_what_little_is_beside_much_is_told() -> None:
    told = FLAT.tables(
        {
            "short": {"collabd": [run(updates_per_s=1_000.0)]},
            "long": {"collabd": [run(updates_per_s=900.0), {"failed": True}]},
        }
    )
    assert "| 1,000 |" in told
    assert "| 900 (0.90 x) |" in told


def test_how_far_our_own_metrics_are_off_is_told_of_medians_and_of_the_worst_round() -> None:
    rounds = ({"edits/s": pair} for pair in ((100.0, 101.0), (100.0, 96.0), (100.0, 102.0)))
    told = MANY.tables({"many": {"collabd": [run() | {"own_metrics": seen} for seen in rounds]}})
    assert "| edits/s | 100 | 101 | 1.0%, 4.0% |" in told


def test_the_plot_shows_each_median_at_its_length() -> None:
    results = {"pair": {"collabd": [run(updates_per_s=400.0)], "Hocuspocus": [run(updates_per_s=100.0)]}}
    drawn = ET.fromstring(plot({"saturation": {"results": results}}))
    bars = {
        str(title.text): float(bar.attrib["width"])
        for bar in drawn.iter(f"{SVG}rect")
        if (title := bar.find(f"{SVG}title")) is not None
    }
    assert bars.keys() == {"collabd: 400", "Hocuspocus: 100"}
    assert bars["collabd: 400"] == pytest.approx(4 * bars["Hocuspocus: 100"], rel=0.01)


def test_nothing_of_the_plot_lies_outside_it() -> None:
    drawn = ET.fromstring(plot(RESULTS))
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    for shape in drawn.iter(f"{SVG}rect"):
        at = {name: float(shape.attrib.get(name, 0)) for name in ("x", "y", "width", "height")}
        assert at["x"] + at["width"] <= width
        assert at["y"] + at["height"] <= height


def test_figures_go_where_a_page_says() -> None:
    page = "before\n<!-- figures: by hand -->\nold\n<!-- end of figures -->\nafter\n"
    assert with_figures(page, "new") == page.replace("old", "\nnew\n")
    with pytest.raises(ValueError, match="marked"):
        with_figures("no place", "new")


def test_commits_between_two_looks_at_the_metrics() -> None:
    telemetry = Telemetry()
    telemetry.committed(1, 20, 5.0)
    before = read_exposition(telemetry.exposition().decode())
    for _ in range(4):
        telemetry.committed(2, 40, 0.002)
    after = read_exposition(telemetry.exposition().decode())
    assert after.values["collabd_updates_total"] - before.values["collabd_updates_total"] == 8
    commits = after.histograms["collabd_commit_seconds"] - before.histograms["collabd_commit_seconds"]
    assert commits.number == 4
    assert commits.mean == pytest.approx(0.002)
    middle = commits.quantile(0.5)
    assert middle is not None
    assert 0.001 < middle <= 0.0025
    assert (after.histograms["collabd_room_load_seconds"]).mean is None


def test_costs_are_told_for_each_step(tmp_path: Path) -> None:
    found = costs(at_once=3, turns=2, peers=2, folder=tmp_path)
    assert len(found) == 6
    assert {len(taken) for taken in found.values()} == {len(WAYS)}
    assert min(found["log it to SQLite until it is on disk, in another thread"]) > 0
