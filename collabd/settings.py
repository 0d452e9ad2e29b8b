"""Everything that can be set, in one table, and where a value may come from.

A flag beats an environment variable, which beats the configuration file, which beats the default. A setting
called ``max_message_bytes`` is the flag ``--max-message-bytes``, the variable ``COLLABD_MAX_MESSAGE_BYTES``
and the key ``max_message_bytes`` at the top level of ``collabd.toml``. A name that is none of these is
refused, so that a misspelt one is not silently without effect.
"""

import dataclasses
import difflib
import ipaddress
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from collabd.errors import SettingsError

PREFIX: Final = "COLLABD_"
CONFIG_FILE: Final = "collabd.toml"
"""Read from the working directory if it is there, unless another file is named by ``--config``."""

Tables = tuple[Mapping[str, Any], ...]
"""Tables of the configuration file. What is in them is checked by whom they are for."""

T = TypeVar("T", str, int, float, bool, Tables)


def setting(
    default: T,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    words: Mapping[str, int] | None = None,
) -> T:
    """Declare a field of :class:`Settings`: its default, what it means, which values make sense, and which
    words stand for numbers."""
    metadata = {
        "description": description,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "words": words or {},
    }
    field: T = dataclasses.field(default=default, metadata=metadata)
    return field


def from_anywhere() -> "list[dataclasses.Field[Any]]":
    """The settings that flags and variables may give too: all but tables."""
    return [field for field in dataclasses.fields(Settings) if field.type != Tables]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, checked. Raises SettingsError when made from values that make no sense."""

    host: str = setting(
        "127.0.0.1", "Address to listen on. Anything beyond this machine takes `insecure` as well."
    )
    port: int = setting(8000, "Port to listen on; 0 lets the system choose.", minimum=0, maximum=65535)
    store: str = setting(
        "sqlite:///collabd.db",
        "Where documents are kept: `sqlite:///` and a file's path; `postgresql://` and the rest of a "
        "database's URL; or `memory:`, which forgets them when the server stops.",
    )
    redis: str = setting(
        "",
        "What carries messages between several servers of one database: `redis://` and the rest of a Redis' "
        "or Valkey's URL, `rediss://` with TLS, `redis+sentinel://` or `redis+cluster://`. Takes a `store` "
        "that servers can share.",
    )
    workers: int = setting(
        1,
        "How many processes serve, so that all processors of a machine are used; `auto`, or 0, is one for "
        "each.",
        minimum=0,
        maximum=256,
        words={"auto": 0},
    )
    insecure: bool = setting(
        False,
        "Listen beyond this machine although nobody has to sign in: whoever reaches the port can read "
        "and change every document.",
    )
    allowed_origins: str = setting(
        "",
        "Origins (`https://app.example`), separated by commas, of pages on other sites that may connect; "
        "`*` allows any. The server's own page always may.",
    )
    token_secret: str = setting(
        "",
        "What document tokens are signed with: secrets of at least 32 characters, separated by commas. The "
        "first signs, all are accepted. Without it the store keeps one that was made at random.",
    )
    authorize_url: str = setting(
        "", "Where to ask, over HTTP, what somebody may do with a document, instead of `rules`."
    )
    authorize_secret: str = setting("", "What `authorize_url` is sent to know the server by.")
    public_url: str = setting(
        "",
        "Where people reach the server, such as `https://docs.example`, if that is not what requests say "
        "themselves; behind a proxy it is not.",
    )
    trusted_proxies: str = setting(
        "127.0.0.1,::1",
        "Addresses and networks (`10.0.0.0/8`), separated by commas, of proxies that are believed when they "
        "say from where a request came (`X-Forwarded-For`) and whether by HTTPS (`X-Forwarded-Proto`); `*` "
        "believes everybody.",
    )
    tls_certificate: str = setting(
        "",
        "PEM file with a certificate, followed by those between it and its root: the server speaks HTTPS "
        "itself then. Read again on SIGHUP.",
    )
    tls_key: str = setting("", "PEM file with the key of `tls_certificate`, not encrypted.")
    session_hours: float = setting(
        12.0, "How long somebody stays signed in.", unit="hours", minimum=0.1, maximum=720
    )
    sign_ins_per_address: int = setting(
        300,
        "How many sign-ins may be under way from one address (of IPv6: one /64), on all servers together. "
        "One is until it is finished, its browser begins another, or ten minutes have passed.",
        unit="sign-ins",
        minimum=1,
        maximum=10_000,
    )
    providers: tuple[Mapping[str, Any], ...] = setting((), "OpenID providers with which people sign in.")
    rules: tuple[Mapping[str, Any], ...] = setting(
        (), "Who may do what with which documents. Without rules everybody may do everything."
    )
    sharing: str = setting(
        "links",
        "Whether, beside `rules`, those who may administer a document share it: with `people` and groups, or "
        "by `links` as well. Where your own application decides, nothing is shared here.",
        choices=("off", "people", "links"),
    )
    log_level: str = setting(
        "info", "The least important log lines to write.", choices=("debug", "info", "warning", "error")
    )
    log_format: str = setting("text", "How log lines are written to stderr.", choices=("text", "json"))
    max_message_bytes: int = setting(
        16 * 2**20,
        "Largest WebSocket message taken, also once it is inflated; a larger one closes its connection.",
        unit="bytes",
        minimum=1024,
    )
    max_body_bytes: int = setting(16 * 2**20, "Largest HTTP request body taken.", unit="bytes", minimum=1024)
    peer_queue_bytes: int = setting(
        16 * 2**20,
        "How far one client may lag behind in reading before it is disconnected; it catches up when it "
        "reconnects.",
        unit="bytes",
        minimum=65536,
    )
    room_backlog_bytes: int = setting(
        32 * 2**20,
        "How much a document may have received and not yet committed before its clients are "
        "disconnected; they send it again when they reconnect.",
        unit="bytes",
        minimum=65536,
    )
    room_idle_seconds: float = setting(
        30.0, "How long a document stays in memory after it was last used.", unit="seconds", minimum=0
    )
    room_idle_bytes: int = setting(
        256 * 2**20,
        "How much memory documents may take, by estimate, that nobody uses; beyond it those not used for "
        "longest are put away before `room_idle_seconds` are over.",
        unit="bytes",
        minimum=0,
    )
    history: str = setting(
        "all",
        "What is kept of a document's past: `all` of it; a number of days like `30d`, after which it is "
        "thinned to the last state of each day and those with names; or `none` beyond what is not compacted "
        "yet.",
    )
    author_days: int = setting(
        0,
        "How long history says who wrote (principal, name, address); 0 keeps it for ever.",
        unit="days",
        minimum=0,
        maximum=36500,
    )
    snapshot_after_updates: int = setting(
        500,
        "A document is compacted (a snapshot takes the place of the log under it) once this many updates "
        "were logged since the last time, or more of them if it is large.",
        unit="updates",
        minimum=1,
    )
    keepalive_seconds: float = setting(
        15.0,
        "Something is sent on each connection at least this often; stock providers give up after 30 "
        "seconds of silence.",
        unit="seconds",
        minimum=1,
        maximum=25,
    )
    shutdown_seconds: float = setting(
        10.0, "How long stopping may take: commit, close every connection, exit.", unit="seconds", minimum=1
    )

    @property
    def asks_who(self) -> bool:
        """Whether it depends on who somebody is what he may do."""
        return bool(self.rules or self.authorize_url)

    @property
    def origins(self) -> frozenset[str]:
        """``allowed_origins`` taken apart."""
        return frozenset(
            origin.strip().rstrip("/") for origin in self.allowed_origins.split(",") if origin.strip()
        )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name), f"argument {field.name}")
        _check_networks("trusted_proxies", self.trusted_proxies)


def load(
    flags: Mapping[str, str | bool], environment: Mapping[str, str], directory: Path = Path()
) -> Settings:
    """Put the settings together.

    ``flags`` holds what the command line gave, by field name, as text (True for a flag without a value);
    ``config`` names a configuration file. ``environment`` is looked at for names that begin with COLLABD_.
    ``directory`` is where collabd.toml is looked for and what a relative name of a configuration file is
    relative to.

    Raises:
        SettingsError: a value makes no sense, or a name is not a setting's. The message names both it and
        its source.
    """
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    scalars = {field.name: field for field in from_anywhere()}
    values: dict[str, Any] = {}

    named = flags.get("config") or environment.get(f"{PREFIX}CONFIG")
    path = directory / str(named or CONFIG_FILE)
    if named or path.is_file():
        for name, value in _read_file(path).items():
            source = f"{name} in {path}"
            if name not in fields:
                raise SettingsError(f"{source} is not a setting{_meant(name, fields)}")
            if isinstance(value, str):
                value = fields[name].metadata["words"].get(value, value)
            values[name] = _check(fields[name], value, source)

    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == f"{PREFIX}CONFIG":
            continue
        name, source = variable.removeprefix(PREFIX).lower(), f"the variable {variable}"
        if name not in scalars or variable != variable.upper():
            raise SettingsError(f"{source} is not a setting{_meant(name, scalars)}")
        values[name] = _check(fields[name], _parse(fields[name], text, source), source)

    for name, given in flags.items():
        if name != "config":
            value = given if given is True else _parse(fields[name], str(given), flag(name))
            values[name] = _check(fields[name], value, flag(name))

    return Settings(**values)


def refuse_exposure(settings: Settings) -> None:
    """Raise SettingsError if listening as told would let strangers in.

    Where there are no rules, only this machine's own programs may connect unless ``insecure`` says otherwise.
    """
    if settings.insecure or settings.asks_who or is_loopback(settings.host):
        return
    raise SettingsError(
        f"listening on {settings.host} lets anybody who reaches port {settings.port} read and "
        "change every document, as there are no rules. If that is meant, say --insecure; else write rules or "
        "listen on 127.0.0.1"
    )


def without_password(url: str) -> str:
    """A URL to be shown, with ``***`` in the place of a password."""
    url = re.sub(r"(?<=://)([^:@/?#]*):.*@", r"\1:***@", url)
    return re.sub(r"(?<=[?&])(password=)[^&]*", r"\1***", url)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is surely reached from this machine only; no name but localhost is looked at."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def flag(name: str) -> str:
    """The command line's spelling of a setting."""
    return "--" + name.replace("_", "-")


