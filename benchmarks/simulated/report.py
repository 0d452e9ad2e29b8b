"""What was predicted beside what was simulated, and where it goes in the documentation. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.measure.publish import with_figures
from benchmarks.model.figures import MEASURED, Load
from benchmarks.sizing import size
from benchmarks.sizing import table as sizing_table

Values = Mapping[str, float]

HEAD: Final = ("| | predicted | simulated | ratio |", "|---|---:|---:|---:|")
USERS: Final = (1_000, 100_000, 10_000_000)
ONLINE: Final = 0.1


@dataclass(frozen=True)
class Line:
    """One prediction, and what came of it."""

    name: str
    predicted: float
    simulated: float

    @property
    def ratio(self) -> float:
        return self.simulated / self.predicted if self.predicted else float("nan")


def lines(predicted: Values, simulated: Values) -> list[Line]:
    """What can be compared."""
    return [Line(name, value, simulated[name]) for name, value in predicted.items() if name in simulated]


def table(compared: Sequence[Line]) -> str:
    """All of it, as Markdown."""
    return "\n".join(
        [
            *HEAD,
            *(
                f"| {line.name} | {line.predicted:,.4g} | {line.simulated:,.4g} | {line.ratio:.2f} |"
                for line in compared
            ),
        ]
    )


@dataclass(frozen=True)
class _Shown:
    about: str
    tell: Callable[[float], str]


def _plain(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _milliseconds(value: float) -> str:
    return f"{value * 1000:,.2f} ms" if value < 0.1 else f"{value:.2f} s"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.1f} MB"


SHOWN: Final = {
    "copies": _Shown("copies of a document", _plain),
    "published_per_edit": _Shown("messages for an edit: sent", _plain),
    "received_per_edit": _Shown("received, by all other servers", _plain),
    "frames_per_edit": _Shown("frames to clients", _plain),
    "rows_per_edit": _Shown("rows in the log", _plain),
    "presence_published_per_news": _Shown("messages for news of a cursor: sent", _plain),
    "presence_received_per_news": _Shown("received", _plain),
    "presence_frames_per_news": _Shown("frames to clients", _plain),
    "commits": _Shown("commits/s, of all servers", _plain),
    "redis_commands": _Shown("messages/s to Redis", _plain),
    "redis_deliveries": _Shown("messages/s from Redis", _plain),
    "redis_bytes_out": _Shown("bytes/s from Redis", _plain),
    "frames_out": _Shown("frames/s to clients", _plain),
    "delay_mean": _Shown("from commit to another server, mean", _milliseconds),
    "delay_all": _Shown("to all other servers with a copy", _milliseconds),
    "alone_mean": _Shown("the same without Redis, mean", _milliseconds),
    "alone_all": _Shown("to all", _milliseconds),
    "alone_worst": _Shown("at most", _milliseconds),
    "alone_queries": _Shown("queries/s without Redis, of all servers", _plain),
    "healed": _Shown("Redis is back: until all have everything", _milliseconds),
    "memory": _Shown("memory of a server beyond what it takes empty, without sockets", _megabytes),
}


def short_table(predicted: Values, simulated: Values) -> str:
    """What the documentation shows."""
    told = list(HEAD)
    for line in lines(predicted, simulated):
        shown = SHOWN.get(line.name)
        if shown is not None:
            told.append(
                f"| {shown.about} | {shown.tell(line.predicted)} | {shown.tell(line.simulated)}"
                f" | {line.ratio:.2f} |"
            )
    return "\n".join(told)


def page(text: str, data: Mapping[str, Any]) -> str:
    """The page on capacity with these figures in it."""
    connections = [round(users * ONLINE) for users in USERS]
    parts = [
        "**How many servers, by connections at once.** People are on any server.",
        sizing_table([size(count, Load(), costs=MEASURED) for count in connections]),
        "The same if everybody in a document is on one server:",
        sizing_table([size(count, Load(), affinity=True, costs=MEASURED) for count in connections]),
        "**Predicted and simulated**: {nodes} servers with {connections:,} connections each, {people} people"
        " in a document.".format(**data["load"]),
        short_table(data["predicted"], data["simulated"]),
    ]
    return with_figures(text, "\n\n".join(parts))
