"""Commands about how documents are stored."""

import argparse
import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from collabd.app import open_store, sqlite_file
from collabd.errors import SettingsError, StoreError, StoreInUse
from collabd.operations import Event, migrate
from collabd.persistence import sqlite_backup
from collabd.persistence.base import Store
from collabd.settings import Settings

from .owner import owner
from .report import Report, counted, size_of


async def compact(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    report.rows_as, names = "documents", _names(arguments)
    async with owner(settings) as ask:
        await report.follow(
            ask("compact", {"names": names}),
            lambda event: f"{event['name']}: {size_of(event['bytes'])}",
        )


async def check(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    def checked(event: Event) -> str:
        said = [problem_of(problem) for problem in event["problems"]]
        if event["rejected"]:
            said.append(f"{counted(event['rejected'], 'update')} cannot be applied")
        if event["waiting"]:
            said.append(f"{counted(event['waiting'], 'update')} build on what is not there")
        return f"{event['name']}: {'; '.join(said) or 'ok'}"

    def done(event: Event) -> str:
        return f"{counted(event['count'], 'document')} checked, {event['failed']} with problems"

    report.rows_as, names = "documents", _names(arguments)
    async with owner(settings) as ask:
        result = await report.follow(ask("check", {"names": names}), checked, done)
    report.has_failed = result["failed"] > 0


def problem_of(problem: dict[str, object]) -> str:
    """A problem for people."""
    return f"{problem['part']} at {problem['seq']}: {problem['what']}"


async def repair(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    def repaired(event: Event) -> str:
        said = [f"set aside {problem_of(problem)}" for problem in event["set_aside"]]
        if not said:
            said.append("all that is stored can be read")
        if event["from_memory"]:
            said.append("what was lost was still in memory, and was written again")
        if event["waiting"]:
            said.append(f"{counted(event['waiting'], 'update')} build on what was lost, and wait for it")
        if event["rejected"]:
            said.append(f"{counted(event['rejected'], 'update')} cannot be applied")
        if event["released"]:
            said.append("it is out of quarantine")
        return f"{event['name']}: it opens; {'; '.join(said)}"

    report.rows_as = "documents"
    async with owner(settings) as ask:
        await report.follow(ask("repair", {"names": arguments.names}), repaired)


async def backup(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    source, target = sqlite_file(settings.store), Path(arguments.file)
    if source is None:
        raise SettingsError(
            "backup copies SQLite files; for PostgreSQL use pg_dump, or its continuous archiving for"
            " point-in-time recovery"
        )
    await report.follow(
        _copying(source, target),
        end=lambda event: (
            f"{event['file']}: {counted(event['documents'], 'document')}, {size_of(event['bytes'])}"
        ),
    )


async def _copying(source: Path, target: Path) -> AsyncIterator[Event]:
    stopping = threading.Event()
    progress = sqlite_backup.Progress(sqlite_backup.partial_of(target))
    copying = asyncio.create_task(asyncio.to_thread(sqlite_backup.copy, source, target, progress, stopping))
    try:
        while not (await asyncio.wait([copying], timeout=0.2))[0]:
            yield {"event": "progress", "what": "copying", "done": progress.done, "total": progress.total}
        copied = copying.result()
    finally:
        stopping.set()
        await asyncio.wait([copying])
    yield {"event": "result", "file": str(target), "bytes": copied.bytes, "documents": copied.documents}


async def migrate_store(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    def done(event: Event) -> str:
        return (
            f"{counted(event['documents'], 'document')} with {counted(event['updates'], 'update')} copied and"
            f" compared; {event['deleted']} deleted and {event['quarantined']} in quarantine stay so"
        )

    path = sqlite_file(settings.store)
    from_store, to_store = open_store(settings.store), open_store(arguments.to)
    if path is not None and not path.exists():
        raise StoreError(f"there is no file {path}")
    async with _started(from_store) as source, _started(to_store) as target:
        await report.follow(migrate(source, target), end=done)


@contextlib.asynccontextmanager
async def _started(store: Store) -> AsyncIterator[Store]:
    try:
        await store.start()
    except StoreInUse as error:
        raise StoreInUse(f"{error}; stop it first") from None
    try:
        yield store
    finally:
        await store.close()


async def erase(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    about_authors = arguments.principal is not None or arguments.before is not None
    if about_authors == (arguments.content is not None):
        raise SettingsError("erase takes --content and a name, or --principal, --before or both")
    before = None if arguments.before is None else _time(arguments.before)
    async with owner(settings) as ask:
        if arguments.content is not None:
            await report.follow(
                ask("erase-content", {"name": arguments.content}),
                end=lambda event: f"of {event['name']} only what it holds now is kept",
            )
            return
        await report.follow(
            ask("erase-authors", {"principal": arguments.principal, "before": before}),
            end=lambda event: f"who {counted(event['connections'], 'connection')} belonged to is erased",
        )


def _time(text: str) -> float:
    """Seconds since the epoch; a time without a zone is UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--before takes a date like 2026-01-31, not {text!r}") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _names(arguments: argparse.Namespace) -> list[str] | None:
    """The documents that are meant; None for all."""
    if bool(arguments.names) == arguments.all:
        raise SettingsError(f"{arguments.command} takes names of documents, or --all")
    return arguments.names or None
