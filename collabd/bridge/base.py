"""The contract every bridge keeps: messages from each node to all others, by channel.

The log is the truth, and a bridge only makes it fast. A message may be lost, and then that can be found out:
the channel's next one is said to come after a gap, and an interruption is told. It may never wait, fail an
edit, or come twice. What comes over one channel from one node comes in the order it was published in.

To miss nothing, a follower of a channel subscribes, awaits the answer, and then reads the log; it reads it
again when it is told of a gap, when :meth:`Listener.subscribed` names its channel and, for every channel,
when :meth:`Listener.restored` is called. Two kinds of loss are told to nobody: of the last message before a
channel falls silent, and of what a node publishes while it is cut off itself, which others hear of by the gap
before its next message. So a node that is restored should say once more where it stands, and followers should
compare heads with the log every now and then.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Listener(Protocol):
    """Hears what a bridge has to tell. Its methods must return at once; what they raise is logged."""

    def received(self, channel: str, node: bytes, payloads: Sequence[bytes], missed: bool) -> None:
        """Another node published ``payloads``, in this order.

        ``missed`` says that something it published before did not come, or will not come any more; then
        there may be no payloads at all. ``node`` is the random id of the other process.
        """

    def subscribed(self, channel: str) -> None:
        """A subscription stands that :meth:`Bridge.subscribe` gave up waiting for: read the log now."""

    def interrupted(self) -> None:
        """From now on messages may be missed, of all channels or some."""

    def restored(self) -> None:
        """All subscriptions stand, those from before too: what the log says from now on, nobody misses.
        Called the first time as well as after each interruption."""


@dataclass(slots=True)
class Figures:
    """What a bridge has done so far, for whoever measures it."""

    published: int = 0
    """Payloads handed over to be published."""
    dropped: int = 0
    """Of these: not sent, as there was no connection or no room in the queue, or as they were too large."""
    commands: int = 0
    """Commands sent that publish. One may carry several payloads."""
    received: int = 0
    """Payloads of other nodes that came."""
    gaps: int = 0
    """How often something was missing before a message."""
    refused: Counter[str] = field(default_factory=Counter)
    """Messages that were not let in, by reason; see :class:`collabd.bridge.envelope.Refusal`."""
    interruptions: int = 0
    """How often the bridge went down after it was up."""
    attempts: int = 0
    """How often it was tried to bring it up."""


class Bridge(Protocol):
    """One node's end. All methods belong to the event loop in which it was started."""

    figures: Figures

    @property
    def is_up(self) -> bool:
        """Whether every subscription stands and what is published is sent."""

    @property
    def trouble(self) -> str:
        """Why it is not up, for people; empty if it is."""

    async def start(self, listener: Listener) -> None:
        """Begin to connect, once, and tell the listener from now on. Returns when the bridge is up, or soon
        without: it goes on trying for ever."""

    async def close(self) -> None:
        """Send what waits, if that is possible at once, and leave. Calling it twice does nothing."""

    def publish(self, channel: str, payload: bytes) -> None:
        """Send something to all other nodes that follow a channel, soon. Never waits and never raises.

        What is published in one turn of the event loop goes out together; payloads of one channel may share
        a message. A payload is dropped if there is no connection, if the queue is full, or if it is larger
        than a bridge carries; followers are told of a gap when the next message comes, for one too large at
        once.
        """

    async def subscribe(self, channel: str) -> bool:
        """Follow a channel. The answer is whether the subscription stands.

        False comes at once if the bridge is down, and soon if the answer does not come: go on without. The
        listener is told when it stands, by ``subscribed`` or ``restored``. Subscribing twice is the same as
        once.
        """

    def unsubscribe(self, channel: str) -> None:
        """Follow a channel no longer, however often it was subscribed; do nothing if it was not. Nothing is
        received from it any more, and who waits for its subscription is told False."""
