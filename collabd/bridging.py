"""Which bridge to other servers a setting names, and what can be seen of it."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collabd.bridge.base import Bridge
from collabd.errors import SettingsError


def check_url(url: str) -> None:
    """Raise SettingsError if the URL names nothing that a bridge can be made with."""
    try:
        from collabd.bridge.redis_url import parse
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise SettingsError("Redis needs a package: pip install 'collabd[redis]'") from error
    parse(url)


def open_bridge(url: str, key: bytes) -> Bridge:
    """The bridge that a URL names, which :func:`check_url` has nothing against; to be started. All servers
    have the same key."""
    from collabd.bridge.redis import RedisBridge

    return RedisBridge(url, key)


class BridgeFigures(Collector):
    """Reads what a bridge has counted.

    Args:
        nodes: how many other nodes were heard of lately.
    """

    def __init__(self, bridge: Bridge, nodes: Callable[[], int]) -> None:
        self._bridge = bridge
        self._nodes = nodes

    def collect(self) -> Iterator[Metric]:
        figures = self._bridge.figures
        yield GaugeMetricFamily(
            "collabd_bridge_up", "Whether the bridge to other servers is up.", float(self._bridge.is_up)
        )
        yield GaugeMetricFamily("collabd_bridge_nodes", "Other servers heard of lately.", self._nodes())
        for name, about, count in (
            ("published", "Messages handed over to the bridge.", figures.published),
            ("dropped", "Messages that could not be sent; others read the log.", figures.dropped),
            ("commands", "Commands sent to Redis to publish.", figures.commands),
            ("received", "Messages that came from other servers.", figures.received),
            ("gaps", "Gaps found in what came; the log was read.", figures.gaps),
            ("interruptions", "How often the bridge went down.", figures.interruptions),
        ):
            yield CounterMetricFamily(f"collabd_bridge_{name}", about, count)
        refused = CounterMetricFamily(
            "collabd_bridge_refused", "Messages that were not let in, by reason.", labels=["reason"]
        )
        for reason, count in figures.refused.items():
            refused.add_metric([reason], count)
        yield refused
