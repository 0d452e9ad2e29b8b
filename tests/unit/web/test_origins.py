import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from collabd.web.origins import may_come_from, trusted_hosts


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "may"),
    [
        (None, "127.0.0.1:8000", (), True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", (), True),
        ("http://evil.example", "127.0.0.1:8000", (), False),
        ("http://127.0.0.1:9000", "127.0.0.1:8000", (), False),
        ("http://127.0.0.1", "127.0.0.1:8000", (), False),
        ("null", "127.0.0.1:8000", (), False),
        ("http://[", "127.0.0.1:8000", (), False),
        ("http://app.example", "127.0.0.1:8000", ("http://app.example",), True),
        ("https://app.example", "127.0.0.1:8000", ("http://app.example",), False),
        ("http://app.example.evil.example", "127.0.0.1:8000", ("http://app.example",), False),
        ("http://evil.example", "127.0.0.1:8000", ("*",), True),
    ],
)
def test_only_own_and_allowed_pages_may_connect(
    origin: str | None, host: str, allowed: tuple[str, ...], may: bool
) -> None:
    assert may_come_from(origin, host, allowed) is may


@pytest.mark.parametrize(
    ("host", "allowed", "status"),
    [
        ("127.0.0.1:8000", (), 200),
        ("localhost:8000", (), 200),
        ("[::1]:8000", (), 200),
        ("rebound.example:8000", (), 400),
        ("docs.example", ("https://docs.example",), 200),
        ("rebound.example", ("https://docs.example",), 400),
        ("rebound.example", ("*",), 200),
    ],
)
async def test_a_name_pointed_at_this_machine_does_not_make_it_reachable(
    host: str, allowed: tuple[str, ...], status: int
) -> None:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("ok"))])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=trusted_hosts(allowed))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}") as client:
        assert (await client.get("/")).status_code == status
