"""The rules for whole runs (scripts/all_tests.py, tests/support/ci.py), tried on small suites."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.page import ROOT

SKIPS = """
import pytest

def test_that_runs(): pass

def test_that_skips(): pytest.skip("no server here")

@pytest.mark.skipif(True, reason="not on this machine")
def test_that_is_marked(): pass

@pytest.mark.xfail(strict=True)
def test_known_to_fail(): assert False
"""
SKIPS_WHOLE = 'import pytest; pytest.importorskip("no_such_module")'

ONLY_COVERAGE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_cov.plugin"}
"""In the environment: no other plugin, as loading them takes most of the time of a small suite."""

HALF_TESTED = "def decide(a):\n    if a:\n        return 1\n    return 2\n"


def run_suite(folder: Path, *arguments: str, ci: bool) -> "subprocess.CompletedProcess[str]":
    return run(folder, "pytest", "-p", "tests.support.ci", f"--rootdir={folder}", *arguments, ".", ci=ci)


def run(folder: Path, *module: str, ci: bool = False) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])} | ({"CI": "true"} if ci else {})
    return subprocess.run(
        [sys.executable, "-m", *module], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("ci", "summary"),
    [(True, "1 failed, 1 passed, 1 xfailed, 2 errors"), (False, "1 passed, 3 skipped, 1 xfailed")],
    ids=["in CI", "elsewhere"],
)
def test_a_skip_is_a_failure_in_ci_alone(ci: bool, summary: str, tmp_path: Path) -> None:
    (tmp_path / "test_skips.py").write_text(SKIPS)
    (tmp_path / "test_skips_whole.py").write_text(SKIPS_WHOLE)
    done = run_suite(tmp_path, "--continue-on-collection-errors", "-rs", ci=ci)
    assert summary in done.stdout
    assert "no server here" in done.stdout
    assert "not on this machine" in done.stdout
    assert "no_such_module" in done.stdout
    assert done.returncode == (1 if ci else 0)


@pytest.mark.parametrize(("asked", "exit_code"), [("1", 1), ("1, 0", 0)], ids=["one way", "both ways"])
def test_untaken_branches_of_the_core_are_a_failure(asked: str, exit_code: int, tmp_path: Path) -> None:
    for package in ("protocol", "rooms"):
        (tmp_path / "collabd" / package).mkdir(parents=True)
        (tmp_path / "collabd" / package / "code.py").write_text(HALF_TESTED)
    (tmp_path / "test_code.py").write_text(
        "import runpy\n\ndef test_it():\n"
        "    for package in ('protocol', 'rooms'):\n"
        f"        for asked in [{asked}]:\n"
        "            runpy.run_path(f'collabd/{package}/code.py')['decide'](asked)\n"
    )
    (tmp_path / ".coveragerc").write_text("[run]\nbranch = true\nsource = collabd\n")
    tests = run_suite(tmp_path, "--cov", "--cov-report=", ci=False)
    assert "1 passed" in tests.stdout.splitlines()[-1]
    done = run(tmp_path, "tests.support.ci")
    assert done.returncode == exit_code, done.stdout
    percent = "50.0 % of branches taken, FAILED" if exit_code else "100.0 % of branches taken, at least 95 %"
    assert f"collabd/rooms: {percent}" in done.stdout


@pytest.mark.parametrize(
    "fails", ["unit/test_it.py", "faults/test_it.py", "new/test_it.py", "rooms/test_it.py with workers", None]
)
def test_a_test_that_fails_anywhere_is_seen_and_fails_the_whole(fails: str | None, tmp_path: Path) -> None:
    for package in ("protocol", "rooms"):
        (tmp_path / "collabd" / package).mkdir(parents=True)
        (tmp_path / "collabd" / package / "code.py").write_text(HALF_TESTED)
    takes = (
        "import runpy\n\ndef test_it():\n    for package in ('protocol', 'rooms'):\n"
        "        runpy.run_path(f'collabd/{package}/code.py')['decide'](%d)\n"
    )
    # The rest takes the other half of the branches.
    tests = dict.fromkeys(("browser", "contract", "unit", "faults", "rooms"), takes % 1) | {"new": takes % 0}
    workers = "__import__('os').environ['TESTS_WITH_WORKERS']"
    for folder, test in tests.items():
        path = tmp_path / "tests" / folder / "test_it.py"
        path.parent.mkdir(parents=True)
        name = f"'{folder}/test_it.py' + (' with workers' if {workers} else '')"
        path.write_text(test + f"    assert {name} != {fails!r}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (tmp_path / ".coveragerc").write_text("[run]\nbranch = true\nsource = collabd\n")
    whole = "import pathlib, sys; from scripts.all_tests import main; sys.exit(main(pathlib.Path.cwd()))"
    done = subprocess.run(
        [sys.executable, "-c", whole],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), **ONLY_COVERAGE},
        capture_output=True,
        text=True,
    )
    assert done.returncode == (0 if fails is None else 1), done.stdout
    counts = re.findall(r"(\d+) (?:passed|failed)", done.stdout)
    assert sum(map(int, counts)) == len(tests) + 1, "each runs once, but for one"
    assert ("1 failed" in done.stdout) == (fails is not None)
    assert "collabd/rooms: 100.0 % of branches taken" in done.stdout
