"""lib0's variable-length encoding, bounds-checked: what every Yjs protocol is made of.

Integers are little-endian groups of seven bits, the high bit saying that another group follows; strings and
byte strings are preceded by their length in bytes. Source: https://github.com/dmonad/lib0 (encoding.js,
decoding.js).
"""

from collabd.errors import MalformedInput

MAX_UINT = 2**53 - 1
"""The largest integer JavaScript peers can hold exactly (``Number.MAX_SAFE_INTEGER``)."""

MAX_UINT_BYTES = 8
"""Bytes of the longest encoding that can hold ``MAX_UINT``; reading further would only burn time."""

OF_ONE_BYTE = [bytes((value,)) for value in range(0x80)]
"""The integers that take one byte, encoded."""


class Reader:
    """Reads values one after another from ``data[pos:end]``.

    Every method raises MalformedInput when the bytes end early or the value is out of bounds; the position is
    then undefined.
    """

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self.pos >= self.end

    def octet(self) -> int:
        """One byte."""
        pos = self.pos
        if pos >= self.end:
            raise MalformedInput("the message ends early")
        self.pos = pos + 1
        return self.data[pos]

    def uint(self, limit: int = MAX_UINT) -> int:
        """A varUint no larger than ``limit``, in at most eight bytes."""
        octet = self.octet()
        value = octet & 0x7F
        shift = 7
        while octet & 0x80:
            if shift == 7 * MAX_UINT_BYTES:
                raise MalformedInput("an integer is too long")
            octet = self.octet()
            value |= (octet & 0x7F) << shift
            shift += 7
        if value > limit:
            raise MalformedInput(f"an integer exceeds {limit}")
        return value

    def sint(self) -> int:
        """A varInt: the first byte holds the sign and six bits."""
        octet = self.octet()
        value = octet & 0x3F
        negative = octet & 0x40
        shift = 6
        while octet & 0x80:
            if shift > 6 + 7 * (MAX_UINT_BYTES - 2):
                raise MalformedInput("an integer is too long")
            octet = self.octet()
            value |= (octet & 0x7F) << shift
            shift += 7
        if value > MAX_UINT:
            raise MalformedInput(f"an integer exceeds {MAX_UINT}")
        return -value if negative else value

    def octets(self) -> bytes:
        """A byte string (varUint8Array)."""
        length = self.uint()
        start = self.pos
        stop = start + length
        if stop > self.end:
            raise MalformedInput("the message ends early")
        self.pos = stop
        return self.data[start:stop]

    def text(self) -> str:
        """A string (varString); only well-formed UTF-8, so no lone surrogates."""
        try:
            return self.octets().decode()
        except UnicodeDecodeError:
            raise MalformedInput("a string is not UTF-8") from None


def uint(value: int) -> bytes:
    """A varUint; ``value`` must not be negative."""
    if value < 0x80:
        return OF_ONE_BYTE[value]
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def octets(value: bytes) -> bytes:
    """A byte string (varUint8Array)."""
    return uint(len(value)) + value


def text(value: str) -> bytes:
    """A string (varString); ``value`` must be encodable as UTF-8."""
    return octets(value.encode())
