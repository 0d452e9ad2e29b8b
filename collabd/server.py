"""Runs an application on uvicorn, and stops it in the order that loses nothing."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from collabd.errors import CollabdError, SettingsError
from collabd.garbage import Garbage
from collabd.listening import Listener, sockets_on
from collabd.settings import Settings, without_password
from collabd.tls import Certificate

logger = logging.getLogger("collabd.server")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

HTTP: Final = "httptools"
WEBSOCKETS: Final = "websockets-sansio"
"""uvicorn's name for the portable WebSocket layer."""

LAST_MINUTE_SECONDS: Final = 2.0
"""How far past ``shutdown_seconds`` a process that hangs (in a dead disk, say) is ended by force."""


class Server(uvicorn.Server):
    """uvicorn, except for its end: rooms are drained first, signals end it with 0, and in bounded time.

    uvicorn alone closes every socket, then tells the application to stop, and last dies of the signal it got.
    Here it stops accepting, waits for ``drain`` (everything received is committed and acknowledged, and each
    room closes its sockets), and only then does what it always does.
    """

    def __init__(
        self,
        application: Application,
        settings: Settings,
        drain: Callable[[], Awaitable[bool | None]],
        is_quiet: Callable[[], bool],
        *,
        http: str | type[asyncio.Protocol] = HTTP,
        websockets: str | type[asyncio.Protocol] = WEBSOCKETS,
        pause: Callable[[], float] = lambda: 0.0,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare to serve.

        Args:
            drain: commits what was received and closes every room's connections; False says that not
                everything could be committed.
            is_quiet: whether nobody is connected.
            http: what reads requests, in uvicorn's terms (``Config(http=…)``).
            websockets: what frames WebSocket messages, in uvicorn's terms (``Config(ws=…)``).
            pause: how many seconds the next ones wait after some connections were taken in.
            announce: is told once it serves, in one line, instead of stdout.

        Raises:
            SettingsError: the certificate cannot be used.
        """
        self._certificate = certificate = Certificate.of(settings)
        config = uvicorn.Config(
            _briefly(application),
            host=settings.host,
            port=settings.port,
            http=http,
            ws=websockets,
            ws_max_size=settings.max_message_bytes,
            ws_per_message_deflate=False,  # 200 KB can inflate to 62 MB
            lifespan="on",
            interface="asgi3",
            workers=1,
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=settings.trusted_proxies,
            ssl_context_factory=(lambda _config, _default: certificate.context) if certificate else None,
            timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
        )
        super().__init__(config)
        self._settings = settings
        self._drain = drain
        self._garbage = Garbage(is_quiet)
        self._pause = pause
        self._announce = announce or say
        self._hung_up = False
        self.exit_code = 0

    def serve_until_stopped(self, sockets: list[socket.socket] | None = None) -> int:
        """Serve until SIGINT or SIGTERM and return the exit code: 0 if everything received was committed.
        With ``sockets`` it listens on these, and not on what the settings say."""
        try:
            self.run(sockets)
        except SystemExit:  # uvicorn's way to say that it could not start, after logging why
            return 1
        return self.exit_code

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so in one line."""
        try:
            sockets = sockets or sockets_on(self._settings.host, self._settings.port)
            await super().startup([])  # which starts the application, and listens to nobody
            listener = Listener(sockets, self._protocol, self.config.ssl, self._pause)
        except OSError as error:
            logger.error("%s", error)
            if self.started:
                await self.lifespan.shutdown()
            sys.exit(STARTUP_FAILURE)
        self.servers = cast("list[asyncio.base_events.Server]", [listener])
        self._garbage.begin()
        self._announce(greeting(self._settings, sockets[0].getsockname()[1]))

    def _protocol(self) -> asyncio.Protocol:
        """What uvicorn makes for each connection."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second."""
        self._garbage.tick()
        if self._hung_up:
            self._hung_up = False
            self._read_certificate_again()
        return await super().on_tick(counter)

    def _read_certificate_again(self) -> None:
        if self._certificate is None:
            logger.info("SIGHUP: there is no certificate to be read again")
            return
        try:
            self._certificate.read_again()
        except SettingsError as error:
            logger.error("SIGHUP: the certificate stays as it was: %s", error)
        else:
            logger.info("SIGHUP: the certificate was read again, for connections from now on")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain the rooms, then let uvicorn close what is left and stop the application."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.shutdown_seconds
        _end_by_force_after(self._settings.shutdown_seconds + LAST_MINUTE_SECONDS)
        for server in self.servers:
            server.close()
        try:
            async with asyncio.timeout_at(deadline):
                all_committed = await self._drain() is not False
        except TimeoutError:
            all_committed = False
        except Exception:
            all_committed = False
            logger.exception("draining failed")
        if not all_committed:
            self.exit_code = 1
            logger.error("what clients sent last could not be committed; they bring it when they reconnect")
        self._garbage.end()
        self.config.timeout_graceful_shutdown = max(1, math.floor(deadline - loop.time()))
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take SIGINT and SIGTERM as a wish to stop; unlike uvicorn, not as a cause of death afterwards.

        SIGHUP is taken as the wish to read the certificate again.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {
            signal.SIGINT: self.handle_exit,
            signal.SIGTERM: self.handle_exit,
            signal.SIGHUP: self._handle_hang_up,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle_hang_up(self, number: int, frame: FrameType | None) -> None:
        # Done by the next tick: a handler interrupts whatever runs, writing a log line for instance.
        self._hung_up = True


def greeting(settings: Settings, port: int, workers: int = 1) -> str:
    """What is said once everything serves: what to open in a browser, where documents are."""
    host = "localhost" if settings.host in ("0.0.0.0", "::") else settings.host
    scheme = "https" if settings.tls_certificate else "http"
    address = f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
    several = f", workers: {workers}" if workers > 1 else ""
    return f"collabd is serving {address}  (store: {without_password(settings.store)}{several})"


def say(line: str) -> None:
    """Write a line to stdout."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _briefly(application: Application) -> Application:
    """Let a start that failed for a reason of ours be told in its one sentence, without a traceback."""

    async def wrapped(scope: Message, receive: Receive, send: Send) -> None:
        async def send_briefly(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and isinstance(
                error := sys.exception(), CollabdError
            ):
                message = {**message, "message": str(error)}
            await send(message)

        await application(scope, receive, send_briefly if scope["type"] == "lifespan" else send)

    return wrapped


def _end_by_force_after(seconds: float) -> None:
    """End the process if it is still there then; what was acknowledged is on disk already."""

    def end() -> None:
        logger.critical("still not stopped after %g s: ending now", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
