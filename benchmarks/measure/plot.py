"""A picture of the figures, as SVG that can be read on light and dark pages. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from .report import Results, median
from .servers import COLLABD, HOCUSPOCUS, PYCRDT_WEBSOCKET, Y_WEBSOCKET

WIDTH = 920
COLOURS = {
    COLLABD: ("#1f6feb", "#58a6ff"),
    HOCUSPOCUS: ("#b0741a", "#d79a3d"),
    Y_WEBSOCKET: ("#6b7787", "#8b98a9"),
    PYCRDT_WEBSOCKET: ("#a9b4c2", "#566375"),
}
"""Of each server that is shown, on light and on dark ground."""
BAR, GAP, BETWEEN = 15, 3, 18
LABELS, FIGURES = 185, 96
"""Room for words on the left of the bars, and for figures on their right."""


class Bar(NamedTuple):
    server: str
    length: float
    figure: str


class Panel(NamedTuple):
    """Groups of bars that are measured alike."""

    title: str
    groups: Sequence[tuple[str, Sequence[Bar]]]

    @property
    def height(self) -> int:
        return 40 + sum(len(bars) * (BAR + GAP) + BETWEEN for _, bars in self.groups)


def plot(data: Mapping[str, Any]) -> str:
    """The picture of what ``results.json`` holds; panels whose kind was not measured are left out."""
    makers = {"saturation": _throughput, "typing": _latency, "idle": _memory}
    panels = [make(data[kind]["results"]) for kind, make in makers.items() if kind in data]
    panels = [panel for panel in panels if any(bars for _, bars in panel.groups)]
    height = 62 + sum(panel.height for panel in panels)
    top = 58
    body: list[str] = []
    for panel in panels:
        body += _draw(panel, top)
        top += panel.height
    return "\n".join([*_head(height), *_legend(), *body, "</svg>", ""])


def _throughput(results: Results) -> Panel:
    return Panel(
        "Updates per second at saturation, each delivered to everybody (longer is better)",
        [(work, _bars(results, work, "updates_per_s", "{:,.0f}")) for work in results],
    )


def _latency(results: Results) -> Panel:
    return Panel(
        "Milliseconds until 99 of 100 edits are seen, ten keys a second each (shorter is better)",
        [(work, _bars(results, work, "p99_ms", "{:,.2f}")) for work in results],
    )


def _memory(results: Results) -> Panel:
    return Panel(
        "KB of memory for an idle connection (shorter is better)",
        [("2,000 in 1,000 documents", _bars(results, work, "kb_each", "{:,.1f}")) for work in results],
    )


def _bars(results: Results, work: str, figure: str, form: str) -> list[Bar]:
    found = [(server, median(results[work].get(server, []), figure)) for server in COLOURS]
    return [Bar(server, value, form.format(value)) for server, value in found if value is not None]


def _draw(panel: Panel, top: int) -> Iterator[str]:
    yield f'<text class="n" x="20" y="{top + 16}">{escape(panel.title)}</text>'
    longest = max(bar.length for _, bars in panel.groups for bar in bars) or 1
    y = top + 32
    for label, bars in panel.groups:
        middle = y + len(bars) * (BAR + GAP) / 2 + 4
        yield f'<text class="m" x="{LABELS - 12}" y="{middle:.0f}" text-anchor="end">{escape(label)}</text>'
        for bar in bars:
            width = max(1.0, bar.length / longest * (WIDTH - LABELS - FIGURES))
            yield (
                f'<rect class="s{list(COLOURS).index(bar.server)}" x="{LABELS}" y="{y}" width="{width:.1f}"'
                f' height="{BAR}" rx="2"><title>{escape(bar.server)}: {bar.figure}</title></rect>'
            )
            yield f'<text class="v" x="{LABELS + width + 6:.1f}" y="{y + 12}">{bar.figure}</text>'
            y += BAR + GAP
        y += BETWEEN


def _head(height: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui,'
        ' sans-serif" font-size="14" role="img" aria-labelledby="t">'
    )
    yield '<title id="t">collabd beside y-websocket, Hocuspocus and pycrdt-websocket</title>'
    light = "".join(f".s{number}{{fill:{pair[0]}}}" for number, pair in enumerate(COLOURS.values()))
    dark = "".join(f".s{number}{{fill:{pair[1]}}}" for number, pair in enumerate(COLOURS.values()))
    yield (
        "<style>text{fill:#1d2733}.n{font-weight:600}.m,.v{fill:#52606f;font-size:12px}.bg{fill:#fff}"
        f"{light}\n@media (prefers-color-scheme:dark){{.bg{{fill:#10151c}}text{{fill:#e6ebf1}}"
        f".m,.v{{fill:#a3b0bf}}{dark}}}</style>"
    )
    yield f'<rect class="bg" width="{WIDTH}" height="{height}"/>'


def _legend() -> Iterator[str]:
    x = 20
    for number, server in enumerate(COLOURS):
        note = f"{server}, every update on disk first" if server == COLLABD else f"{server}, in memory"
        yield f'<rect class="s{number}" x="{x}" y="18" width="14" height="14" rx="2"/>'
        yield f'<text class="m" x="{x + 20}" y="30">{escape(note)}</text>'
        x += 40 + int(len(note) * 6.5)
