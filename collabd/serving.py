"""A process that serves documents: the only one, or one of several, which ``supervisor`` starts.

A worker is this module, run as ``python -m collabd.serving``. The first line of its stdin says what it is to
do; when its stdin ends, the supervisor is gone, and the worker stops. It says on its stdout that it serves.
"""

import dataclasses
import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from starlette.middleware.trustedhost import TrustedHostMiddleware

from collabd.app import create_app
from collabd.bridge.workers import WorkersBridge
from collabd.persistence.remote import RemoteStore
from collabd.server import Server
from collabd.settings import Settings, is_loopback
from collabd.tally import Reporter
from collabd.telemetry import set_up_logging
from collabd.web.arrivals import in_turn
from collabd.web.fastlane import FastLaneProtocol
from collabd.web.origins import trusted_hosts


class Orders(NamedTuple):
    """What a worker is to do."""

    number: int
    """Which worker it is, from 1."""
    settings: Settings
    sockets: list[int]
    """Descriptors of the sockets it listens on."""
    store: Path | None
    """Where the supervisor serves the store; None if the worker opens what the settings name."""
    hub: Path
    """Where the supervisor passes on what workers say to each other."""
    tally: Path
    """Where the supervisor adds up everybody's figures."""
    key: bytes
    """What they sign it with."""

    def packed(self) -> bytes:
        """One line that says it."""
        plain: dict[str, Any] = self._asdict() | {
            "settings": dataclasses.asdict(self.settings),
            "store": self.store and str(self.store),
            "hub": str(self.hub),
            "tally": str(self.tally),
            "key": self.key.hex(),
        }
        return json.dumps(plain).encode() + b"\n"

    @classmethod
    def unpacked(cls, line: bytes) -> "Orders":
        """What a line says."""
        plain = json.loads(line)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in plain["settings"].items()
        }
        return cls(
            plain["number"],
            Settings(**values),
            plain["sockets"],
            Path(plain["store"]) if plain["store"] else None,
            Path(plain["hub"]),
            Path(plain["tally"]),
            bytes.fromhex(plain["key"]),
        )


def serve(settings: Settings) -> int:
    """Serve as the only process until SIGINT or SIGTERM; the exit code."""
    app = create_app(settings)
    app.state.service.takes_commands = True
    return _server(app, settings).serve_until_stopped()


def _server(app: Any, settings: Settings, announce: Callable[[str], None] | None = None) -> Server:
    if is_loopback(settings.host) and not settings.insecure:
        reached_as = settings.origins | ({settings.public_url} if settings.public_url else set())
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=trusted_hosts(reached_as))
    service = app.state.service
    registry = service.registry
    return Server(
        app,
        settings,
        service.drain,
        lambda: not registry.has_peers,
        http=in_turn(lambda: registry.turns),
        websockets=FastLaneProtocol,
        pause=lambda: registry.turns.pause,
        announce=announce,
    )


def _work() -> int:
    """Serve as one of several until SIGINT, SIGTERM or the end of the supervisor; the exit code."""
    said = os.dup(1)
    os.dup2(2, 1)  # what anybody prints must not get in between
    orders = Orders.unpacked(sys.stdin.buffer.readline())
    settings = orders.settings
    set_up_logging(settings.log_level, settings.log_format, worker=orders.number)
    threading.Thread(target=_stop_with_the_supervisor, args=[orders.hub.parent], daemon=True).start()

    def announce(line: str) -> None:
        os.write(said, f"{line}\n".encode())
        os.close(said)

    store = RemoteStore(orders.store) if orders.store else None
    # A Redis also leads to other machines.
    bridge = None if settings.redis else WorkersBridge(orders.hub, orders.key)
    app = create_app(settings, store=store, bridge=bridge)
    service = app.state.service
    service.tidies = orders.store is None
    service.reporter = Reporter(orders.tally, service.telemetry.registry)
    sockets = [socket.socket(fileno=descriptor) for descriptor in orders.sockets]
    return _server(app, settings, announce).serve_until_stopped(sockets)


def _stop_with_the_supervisor(folder: Path) -> None:
    while os.read(0, 1024):
        pass
    shutil.rmtree(folder, ignore_errors=True)  # it was killed, and has left its sockets
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(_work())
