"""One server of a bridge: what is published there, and what is followed there.

There are two connections to it, as one that follows channels can do nothing else in the protocol that every
server speaks. Both work, or neither: the first thing published is a message to itself, so that a server
counts as ready only if what is published over the one connection arrives over the other.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, Final

from redis.crc import key_slot

from .base import Figures
from .intake import Intake
from .outgoing import Outgoing
from .redis_link import Link, Timing, pack, reason
from .redis_url import Address, AnyLink

SENT_AT_ONCE: Final = 256 * 1024
"""Bytes sealed and handed to the connection before it is waited for."""
NAMES_AT_ONCE: Final = 500
"""Channels in one command."""


class Shard:
    """A server, opened once; when it is lost, a new one takes its place.

    Args:
        address: where it is, to tell it from others.
        connect: a new connection to it.
        sharded: whether channels belong to hash slots.
        probe: the channel that this process alone uses there.
        prefix: what the names of channels begin with.
        outgoing: what is published there.
        intake: gets what comes.
        figures: what is counted.
        timing: how long things may take.
        on_lost: is told once why it is lost, unless it was closed.
    """

    def __init__(
        self,
        address: Address,
        connect: Callable[[], AnyLink],
        *,
        sharded: bool,
        probe: bytes,
        prefix: bytes,
        outgoing: Outgoing,
        intake: Intake,
        figures: Figures,
        timing: Timing,
        on_lost: Callable[[str], None],
    ) -> None:
        self.address = address
        self.is_ready = False
        """Whether what is published is sent, and what was followed from the start is."""
        self.is_lost = False
        self._sharded = sharded
        self._probe = probe
        self._prefix = prefix
        self._outgoing = outgoing
        self._intake = intake
        self._figures = figures
        self._timing = timing
        self._on_lost = on_lost
        self._following = Link(
            connect(), timing, take=self._take_orders, on_reply=self._on_event, on_lost=self._lose
        )
        self._publishing = Link(
            connect(), timing, take=self._take_messages, on_reply=self._on_answer, on_lost=self._lose
        )
        self._verbs = (b"SSUBSCRIBE", b"SUNSUBSCRIBE") if sharded else (b"SUBSCRIBE", b"UNSUBSCRIBE")
        self._publish_verb = b"SPUBLISH" if sharded else b"PUBLISH"
        self._wanted: dict[bytes, str] = {}
        self._standing: set[bytes] = set()
        self._orders: list[tuple[bool, bytes]] = []
        """What is to be followed (True) or not any more, in order."""
        self._joining: Counter[bytes] = Counter()
        """Orders to follow that the server has not confirmed yet. The last one counts."""
        self._confirmed = 0
        """How many it has."""
        self._leaving: Counter[bytes] = Counter()
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}
        self._late: set[bytes] = set()
        """Channels whose subscription nobody waits for any more, and somebody wants to be told of."""
        self._probe_sent = self._probe_due = self._probe_heard = False
        self._unanswered = 0
        self._settled = asyncio.Event()
        """Set while there is nothing to wait for, or the server is lost."""
        self._flushed = asyncio.Event()
        self._trouble = ""

    async def open(self) -> None:
        """Connect, and return once everything wanted is followed. Close it if that fails.

        Raises:
            UNREACHABLE: that is not possible in time.
        """
        self._order(True, self._probe)
        opening = (self._following.open(), self._publishing.open())
        for outcome in await asyncio.gather(*opening, return_exceptions=True):
            if outcome is not None:
                self._give_up(reason(outcome))
                raise outcome
        await self.settled()

    async def settled(self) -> None:
        """Return once everything wanted is followed.

        Raises:
            UNREACHABLE: the server is lost, or takes too long.
        """
        while not self._settled.is_set():
            confirmed = self._confirmed
            try:
                async with asyncio.timeout(self._timing.subscribing):
                    await self._settled.wait()
            except TimeoutError:
                if self._confirmed == confirmed:  # what was asked may have been lost on its way
                    self._give_up("the server does not confirm what is subscribed")
        if self.is_lost:
            raise ConnectionError(self._trouble)

    async def close(self) -> None:
        """Drop the connections. Calling it twice does nothing."""
        self._give_up("closed")
        await asyncio.gather(self._following.close(), self._publishing.close())

    async def flush(self) -> None:
        """Return when the server has taken what was published, or soon without."""
        if self.is_ready and (self._unanswered or len(self._outgoing)):
            self._flushed.clear()
            try:
                async with asyncio.timeout(self._timing.flush):
                    await self._flushed.wait()
            except TimeoutError:
                pass

    # Publishing

    def publish(self, channel: str, payload: bytes) -> None:
        """Send it soon, if there is room. The server is ready."""
        if self._outgoing.add(channel, payload):
            self._publishing.wake()

    def _take_messages(self) -> Sequence[bytes]:
        packed = []
        if self._probe_due:
            self._probe_due = False
            packed.append(pack(self._publish_verb, self._probe, b""))
        for channel, envelope, _ in self._outgoing.take(SENT_AT_ONCE):
            name = self._prefix + channel.encode(errors="surrogatepass")
            packed.append(pack(self._publish_verb, name, envelope))
            self._figures.commands += 1
        self._unanswered += len(packed)
        return packed

    def _on_answer(self, reply: Any) -> None:
        self._unanswered -= 1
        if not self._unanswered and not len(self._outgoing):
            self._flushed.set()

    # Following

    def want(self, channels: Mapping[bytes, str]) -> None:
        """Follow these channels, and no others; they are given by the names the server knows them by."""
        for name in self._wanted.keys() - channels.keys():
            self.unfollow(name)
        for name in channels.keys() - self._wanted.keys():
            self.want_also(name, channels[name])

    def want_also(self, name: bytes, channel: str) -> None:
        """Follow one more."""
        if name not in self._wanted:
            self._wanted[name] = channel
            self._order(True, name)

    async def stands(self, name: bytes) -> bool:
        """Wait until a channel that is wanted is followed; whether it is. If not, and the server is not lost,
        the listener is told when it is."""
        if name in self._standing:
            return True
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = asyncio.get_running_loop().create_future()
        await asyncio.wait([waiting], timeout=self._timing.patience)
        if waiting.done():
            return waiting.result()
        self._late.add(name)
        return False

    def unfollow(self, name: bytes) -> None:
        """Do not follow a channel any more."""
        if self._wanted.pop(name, None) is not None:
            self._standing.discard(name)
            self._late.discard(name)
            self._answer(name, False)
            self._order(False, name)

    def _order(self, follow: bool, name: bytes) -> None:
        if follow:
            self._joining[name] += 1
            self._settled.clear()
        else:
            self._leaving[name] += 1
        self._orders.append((follow, name))
        self._following.wake()

    def _take_orders(self) -> Sequence[bytes]:
        orders, self._orders = self._orders, []
        packed: list[bytes] = []
        for follow, group in groupby(orders, lambda order: order[0]):
            verb = self._verbs[0 if follow else 1]
            packed += [pack(verb, *names) for names in self._grouped(name for _, name in group)]
        return packed

    def _grouped(self, names: Iterable[bytes]) -> Iterable[list[bytes]]:
        """The names in groups that may stand in one command."""
        if self._sharded:
            for _, same in groupby(sorted(names, key=key_slot), key_slot):
                yield list(same)
            return
        rest = iter(names)
        while group := list(islice(rest, NAMES_AT_ONCE)):
            yield group

    def _on_event(self, reply: Any) -> None:
        kind, name, data = reply
        if kind in (b"message", b"smessage"):
            channel = self._wanted.get(name)
            if channel is not None:
                self._intake.deliver(channel, data)
            elif name == self._probe:
                self._probe_heard = True
                self._look()
        elif kind in (b"subscribe", b"ssubscribe"):
            self._on_following(name)
        elif self._leaving[name]:
            self._leaving[name] -= 1
            if not self._leaving[name]:
                del self._leaving[name]
        elif name in self._wanted or name == self._probe:
            # So it ends when a channel's slot moves to another server.
            raise ConnectionError("the server has ended a subscription")

    def _on_following(self, name: bytes) -> None:
        self._confirmed += 1
        self._joining[name] -= 1
        if self._joining[name] > 0:
            return
        del self._joining[name]
        if name in self._wanted:
            self._standing.add(name)
            self._answer(name, True)
            if name in self._late:
                self._late.discard(name)
                self._intake.subscribed(self._wanted[name])
        self._look()

    def _answer(self, name: bytes, stands: bool) -> None:
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(stands)

    def _look(self) -> None:
        """See whether everything stands."""
        if self._joining:
            return
        if not self._probe_sent:
            self._probe_sent = self._probe_due = True
            self._publishing.wake()
        elif self._probe_heard:
            self.is_ready = not self.is_lost
            self._settled.set()

    def _lose(self, why: str) -> None:
        if not self.is_lost:
            self._give_up(why)
            self._on_lost(why)

    def _give_up(self, why: str) -> None:
        self.is_lost = True
        self.is_ready = False
        self._trouble = self._trouble or why
        self._outgoing.clear()
        self._late.clear()
        for name in list(self._waiting):
            self._answer(name, False)
        self._settled.set()
        self._flushed.set()
