"""Applies updates that pass the structural check to pycrdt until something breaks.

    python -m tests.fuzz [--cases 200000] [--seed 0] [--keep DIRECTORY]

Cases run in a process of their own. One that panics, kills the process or takes longer than ten seconds is
written to DIRECTORY and reported; the exit status is then 1. What pycrdt refuses with an ordinary exception
though it passed the check is counted by message: such an update costs its sender the connection late instead
of early, and nothing else.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

BATCH = 2_000


def main() -> int:
    """Runs the fuzz command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "collabd-fuzz")
    arguments = parser.parse_args()
    arguments.keep.mkdir(exist_ok=True)
    outcomes: Counter[str] = Counter()
    found = 0
    with tempfile.NamedTemporaryFile() as current:
        for seed in range(arguments.seed, arguments.seed + max(1, arguments.cases // BATCH)):
            first = 0
            while first < BATCH:
                trial = [
                    sys.executable,
                    "-m",
                    "tests.fuzz.trial",
                    str(seed),
                    str(first),
                    str(BATCH),
                    current.name,
                ]
                done = subprocess.run(trial, capture_output=True, text=True)
                if done.returncode == 0:
                    outcomes.update(json.loads(done.stdout))
                    break
                held = Path(current.name).read_bytes()
                first, case = int.from_bytes(held[:8]) + 1, held[8:]
                found += 1
                kept = arguments.keep / f"{hashlib.sha256(case).hexdigest()[:16]}.update"
                kept.write_bytes(case)
                why = done.stderr.strip().splitlines()[-1:] or [""]
                sys.stdout.write(f"status {done.returncode}, {kept}, {case[:80].hex()}: {why[0]}\n")
                sys.stdout.flush()
    for outcome, times in outcomes.most_common():
        sys.stdout.write(f"{times:9}  {outcome or 'applied'}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
