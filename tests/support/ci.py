"""What holds only for whole runs: nothing is skipped in CI, and the core is covered.

The first is a pytest plugin, loaded by tests/conftest.py. The second is looked at by
``python -m tests.support.ci``, once all runs are over and what they measured is put together.
"""

import io
import json
import os
import sys
from collections.abc import Generator
from contextlib import redirect_stdout

import coverage
import pytest

IN_CI = bool(os.environ.get("CI"))

COVERAGE_BAR = 95.0
"""Per cent of the branches that the tests have to take, in each of:"""
COVERED = ("collabd/protocol", "collabd/rooms")


def _no_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that says what was missing."""
    if not IN_CI or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"in CI nothing may be skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _no_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _no_skip(report)
    return report


def branches_taken() -> dict[str, float]:
    """Per cent of the branches taken by what was measured here, by folder."""
    measured = coverage.Coverage()
    measured.load()
    with redirect_stdout(io.StringIO()) as printed:
        measured.json_report(outfile="-")
    files = json.loads(printed.getvalue())["files"]
    percent = {}
    for folder in COVERED:
        summaries = [file["summary"] for path, file in files.items() if path.startswith(f"{folder}/")]
        possible = sum(summary["num_branches"] for summary in summaries)
        percent[folder] = 100.0 * sum(summary["covered_branches"] for summary in summaries) / possible
    return percent


def main() -> int:
    """Print how much was taken; return 1 if that is not enough."""
    taken = branches_taken()
    for folder, percent in taken.items():
        verdict = "FAILED: fewer than" if percent < COVERAGE_BAR else "at least"
        print(f"{folder}: {percent:.1f} % of branches taken, {verdict} {COVERAGE_BAR:g} %")
    return 1 if any(percent < COVERAGE_BAR for percent in taken.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
