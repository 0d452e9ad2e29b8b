"""What goes over a bridge: payloads with their sender, their number and a proof. No I/O; the clock is given.

    version    1 byte
    node       8 bytes   random, new with each process
    number     8 bytes   counts what a node says on a channel
    sent       8 bytes   milliseconds since the epoch by the sender's clock
    payloads   each a byte string with its length before it (lib0)
    proof     16 bytes   HMAC-SHA256 by the cluster's key over the channel and all of the above, cut

Integers are big-endian. Nobody without the key can make an envelope, change one or move it to another
channel. What was sent before can be sent again by whoever sees the traffic, so an envelope is let in only if
its number is higher than the last one's from that node on that channel, and if it was sent within
``TOLERANCE`` of now: numbers are remembered only as long as envelopes that bear them would be let in by their
time.

Not covered: whoever started less than the tolerance ago, or heard nothing from that node on that channel
before, takes an envelope that was sent within the tolerance for new, once. Payloads must bear that: be
numbered themselves, or be reasons to look something up. What is sent can be read by everyone who sees it; use
TLS. Nodes whose clocks are further apart than the tolerance refuse each other.
"""

import hmac
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from collabd.errors import MalformedInput
from collabd.protocol import wire

VERSION: Final = 1
NODE_BYTES: Final = 8
MIN_KEY_BYTES: Final = 16
TOLERANCE: Final = 120.0
"""Seconds that the clocks of two nodes may be apart, the time a message takes included."""

Clock: TypeAlias = Callable[[], float]
"""Seconds since the epoch."""

_HEADER: Final = struct.Struct(">B8sQQ")
_PROOF_BYTES: Final = 16
_FORGET_AT_ONCE: Final = 2
"""How many entries are forgotten per new one at most, so that nobody waits for it."""


class Refusal(StrEnum):
    """Why an envelope is not let in."""

    OWN = "own"
    """It is this node's own. Servers send these back; nothing is wrong."""
    VERSION = "version"
    """A newer program made it."""
    MALFORMED = "malformed"
    """It is no envelope."""
    FORGED = "forged"
    """It was made without the key, was changed, or comes from another channel."""
    TIME = "time"
    """It was sent too long ago, or the clocks are too far apart."""
    LATE = "late"
    """A later one from that node came before, or the same one."""


class Opened(NamedTuple):
    """What was in an envelope."""

    node: bytes
    payloads: Sequence[bytes]
    missed: bool
    """Whether others came before it from that node on that channel that were not seen."""


def size_of(payload: bytes) -> int:
    """Bytes that a payload takes in an envelope, at most."""
    return len(payload) + wire.MAX_UINT_BYTES


class Sealer:
    """Makes a node's envelopes.

    Args:
        key: the cluster's, at least 16 bytes.
        node: the id of this process.
        clock: seconds since the epoch.
    """

    def __init__(self, key: bytes, node: bytes, clock: Clock) -> None:
        self._prover = _Prover(key)
        self._node = node
        self._clock = clock
        self._numbers: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._floor = 0
        """The highest number among those that were forgotten."""

    def seal(self, channel: str, payloads: Sequence[bytes]) -> bytes:
        """The next envelope for a channel. Without payloads it says that something is missing."""
        if not payloads:
            self.skip(channel)
        now = self._clock()
        number = self._next(channel, now)
        header = _HEADER.pack(VERSION, self._node, number, max(0, int(now * 1000)))
        body = b"".join((header, *map(wire.octets, payloads)))
        return body + self._prover.proof(channel, body)

    def skip(self, channel: str) -> None:
        """Leave out a number: who follows the channel finds that something is missing."""
        self._next(channel, self._clock())

    def _next(self, channel: str, now: float) -> int:
        numbers = self._numbers
        known = numbers.pop(channel, None)
        number = (self._floor if known is None else known[0]) + 1
        numbers[channel] = number, now
        for _ in range(_FORGET_AT_ONCE):
            oldest = next(iter(numbers.values()))
            if now - oldest[1] <= 2 * TOLERANCE:
                break
            # Whatever channel comes back starts above everything that was ever said on it.
            self._floor = max(self._floor, numbers.popitem(last=False)[1][0])
        return number

    def __len__(self) -> int:
        """How many channels are remembered."""
        return len(self._numbers)


class Opener:
    """Opens the envelopes of other nodes.

    Args:
        key: the cluster's, at least 16 bytes.
        node: the id of this process.
        clock: seconds since the epoch.
    """

    def __init__(self, key: bytes, node: bytes, clock: Clock) -> None:
        self._prover = _Prover(key)
        self._node = node
        self._clock = clock
        self._last: OrderedDict[tuple[str, bytes], tuple[int, float]] = OrderedDict()

    def open(self, channel: str, data: bytes) -> Opened | Refusal:
        """What is in an envelope, or why it is not let in. Raises nothing, whatever the bytes are."""
        if len(data) < _HEADER.size + _PROOF_BYTES:
            return Refusal.MALFORMED
        version, node, number, sent = _HEADER.unpack_from(data)
        if version != VERSION:
            return Refusal.VERSION
        if node == self._node:
            return Refusal.OWN
        body = data[:-_PROOF_BYTES]
        if not hmac.compare_digest(self._prover.proof(channel, body), data[-_PROOF_BYTES:]):
            return Refusal.FORGED
        now = self._clock()
        if abs(now - sent / 1000) > TOLERANCE:
            return Refusal.TIME
        last = self._last.get((channel, node))
        if last is not None and number <= last[0]:
            return Refusal.LATE
        try:
            payloads = _unpacked(body)
        except MalformedInput:
            return Refusal.MALFORMED
        self._remember(channel, node, number, now)
        return Opened(node, payloads, not payloads or (last is not None and number != last[0] + 1))

    def _remember(self, channel: str, node: bytes, number: int, now: float) -> None:
        last = self._last
        last.pop((channel, node), None)
        last[channel, node] = number, now
        for _ in range(_FORGET_AT_ONCE):
            # What came then was sent at most one tolerance later by its sender's clock; see the top.
            if now - next(iter(last.values()))[1] <= 2 * TOLERANCE:
                break
            last.popitem(last=False)

    def __len__(self) -> int:
        """How many pairs of a channel and a node are remembered."""
        return len(self._last)


class Envelopes:
    """A process's two halves of it, with a new id.

    Args:
        key: the cluster's, at least 16 bytes.
        clock: seconds since the epoch.
    """

    def __init__(self, key: bytes, clock: Clock) -> None:
        self.node = secrets.token_bytes(NODE_BYTES)
        self.sealer = Sealer(key, self.node, clock)
        self.opener = Opener(key, self.node, clock)


class _Prover:
    """Proves that bytes come from somebody who has the key, which is set up once: that takes longest."""

    def __init__(self, key: bytes) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the cluster's key has {len(key)} bytes, and needs {MIN_KEY_BYTES}")
        # Whatever else the key is used for, this one proves nothing but envelopes.
        own = hmac.digest(key, b"collabd bridge", "sha256")
        self._fresh = hmac.new(own, digestmod="sha256")

    def proof(self, channel: str, body: bytes) -> bytes:
        """The proof for an envelope's body."""
        proving = self._fresh.copy()
        proving.update(wire.octets(channel.encode(errors="surrogatepass")))
        proving.update(body)
        return proving.digest()[:_PROOF_BYTES]


def _unpacked(body: bytes) -> list[bytes]:
    reader = wire.Reader(body, _HEADER.size)
    payloads = []
    while not reader.at_end:
        payloads.append(reader.octets())
    return payloads
