"""What can be seen of a running collabd: log lines on stderr and figures for Prometheus.

The core logs through the standard library and tells one observer what happened; this module decides how the
lines look and what is counted. Metrics live in a registry of their own, so that two applications in one
process, or an application that has metrics itself, do not get in each other's way.
"""

import json
import logging
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, Literal, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

logger = logging.getLogger("collabd")

COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
EDIT_BUCKETS: Final = tuple(round(0.0001 * 1.15**step, 7) for step in range(92))
"""Fine enough for percentiles that are right to a hundredth; to 30 s and beyond."""
LOAD_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class Times:
    """A histogram of what is far more frequent than anybody asks for the figures: ``prometheus_client``'s own
    take a lock for each number."""

    def __init__(self, name: str, about: str, buckets: Sequence[float]) -> None:
        self._name, self._about, self._buckets = name, about, buckets
        self._seconds = 0.0
        self._counts = [0] * (len(buckets) + 1)

    def note(self, number: int, seconds: float) -> None:
        """So many things took so long each."""
        self._seconds += number * seconds
        self._counts[bisect_left(self._buckets, seconds)] += number

    def metric(self) -> Metric:
        bounds = [*map(floatToGoString, self._buckets), "+Inf"]
        counts = list(zip(bounds, accumulate(self._counts), strict=True))
        return HistogramMetricFamily(self._name, self._about, counts, self._seconds)


class Edits(Collector):
    """Counts what is committed and delivered."""

    def __init__(self) -> None:
        self.updates = self.bytes = 0
        self.commits = Times(
            "collabd_commit_seconds",
            "Time from handing a room's batch of updates to the log until it is durable.",
            COMMIT_BUCKETS,
        )
        self.deliveries = Times(
            "collabd_edit_seconds",
            "Time from reading an update until it is committed and on its way to everybody else.",
            EDIT_BUCKETS,
        )
        self.seen = Times(
            "collabd_seen_seconds",
            "Time from somebody's sending an update until others have it, by the round trip measured last.",
            EDIT_BUCKETS,
        )
        self.round_trips = Times(
            "collabd_round_trip_seconds",
            "Time from asking a client for a sign of life until it comes, measured while there are edits.",
            EDIT_BUCKETS,
        )
        self.round_trip = 0.0
        """The last one, in seconds."""

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily("collabd_updates", "Updates committed to the log.", self.updates)
        yield CounterMetricFamily(
            "collabd_update_bytes", "Bytes of updates committed to the log.", self.bytes
        )
        yield self.commits.metric()
        yield self.deliveries.metric()
        yield self.seen.metric()
        yield self.round_trips.metric()


class Telemetry:
    """The observer rooms report to: counts everything, and writes a log line for each coming and going."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._connections = Gauge(
            "collabd_connections", "WebSocket connections that follow a document now.", registry=self.registry
        )
        self._joins = Counter(
            "collabd_joins", "Connections that began to follow a document.", registry=self.registry
        )
        self._leaves = Counter(
            "collabd_leaves", "Connections that ended, by close code.", ["code"], registry=self.registry
        )
        self._refusals = Counter(
            "collabd_refusals",
            "Connections and requests refused, by error code.",
            ["code"],
            registry=self.registry,
        )
        self._rooms = Gauge("collabd_rooms", "Documents in memory now.", registry=self.registry)
        self._idle_memory = Gauge(
            "collabd_idle_rooms_bytes",
            "Memory that documents take which nobody uses, estimated.",
            registry=self.registry,
        )
        self._loads = Histogram(
            "collabd_room_load_seconds",
            "Time to read a document from the store.",
            buckets=LOAD_BUCKETS,
            registry=self.registry,
        )
        self._edits = Edits()
        self.registry.register(self._edits)
        self._redundant = Counter(
            "collabd_redundant", "Updates received that brought nothing new.", registry=self.registry
        )
        self._early = Gauge(
            "collabd_early_updates",
            "Updates of the documents in memory that wait for one they build on.",
            registry=self.registry,
        )

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def room_opened(self, document: str, seconds: float) -> None:
        self._rooms.inc()
        self._loads.observe(seconds)
        logger.debug(
            "room opened", extra={"event": "open", "document": document, "seconds": round(seconds, 4)}
        )

    def room_closed(self, document: str) -> None:
        self._rooms.dec()
        logger.debug("room closed", extra={"event": "close", "document": document})

    def joined(self, document: str, peer: int, who: str, address: str) -> None:
        self._connections.inc()
        self._joins.inc()
        logger.info(
            "joined",
            extra={"event": "join", "document": document, "peer": peer, "who": who, "address": address},
        )

    def left(
        self, document: str, peer: int, who: str, code: int, reason: str, seconds: float, updates: int
    ) -> None:
        self._connections.dec()
        self._leaves.labels(str(code)).inc()
        logger.info(
            "left",
            extra={
                "event": "leave",
                "document": document,
                "peer": peer,
                "who": who,
                "code": code,
                "reason": reason,
                "seconds": round(seconds, 3),
                "updates": updates,
            },
        )

    def committed(self, updates: int, size: int, seconds: float) -> None:
        edits = self._edits
        edits.updates += updates
        edits.bytes += size
        edits.commits.note(1, seconds)

    def delivered(self, updates: int, seconds: float) -> None:
        edits = self._edits
        edits.deliveries.note(updates, seconds)
        edits.seen.note(updates, seconds + edits.round_trip)

    def round_trip(self, seconds: float) -> None:
        edits = self._edits
        edits.round_trips.note(1, seconds)
        edits.round_trip = seconds

    def redundant(self, updates: int) -> None:
        self._redundant.inc(updates)

    def early(self, change: int) -> None:
        self._early.inc(change)

    def idle_memory(self, size: int) -> None:
        self._idle_memory.set(size)

    def refused(self, code: str) -> None:
        self._refusals.labels(code).inc()


def set_up_logging(
    level: str,
    form: Literal["text", "json"] | str,
    stream: TextIO | None = None,
    *,
    worker: int | None = None,
) -> None:
    """Send this process's log lines of at least ``level`` to ``stream`` (stderr), one record a line; each
    says which ``worker`` it comes from, if there are several.

    uvicorn is heard from WARNING up only: its INFO lines on WebSockets hold the query string, and so the
    tokens that providers put there, and its DEBUG lines hold what users write.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(json_formatter() if form == "json" else TextFormatter())
    if worker is not None:
        handler.addFilter(lambda record: bool(vars(record).setdefault("worker", worker)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def json_formatter() -> logging.Formatter:
    """One JSON object a line: time, level, logger, message, and what the line says besides."""
    return JsonFormatter(
        "%(levelname)s %(name)s %(message)s",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
    )


class TextFormatter(logging.Formatter):
    """``2026-11-23T21:00:00.123Z INFO collabd: joined event=join document=notes``."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the standard library's name
        extra = (f" {key}={_plain(value)}" for key, value in vars(record).items() if key not in _KNOWN)
        return super().formatMessage(record) + "".join(extra)


_KNOWN: Final = frozenset(RESERVED_ATTRS) | {"message", "asctime", "color_message"}


def _plain(value: object) -> str:
    """A value as it is if it can be told where it ends, else quoted."""
    text = str(value)
    return text if text and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)
