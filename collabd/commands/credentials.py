"""Commands about API keys and document tokens."""

import argparse
import sys

from collabd.errors import SettingsError
from collabd.operations import Event
from collabd.settings import Settings

from .owner import owner
from .report import Report

DAY = 86_400


async def keys(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    if arguments.create is not None and arguments.revoke is not None:
        raise SettingsError("--create and --revoke are two things")
    if arguments.create is None and (arguments.allow or arguments.mints or arguments.days is not None):
        raise SettingsError("--allow, --mints and --days are for --create")
    async with owner(settings, creates=arguments.create is not None) as ask:
        if arguments.revoke is not None:
            done = ask("revoke-key", {"key_id": arguments.revoke})
            await report.follow(done, end=lambda event: f"{event['id']} is revoked")
            return
        if arguments.create is None:
            report.rows_as = "keys"
            await report.follow(ask("keys", {}), _line)
            return
        wanted = {"label": arguments.create, "allow": arguments.allow, "mints": arguments.mints}
        if arguments.days is not None:
            wanted["seconds"] = arguments.days * DAY
        await report.follow(ask("create-key", wanted), end=_once)


def _once(event: Event) -> str:
    sys.stderr.write("This is the only time the key is shown:\n")
    return str(event["key"])


def _line(event: Event) -> str:
    until = event["expires_at"] or "for ever"
    allowed = ", ".join(
        f"{part['access']}:{part.get('document', part.get('pattern'))}" for part in event["scope"]
    )
    mints = ", makes tokens" if event["mints"] else ""
    return f"{event['id']}  {event['label']}  ({allowed}{mints}; until {until})"


async def token(arguments: argparse.Namespace, settings: Settings, report: Report) -> None:
    wanted = {"user": arguments.user, "name": arguments.name or arguments.user, "allow": arguments.allow}
    if arguments.seconds is not None:
        wanted["seconds"] = arguments.seconds
    if arguments.connection_seconds is not None:
        wanted["connection_seconds"] = arguments.connection_seconds
    async with owner(settings, creates=True) as ask:
        await report.follow(ask("mint-token", wanted), end=lambda event: str(event["token"]))
