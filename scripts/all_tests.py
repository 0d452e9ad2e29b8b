"""Runs all tests, most of them side by side, and asks for the coverage bar: ``scripts/test`` by itself.

Most tests leave a core idle: they wait for a browser, a database, another server. So two runs go on at the
same time, which share nothing but the sources; within each, tests come one after the other, in the same order
every time. Those that put a bound on how long anybody waits while something is wrong run afterwards, alone;
and those of rooms once more, on servers that are several processes.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from scripts.page import ROOT

FIRST = ("tests/browser", "tests/contract", "tests/unit")
"""Takes about as long as the rest."""
ALONE = ("tests/faults",)
WITH_WORKERS = ("tests/rooms",)
"""What holds whether one process serves or several: gone through once more, with several."""
REST = ("tests", *(f"--ignore={folder}" for folder in FIRST + ALONE))
"""Whatever there is besides."""


def start(
    root: Path, name: str, tests: Sequence[str], output: IO[bytes] | None = None, workers: str = ""
) -> "subprocess.Popen[bytes]":
    """Begin a run, which measures into a file of its own."""
    measuring = ("--cov", "--cov-report=", "-o", f"cache_dir=.pytest_cache/{name}")
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *measuring, *tests],
        cwd=root,
        env=os.environ | {"COVERAGE_FILE": f".coverage.{name}", "TESTS_WITH_WORKERS": workers},
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
    )


def main(root: Path = ROOT) -> int:
    """Return 0 if all tests passed and the core is covered. What the run beside the first says is seen when
    both are over."""
    for old in (root / ".coverage", *root.glob(".coverage.*")):
        old.unlink(missing_ok=True)
    with tempfile.TemporaryFile() as output:
        beside, first = start(root, "rest", REST, output), start(root, "first", FIRST)
        try:
            passed = [first.wait() == 0, beside.wait() == 0]
        finally:  # an interrupt was told to both
            first.wait()
            beside.wait()
            output.seek(0)
            sys.stdout.buffer.write(output.read())
            sys.stdout.flush()
    passed.append(start(root, "alone", ALONE).wait() == 0)
    passed.append(start(root, "workers", WITH_WORKERS, workers="2").wait() == 0)
    environment = os.environ | {"COVERAGE_FILE": ".coverage"}
    for tool in (["coverage", "combine", "--quiet"], ["tests.support.ci"]):
        done = subprocess.run([sys.executable, "-m", *tool], cwd=root, env=environment)
        passed.append(done.returncode == 0)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
