"""One supervised connection to a server: it works, or it is lost and says so, within a bounded time.

Nothing is retried here. Three tasks read, write and watch; the first that fails ends it. The server has to
say something every few seconds, and is asked to if it has nothing to say: a server that hangs, or a network
that lost the connection without telling, looks like one that is merely quiet.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

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
    subscribing: float = 10.0
    """How long renewing all subscriptions may take."""
    flush: float = 0.5
    """How long closing waits for what was published to be taken."""
    first_pause: float = 0.05
    """Before a second attempt to connect; then twice as long each time."""
    longest_pause: float = 2.0
    steady: float = 5.0
    """Once it was up for so long the next pause is short again."""
    verify: float = 5.0
    """How often it is asked whether other servers are in charge now."""


def reason(error: BaseException) -> str:
    """What an error says, for people, also if it says nothing itself."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class Link:
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
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = False
        self._silent = 0
        self._ping_due = False
        self._ping = connection.pack_command("PING")

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
        self._tasks = [
            asyncio.create_task(self._guard(work)) for work in (self._read(), self._write(), self._watch())
        ]

    def wake(self) -> None:
        """Have commands taken and sent, in the next turn of the event loop."""
        self._wake.set()

    async def close(self) -> None:
        """Drop the connection. Calling it twice does nothing."""
        self._end()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.disconnect(nowait=True)

    def _end(self) -> None:
        self._ended = True
        self._connection.abort()
        for task in self._tasks:
            task.cancel()

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        why = ""
        try:
            await work
        except UNREACHABLE as error:
            why = reason(error)
        except Exception:
            logger.exception("a connection to the bridge's server is given up")
            why = "an error in the program"
        if not self._ended:
            self._end()
            self._on_lost(why)

    async def _read(self) -> None:
        connection, on_reply = self._connection, self._on_reply
        while True:
            for _ in range(AT_ONCE):
                reply = await connection.read_response(disconnect_on_error=False)
                self._silent = 0
                if reply == b"PONG" or (type(reply) is list and reply[0] == b"pong"):
                    continue
                on_reply(reply)
            # Reading does not wait as long as something was received already.
            await asyncio.sleep(0)

    async def _write(self) -> None:
        connection, take = self._connection, self._take
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._ping_due:
                self._ping_due = False
                await connection.send_packed_command(self._ping, check_health=False)
            # Waits while the server does not read: meanwhile what is published stays where it is bounded.
            while commands := take():
                await connection.send_packed_command(commands, check_health=False)

    async def _watch(self) -> None:
        # Counted in pauses, not by a clock: after this process itself hung, there is time to read first.
        while True:
            await asyncio.sleep(self._timing.silence / _TICKS_LOST)
            self._silent += 1
            if self._silent > _TICKS_LOST:
                raise TimeoutError("the server does not answer any more")
            if self._silent >= _TICKS_PING:
                self._ping_due = True
                self._wake.set()
