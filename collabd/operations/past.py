"""Versions of documents: listing and naming them, and going back to one."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from collabd import history
from collabd.errors import MalformedInput, NoSuchVersion
from collabd.persistence.base import DocumentInfo, HistoryEntry, Version
from collabd.rooms.peer import author_of
from collabd.rooms.replica import EMPTY_UPDATE

from .base import OPERATOR, Event, Host, convert, info_of, result, row, time_of

LONGEST_NAME: Final = 100
"""Characters of a version's name."""


async def versions(host: Host, *, name: str) -> AsyncIterator[Event]:
    """The named versions of a document, a row each, and its last number."""
    info = await info_of(host, name)
    for version in await host.store.versions(info.id):
        yield row(
            version=version.seq,
            name=version.name,
            named_at=time_of(version.at),
            author={"principal": version.author.principal, "name": version.author.name},
        )
    yield result(name=name, head=info.head)


async def name_version(
    host: Host, *, name: str, version_name: str, version: int | None = None
) -> AsyncIterator[Event]:
    """Give a version of a document a name; its last one if no number is given."""
    if not 1 <= len(version_name) <= LONGEST_NAME or not version_name.isprintable():
        raise MalformedInput(f"a version's name is 1 to {LONGEST_NAME} printable characters")
    info = await info_of(host, name)
    seq = info.head if version is None else _checked(info, version)
    if seq < info.head:
        await _demand_kept(host, info, seq)
    await host.store.name_version(info.id, Version(seq, version_name, 0.0, author_of(OPERATOR)))
    yield result(name=name, version=seq, version_name=version_name)


async def restore(host: Host, *, name: str, version: int | str) -> AsyncIterator[Event]:
    """Bring a document's content back to what it was at a version, by an edit that everybody sees."""
    info = await info_of(host, name)
    seq = await number_of(host, info, version)
    entries = await entries_upto(host, info, seq)
    room = await host.registry.open(name)
    now = room.state()
    edit = await convert(host, bytes_of(entries) + len(now), _restoring, entries, seq, now)
    room = await host.registry.open(name)
    head = room.head if edit == EMPTY_UPDATE else await room.submit(edit, author_of(OPERATOR))
    yield result(name=name, restored=seq, version=head, changed=edit != EMPTY_UPDATE)


async def number_of(host: Host, info: DocumentInfo, version: int | str) -> int:
    """The number that somebody means by a number or a version's name.

    Raises:
        NoSuchVersion: there is none such, or several have the name.
    """
    if isinstance(version, int):
        return _checked(info, version)
    found = [known.seq for known in await host.store.versions(info.id) if known.name == version]
    if len(found) != 1:
        what = f"versions {', '.join(map(str, found))} are all" if found else "no version is"
        raise NoSuchVersion(f"{what} called {version!r}")
    return found[0]


async def entries_upto(host: Host, info: DocumentInfo, seq: int) -> list[HistoryEntry]:
    """A document's history from its beginning up to a number."""
    return [entry async for some in host.store.history(info.id, upto=seq) for entry in some]


def bytes_of(entries: Sequence[HistoryEntry]) -> int:
    """How much history that is."""
    return sum(len(update) for entry in entries for update in entry.updates)


def _checked(info: DocumentInfo, seq: int) -> int:
    if not 1 <= seq <= info.head:
        raise NoSuchVersion(f"the document has no version {seq}: its versions are 1 to {info.head}")
    return seq


async def _demand_kept(host: Host, info: DocumentInfo, seq: int) -> None:
    async for entries in host.store.history(info.id, after=seq - 1, upto=seq):
        for entry in entries:
            if entry.seq != seq:
                history.split(entry, seq)
            return
    raise NoSuchVersion(f"version {seq} is not kept")


def _restoring(entries: Sequence[HistoryEntry], seq: int, now: bytes) -> bytes:
    return history.restoring(history.state_at(entries, seq), now)
