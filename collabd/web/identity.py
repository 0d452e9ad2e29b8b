"""What a request brings along to be known by, and the cookies for it."""

import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import unquote_plus, urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from collabd.auth.gate import Presented
from collabd.errors import NotAllowed

from .origins import ANY

SUBPROTOCOL: Final = "collabd.token."
"""A subprotocol that begins like this carries a token: browsers let pages set no header of a WebSocket."""
LINK_SUBPROTOCOL: Final = "collabd.link."
"""And one that begins like this the secret of a link."""
LINK_HEADER: Final = "collabd-link"
MAX_LINK: Final = 100
"""Characters."""
PARAMETER: Final = "token"
SAFE_VERBS: Final = ("GET", "HEAD", "OPTIONS")
WEBSOCKET_SCHEMES: Final = {"ws": "http", "wss": "https"}


class Cookies:
    """The cookies of sign-in, and which requests may use them.

    A cookie goes along with whatever any page asks of this server. So it counts only if the browser says that
    the page is this server's own or of an allowed origin (``Origin``); to look at something over HTTP takes
    none, as other pages cannot see the answer.

    Args:
        public_url: where people reach the server; empty if that is told by each request.
        allowed_origins: of other pages that may use the cookies. ``*`` allows none here.
    """

    def __init__(self, public_url: str, allowed_origins: Collection[str]) -> None:
        self._public_url = public_url.rstrip("/")
        self._allowed = frozenset(allowed_origins) - {ANY}
        self.session = "collabd-session"
        self.sign_in = "collabd-sign-in"

    def own_address(self, connection: HTTPConnection) -> str:
        """Where people reach the server, without a slash at the end."""
        if self._public_url:
            return self._public_url
        base = connection.base_url
        scheme = WEBSOCKET_SCHEMES.get(base.scheme, base.scheme)
        return str(base.replace(scheme=scheme)).rstrip("/")

    def set(
        self, response: Response, connection: HTTPConnection, name: str, value: str, seconds: float | None
    ) -> None:
        """Give the browser a cookie, for some seconds or until it is closed."""
        response.set_cookie(
            self._full_name(connection, name),
            value,
            max_age=None if seconds is None else int(seconds),
            secure=self._is_secure(connection),
            httponly=True,
            samesite="lax",
        )

    def clear(self, response: Response, connection: HTTPConnection, name: str) -> None:
        """Take it away again."""
        response.delete_cookie(
            self._full_name(connection, name),
            secure=self._is_secure(connection),
            httponly=True,
            samesite="lax",
        )

    def value(self, connection: HTTPConnection, name: str) -> str:
        """What the browser shows; empty if it shows nothing."""
        return connection.cookies.get(self._full_name(connection, name), "")

    def session_of(self, connection: HTTPConnection) -> str:
        """The session that the browser shows, whichever page it comes from."""
        return self.value(connection, self.session)

    def is_own_page(self, connection: HTTPConnection) -> bool:
        """Whether the browser says that the request comes from a page that may use the cookies."""
        origin = connection.headers.get("origin")
        if origin is None:
            return False
        own = urlsplit(self.own_address(connection))
        return origin == f"{own.scheme}://{own.netloc}" or origin in self._allowed

    def demand_own_page(self, connection: HTTPConnection) -> None:
        """Raise NotAllowed if it does not."""
        if not self.is_own_page(connection):
            raise NotAllowed("this is for pages of this server")

    def _is_secure(self, connection: HTTPConnection) -> bool:
        return self.own_address(connection).startswith("https://")

    def _full_name(self, connection: HTTPConnection, name: str) -> str:
        # Browsers let nobody else set a cookie of such a name, not even a neighbour under the same domain.
        return f"__Host-{name}" if self._is_secure(connection) else name


def presented_by(connection: HTTPConnection, cookies: Cookies) -> Presented:
    """The credentials of a request or a WebSocket. A token in the address counts for WebSockets only.

    Raises:
        NotAllowed: it would change something, and the cookie it shows is not for the page it comes from.
    """
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    bearer = value.strip() if scheme.lower() == "bearer" else ""
    session = cookies.session_of(connection)
    link = connection.headers.get(LINK_HEADER, "")
    if connection.scope["type"] == "websocket":
        for subprotocol in connection.scope["subprotocols"]:
            if subprotocol.startswith(SUBPROTOCOL):
                bearer = bearer or subprotocol.removeprefix(SUBPROTOCOL)
            elif subprotocol.startswith(LINK_SUBPROTOCOL):
                link = link or subprotocol.removeprefix(LINK_SUBPROTOCOL)
        in_address = connection.query_params.get(PARAMETER, "")
        return Presented(
            bearer, in_address, session if cookies.is_own_page(connection) else "", link[:MAX_LINK]
        )
    if session and not bearer and connection.scope["method"] not in SAFE_VERBS:
        cookies.demand_own_page(connection)
    return Presented(bearer, session=session, link=link[:MAX_LINK])


def address_of(connection: HTTPConnection) -> str:
    """Where a request comes from; empty if that is not known."""
    return connection.client.host if connection.client else ""


def network_of(address: str) -> str:
    """What one subscriber has: an address of IPv4, or a /64 of IPv6 (RFC 6177); empty if it is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def hide_token(scope: Scope) -> None:
    """Take the token out of the address for good, before anybody writes it into a log."""
    parts = scope["query_string"].split(b"&")
    kept = [part for part in parts if unquote_plus(part.partition(b"=")[0].decode("latin-1")) != PARAMETER]
    scope["query_string"] = b"&".join(kept)
