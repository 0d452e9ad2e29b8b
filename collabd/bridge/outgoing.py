"""What a node has published and not sent yet: bounded, and joined by channel. No I/O."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from .base import Figures
from .envelope import Sealer, size_of

JOINED_BYTES: Final = 64 * 1024
"""An envelope takes no further payload beyond this size."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait. What does not fit is dropped."""

    size: int = 8 * 1024 * 1024
    """Bytes of all payloads."""
    count: int = 20_000
    """Payloads."""
    payload: int = 1024 * 1024
    """Bytes of one payload. Servers cut off followers that take in too slowly what is sent to them."""


class Sealed(NamedTuple):
    """One message to be sent."""

    channel: str
    envelope: bytes
    payloads: int
    """How many it carries."""


class Outgoing:
    """Holds payloads until they are taken to be sent; only then are they sealed and numbered.

    Args:
        sealer: makes the envelopes.
        limits: how much may wait.
        figures: told what is published and dropped.
    """

    def __init__(self, sealer: Sealer, limits: Limits, figures: Figures) -> None:
        self._sealer = sealer
        self._limits = limits
        self._figures = figures
        self._waiting: dict[str, list[bytes | None]] = {}
        """By channel; None is a gap to be told of."""
        self._size = 0
        self._count = 0

    def __len__(self) -> int:
        """How many payloads and gaps wait."""
        return self._count

    @property
    def size(self) -> int:
        """Bytes of the payloads that wait."""
        return self._size

    def add(self, channel: str, payload: bytes) -> bool:
        """Let a payload wait; whether there is something to be sent now. One that is too large leaves a gap
        that is told of at once, one that finds the queue full a gap for the next message to tell of."""
        self._figures.published += 1
        size = len(payload)
        too_large = size > self._limits.payload
        if too_large:
            size = 0
        if self._count >= self._limits.count or self._size + size > self._limits.size:
            self._drop(channel)
            return False
        if too_large:
            self._drop(channel)
        self._waiting.setdefault(channel, []).append(None if too_large else payload)
        self._count += 1
        self._size += size
        return True

    def take(self, size: int) -> list[Sealed]:
        """Seal about ``size`` bytes of what waits, channels first that have waited longest."""
        envelopes = []
        taken = 0
        while self._waiting and taken < size:
            channel = next(iter(self._waiting))
            waiting = self._waiting.pop(channel)
            payloads = [payload for payload in waiting if payload is not None]
            self._count -= len(waiting)
            self._size -= sum(map(len, payloads))
            for joined in _joined(payloads) or [[]]:
                sealed = self._sealer.seal(channel, joined)
                envelopes.append(Sealed(channel, sealed, len(joined)))
                taken += len(sealed)
        return envelopes

    def clear(self) -> None:
        """Drop everything that waits."""
        for channel, waiting in self._waiting.items():
            for payload in waiting:
                if payload is not None:
                    self._drop(channel)
        self._waiting.clear()
        self._size = self._count = 0

    def _drop(self, channel: str) -> None:
        self._figures.dropped += 1
        self._sealer.skip(channel)


def refuse(channel: str, sealer: Sealer, figures: Figures) -> None:
    """Drop a payload that cannot be sent now."""
    figures.published += 1
    figures.dropped += 1
    sealer.skip(channel)


def _joined(payloads: list[bytes]) -> list[list[bytes]]:
    """The payloads in groups that share an envelope."""
    groups: list[list[bytes]] = []
    size = JOINED_BYTES
    for payload in payloads:
        size += size_of(payload)
        if size > JOINED_BYTES or not groups:
            groups.append([])
            size = size_of(payload)
        groups[-1].append(payload)
    return groups
