"""Both ways a WebSocket can be served, on both event loops, in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
import uvloop

from collabd.web.fastlane import FastLaneProtocol

from .site import Site, serving

LAYERS: Mapping[str, str | type[asyncio.Protocol]] = {
    "fast": FastLaneProtocol,
    "portable": "websockets-sansio",
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> str:
    """What frames WebSocket messages: ``fast`` or ``portable``."""
    layer: str = request.param
    return layer


@pytest.fixture
async def serve(layer: str) -> AsyncIterator[Callable[..., Any]]:
    """``await serve(...)`` with the arguments of :func:`serving`; all ends with the test."""
    async with AsyncExitStack() as running:

        async def start(**arguments: Any) -> Site:
            return await running.enter_async_context(serving(LAYERS[layer], **arguments))

        yield start


@pytest.fixture
async def site(serve: Callable[..., Any]) -> Site:
    """A server with small bounds."""
    site: Site = await partial(serve, max_message_bytes=100_000)()
    return site
