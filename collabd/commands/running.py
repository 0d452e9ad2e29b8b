"""Running a command from its arguments to its exit code."""

import argparse
import asyncio
import logging
import os
import sys
from typing import Final

from collabd.errors import SettingsError
from collabd.settings import load

from . import contents, credentials, stores
from .report import FAILURES, Report

COMMANDS: Final = {
    "backup": stores.backup,
    "check": stores.check,
    "compact": stores.compact,
    "documents": contents.documents,
    "erase": stores.erase,
    "export": contents.export,
    "import": contents.import_,
    "keys": credentials.keys,
    "migrate-store": stores.migrate_store,
    "repair": stores.repair,
    "restore": contents.restore,
    "token": credentials.token,
    "versions": contents.versions,
}
"""What does each."""

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


def run(arguments: argparse.Namespace) -> int:
    """Do what a command says. Returns 0 if all went well, 1 if something failed or problems were found, 2 if
    the command makes no sense."""
    command = COMMANDS[arguments.command]
    # What goes wrong is said by the command itself.
    logging.getLogger().addHandler(logging.NullHandler())
    report = Report(as_json=arguments.json, progress=arguments.progress)
    try:
        flags = {key: value for key in ("store", "config") if (value := getattr(arguments, key)) is not None}
        settings = load(flags, os.environ)
        asyncio.run(command(arguments, settings, report))
        report.finish()
    except SettingsError as error:
        report.finish(error)
        return USAGE
    except FAILURES as error:
        report.finish(error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read what we say has gone; what is left must not be written when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return FAILED if report.has_failed else 0
