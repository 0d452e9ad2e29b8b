"""What those who run collabd ask it: is it alive, can it serve, what are the figures."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

PING_SECONDS: Final = 2.0
"""A store that takes longer to say that it can commit counts as one that cannot."""

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def ops_routes(
    *,
    ping: Callable[[], Awaitable[None]],
    draining: Callable[[], bool],
    metrics: Callable[[], Awaitable[bytes]],
    bridge: Callable[[], bool] | None = None,
) -> list[BaseRoute]:
    """Routes for ``/healthz``, ``/readyz`` and ``/metrics``.

    ``ping`` returns once the store can commit and raises if it cannot; ``draining`` says whether the process
    is leaving; ``metrics`` gives the figures in Prometheus' text format, and raises OSError if they cannot be
    known now; ``bridge`` says whether the bridge to other servers is up, if there is one: without it the
    server serves on, only slower between servers.
    """

    async def healthz(request: Request) -> Response:
        """The process is alive and its event loop turns; says nothing of the store."""
        return PlainTextResponse("ok")

    async def readyz(request: Request) -> Response:
        """Whether new connections should be sent here: 200, or 503 with the reason."""
        if draining():
            return _not_ready("draining", "the server is shutting down")
        try:
            async with asyncio.timeout(PING_SECONDS):
                await ping()
        except TimeoutError:
            return _not_ready("store", f"the store did not answer within {PING_SECONDS:g} s")
        except Exception as error:
            return _not_ready("store", str(error) or type(error).__name__)
        if bridge is None:
            return JSONResponse({"ready": True})
        return JSONResponse({"ready": True, "bridge": "up" if bridge() else "down"})

    async def show_metrics(request: Request) -> Response:
        try:
            return Response(await metrics(), media_type=METRICS_TYPE)
        except OSError as error:
            return PlainTextResponse(f"the figures of all processes are not known: {error}", status_code=503)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", show_metrics),
    ]


def _not_ready(why: str, detail: str) -> Response:
    return JSONResponse({"ready": False, "why": why, "detail": detail}, status_code=503)
