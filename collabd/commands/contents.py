"""Commands about what documents hold."""

import argparse
import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from collabd import formats
from collabd.errors import SettingsError
from collabd.operations import Event, failure, row
from collabd.settings import Settings

from .owner import Ask, owner
from .report import FAILURES, Report, counted, size_of
from .sources import Source, read_file, read_hocuspocus, write_file

STDOUT: Final = "-"
ENDING: Final = frozenset({"store", "in-use", "store-unavailable", "restart"})
"""Codes of failures after which there is no sense in going on with the next document."""


async def documents(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    report.rows_as = "documents"
    async with owner(settings) as ask:
        await report.follow(ask("documents", {"prefix": arguments.prefix}), _listed)


def _listed(event: Event) -> str:
    remark = f"  (in quarantine: {event['quarantine']})" if event["quarantine"] else ""
    return f"{event['updated_at']}  {event['updates']:>9,}  {event['name']}{remark}"


async def export(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    if (arguments.name is None) == (arguments.all is None):
        raise SettingsError("export takes the name of a document, or --all and a directory")
    if arguments.all is not None:
        if arguments.root or arguments.version or arguments.output:
            raise SettingsError("--root, --version and --output are for one document")
        async with owner(settings) as ask:
            await _export_all(ask, Path(arguments.all), arguments.format or "json", report)
        return
    output = arguments.output or STDOUT
    if output == STDOUT and arguments.json:
        raise SettingsError("--json takes --output and a file, as stdout is where the document would go")
    form = arguments.format or _form_of(output)
    wanted = {"name": arguments.name, "form": form, "root": arguments.root}
    if arguments.version is not None:
        wanted["version"] = _version(arguments.version)
    async with owner(settings) as ask:
        content, result = await _content(ask, wanted)
    if output == STDOUT:
        sys.stdout.buffer.write(content)
        return
    write_file(Path(output), content)
    report.result(
        result | {"file": output}, lambda event: f"{event['file']}: {size_of(event['bytes'])} of {form}"
    )


async def _export_all(ask: Ask, directory: Path, form: str, report: Report) -> None:
    report.rows_as = "documents"
    names = [event["name"] async for event in ask("documents", {}) if event["event"] == "row"]
    failed = 0
    for done, name in enumerate(names):
        report.progress("exporting", done, len(names))
        path = directory / f"{name}.{formats.EXTENSIONS[form]}"
        try:
            content, result = await _content(ask, {"name": name, "form": form})
            write_file(path, content)
            report.row(row(**result | {"file": str(path)}), lambda event: str(event["file"]))
        except FAILURES as error:
            if error.code in ENDING:
                raise
            failed += 1
            report.row(failure(name, error), None)
    report.result({"failed": failed}, None)


async def _content(ask: Ask, wanted: dict[str, Any]) -> tuple[bytes, Event]:
    chunks, result = [], {}
    async for event in ask("export", wanted):
        if event["event"] == "chunk":
            chunks.append(base64.b64decode(event["data"]))
        else:
            result = event
    return b"".join(chunks), result


def _form_of(output: str) -> str:
    """The format that the ending of a file's name says; JSON if it says none."""
    ending = Path(output).suffix.removeprefix(".")
    return next((form for form, known in formats.EXTENSIONS.items() if known == ending), "json")


async def import_(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    if arguments.name is not None and (len(arguments.files) > 1 or arguments.from_):
        raise SettingsError("--name is for one file")
    if arguments.format and arguments.from_:
        raise SettingsError("--format is for files of one document each")
    report.rows_as = "documents"
    count = failed = 0
    async with owner(settings, creates=True) as ask:
        for source in _sources(arguments):
            report.progress("importing", count, None)
            count += 1
            try:
                if isinstance(source.content, FAILURES):
                    raise source.content
                content = base64.b64encode(source.content).decode()
                wanted = {"name": source.name, "media_type": source.media_type, "content": content}
                async for event in ask("import", wanted):
                    report.row(row(**event), lambda event: f"{event['name']}: made")
            except FAILURES as error:
                if error.code in ENDING:
                    raise
                failed += 1
                report.row(failure(source.name, error), None)
    report.result({"failed": failed}, lambda _: f"{counted(count - failed, 'document')} imported")


def _sources(arguments: argparse.Namespace) -> Iterator[Source]:
    for path in map(Path, arguments.files):
        if arguments.from_:
            yield from read_hocuspocus(path)
        else:
            yield read_file(path, arguments.format, arguments.name)


async def versions(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    if arguments.version is not None and arguments.name is None:
        raise SettingsError("--version is for --name: which version gets the name")
    async with owner(settings) as ask:
        if arguments.name is None:
            report.rows_as = "versions"
            await report.follow(ask("versions", {"name": arguments.document}), _version_line)
            return
        wanted = {"name": arguments.document, "version_name": arguments.name, "version": arguments.version}
        await report.follow(
            ask("name-version", wanted),
            end=lambda event: f"version {event['version']} of {event['name']} is {event['version_name']}",
        )


def _version_line(event: Event) -> str:
    by = event["author"]["name"] or "unknown"
    return f"{event['version']:>9,}  {event['named_at']}  {event['name']}  (named by {by})"


async def restore(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    def done(event: Event) -> str:
        if not event["changed"]:
            return f"{event['name']} is as it was at version {event['restored']} already"
        return (
            f"{event['name']} is as it was at version {event['restored']}; that is version {event['version']}"
        )

    async with owner(settings) as ask:
        wanted = {"name": arguments.document, "version": _version(arguments.version)}
        await report.follow(ask("restore", wanted), end=done)


def _version(text: str) -> int | str:
    """A number if it is one, else a name."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else text
