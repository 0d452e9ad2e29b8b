"""One supervised connection to a server: it works, or it is lost and says so, within a bounded time.

Nothing is retried here. The server has to say something every few seconds, and is asked to if it has nothing
to say: a server that hangs, or a network that lost the connection without telling, looks like one that is
merely quiet.

redis-py connects, encrypts and signs in; then its streams are passed by, as what is sent and received here
needs nothing more than hiredis, the parser it uses itself. That saves turns of the event loop and more than
half of the processor's time.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import hiredis
from redis.exceptions import RedisError

from .redis_url import AnyLink, connect

logger = logging.getLogger(__name__)

UNREACHABLE: Final = (OSError, RedisError)
"""What is raised if a server cannot be reached, does not answer, or refuses something."""

AT_ONCE: Final = 32
"""How many replies are handled before others get a turn of the event loop."""

_TICKS_LOST: Final = 5
_TICKS_PING: Final = 2


class Timing(NamedTuple):
    """How long things may take, in seconds."""

    connect: float = 1.0
    """Making a connection, signing in included."""
    silence: float = 2.5
    """A server that says nothing for so long, and up to a fifth longer, is given up; it is asked before."""
    patience: float = 1.0
    """How long a subscription, or the start, is waited for."""
    subscribing: float = 2.0
    """How long a server may confirm nothing while subscriptions are renewed, although it says something."""
    flush: float = 0.5
    """How long closing waits for what was published to be taken."""
    first_pause: float = 0.05
    """Before a second attempt to connect; then twice as long each time."""
    longest_pause: float = 2.0
    steady: float = 5.0
    """Once it was up for so long the next pause is short again."""
    verify: float = 5.0
    """How often it is asked whether other servers are in charge now."""


def pack(*words: bytes) -> bytes:
    """A command as it is sent."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # told to take one word alone
    return packed


def reason(error: BaseException) -> str:
    """What an error says, for people, also if it says nothing itself."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


_PING: Final = pack(b"PING")


class Link(asyncio.Protocol):
    """A connection that is opened once.

    Args:
        connection: not made yet.
        timing: how long things may take.
        take: gives the commands to be sent next, packed; nothing if there are none.
        on_reply: gets each reply that is no answer to a ping.
        on_lost: is told once why the connection is lost, unless it was closed.
    """

    def __init__(
        self,
        connection: AnyLink,
        timing: Timing,
        *,
        take: Callable[[], Sequence[bytes]],
        on_reply: Callable[[Any], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._timing = timing
        self._take = take
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._parser = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._full = False
        """Whether the server does not read what is sent."""
        self._send_due: asyncio.Handle | None = None
        self._rest_due = False
        """Whether replies wait for others to have a turn of the event loop."""
        self._silent = 0
        self._tick_due: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Connect and sign in. Close it if that fails.

        Raises:
            UNREACHABLE: that is not possible in time.
        """
        try:
            async with asyncio.timeout(self._timing.connect):
                await connect(self._connection)
        except TimeoutError:
            raise TimeoutError("the server does not answer") from None
        if self._ended:
            raise ConnectionError("closed")
        self._transport = self._connection.hand_over(self)
        self._tick_due = self._loop.call_later(self._tick_seconds, self._tick)
        self.wake()

    def wake(self) -> None:
        """Have commands taken and sent, in the next turn of the event loop."""
        if self._send_due is None and self._transport is not None and not self._ended:
            self._send_due = self._loop.call_soon(self._send)

    async def close(self) -> None:
        """Drop the connection. Calling it twice does nothing."""
        self._end()
        await self._connection.disconnect(nowait=True)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        self._silent = 0
        self._parser.feed(data)
        if not self._rest_due:
            self._handle()

    def pause_writing(self) -> None:
        # What is published meanwhile stays where it is bounded.
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(reason(exc) if exc is not None else "the server has closed the connection")

    def _handle(self) -> None:
        try:
            for _ in range(AT_ONCE):
                reply = self._parser.gets()
                if reply is False:
                    return
                if isinstance(reply, Exception):
                    raise reply
                if reply != b"PONG" and not (type(reply) is list and reply[0] == b"pong"):
                    self._on_reply(reply)
                if self._ended:
                    return
        except (*UNREACHABLE, hiredis.HiredisError) as error:
            self._lose(reason(error))
        except Exception:
            logger.exception("a connection to the bridge's server is given up")
            self._lose("an error in the program")
        else:
            assert self._transport is not None
            self._rest_due = True
            self._transport.pause_reading()
            self._loop.call_soon(self._handle_rest)

    def _handle_rest(self) -> None:
        self._rest_due = False
        if self._ended:
            return
        self._handle()
        if not self._rest_due:
            self._resume()

    def _resume(self) -> None:
        if self._transport is not None and not self._ended:
            self._transport.resume_reading()

    def _send(self) -> None:
        self._send_due = None
        if self._ended or self._transport is None:
            return
        try:
            while not self._full and (commands := self._take()):
                self._transport.write(b"".join(commands))
        except Exception:
            logger.exception("a connection to the bridge's server is given up")
            self._lose("an error in the program")

    @property
    def _tick_seconds(self) -> float:
        return self._timing.silence / _TICKS_LOST

    def _tick(self) -> None:
        # Counted in ticks, not by a clock: after this process itself hung, there is time to read first.
        self._silent += 1
        if self._silent > _TICKS_LOST:
            self._lose("the server does not answer any more")
            return
        if self._silent >= _TICKS_PING and not self._full and self._transport is not None:
            self._transport.write(_PING)
        self._tick_due = self._loop.call_later(self._tick_seconds, self._tick)

    def _lose(self, why: str) -> None:
        if not self._ended:
            self._end()
            self._on_lost(why)

    def _end(self) -> None:
        self._ended = True
        self._connection.abort()
        for due in (self._send_due, self._tick_due):
            if due is not None:
                due.cancel()
