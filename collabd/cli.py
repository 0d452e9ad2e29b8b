"""The ``collabd`` command."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from collabd.errors import SettingsError
from collabd.settings import CONFIG_FILE, Settings, flag, from_anywhere, load, refuse_exposure
from collabd.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code (2 for what makes no sense)."""
    given = parser().parse_args(arguments)
    if given.command != "serve":
        # Imported here, so that --help and refusals do not wait for everything to load.
        from collabd.commands import run

        return run(given)
    flags = vars(given)
    del flags["command"]
    try:
        settings = load(flags, os.environ)
        refuse_exposure(settings)
        return _serve(settings)
    except SettingsError as error:
        sys.stderr.write(f"collabd: {error}\n")
        return 2


def _serve(settings: Settings) -> int:
    from collabd.serving import serve
    from collabd.supervisor import count_of, supervise
    from collabd.telemetry import set_up_logging

    set_up_logging(settings.log_level, settings.log_format)
    return serve(settings) if count_of(settings) == 1 else supervise(settings)


def parser() -> argparse.ArgumentParser:
    """What the command line may say."""
    parser = argparse.ArgumentParser(
        prog="collabd", description="A collaboration server for Yjs documents.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"collabd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_about_contents(commands)
    _add_about_stores(commands)
    _add_about_credentials(commands)
    return parser


if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def _add_serve(commands: "Commands") -> None:
    serve = commands.add_parser(
        "serve",
        help="serve documents until stopped",
        description=(
            "Serve documents until SIGINT or SIGTERM. Each option can also be given as a COLLABD_* variable "
            f"of the environment or as a key in {CONFIG_FILE}; an option beats a variable beats the file."
        ),
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    serve.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    for field in from_anywhere():
        about = field.metadata
        text = _plain(about["description"])
        if field.type is bool:
            serve.add_argument(flag(field.name), dest=field.name, action="store_true", help=text)
        else:
            serve.add_argument(
                flag(field.name),
                dest=field.name,
                metavar="|".join(about["choices"]) or about["unit"].upper() or field.name.upper(),
                help=f"{text} (default: {field.default})",
            )


CONFIG_HELP: Final = f"settings to read (default: {CONFIG_FILE} if it exists)"


def _plain(text: str) -> str:
    return text.replace("`", "").replace("%", "%%")


def _add(commands: "Commands", name: str, description: str) -> argparse.ArgumentParser:
    """A command that works on a store, whether or not a server owns it."""
    command = commands.add_parser(
        name, help=description.partition(".")[0].lower(), description=description, allow_abbrev=False
    )
    (store,) = [field for field in dataclasses.fields(Settings) if field.name == "store"]
    command.add_argument(
        "--store", help=f"{_plain(store.metadata['description'])} (default: {store.default})"
    )
    command.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    command.add_argument("--json", action="store_true", help="answer with one JSON object")
    command.add_argument(
        "--progress", action="store_true", help="tell of progress on stderr even if that is no terminal"
    )
    return command


def _add_about_contents(commands: "Commands") -> None:
    command = _add(commands, "documents", "List documents: when they changed, how many updates they had.")
    command.add_argument("--prefix", default="", help="only those whose name begins with this")

    command = _add(commands, "export", "Write a document, or all of them, to files.")
    command.add_argument("name", nargs="?", metavar="NAME", help="the document")
    command.add_argument("--all", metavar="DIRECTORY", help="export all documents into this directory")
    command.add_argument(
        "--format",
        choices=("json", "text", "markdown", "html", "ipynb", "update", "state-vector"),
        help="the format (default: what the ending of --output says, else json)",
    )
    command.add_argument("--root", help="which root to show (default: the one that can be shown so)")
    command.add_argument("--version", metavar="VERSION", help="a version's number or name (default: now)")
    command.add_argument("--output", metavar="FILE", help="where to (default: -, which is stdout)")

    command = _add(commands, "import", "Make documents from files.")
    command.add_argument("files", nargs="+", metavar="FILE", help="text, Markdown, notebook or Yjs update")
    command.add_argument("--name", help="the document's name (default: the file's, without its ending)")
    command.add_argument(
        "--format",
        choices=("text", "markdown", "ipynb", "update"),
        help="what the files are (default: what their ending says)",
    )
    command.add_argument(
        "--from", dest="from_", choices=("hocuspocus",), help="take each file for another server's database"
    )

    command = _add(commands, "versions", "List a document's named versions, or name one.")
    command.add_argument("document", metavar="NAME", help="the document")
    command.add_argument("--name", metavar="TEXT", help="give a version this name")
    command.add_argument(
        "--version", type=int, metavar="N", help="which one --name is for (default: the last)"
    )

    command = _add(commands, "restore", "Bring a document back to a version, by an edit that everybody sees.")
    command.add_argument("document", metavar="NAME", help="the document")
    command.add_argument("version", metavar="VERSION", help="the version's number or name")


def _add_about_stores(commands: "Commands") -> None:
    command = _add(commands, "compact", "Compact documents, so that they open fast.")
    command.add_argument("names", nargs="*", metavar="NAME", help="the documents")
    command.add_argument("--all", action="store_true", help="all documents")

    command = _add(commands, "check", "Read all that is stored of documents, and try whether they open.")
    command.add_argument("names", nargs="*", metavar="NAME", help="the documents")
    command.add_argument("--all", action="store_true", help="all documents")

    command = _add(commands, "repair", "Set aside what cannot be read of documents, so that the rest opens.")
    command.add_argument("names", nargs="+", metavar="NAME", help="the documents")

    command = _add(commands, "backup", "Copy the SQLite file, also while a server writes to it.")
    command.add_argument("file", metavar="FILE", help="the copy, which must not exist")

    command = _add(commands, "migrate-store", "Copy everything into another store that is empty.")
    command.add_argument("--to", required=True, metavar="STORE", help="the other store, as --store names one")

    command = _add(commands, "erase", "Erase who wrote, or what was deleted from a document.")
    command.add_argument("--principal", metavar="ID", help="erase who this principal was")
    command.add_argument("--before", metavar="DATE", help="erase who was last heard of before this (UTC)")
    command.add_argument("--content", metavar="NAME", help="keep of a document only what it holds now")


def _add_about_credentials(commands: "Commands") -> None:
    command = _add(commands, "keys", "List API keys, make one, or revoke one.")
    command.add_argument("--create", metavar="LABEL", help="make a key that is called so")
    _add_allow(command)
    command.add_argument("--mints", action="store_true", help="document tokens can be made with it")
    command.add_argument("--days", type=float, metavar="N", help="how long it is good (default: for ever)")
    command.add_argument("--revoke", metavar="ID", help="let a key be good for nothing any more")

    command = _add(commands, "token", "Make a document token for somebody.")
    command.add_argument("user", metavar="USER", help="the stable id of whom it is for")
    command.add_argument("--name", help="what others are shown (default: the id)")
    _add_allow(command)
    command.add_argument(
        "--seconds", type=float, metavar="N", help="how long it opens connections (default: 300)"
    )
    command.add_argument(
        "--connection-seconds",
        type=float,
        metavar="N",
        help="how long from now those last (default: as long as it opens them)",
    )


def _add_allow(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="ACCESS:DOCUMENT",
        help="what it is good for: read, write or admin, and a document or a pattern like team/**",
    )
