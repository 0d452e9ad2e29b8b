"""The bridges that keep one contract, each with a way to cut a node off."""

import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from collabd.bridge.base import Bridge
from collabd.bridge.hub import passing_on
from collabd.bridge.local import Hub, LocalBridge
from collabd.bridge.outgoing import Limits
from collabd.bridge.redis import RedisBridge
from collabd.bridge.redis_link import Timing
from collabd.bridge.workers import WorkersBridge
from tests.support import valkey
from tests.support.bridges import KEY, WAIT_SECONDS, Hearer
from tests.support.proxy import Proxy, proxied, proxied_socket

HUB = "hub"


class Place(Protocol):
    """Where nodes meet."""

    async def node(
        self, *, limits: Limits | None = None, key: bytes = KEY, started: bool = True
    ) -> tuple[Bridge, Hearer]:
        """A new node, which is up if it is started."""

    async def cut(self, bridge: Bridge) -> None:
        """Cut a node off."""

    async def heal(self, bridge: Bridge) -> None:
        """Let it come back."""


class LocalPlace:
    """In this process."""

    def __init__(self) -> None:
        self._hub = Hub(KEY)

    async def node(
        self, *, limits: Limits | None = None, key: bytes = KEY, started: bool = True
    ) -> tuple[Bridge, Hearer]:
        bridge, hearer = self._hub.bridge(limits, key=key), Hearer()
        if started:
            await bridge.start(hearer)
        return bridge, hearer

    async def cut(self, bridge: Bridge) -> None:
        assert isinstance(bridge, LocalBridge)
        self._hub.cut(bridge)

    async def heal(self, bridge: Bridge) -> None:
        assert isinstance(bridge, LocalBridge)
        self._hub.heal(bridge)


class _Proxied:
    """What nodes reach through a proxy of their own."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._proxies: dict[Bridge, Proxy] = {}

    async def _joined(self, bridge: Bridge, proxy: Proxy, started: bool) -> tuple[Bridge, Hearer]:
        self._proxies[bridge] = proxy
        hearer = Hearer()
        if started:
            self._stack.push_async_callback(bridge.close)
            await bridge.start(hearer)
            assert bridge.is_up
        return bridge, hearer

    async def cut(self, bridge: Bridge) -> None:
        self._proxies[bridge].refusing = True
        self._proxies[bridge].cut_all()

    async def heal(self, bridge: Bridge) -> None:
        self._proxies[bridge].refusing = False


class RedisPlace(_Proxied):
    """A real server, with a proxy for each node before it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        super().__init__(stack)
        self._url = valkey.shared_server()
        self._prefix = f"test {secrets.token_hex(8)}:"

    async def node(
        self, *, limits: Limits | None = None, key: bytes = KEY, started: bool = True
    ) -> tuple[Bridge, Hearer]:
        proxy, url = await self._stack.enter_async_context(proxied(self._url))
        timing = Timing(patience=WAIT_SECONDS, flush=WAIT_SECONDS, longest_pause=0.1)
        bridge = RedisBridge(url, key, prefix=self._prefix, limits=limits, timing=timing)
        return await self._joined(bridge, proxy, started)


class WorkersPlace(_Proxied):
    """A hub, with a proxy for each node before it."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        super().__init__(stack)
        self._folder = folder

    async def node(
        self, *, limits: Limits | None = None, key: bytes = KEY, started: bool = True
    ) -> tuple[Bridge, Hearer]:
        path = self._folder / f"node {len(self._proxies)}"
        proxy = await self._stack.enter_async_context(proxied_socket(self._folder / HUB, path))
        bridge = WorkersBridge(path, key, limits=limits, patience=WAIT_SECONDS, longest_pause=0.1)
        return await self._joined(bridge, proxy, started)


@asynccontextmanager
async def _local() -> AsyncIterator[Place]:
    yield LocalPlace()


@asynccontextmanager
async def _redis() -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        yield RedisPlace(stack)


@asynccontextmanager
async def _workers() -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        async with passing_on(Path(folder, HUB)), AsyncExitStack() as stack:
            yield WorkersPlace(stack, Path(folder))


PLACES: dict[str, Callable[[], AbstractAsyncContextManager[Place]]] = {
    "local": _local,
    "redis": _redis,
    "workers": _workers,
}
