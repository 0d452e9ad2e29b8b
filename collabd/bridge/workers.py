"""A bridge between processes of one machine, over the hub that one of them serves; see ``hub``.

One task keeps it connected, with pauses that grow. It is up once the hub has answered for all channels that
are followed. Envelopes are those of any bridge: they number what a node says, so that whatever is lost, when
a process or the hub dies, is found out by who hears the next one.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from collabd.errors import StoreError
from collabd.frames import Link, frame
from collabd.sockets import short

from .base import Figures, Listener
from .envelope import Clock, Envelopes
from .hub import Kind, pack_names, unpack_name
from .intake import Intake
from .outgoing import Limits, Outgoing, refuse

logger = logging.getLogger(__name__)

PATIENCE: Final = 1.0
"""Seconds that the start, a subscription and the end wait for the hub."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
MAX_BACKLOG: Final = 1024 * 1024
"""Bytes that may wait for the hub to take them in; beyond that, messages wait to be joined."""


class WorkersBridge:
    """One process's end; see :class:`collabd.bridge.base.Bridge`.

    Args:
        path: where the hub's socket is.
        key: the same for all, at least 16 bytes.
        limits: how much may wait to be sent.
        patience: seconds that the start, a subscription and the end wait for the hub.
        longest_pause: seconds between two attempts to connect, at most.
        clock: seconds since the epoch.

    Raises:
        ValueError: the key is too short.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        *,
        limits: Limits | None = None,
        patience: float = PATIENCE,
        longest_pause: float = LONGEST_PAUSE,
        clock: Clock = time.time,
    ) -> None:
        envelopes = Envelopes(key, clock)
        self.figures = Figures()
        self.node = envelopes.node
        """The id that others see."""
        self._path = path
        self._opener = envelopes.opener
        self._sealer = envelopes.sealer
        self._outgoing = Outgoing(envelopes.sealer, limits or Limits(), self.figures)
        self._patience = patience
        self._longest_pause = longest_pause
        self._channels: dict[bytes, str] = {}
        """What is to be followed, by the name the hub knows it by."""
        self._connection: _Connection | None = None
        self._is_up = False
        self._settled = asyncio.Event()
        """Set once the bridge is up."""
        self._trouble = "not started"
        self._supervisor: asyncio.Task[None] | None = None
        self._flush: asyncio.Handle | None = None

    @property
    def is_up(self) -> bool:
        return self._is_up

    @property
    def trouble(self) -> str:
        return "" if self._is_up else self._trouble

    async def start(self, listener: Listener) -> None:
        self._trouble = "connecting"
        intake = Intake(self._opener, listener, self.figures)
        self._supervisor = asyncio.create_task(self._supervise(intake))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._settled.wait()

    async def close(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        self._send()
        self._is_up = False
        self._trouble = "closed"
        supervisor.cancel()
        await asyncio.wait([supervisor])
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(self._patience)
        self._outgoing.clear()

    def publish(self, channel: str, payload: bytes) -> None:
        if not self._is_up:
            refuse(channel, self._sealer, self.figures)
        elif self._outgoing.add(channel, payload) and self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._send)

    async def subscribe(self, channel: str) -> bool:
        name = channel.encode()
        self._channels[name] = channel
        if not self._is_up or self._connection is None:
            return False
        return await self._connection.follow(name, self._patience)

    def unsubscribe(self, channel: str) -> None:
        name = channel.encode()
        if self._channels.pop(name, None) is not None and self._connection is not None:
            self._connection.unfollow(name)

    def _send(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        connection = self._connection
        if not self._is_up or connection is None:
            return
        while len(self._outgoing) and connection.link.backlog < MAX_BACKLOG:
            for sealed in self._outgoing.take(MAX_BACKLOG):
                self.figures.commands += 1
                body = pack_names([sealed.channel.encode()]) + sealed.envelope
                connection.link.send(frame(Kind.PUBLISH, 0, body))

    async def _supervise(self, intake: Intake) -> None:
        pause = FIRST_PAUSE
        while True:
            self.figures.attempts += 1
            try:
                connection = await self._connect(intake)
            except (OSError, StoreError) as error:
                self._trouble = f"the hub cannot be reached: {error}"
            else:
                pause = FIRST_PAUSE
                self._go_up(connection, intake)
                await connection.lost.wait()
                self._go_down(intake)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._longest_pause)

    async def _connect(self, intake: Intake) -> "_Connection":
        """Connect, and return when everything is followed.

        Raises:
            OSError, StoreError: that is impossible.
        """
        connection = _Connection(self._channels, intake, self._send)
        with short(self._path) as address:
            await asyncio.get_running_loop().create_unix_connection(lambda: connection.link, address)
        self._connection = connection  # so that what ends meanwhile ends there
        try:
            await connection.follow_all(list(self._channels))
            while missing := [name for name in self._channels if not connection.has(name)]:
                await connection.follow_all(missing)
        except BaseException:
            self._connection = None
            connection.link.abort()
            raise
        return connection

    def _go_up(self, connection: "_Connection", intake: Intake) -> None:
        self._is_up = True
        self._settled.set()
        intake.restored()

    def _go_down(self, intake: Intake) -> None:
        logger.warning("the hub between processes is gone", extra={"event": "bridge-down"})
        self._is_up = False
        self._trouble = "the hub is gone"
        self._connection = None
        self._outgoing.clear()
        self.figures.interruptions += 1
        intake.interrupted()


class _Connection:
    """A connection to the hub, and what is followed over it."""

    def __init__(self, channels: Mapping[bytes, str], intake: Intake, eased: Callable[[], None]) -> None:
        self.link = Link(self._received, self._lost, eased)
        self.lost = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._channels = channels
        self._intake = intake
        self._numbers = 0
        self._asked: dict[int, tuple[list[bytes], asyncio.Future[bool]]] = {}
        """What the hub has not answered yet."""
        self._joining: dict[bytes, int] = {}
        """The channels of that, with the last request for each."""
        self._standing: set[bytes] = set()
        self._late: set[bytes] = set()
        """Channels that somebody gave up waiting for."""

    def has(self, name: bytes) -> bool:
        """Whether a channel is followed, or about to be."""
        return name in self._standing or name in self._joining

    async def follow_all(self, names: list[bytes]) -> None:
        """Follow channels; returns when they are followed.

        Raises:
            ConnectionError: the connection is lost.
        """
        if self.lost.is_set() or not await self._ask(names):
            raise ConnectionError("it is gone")

    async def follow(self, name: bytes, patience: float) -> bool:
        """Follow a channel; whether it is followed after ``patience`` seconds."""
        if name in self._standing or self.lost.is_set():
            return name in self._standing
        number = self._joining.get(name)
        answer = self._ask([name]) if number is None else self._asked[number][1]
        await asyncio.wait([answer], timeout=patience)
        if not answer.done():
            self._late.add(name)
        return name in self._standing

    def unfollow(self, name: bytes) -> None:
        """Follow a channel no longer."""
        number = self._joining.pop(name, None)
        if number is not None and len(self._asked[number][0]) == 1:
            self._asked[number][1].set_result(False)
        self._standing.discard(name)
        self._late.discard(name)
        self.link.send(frame(Kind.UNFOLLOW, 0, pack_names([name])))

    async def close(self, patience: float) -> None:
        """Send what is still to be sent, for ``patience`` seconds at most, and disconnect."""
        try:
            async with asyncio.timeout(patience):
                await self.link.close()
        except TimeoutError:
            self.link.abort()

    def _ask(self, names: list[bytes]) -> "asyncio.Future[bool]":
        self._numbers += 1
        answer: asyncio.Future[bool] = self._loop.create_future()
        self._asked[self._numbers] = names, answer
        self._joining.update(dict.fromkeys(names, self._numbers))
        self.link.send(frame(Kind.FOLLOW, self._numbers, pack_names(names)))
        return answer

    def _received(self, kind: int, number: int, body: bytes) -> None:
        match kind:
            case Kind.PUBLISH:
                name, start = unpack_name(body)
                channel = self._channels.get(name)
                if channel is not None:
                    self._intake.deliver(channel, body[start:])
            case Kind.FOLLOW:
                self._on_following(number)
            case _:
                raise ValueError(f"hubs send no message of kind {kind}")

    def _on_following(self, number: int) -> None:
        names, answer = self._asked.pop(number)
        for name in names:
            # Else it has ended meanwhile, and may have begun anew: then another answer is to come.
            if self._joining.get(name) == number:
                del self._joining[name]
                self._standing.add(name)
                if name in self._late:
                    self._late.discard(name)
                    self._intake.subscribed(self._channels[name])
        if not answer.done():
            answer.set_result(True)

    def _lost(self) -> None:
        self.lost.set()
        self._standing.clear()
        self._joining.clear()
        for _, answer in self._asked.values():
            if not answer.done():
                answer.set_result(False)
        self._asked.clear()