def _parse(field: "dataclasses.Field[Any]", text: str, source: str) -> str | int | float | bool:
    words: Mapping[str, int] = field.metadata["words"]
    if text in words:
        return words[text]
    try:
        if field.type is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
                text.lower()
            ]
        if field.type is int:
            return int(text)
        if field.type is float:
            return float(text)
    except (KeyError, ValueError):
        raise SettingsError(f"{source} is {text!r}, which is not {_KINDS[field.type]}") from None
    return text


_KINDS: Final[Mapping[object, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


def _check(field: "dataclasses.Field[Any]", value: object, source: str) -> object:
    """Return the value in the field's type if it is one that makes sense there."""
    about = field.metadata
    if field.type is float and type(value) is int:
        value = float(value)
    if field.type == Tables:
        if not isinstance(value, list | tuple) or not all(isinstance(table, Mapping) for table in value):
            raise SettingsError(f"{source} is a list of tables: [[{field.name}]]")
        return tuple(value)
    if type(value) is not field.type:
        raise SettingsError(f"{source} is {value!r}, which is not {_KINDS[field.type]}")
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise SettingsError(f"{source} is {value}, which is no amount")
        if about["minimum"] is not None and value < about["minimum"]:
            raise SettingsError(f"{source} is {value}, and must be at least {about['minimum']}")
        if about["maximum"] is not None and value > about["maximum"]:
            raise SettingsError(f"{source} is {value}, and must be at most {about['maximum']}")
    elif value == "" and field.default != "":
        raise SettingsError(f"{source} is empty")
    elif about["choices"] and value not in about["choices"]:
        raise SettingsError(f"{source} is {value!r}, and must be one of {', '.join(about['choices'])}")
    return value


def _check_networks(name: str, value: str) -> None:
    for network in () if value == "*" else value.split(","):
        try:
            ipaddress.ip_network(network.strip())
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from error


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise SettingsError(f"the configuration file {path} is not TOML: {error}") from error


def _meant(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
