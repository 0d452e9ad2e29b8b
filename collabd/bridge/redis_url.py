"""Which servers a URL names, and how to connect to them.

    redis://[user:password@]host[:port]                      one server
    unix:///path/of/its.sock[?username=…&password=…]         one server on this machine
    redis+sentinel://[…@]host:port[,host:port …]/service     whichever server these sentinels call the master
    redis+cluster://[…@]host:port[,host:port …]              a cluster of which these are some

With ``rediss`` in place of ``redis`` all connections use TLS; ``valkey`` and ``valkeys`` mean the same as
``redis`` and ``rediss``. Passwords and paths may be percent-encoded. ``ssl_ca_certs`` and the others in
:data:`OPTIONS` may follow as a query. A number of a database is accepted and means nothing: messages do not
belong to any.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)

from collabd.errors import SettingsError

Kind: TypeAlias = Literal["single", "sentinel", "cluster"]

Address: TypeAlias = tuple[str, int]
"""A host and a port, or a path and 0."""

OPTIONS: Final = frozenset(
    {
        "username",
        "password",
        "client_name",
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_password",
    }
)
"""What a query may say, beside ``sentinel_username`` and ``sentinel_password`` with Sentinel."""

CERT_REQS: Final = ("required", "optional", "none")

SENTINEL_PORT: Final = 26379
SERVER_PORT: Final = 6379

_SCHEMES: Final = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}


class Reachable:
    """Adds to a connection of redis-py that it can be used without its streams, and be dropped at once:
    closing one waits until all that was written is sent, which is for ever if the server reads nothing."""

    __slots__ = ()
    _writer: asyncio.StreamWriter | None

    def hand_over(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Give what is received from now on to ``protocol``; nothing is, before something is asked."""
        if self._writer is None:
            raise ConnectionError("the connection is closed")
        transport = cast(asyncio.Transport, self._writer.transport)
        transport.set_protocol(protocol)
        return transport

    def abort(self) -> None:
        """Drop the connection and all that was written and not sent."""
        if self._writer is not None:
            self._writer.transport.abort()


class TcpLink(Reachable, Connection):
    """Without encryption."""


class TlsLink(Reachable, SSLConnection):
    """With encryption."""


class UnixLink(Reachable, UnixDomainSocketConnection):
    """On this machine."""


AnyLink: TypeAlias = TcpLink | TlsLink | UnixLink

_CLASSES: Final[dict[type[AbstractConnection], type[AnyLink]]] = {
    Connection: TcpLink,
    SSLConnection: TlsLink,
    UnixDomainSocketConnection: UnixLink,
}


@dataclass(frozen=True, slots=True)
class Target:
    """Servers, and what it takes to connect to them."""

    kind: Kind
    seeds: tuple[Address, ...]
    service: str
    """What the sentinels call the servers."""
    link: type[AnyLink]
    options: dict[str, Any] = field(repr=False)
    sentinel_options: dict[str, Any] = field(repr=False)

    def connection(self, address: Address, *, sentinel: bool = False) -> AnyLink:
        """A new connection that is still to be made. It tries once, waits for ever, and tells the server
        nothing about itself that was not asked for."""
        options = self.sentinel_options if sentinel else self.options
        place: dict[str, Any] = {"host": address[0], "port": address[1]}
        if self.link is UnixLink:
            place = {"path": address[0]}
        return self.link(
            **place, **options, protocol=2, driver_info=None, socket_timeout=None, socket_connect_timeout=None
        )


async def connect(link: AnyLink) -> None:
    """Connect and sign in, in one attempt. Raises redis-py's errors and OSError."""
    await link.connect()  # type: ignore[no-untyped-call]


def parse(url: str) -> Target:
    """Read a URL.

    Raises:
        SettingsError: it names no servers, or asks for something unknown. The message holds no password.
    """
    parts = urlsplit(url)
    scheme, _, mode = parts.scheme.partition("+")
    if scheme == "unix" and not mode:
        if not parts.path:
            raise SettingsError("the URL of the bridge's server has no path")
        _, link, options = _parsed(url)
        return Target("single", ((unquote(parts.path), 0),), "", link, options, {})
    if scheme not in _SCHEMES or mode not in ("", "sentinel", "cluster"):
        raise SettingsError(
            f"a bridge takes redis://, rediss:// or unix://, redis+sentinel:// or redis+cluster://, "
            f"not {parts.scheme}://"
        )
    who, at, hosts = parts.netloc.rpartition("@")
    query, sentinel_options = _without_sentinel(parts.query)
    each = [
        _parsed(urlunsplit((_SCHEMES[scheme], f"{who}{at}{host}", "", query, "")))
        for host in hosts.split(",")
    ]
    default = SENTINEL_PORT if mode == "sentinel" else SERVER_PORT
    seeds = tuple((host, port or default) for (host, port), _, _ in each)
    _, link, options = each[0]
    if mode == "" and len(seeds) > 1:
        raise SettingsError("several servers need redis+sentinel:// or redis+cluster://")
    if sentinel_options and mode != "sentinel":
        raise SettingsError(f"{', '.join(sorted(sentinel_options))} for sentinels need redis+sentinel://")
    if mode != "sentinel":
        return Target("cluster" if mode else "single", seeds, "", link, options, {})
    service = unquote(parts.path.strip("/").partition("/")[0])
    if not service:
        raise SettingsError("redis+sentinel:// needs the name of the service as its path")
    own = {name: value for name, value in options.items() if name.startswith("ssl_")} | sentinel_options
    return Target("sentinel", seeds, service, link, options, own)


def _without_sentinel(query: str) -> tuple[str, dict[str, str]]:
    """What is left of a query, and what it says for sentinels alone."""
    found = {}
    left = []
    for part in query.split("&"):
        name = part.partition("=")[0]
        if name in ("sentinel_username", "sentinel_password"):
            found[name.removeprefix("sentinel_")] = parse_qs(part).get(name, [""])[0]
        else:
            left.append(part)
    return "&".join(left), found


def _parsed(url: str) -> tuple[Address, type[AnyLink], dict[str, Any]]:
    try:
        options: dict[str, Any] = {**parse_url(url)}
    except ValueError as error:
        raise SettingsError(f"the URL of the bridge's server cannot be read: {error}") from None
    link = _CLASSES[options.pop("connection_class", Connection)]
    address = options.pop("host", "localhost"), options.pop("port", 0)
    for name in ("db", "path"):
        options.pop(name, None)
    if unknown := sorted(options.keys() - OPTIONS):
        raise SettingsError(f"the URL of the bridge's server has unknown options: {', '.join(unknown)}")
    if link is not TlsLink and (tls := sorted(name for name in options if name.startswith("ssl_"))):
        raise SettingsError(f"{', '.join(tls)} need rediss://")
    if options.get("ssl_cert_reqs", "required") not in CERT_REQS:
        raise SettingsError(f"ssl_cert_reqs must be one of {', '.join(CERT_REQS)}")
    return address, link, options
