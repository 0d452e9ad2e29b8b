"""Both ways a WebSocket can be served, on both event loops, in this process.

Which tests run on what:

- What depends on the layer or on the loop runs on all four combinations, which is what a test gets that says
  nothing: framing, closing, back-pressure, timers, the order in which things happen.
- What is decided above them, by what a layer hands over (who shows which credentials, what a reader may not
  do, whose presence it is), runs on two, so that each layer and each loop is seen: ``fast`` on uvloop, which
  people get who install what we name, and ``portable`` on asyncio. That is ``pytest.mark.pairs``.
- What goes over HTTP passes neither layer, and runs on the first of these: ``pytest.mark.once``.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from collabd.tls import Certificate
from collabd.web.fastlane import FastLaneProtocol
from tests.support.certificates import Authority

from .site import Site, serving

LAYERS: Mapping[str, str | type[asyncio.Protocol]] = {
    "fast": FastLaneProtocol,
    "portable": "websockets-sansio",
}
LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": LOOPS["uvloop"]} if item.get_closest_marker("once") else LOOPS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = any(metafunc.definition.get_closest_marker(name) for name in ("pairs", "once"))
    if "layer" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("layer", LAYERS, indirect=True)


TLS = Mapping[str, Any]
"""The arguments of :func:`serving` that make it speak TLS."""


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], TLS]:
    """Makes what a server needs to speak TLS."""

    @functools.cache
    def make() -> TLS:
        authority = Authority()
        files = authority.issue(tmp_path_factory.mktemp("tls"))
        return {"certificate": Certificate(files.certificate, files.key), "trust": authority.trust}

    return make


@pytest.fixture
async def layer(request: pytest.FixtureRequest) -> str:
    """What frames WebSocket messages: ``fast`` or ``portable``."""
    by_loop = "fast" if isinstance(asyncio.get_running_loop(), uvloop.Loop) else "portable"
    layer: str = getattr(request, "param", by_loop)
    return layer


@pytest.fixture
def secured() -> bool:
    """Whether servers speak TLS."""
    return False


@pytest.fixture
async def serve(layer: str, secured: bool, tls: Callable[[], TLS]) -> AsyncIterator[Callable[..., Any]]:
    """``await serve(...)`` with the arguments of :func:`serving`; all ends with the test."""
    async with AsyncExitStack() as running:

        async def start(**arguments: Any) -> Site:
            arguments |= tls() if secured else {}
            return await running.enter_async_context(serving(LAYERS[layer], **arguments))

        yield start


@pytest.fixture
async def site(serve: Callable[..., Any]) -> Site:
    """A server with small bounds."""
    site: Site = await serve(max_message_bytes=100_000)
    return site
