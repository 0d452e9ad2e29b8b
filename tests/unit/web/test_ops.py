"""Health and readiness, over ASGI without a server."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.applications import Starlette

from collabd.errors import StoreUnavailable
from collabd.web import ops


async def answers() -> None:
    """A store that can commit."""


async def fails() -> None:
    raise StoreUnavailable("disk full")


async def hangs() -> None:
    await asyncio.Event().wait()


async def counts() -> bytes:
    return b"collabd_rooms 1.0\n"


async def knows_nothing() -> bytes:
    raise ConnectionError("the supervisor is gone")


async def get(
    path: str,
    *,
    ping: Callable[[], Awaitable[None]] = answers,
    draining: bool = False,
    metrics: Callable[[], Awaitable[bytes]] = counts,
) -> httpx.Response:
    routes = ops.ops_routes(ping=ping, draining=lambda: draining, metrics=metrics)
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


async def test_alive_whatever_the_store_says() -> None:
    response = await get("/healthz", ping=fails, draining=True)
    assert (response.status_code, response.text) == (200, "ok")


async def test_ready_when_the_store_can_commit() -> None:
    response = await get("/readyz")
    assert (response.status_code, response.json()) == (200, {"ready": True})


async def test_not_ready_while_the_store_cannot_commit() -> None:
    response = await get("/readyz", ping=fails)
    assert response.status_code == 503
    assert response.json() == {"ready": False, "why": "store", "detail": "disk full"}


async def test_not_ready_when_the_store_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "PING_SECONDS", 0.01)
    response = await get("/readyz", ping=hangs)
    assert response.status_code == 503
    assert response.json()["detail"] == "the store did not answer within 0.01 s"


async def test_not_ready_while_draining_although_the_store_can_commit() -> None:
    response = await get("/readyz", draining=True)
    assert response.status_code == 503
    assert response.json()["why"] == "draining"


async def test_metrics_in_the_type_prometheus_expects() -> None:
    response = await get("/metrics")
    assert response.content == b"collabd_rooms 1.0\n"
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_metrics_that_cannot_be_known_now() -> None:
    response = await get("/metrics", metrics=knows_nothing)
    assert response.status_code == 503
    assert response.text == "the figures of all processes are not known: the supervisor is gone"


async def test_only_reading_is_offered() -> None:
    routes = ops.ops_routes(ping=answers, draining=lambda: False, metrics=counts)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Starlette(routes=routes)), base_url="http://test"
    ) as client:
        assert (await client.post("/healthz")).status_code == 405
