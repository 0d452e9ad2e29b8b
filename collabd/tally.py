"""The figures of a server that is several processes, added up.

The supervisor keeps the tally: whichever worker is asked for figures asks it, and it asks all workers for
theirs. What a process had counted stays in the sums when it ends, as far as anybody had asked for it, so that
no counter goes down because a worker is replaced.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from collabd.frames import Link, cut_off, frame, links_at
from collabd.sockets import short

PATIENCE: Final = 1.0
"""Seconds that a worker has to say its figures; after that, those count that it said last."""
ANSWER_SECONDS: Final = 5.0
"""Seconds that the supervisor has to say those of all."""

LEAST: Final = frozenset(
    {"collabd_bridge_up", "collabd_bridge_nodes", "process_start_time_seconds", "process_max_fds"}
)
"""Figures that are not to be added up: the least one stands for all..."""
MOST: Final = frozenset({"process_open_fds"})
"""...and of these the most: beside the least limit, it tells when a process comes near to its own."""
COUNTED: Final = ("counter", "histogram")
"""The types of figures that must never go down."""


class Kind(IntEnum):
    """What a message is; an answer has the kind and the number of what it answers."""

    OWN = 1
    """To a worker: its figures are asked for."""
    ALL = 2
    """To the supervisor: everybody's are, as text."""


def added_up(each: Iterable[Iterable[Metric]]) -> list[Metric]:
    """The figures of several processes as those of one."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for metrics in each:
        for metric in metrics:
            families.setdefault(metric.name, metric)
            sums = values.setdefault(metric.name, {})
            for sample in metric.samples:
                key = sample.name, tuple(sample.labels.items())
                if key not in sums:
                    sums[key] = sample.value
                elif sample.name in LEAST or sample.name.endswith("_created"):
                    sums[key] = min(sums[key], sample.value)
                elif sample.name in MOST:
                    sums[key] = max(sums[key], sample.value)
                else:
                    sums[key] += sample.value
    return [_metric(family, values[name]) for name, family in families.items()]


def _metric(family: Metric, values: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> Metric:
    metric = Metric(family.name, family.documentation, family.type)
    for (name, labels), value in values.items():
        metric.add_sample(name, dict(labels), value)
    return metric


def pack(metrics: Iterable[Metric]) -> bytes:
    """Encode figures."""
    return json.dumps(
        [
            [metric.name, metric.documentation, metric.type, [sample[:3] for sample in metric.samples]]
            for metric in metrics
        ]
    ).encode()


def unpack(body: bytes) -> list[Metric]:
    """What :func:`pack` encoded."""
    metrics = []
    for name, documentation, kind, samples in json.loads(body):
        metric = Metric(name, documentation, kind)
        for sample in samples:
            metric.add_sample(*sample)
        metrics.append(metric)
    return metrics


class _Sums(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


@contextlib.asynccontextmanager
async def adding_up(path: Path, own: CollectorRegistry) -> AsyncIterator[None]:
    """Serve the figures of all processes to them, in the block.

    Args:
        own: the figures of this one.

    Raises:
        OSError: there can be no socket at ``path``.
        StoreError: the path is too long.
    """
    tally = _Tally(own)
    async with links_at(path, tally.welcome, tally.close):
        yield


class _Tally:
    def __init__(self, own: CollectorRegistry) -> None:
        self._own = own
        self._workers: set[_Worker] = set()
        self._past: list[Metric] = []
        """What those counted that have ended."""
        self._tasks: set[asyncio.Task[None]] = set()

    def welcome(self) -> Link:
        worker = _Worker(self)
        self._workers.add(worker)
        return worker.link

    def lost(self, worker: "_Worker") -> None:
        self._workers.discard(worker)
        counted = [metric for metric in worker.known if metric.type in COUNTED]
        self._past = added_up([self._past, counted])

    def tell(self, worker: "_Worker", number: int) -> None:
        """Let a worker know the figures of all, as soon as they are known."""
        task = asyncio.get_running_loop().create_task(self._tell(worker, number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, worker: "_Worker", number: int) -> None:
        workers = list(self._workers)
        if workers:
            await asyncio.wait([each.ask() for each in workers], timeout=PATIENCE)
        registry = CollectorRegistry()
        # Whoever ended meanwhile is part of the past by now.
        known = [each.known for each in self._workers]
        registry.register(_Sums(added_up([self._own.collect(), *known, self._past])))
        worker.link.send(frame(Kind.ALL, number, generate_latest(registry)))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await cut_off(worker.link for worker in self._workers)


class _Worker:
    """A worker, as the supervisor knows it."""

    def __init__(self, tally: _Tally) -> None:
        self.link = Link(self._received, self._lost)
        self.known: list[Metric] = []
        """What it said last."""
        self._tally = tally
        self._asked: asyncio.Future[None] | None = None

    def ask(self) -> "asyncio.Future[None]":
        """Ask for its figures; done once ``known`` has them, or never will."""
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
            self.link.send(frame(Kind.OWN, 0))
        return self._asked

    def _received(self, kind: int, number: int, body: bytes) -> None:
        match kind:
            case Kind.OWN:
                self.known = unpack(body)
                self._answered()
            case Kind.ALL:
                self._tally.tell(self, number)
            case _:
                raise ValueError(f"workers send no message of kind {kind}")

    def _lost(self) -> None:
        self._answered()
        self._tally.lost(self)

    def _answered(self) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.set_result(None)


class Reporter:
    """A worker's end: says its own figures, and asks for those of all.

    Args:
        path: where the supervisor's socket is.
        own: the figures of this process.
    """

    def __init__(self, path: Path, own: CollectorRegistry) -> None:
        self._path = path
        self._own = own
        self._link = Link(self._received, self._lost)
        self._numbers = 0
        self._asked: dict[int, asyncio.Future[bytes]] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be connected in the block.

        Raises:
            OSError: the supervisor cannot be reached.
        """
        with short(self._path) as address:
            await asyncio.get_running_loop().create_unix_connection(lambda: self._link, address)
        try:
            yield
        finally:
            await self._link.close()

    async def exposition(self) -> bytes:
        """The figures of all processes, in Prometheus' text format.

        Raises:
            OSError: the supervisor does not say them; TimeoutError is one.
        """
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._link.send(frame(Kind.ALL, number))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        finally:
            del self._asked[number]

    def _received(self, kind: int, number: int, body: bytes) -> None:
        match kind:
            case Kind.OWN:
                self._link.send(frame(Kind.OWN, number, pack(self._own.collect())))
            case Kind.ALL:
                answer = self._asked.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(body)
            case _:
                raise ValueError(f"supervisors send no message of kind {kind}")

    def _lost(self) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the supervisor is gone"))
