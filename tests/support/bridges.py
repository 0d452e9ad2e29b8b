"""Who listens to a bridge in tests, and remembers what was told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from collabd.bridge.base import Bridge

KEY = b"the key of a cluster that is a test"

WAIT_SECONDS = 20.0


class Hearer:
    """Remembers, and can be waited with."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.gaps: list[str] = []
        """Channels of messages before which something was missing."""
        self.nodes: set[bytes] = set()
        self.stand: list[str] = []
        """Channels whose subscription stood later."""
        self.states: list[str] = []
        """``up`` and ``down``, as told."""
        self.failing = False
        self.on_restored: Callable[[], object] = lambda: None
        self._told = asyncio.Event()

    def received(self, channel: str, node: bytes, payloads: Sequence[bytes], missed: bool) -> None:
        self.heard += [(channel, payload) for payload in payloads]
        self.gaps += [channel] * missed
        self.nodes.add(node)
        self._tell()

    def subscribed(self, channel: str) -> None:
        self.stand.append(channel)
        self._tell()

    def interrupted(self) -> None:
        self.states.append("down")
        self._tell()

    def restored(self) -> None:
        self.states.append("up")
        self.on_restored()
        self._tell()

    def _tell(self) -> None:
        self._told.set()
        if self.failing:
            raise RuntimeError("a listener that fails")

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once a condition holds; it is looked at whenever something is told."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not condition():
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            raise AssertionError(f"{condition} does not hold: {vars(self)}") from None

    async def told(self, *states: str) -> None:
        """Return once the bridge was up and down like this."""
        await self.until(lambda: self.states == list(states))

    async def came_back(self) -> None:
        """Return once the bridge was interrupted and restored, maybe more than once."""
        await self.until(lambda: len(self.states) > 1 and self.states[-1] == "up")

    async def has(self, count: int) -> None:
        """Return once so many payloads came."""
        await self.until(lambda: len(self.heard) >= count)
        assert len(self.heard) == count

    def payloads(self, channel: str) -> list[bytes]:
        """What came over a channel."""
        return [payload for name, payload in self.heard if name == channel]


async def hears(sender: Bridge, hearer: Hearer, channel: str) -> None:
    """Return once something published now arrives, to which nothing published before comes later."""
    marker = b"marker %d" % len(hearer.heard)
    sender.publish(channel, marker)
    await hearer.until(lambda: marker in hearer.payloads(channel))
    assert hearer.heard.pop() == (channel, marker)


async def holds(condition: Callable[[], object]) -> None:
    """Return once a condition holds that nobody tells of."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{condition} does not hold") from None


@asynccontextmanager
async def nothing_raised() -> AsyncIterator[None]:
    """Fail if anything is raised into the event loop."""
    raised: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: raised.append(context))
    yield
    assert raised == []
