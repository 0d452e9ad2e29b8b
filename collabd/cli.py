"""The ``collabd`` command."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence

from collabd.errors import SettingsError
from collabd.settings import CONFIG_FILE, Settings, flag, is_loopback, load, refuse_exposure
from collabd.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code (2 for a setting that makes no sense)."""
    given = vars(_parser().parse_args(arguments))
    del given["command"]
    try:
        settings = load(given, os.environ)
        refuse_exposure(settings)
        return _serve(settings)
    except SettingsError as error:
        sys.stderr.write(f"collabd: {error}\n")
        return 2


def _serve(settings: Settings) -> int:
    # Imported here, so that --help and refusals do not wait for everything to load.
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from collabd.app import create_app
    from collabd.server import Server
    from collabd.telemetry import set_up_logging
    from collabd.web.fastlane import FastLaneProtocol
    from collabd.web.origins import trusted_hosts

    set_up_logging(settings.log_level, settings.log_format)
    app = create_app(settings)
    if is_loopback(settings.host) and not settings.insecure:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=trusted_hosts(settings.origins))
    server = Server(app, settings, app.state.service.drain, websockets=FastLaneProtocol)
    return server.serve_until_stopped()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="collabd", description="A collaboration server for Yjs documents.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"collabd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
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
    serve.add_argument(
        "--config", metavar="FILE", help=f"settings to read (default: {CONFIG_FILE} if it exists)"
    )
    for field in dataclasses.fields(Settings):
        about = field.metadata
        text = about["description"].replace("`", "").replace("%", "%%")
        if field.type is bool:
            serve.add_argument(flag(field.name), dest=field.name, action="store_true", help=text)
        else:
            serve.add_argument(
                flag(field.name),
                dest=field.name,
                metavar="|".join(about["choices"]) or about["unit"].upper() or field.name.upper(),
                help=f"{text} (default: {field.default})",
            )
    return parser
