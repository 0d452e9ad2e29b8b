"""A bridge between nodes of one process, for tests and simulations: it loses what it is told to lose.

Time is the event loop's, so it can be simulated; chance is seeded, so what happens can be repeated.
"""

import asyncio
import random
import time
from collections import deque
from typing import Final, NamedTuple

from .base import Figures, Listener
from .envelope import Clock, Envelopes
from .intake import Intake
from .outgoing import Limits, Outgoing, refuse

OVERTAKEN_SECONDS: Final = 0.01
"""How much later a message comes that others overtake."""


class Faults(NamedTuple):
    """What goes wrong between nodes; each of a message's ways to a node has its own luck."""

    drop: float = 0.0
    """How likely a message is lost."""
    double: float = 0.0
    """How likely it comes twice."""
    reorder: float = 0.0
    """How likely it is overtaken by what comes a little later."""
    delay: tuple[float, float] = (0.0, 0.0)
    """Seconds it takes, at least and at most. Messages do not overtake each other for that."""


class Hub:
    """What the nodes are connected to.

    Args:
        key: the cluster's.
        seed: of the chance by which things go wrong.
        clock: seconds since the epoch.
    """

    def __init__(self, key: bytes, *, seed: int = 0, clock: Clock = time.time) -> None:
        self.faults = Faults()
        """Holds for what is sent from now on."""
        self._key = key
        self._clock = clock
        self._random = random.Random(seed)
        self._bridges: list[LocalBridge] = []
        self._separated: set[frozenset[LocalBridge]] = set()

    def bridge(self, limits: Limits | None = None, *, key: bytes | None = None) -> "LocalBridge":
        """A new node's end, or a stranger's, who has another key."""
        bridge = LocalBridge(self, Envelopes(key or self._key, self._clock), limits or Limits())
        self._bridges.append(bridge)
        return bridge

    def cut(self, bridge: "LocalBridge") -> None:
        """Cut a node off; it notices."""
        bridge.go_down("cut off")

    def heal(self, bridge: "LocalBridge") -> None:
        """Let a node come back."""
        bridge.come_up()

    def separate(self, one: "LocalBridge", other: "LocalBridge") -> None:
        """Lose everything between two nodes; neither notices."""
        self._separated.add(frozenset((one, other)))

    def unite(self, one: "LocalBridge", other: "LocalBridge") -> None:
        """Lose nothing between them any more."""
        self._separated.discard(frozenset((one, other)))

    def send(self, sender: "LocalBridge", channel: str, data: bytes) -> None:
        """Pass an envelope on to all other nodes that follow the channel, or do not."""
        for bridge in self._bridges:
            if bridge is sender or not bridge.follows(channel):
                continue
            if frozenset((sender, bridge)) in self._separated or self._happens(self.faults.drop):
                continue
            for _ in range(1 + self._happens(self.faults.double)):
                overtaken = self._happens(self.faults.reorder)
                bridge.expect(channel, data, self._random.uniform(*self.faults.delay), overtaken)

    def remove(self, bridge: "LocalBridge") -> None:
        """Forget a node that has left."""
        if bridge in self._bridges:
            self._bridges.remove(bridge)

    def _happens(self, likely: float) -> bool:
        return likely > 0 and self._random.random() < likely


class LocalBridge:
    """One node's end; see :class:`collabd.bridge.base.Bridge`. Made by :meth:`Hub.bridge`."""

    def __init__(self, hub: Hub, envelopes: Envelopes, limits: Limits) -> None:
        self.figures = Figures()
        self.node = envelopes.node
        """The id that others see."""
        self._hub = hub
        self._opener = envelopes.opener
        self._sealer = envelopes.sealer
        self._outgoing = Outgoing(envelopes.sealer, limits, self.figures)
        self._intake: Intake | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flush: asyncio.Handle | None = None
        self._channels: set[str] = set()
        self._coming: deque[tuple[str, bytes]] = deque()
        self._comes_at = 0.0
        self._session = 0
        """Counts interruptions, with each of which everything on its way is lost."""
        self._trouble = "not started"

    @property
    def is_up(self) -> bool:
        return not self._trouble

    @property
    def trouble(self) -> str:
        return self._trouble

    async def start(self, listener: Listener) -> None:
        self._loop = asyncio.get_running_loop()
        self._intake = Intake(self._opener, listener, self.figures)
        self.come_up()

    async def close(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._send()
        self._end_session("closed")
        self._hub.remove(self)

    def publish(self, channel: str, payload: bytes) -> None:
        if self._trouble or self._loop is None:
            refuse(channel, self._sealer, self.figures)
        elif self._outgoing.add(channel, payload) and self._flush is None:
            self._flush = self._loop.call_soon(self._send)

    async def subscribe(self, channel: str) -> bool:
        self._channels.add(channel)
        return self.is_up

    def unsubscribe(self, channel: str) -> None:
        self._channels.discard(channel)

    # For the hub

    def follows(self, channel: str) -> bool:
        """Whether a message would reach it."""
        return self.is_up and channel in self._channels

    def come_up(self) -> None:
        """Be connected, if it is started and not closed."""
        if self._intake is not None and self._trouble not in ("", "closed"):
            self.figures.attempts += 1
            self._trouble = ""
            self._intake.restored()

    def go_down(self, why: str) -> None:
        """Be cut off."""
        if self._intake is not None and self.is_up:
            self._end_session(why)
            self.figures.interruptions += 1
            self._intake.interrupted()

    def expect(self, channel: str, data: bytes, delay: float, overtaken: bool) -> None:
        """A message comes after ``delay`` seconds and after those that came before, or is overtaken."""
        assert self._loop is not None
        session = self._session
        at = self._comes_at = max(self._comes_at, self._loop.time() + delay)
        if overtaken:
            self._loop.call_at(at + OVERTAKEN_SECONDS, self._receive, session, channel, data)
            return
        self._coming.append((channel, data))
        if at > self._loop.time():
            self._loop.call_at(at, self._receive_next, session)
        else:
            self._loop.call_soon(self._receive_next, session)

    def _receive_next(self, session: int) -> None:
        # Which of several timers runs first does not matter: each takes what is next.
        if session == self._session:
            self._receive(session, *self._coming.popleft())

    def _receive(self, session: int, channel: str, data: bytes) -> None:
        if session == self._session and self._intake is not None and self.follows(channel):
            self._intake.deliver(channel, data)

    def _send(self) -> None:
        self._flush = None
        while envelopes := self._outgoing.take(1 << 20):
            for channel, envelope, _ in envelopes:
                self.figures.commands += 1
                self._hub.send(self, channel, envelope)

    def _end_session(self, why: str) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        self._outgoing.clear()
        self._coming.clear()
        self._session += 1
        self._trouble = why
