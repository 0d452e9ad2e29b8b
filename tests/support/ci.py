"""What holds only for whole runs: nothing is skipped in CI, and the core is covered.

A pytest plugin, loaded by tests/conftest.py.
"""

import io
import json
import os
from collections.abc import Generator
from contextlib import redirect_stdout

import coverage
import pytest

IN_CI = bool(os.environ.get("CI"))

COVERAGE_BAR = 95.0
"""Per cent of the branches that the tests have to take, in each of:"""
COVERED = ("collabd/protocol", "collabd/rooms")

TAKEN = pytest.StashKey[dict[str, float]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--coverage-bar",
        action="store_true",
        help=f"with --cov: fail if fewer than {COVERAGE_BAR:g} %% of the branches of {COVERED} were taken",
    )


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


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("coverage_bar"):
        return
    taken = branches_taken()
    session.config.stash[TAKEN] = taken
    if any(percent < COVERAGE_BAR for percent in taken.values()) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for folder, percent in config.stash.get(TAKEN, {}).items():
        verdict = "FAILED: fewer than" if percent < COVERAGE_BAR else "at least"
        terminalreporter.write_line(
            f"{folder}: {percent:.1f} % of branches taken, {verdict} {COVERAGE_BAR:g} %"
        )


def branches_taken() -> dict[str, float]:
    """Per cent of the branches taken by the run that pytest-cov just measured, by folder."""
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
