"""A bridge over Redis or Valkey: one server, Sentinel or a cluster.

Built on redis-py's connections, which sign in and speak the protocol, with TLS and by its C parser, without
its client, pool and Pub/Sub on top: these retry for a minute by default, and connect and subscribe again
without saying so, while here the whole point is to know at once. ``redis_link`` supervises a connection,
``redis_shard`` a server, and this module all of them: one task brings up what is missing, with pauses that
grow, and the bridge is up when nothing is. Nothing here is awaited by whoever publishes.

A user of the server's needs, for this bridge alone: ``resetkeys resetchannels &collabd:* -@all +publish
+spublish +subscribe +ssubscribe +unsubscribe +sunsubscribe +ping``, and with a cluster ``+cluster|shards``.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from .base import Figures, Listener
from .envelope import Clock, Envelopes
from .intake import Intake
from .outgoing import Limits, Outgoing, refuse
from .redis_link import UNREACHABLE, Timing, reason
from .redis_shard import Shard
from .redis_topology import Layout, locate, name_on
from .redis_url import Address, parse

logger = logging.getLogger(__name__)

PREFIX: Final = "collabd:"
"""What channels begin with, unless said otherwise."""


class RedisBridge:
    """One node's end; see :class:`collabd.bridge.base.Bridge`.

    Args:
        url: the servers; see ``redis_url``.
        key: the cluster's, at least 16 bytes, the same on all nodes.
        prefix: what the names of channels begin with on the servers.
        limits: how much may wait to be sent, for each server.
        timing: how long things may take.
        clock: seconds since the epoch.
        chance: a number from 0 to 1, by which pauses vary, so that nodes do not come back all at once.

    Raises:
        SettingsError: the URL cannot be used.
        ValueError: the key is too short.
    """

    def __init__(
        self,
        url: str,
        key: bytes,
        *,
        prefix: str = PREFIX,
        limits: Limits | None = None,
        timing: Timing | None = None,
        clock: Clock = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        envelopes = Envelopes(key, clock)
        self.figures = Figures()
        self.node = envelopes.node
        """The id that others see."""
        self._target = parse(url)
        self._opener = envelopes.opener
        self._sealer = envelopes.sealer
        self._prefix = prefix
        self._prefix_bytes = prefix.encode()
        self._limits = limits or Limits()
        self._timing = timing or Timing()
        self._chance = chance
        self._channels: dict[bytes, str] = {}
        """What is to be followed, by the name the servers know it by."""
        self._layout: Layout | None = None
        self._shards: dict[Address, Shard] = {}
        self._intake: Intake | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        """Set when the bridge goes up or down."""
        self._is_up = False
        self._trouble = "not started"

    @property
    def is_up(self) -> bool:
        return self._is_up

    @property
    def trouble(self) -> str:
        return "" if self._is_up else self._trouble

    async def start(self, listener: Listener) -> None:
        self._intake = Intake(self._opener, listener, self.figures)
        self._trouble = "connecting"
        self._supervisor = asyncio.create_task(self._supervise(self._intake))
        try:
            async with asyncio.timeout(self._timing.patience):
                while not self._is_up:
                    await self._changed.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        await asyncio.gather(*(shard.flush() for shard in self._shards.values()))
        self._is_up = False
        self._trouble = "closed"
        supervisor.cancel()
        await asyncio.gather(supervisor, return_exceptions=True)
        shards, self._shards, self._layout = self._shards, {}, None
        await asyncio.gather(*(shard.close() for shard in shards.values()))

    def publish(self, channel: str, payload: bytes) -> None:
        shard = self._shard_of(self._name(channel))
        # Also if others are not ready: what the one carries needs none of them.
        if shard is not None and shard.is_ready:
            shard.publish(channel, payload)
        else:
            refuse(channel, self._sealer, self.figures)

    async def subscribe(self, channel: str) -> bool:
        name = self._name(channel)
        self._channels[name] = channel
        shard = self._shard_of(name)
        if shard is None or shard.is_lost:
            return False
        shard.want_also(name, channel)
        return shard.is_ready and await shard.stands(name)

    def unsubscribe(self, channel: str) -> None:
        name = self._name(channel)
        if self._channels.pop(name, None) is not None:
            shard = self._shard_of(name)
            if shard is not None and not shard.is_lost:
                shard.unfollow(name)

    def _name(self, channel: str) -> bytes:
        return self._prefix_bytes + channel.encode(errors="surrogatepass")

    def _shard_of(self, name: bytes) -> Shard | None:
        return None if self._layout is None else self._shards.get(self._layout.server_of(name))

    async def _supervise(self, intake: Intake) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            self.figures.attempts += 1
            try:
                await self._repair(intake)
            except UNREACHABLE as error:
                self._trouble = reason(error)
            except Exception:
                logger.exception("the bridge cannot be brought up")
                self._trouble = "an error in the program"
            else:
                up_at = loop.time()
                self._go_up(intake)
                await self._stay_up(intake)
                if loop.time() - up_at >= self._timing.steady:
                    failures = 0
            if failures in (0, 5):
                logger.warning("the bridge is down: %s", self._trouble, extra={"event": "bridge-down"})
            pause = min(self._timing.longest_pause, self._timing.first_pause * 2.0 ** min(failures, 30))
            failures += 1
            await asyncio.sleep(pause * (0.5 + 0.5 * self._chance()))

    async def _repair(self, intake: Intake) -> None:
        """Replace servers that were lost or are not in charge any more; return when everything stands."""
        known = self._layout.servers if self._layout is not None else ()
        layout = await locate(self._target, known, self._timing.connect)
        gone = [
            shard for shard in self._shards.values() if shard.is_lost or shard.address not in layout.servers
        ]
        await asyncio.gather(*(shard.close() for shard in gone))
        for shard in gone:
            del self._shards[shard.address]
        # From here until every channel has its server nothing is awaited.
        self._layout = layout
        new = [self._new_shard(server, intake) for server in layout.servers if server not in self._shards]
        self._shards |= {shard.address: shard for shard in new}
        channels: dict[Address, dict[bytes, str]] = {server: {} for server in layout.servers}
        for name, channel in self._channels.items():
            channels[layout.server_of(name)][name] = channel
        for server, shard in self._shards.items():
            shard.want(channels[server])
        working = [shard.open() if shard in new else shard.settled() for shard in self._shards.values()]
        for outcome in await asyncio.gather(*working, return_exceptions=True):
            if outcome is not None:
                raise outcome
        if not all(shard.is_ready for shard in self._shards.values()):
            raise ConnectionError(self._trouble)

    def _new_shard(self, server: Address, intake: Intake) -> Shard:
        assert self._layout is not None
        probe = name_on(self._layout, server, f"{self._prefix}probe:{self.node.hex()}:")
        return Shard(
            server,
            lambda: self._target.connection(server),
            sharded=self._layout.sharded,
            probe=probe.encode(),
            prefix=self._prefix_bytes,
            outgoing=Outgoing(self._sealer, self._limits, self.figures),
            intake=intake,
            figures=self.figures,
            timing=self._timing,
            on_lost=lambda why: self._go_down(intake, why),
        )

    def _go_up(self, intake: Intake) -> None:
        self._is_up = True
        self._changed.set()
        logger.info("the bridge is up", extra={"event": "bridge-up"})
        intake.restored()

    def _go_down(self, intake: Intake, why: str) -> None:
        self._trouble = why
        if self._is_up:
            self._is_up = False
            self._changed.set()
            self.figures.interruptions += 1
            intake.interrupted()

    async def _stay_up(self, intake: Intake) -> None:
        """Return once it is down."""
        may_move = self._target.kind != "single"
        while self._is_up:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._timing.verify if may_move else None):
                    await self._changed.wait()
            except TimeoutError:
                await self._verify(intake)

    async def _verify(self, intake: Intake) -> None:
        """See whether the servers it talks to are still in charge: one that was cut off from the others may
        not know that it is not."""
        assert self._layout is not None
        try:
            layout = await locate(self._target, self._layout.servers, self._timing.connect)
        except UNREACHABLE:
            return
        if layout != self._layout:
            self._go_down(intake, "other servers are in charge now")
