"""Putting load on a server that runs, and looking at it meanwhile."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any, NamedTuple

from .exposition import Figures
from .servers import LOAD_ON, Bench, Running, Sample

LOAD_SECONDS = 180.0
"""What a load may take beyond the time it measures; then it has failed."""

Run = dict[str, Any]
"""The figures of one measurement by name, and ``failed``: whether anything was missing or closed."""


class Observed(NamedTuple):
    """What the generator found, and the server at each of its phases: ``synced``, ``measuring``, ``measured``
    and ``done``."""

    found: Run
    samples: dict[str, Sample]
    figures: dict[str, Figures]
    """A collabd's own."""

    @property
    def cpu_shares(self) -> tuple[float, float]:
        """Processors the server used while it was measured, in itself and in the kernel."""
        begin, end = self.samples["measuring"], self.samples["measured"]
        return (end.user - begin.user) / (end.at - begin.at), (end.system - begin.system) / (
            end.at - begin.at
        )


def put_load(
    bench: Bench,
    run: Running,
    options: str,
    *,
    prefix: str,
    seconds: float | None = None,
    metrics: bool = False,
) -> Observed:
    """Run the generator to its end.

    Args:
        options: of ``load``.
        prefix: what documents' names begin with.
        metrics: whether to ask the server for its own figures at each phase, if it has any.
    """
    seconds = bench.seconds if seconds is None else seconds
    found: Run = {}
    samples: dict[str, Sample] = {}
    figures: dict[str, Figures] = {}
    with generator(bench, run, f"{options} --seconds {seconds}", prefix) as process:
        too_late = Timer(LOAD_SECONDS + seconds, process.kill)
        too_late.start()
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            told = json.loads(line)
            phase = told.pop("phase")
            found |= told
            samples[phase] = run.sample()
            if metrics and run.server.has_metrics:
                figures[phase] = run.figures()
        complaint = process.stderr.read()
        too_late.cancel()
        found["failed"] = process.wait() != 0
        if found["failed"]:
            found["why"] = complaint.strip()[-300:] or "it took too long, or something was missing"
    return Observed(found, samples, figures)


@contextmanager
def generator(bench: Bench, run: Running, options: str, prefix: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the generator for the length of a block."""
    server = run.server
    command = ["taskset", "-c", str(LOAD_ON), str(bench.peers / "load"), "--port", str(run.port)]
    command += ["--path", server.path, "--protocol", server.protocol, "--prefix", prefix]
    with subprocess.Popen(
        [*command, *shlex.split(options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()
