"""The page, and the files the build put beside it."""

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC: Final = Path(__file__).with_name("static")

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; "
        "manifest-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
BASE: Final = '<base href="./" />'
REVALIDATE: Final = "no-cache"
FOREVER: Final = "public, max-age=31536000, immutable"


def page_routes() -> list[BaseRoute]:
    """``/`` and ``/d/{document}`` serve the page; any other path, what the build made. To be put last."""
    return [
        Route("/", _page, methods=["GET"]),
        Route("/d/{document:path}", _page, methods=["GET"]),
        Mount("/", _Files(directory=STATIC, check_dir=False)),
    ]


async def _page(request: Request) -> Response:
    try:
        page = (STATIC / "index.html").read_text()
    except FileNotFoundError:
        return PlainTextResponse(
            "The page was not built. Run scripts/run, or install collabd from a wheel.", status_code=503
        )
    # All addresses in the page are relative, so that it works wherever the application is mounted.
    steps_up = request.path_params["document"].count("/") + 1 if request.path_params else 0
    page = page.replace(BASE, f'<base href="{"../" * steps_up or "./"}" />')
    return HTMLResponse(page, headers={**SECURITY_HEADERS, "Cache-Control": REVALIDATE})


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        # The names of assets carry a hash of their content.
        response.headers["Cache-Control"] = FOREVER if path.startswith("assets/") else REVALIDATE
        response.headers.update(SECURITY_HEADERS)
        return response
