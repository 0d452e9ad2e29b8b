"""Several processes that serve on one port, and the one that starts them.

The supervisor listens for the workers: each has sockets of its own on the port, among which the system
distributes connections. It keeps them open itself, so that whoever connects while a worker that died is
replaced waits for the next one. It owns the store and serves it to the workers (except for PostgreSQL, which
they use themselves), takes commands, passes on what workers say to each other, and adds up their figures.

A worker that ends is replaced, after a pause that grows if it did not last. When the supervisor is told to
stop it tells the workers to, and waits for them; when it dies, they notice, and stop too.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final

from uvicorn.loops.auto import auto_loop_factory

from collabd.app import Service, is_shared, open_store
from collabd.bridge.hub import passing_on
from collabd.bridge.workers import WorkersBridge
from collabd.errors import CollabdError
from collabd.listening import sockets_for
from collabd.persistence.served import serving
from collabd.server import LAST_MINUTE_SECONDS, greeting, say
from collabd.serving import Orders
from collabd.settings import Settings
from collabd.tally import adding_up
from collabd.tls import Certificate

logger = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
STEADY_SECONDS: Final = 10.0
"""A worker that lasted so long is replaced without delay."""
PORT_SECONDS: Final = 1.0
"""How long to wait for the port: workers whose supervisor was killed let go of it right away, but not at
once."""
GRACE_SECONDS: Final = LAST_MINUTE_SECONDS + 1.0
"""How far past ``shutdown_seconds`` workers are ended by force."""


def count_of(settings: Settings) -> int:
    """How many processes serve."""
    return settings.workers or _processors()


def _processors() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    return os.cpu_count() or 1 if usable is None else len(usable(0))


def supervise(settings: Settings) -> int:
    """Let several processes serve until SIGINT or SIGTERM; the exit code, 0 if all they received was
    committed."""
    with tempfile.TemporaryDirectory(prefix="collabd-") as folder:
        supervisor = Supervisor(settings, count_of(settings), Path(folder))
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            return runner.run(supervisor.run())


class Supervisor:
    """Starts workers, and replaces those that end.

    Args:
        count: how many there are to be.
        folder: where sockets for them may be made, and nobody else may look.

    Raises:
        SettingsError: a setting makes no sense.
    """

    def __init__(self, settings: Settings, count: int, folder: Path) -> None:
        self._settings = settings
        self._count = count
        self._hub = folder / "hub"
        self._tally = folder / "tally"
        self._key = secrets.token_bytes(32)
        self._store = None if is_shared(settings.store) else folder / "store"
        Certificate.of(settings)  # to say at once what each worker would
        bridge = None if settings.redis else WorkersBridge(self._hub, self._key)
        self._service = Service(settings, open_store(settings.store, serves=True), bridge=bridge)
        self._service.takes_commands = True
        self._stopping = asyncio.Event()
        self._ready: set[int] = set()
        """Workers that served at least once."""
        self._processes: dict[int, Process] = {}
        self._serving: set[int] = set()
        """Workers that serve now."""
        self._hang_ups = 0
        self._failed = False

    async def run(self) -> int:
        """Let them serve until SIGINT or SIGTERM; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_hang_up)
        try:
            async with contextlib.AsyncExitStack() as stack:
                listening = await self._listen(stack)
                await stack.enter_async_context(passing_on(self._hub))
                await stack.enter_async_context(adding_up(self._tally, self._service.telemetry.registry))
                if self._store is not None:
                    self._service.store.is_shared = True  # with the workers
                    await stack.enter_async_context(self._service.running())
                    await stack.enter_async_context(serving(self._store, self._service.store))
                orders = [self._orders(*each) for each in enumerate(listening, 1)]
                port: int = listening[0][0].getsockname()[1]
                await self._keep_all(orders, port, listening)
        except (CollabdError, OSError) as error:
            logger.error("%s", error)
            return 1
        return 1 if self._failed else 0

    def _orders(self, number: int, sockets: list[socket.socket]) -> Orders:
        descriptors = [one.fileno() for one in sockets]
        return Orders(number, self._settings, descriptors, self._store, self._hub, self._tally, self._key)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stopping.is_set() and number == signal.SIGINT:  # Ctrl-C once more
            self._signal_all(signal.SIGKILL)
        self._stopping.set()

    def _on_hang_up(self) -> None:
        """There is a new certificate. A worker that does not serve yet would be ended by the signal."""
        self._hang_ups += 1
        for number in self._serving:
            self._signal(self._processes[number], signal.SIGHUP)

    async def _listen(self, stack: contextlib.AsyncExitStack) -> list[list[socket.socket]]:
        host, port = self._settings.host, self._settings.port
        deadline = asyncio.get_running_loop().time() + PORT_SECONDS
        while True:
            try:
                return stack.enter_context(sockets_for(host, port, self._count))
            except OSError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.05)

    async def _keep_all(self, orders: list[Orders], port: int, listening: list[list[socket.socket]]) -> None:
        keeping = [asyncio.create_task(self._keep(one, port)) for one in orders]
        await self._stopping.wait()
        for sockets in listening:
            for one in sockets:
                one.close()
        self._signal_all(signal.SIGTERM)
        late = (await asyncio.wait(keeping, timeout=self._settings.shutdown_seconds + GRACE_SECONDS))[1]
        if late:
            logger.critical("workers do not stop, and are ended by force")
            self._signal_all(signal.SIGKILL)
        await asyncio.gather(*keeping)

    async def _keep(self, orders: Orders, port: int) -> None:
        """Keep one worker running until the supervisor stops."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began_at = loop.time()
            serves, code = await self._run_once(orders, port)
            if self._stopping.is_set():
                self._failed = self._failed or (serves and code != 0)
                return
            if not serves and len(self._ready) < self._count:  # then others could not start either
                logger.error("a worker could not start", extra={"worker": orders.number, "code": code})
                self._failed = True
                self._stopping.set()
                return
            logger.error(
                "a worker ended and is replaced",
                extra={"event": "worker-ended", "worker": orders.number, "code": code},
            )
            lasted = loop.time() - began_at
            pause = FIRST_PAUSE if lasted >= STEADY_SECONDS else min(pause * 2, LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _run_once(self, orders: Orders, port: int) -> tuple[bool, int | str]:
        """Start a worker and wait for its end: whether it served, and how it ended."""
        hang_ups = self._hang_ups
        try:
            process = await _start(orders)
        except OSError as error:
            return False, str(error)
        self._processes[orders.number] = process
        if self._stopping.is_set():
            self._signal_all(signal.SIGTERM)
        assert process.stdout is not None
        serves = bool(await process.stdout.readline())
        if serves:
            self._serving.add(orders.number)
            self._note_ready(orders.number, port)
            if self._hang_ups != hang_ups:
                self._signal(process, signal.SIGHUP)
        code = await process.wait()
        self._serving.discard(orders.number)
        return serves, code

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            self._signal(process, number)

    def _signal(self, process: Process, number: signal.Signals) -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    def _note_ready(self, number: int, port: int) -> None:
        if number not in self._ready:
            self._ready.add(number)
            if len(self._ready) == self._count:
                say(greeting(self._settings, port, self._count))


async def _start(orders: Orders) -> Process:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "collabd.serving",
        stdin=PIPE,
        stdout=PIPE,
        env=environment,
        pass_fds=orders.sockets,
        start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which tells the workers
    )
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):  # it ended already
        process.stdin.write(orders.packed())
        await process.stdin.drain()
    return process
