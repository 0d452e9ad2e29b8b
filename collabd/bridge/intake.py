"""What comes over a bridge on its way to the listener, which can do no harm to the bridge."""

import logging
from collections.abc import Callable

from .base import Figures, Listener
from .envelope import Opener, Refusal

logger = logging.getLogger(__name__)


class Intake:
    """Opens envelopes, counts, and tells the listener.

    Args:
        opener: says what to let in.
        listener: is told.
        figures: what is counted.
    """

    def __init__(self, opener: Opener, listener: Listener, figures: Figures) -> None:
        self._opener = opener
        self._listener = listener
        self._figures = figures

    def deliver(self, channel: str, data: bytes) -> None:
        """An envelope came over a channel that is followed."""
        opened = self._opener.open(channel, data)
        if isinstance(opened, Refusal):
            if opened is not Refusal.OWN:
                self._refuse(channel, opened)
            return
        node, payloads, missed = opened
        self._figures.received += len(payloads)
        self._figures.gaps += missed
        # Not by _tell: this is done for every message.
        try:
            self._listener.received(channel, node, payloads, missed)
        except Exception:
            logger.exception("a message of channel %r could not be taken in", channel)

    def _refuse(self, channel: str, why: Refusal) -> None:
        self._figures.refused[why] += 1
        times = self._figures.refused[why]
        # Somebody should look at clocks and keys, and nobody can fill the log.
        if why is not Refusal.LATE and times == 10 ** (len(str(times)) - 1):
            logger.warning(
                "messages of other nodes are not let in, the %d. of channel %r: %s",
                times, channel, why,
                extra={"event": "bridge-refused", "reason": str(why), "times": times},
            )  # fmt: skip

    def subscribed(self, channel: str) -> None:
        """A subscription nobody waits for any more stands."""
        self._tell(lambda: self._listener.subscribed(channel))

    def interrupted(self) -> None:
        """The bridge is down."""
        self._tell(self._listener.interrupted)

    def restored(self) -> None:
        """The bridge is up."""
        self._tell(self._listener.restored)

    def _tell(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception:
            logger.exception("the listener of the bridge failed")
