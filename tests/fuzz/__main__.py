"""Offers documents whatever passes the structural check until something breaks.

    python -m tests.fuzz [--documents 20000] [--seed 0] [--keep DIRECTORY]

Documents are tried in a process of their own. One that panics, kills the process, is not what it should be
afterwards or takes longer than ten seconds is written to DIRECTORY and reported; the exit status is then 1.
What was refused on the way is counted by reason.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

BATCH = 500


def main() -> int:
    """Runs the fuzz command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "collabd-fuzz")
    arguments = parser.parse_args()
    arguments.keep.mkdir(exist_ok=True)
    outcomes: Counter[str] = Counter()
    found = 0
    with tempfile.NamedTemporaryFile() as current:
        for seed in range(arguments.seed, arguments.seed + max(1, arguments.documents // BATCH)):
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
                held = Path(current.name).read_text()
                first = json.loads(held)[0] + 1
                found += 1
                kept = arguments.keep / f"{seed}-{first - 1}.json"
                kept.write_text(held)
                why = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
                sys.stdout.write(f"{kept}: {why[0]}\n")
                sys.stdout.flush()
    for outcome, times in outcomes.most_common():
        sys.stdout.write(f"{times:9}  {outcome or 'applied'}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
