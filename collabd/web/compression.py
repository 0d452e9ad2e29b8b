"""Answers compressed for those who take them so, with validators that tell the two apart."""

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .negotiation import accepts_coding, is_named

GZIP: Final = "gzip"
WORTH_IT: Final = 1024
"""Bytes from which on an answer is compressed: smaller ones fit a packet anyway."""
LEVEL: Final = 6
IN_A_THREAD: Final = 16 * 1024
"""Bytes from which on compressing would hold up the event loop; zlib lets go of the GIL."""


class Compression:
    """Middleware around an ASGI application whose own answers are not encoded.

    The compressed form of an answer gets a weak ``ETag``, since it has other bytes than the one the tag was
    made for (RFC 9110, section 8.8.1). ``If-None-Match`` compares weakly, so that conditional requests go on
    working.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressing = GZipMiddleware(
            app, minimum_size=WORTH_IT, compresslevel=LEVEL, thread_minimum_size=IN_A_THREAD
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        known = headers.get("if-none-match")
        # Starlette looks for the word alone, and so would compress where the quality is 0.
        coding = GZIP if accepts_coding(headers.get("accept-encoding", ""), GZIP) else "identity"
        others = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        scope = {**scope, "headers": [*others, (b"accept-encoding", coding.encode())]}

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                _mark(message, known)
            await send(message)

        await self._compressing(scope, receive, send_marked)


def _mark(message: Message, known: str | None) -> None:
    """Make the headers of an answer say what became of it."""
    headers = MutableHeaders(raw=message["headers"])
    etag = headers.get("etag")
    if etag is None or etag.startswith("W/"):
        return
    weak = f"W/{etag}"
    if message["status"] == 304:
        headers.add_vary_header("Accept-Encoding")
        if is_named(known, weak):
            headers["ETag"] = weak
    elif "content-encoding" in headers:
        headers["ETag"] = weak
        # Ranges are of the other form.
        del headers["Accept-Ranges"]
