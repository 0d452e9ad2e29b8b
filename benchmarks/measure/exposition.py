"""What collabd's own ``/metrics`` say, and what happened between two looks at them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families


class Histogram(NamedTuple):
    """Seconds that things took: how many took at most so long, in order, and all of them together."""

    buckets: list[tuple[float, float]]
    number: float
    seconds: float

    def __sub__(self, before: "Histogram") -> "Histogram":
        buckets = [(upto, n - m) for (upto, n), (_, m) in zip(self.buckets, before.buckets, strict=True)]
        return Histogram(buckets, self.number - before.number, self.seconds - before.seconds)

    @property
    def mean(self) -> float | None:
        return self.seconds / self.number if self.number else None

    def quantile(self, share: float) -> float | None:
        """As Prometheus' ``histogram_quantile``: evenly spread within a bucket."""
        wanted, lower, below = share * self.number, 0.0, 0.0
        for upto, n in self.buckets:
            if n >= wanted and n > below:
                if upto == float("inf"):
                    return lower
                return lower + (upto - lower) * (wanted - below) / (n - below)
            lower, below = upto, n
        return None


class Figures(NamedTuple):
    """One look at the metrics: single values (those with labels added up), and histograms."""

    values: Mapping[str, float]
    histograms: Mapping[str, Histogram]


def read_exposition(text: str) -> Figures:
    """Read Prometheus' text format."""
    values: dict[str, float] = {}
    histograms: dict[str, Histogram] = {}
    for family in text_string_to_metric_families(text):
        found: dict[str, Any] = {"count": 0.0, "sum": 0.0}
        buckets: list[tuple[float, float]] = []
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                buckets.append((float(sample.labels["le"]), sample.value))
            elif family.type == "histogram":
                found[sample.name.rpartition("_")[2]] = sample.value
            elif not sample.name.endswith("_created"):
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
        if buckets:
            histograms[family.name] = Histogram(buckets, found["count"], found["sum"])
    return Figures(values, histograms)
