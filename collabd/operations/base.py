"""What every operation has in common: what it works on, what it says, what it is asked with."""

import asyncio
import contextlib
import inspect
import types
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

from collabd.auth.base import Principal
from collabd.auth.gate import Gate
from collabd.compaction import Compactor
from collabd.errors import CollabdError, MalformedInput, NoSuchDocument
from collabd.persistence.base import DocumentInfo, Store
from collabd.rooms.names import check_name
from collabd.rooms.registry import Registry
from collabd.rooms.room import DocumentRoom
from collabd.worker import Runner

OPERATOR: Final = Principal("operator", "Operator")
"""Whom history names for what a command wrote."""

PAGE: Final = 500
"""Documents that are looked up at a time."""

LARGE: Final = 64 * 1024
"""Bytes from which on a conversion is done in another process."""

T = TypeVar("T")

Event = dict[str, Any]
"""Something an operation says, as JSON has it; ``event`` is what it is: ``progress`` (with ``what``, ``done``
and perhaps ``total``), ``row`` or ``chunk`` (one of several answers) or ``result`` (the only or last one).
A row with ``error`` (a code) and ``message`` is about something that failed while the rest went on."""


class OperationFailed(Exception):
    """What went wrong in another process, or with a command's own files, by its stable code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Host(Protocol):
    """What operations work on."""

    @property
    def store(self) -> Store: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def gate(self) -> Gate: ...
    @property
    def compactor(self) -> Compactor: ...
    @property
    def converter(self) -> Runner:
        """For documents that somebody waits for."""
        ...

    @property
    def compacter(self) -> Runner:
        """For those that nobody does."""
        ...


Operation = Callable[..., AsyncIterator[Event]]


def progress(what: str, done: int, total: int | None = None) -> Event:
    return {"event": "progress", "what": what, "done": done, "total": total}


def row(**fields: Any) -> Event:
    return {"event": "row", **fields}


def result(**fields: Any) -> Event:
    return {"event": "result", **fields}


def failure(name: str, error: CollabdError | OperationFailed) -> Event:
    """A row about a document with which it did not work."""
    return row(name=name, error=error.code, message=str(error))


async def convert(host: Host, size: int, function: Callable[..., T], *args: Any) -> T:
    """Return ``function(*args)``, worked out where it holds nobody up; ``size`` is how many bytes it has to
    look at."""
    if size > LARGE:
        return await host.converter.run(function, *args)
    return await asyncio.to_thread(function, *args)


def time_of(seconds: float) -> str:
    """A time as people and programs read it (ISO 8601, UTC)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def info_of(host: Host, name: str) -> DocumentInfo:
    """Look a document up.

    Raises:
        InvalidName, NoSuchDocument, DocumentDeleted
    """
    info = await host.store.find(check_name(name))
    if info is None:
        raise NoSuchDocument(f"there is no document {name}")
    return info


@contextlib.asynccontextmanager
async def room_of(host: Host, name: str) -> AsyncIterator[DocumentRoom]:
    """A document's room. If it was opened only for this, it is let go of afterwards, so that who goes through
    all documents does not have all of them in memory."""
    was_open = host.registry.get(name) is not None
    try:
        yield await host.registry.open(name)
    finally:
        if not was_open:
            host.registry.unload(name)


async def chosen(host: Host, names: list[str] | None) -> list[str]:
    """The names given; all there are if none are."""
    if names is not None:
        return names
    return [info.name async for info in every(host.store)]


async def every(store: Store, prefix: str = "") -> AsyncIterator[DocumentInfo]:
    """All documents, or those whose name begins so, by name."""
    after = ""
    while found := await store.documents(prefix=prefix, after=after, limit=PAGE):
        for info in found:
            yield info
        after = found[-1].name


def check_arguments(operation: Operation, arguments: Mapping[str, Any]) -> None:
    """Raise MalformedInput unless an operation can be called with these, which come from outside."""
    hints = typing.get_type_hints(operation)
    parameters = list(inspect.signature(operation).parameters.values())[1:]
    missing = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    known = {parameter.name for parameter in parameters}
    if unknown := arguments.keys() - known:
        raise MalformedInput(f"there is no argument {min(unknown)}")
    if missing := missing - arguments.keys():
        raise MalformedInput(f"the argument {min(missing)} is missing")
    for name, value in arguments.items():
        if not _is_a(value, hints[name]):
            raise MalformedInput(f"the argument {name} cannot be {value!r:.50}")


def _is_a(value: object, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_is_a(value, one) for one in typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(_is_a(item, typing.get_args(hint)[0]) for item in value)
    if hint is float and type(value) is int:
        return True
    return type(value) is hint
