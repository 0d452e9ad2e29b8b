"""Typing recognised: who types puts one string right behind the other, at one place.

Each such update says little that is new: its text. So it is recognised by the bytes it must begin with, and
many of them are put together to the one string they make, which is applied and sent in their place.
"""

from collections.abc import Collection, Sequence
from typing import Final

from collabd.protocol import wire
from collabd.protocol.messages import sole_update, update_frame
from collabd.protocol.walk import Id, UpdateSummary

SHORT: Final = 130
"""Bytes of a message up to which its update's length takes one byte. Others are left to the check."""
HEADER: Final = 3
"""Bytes before the update in such a message: two that say that it is one, and its length."""
_LONG: Final = 64
"""Characters beyond which a text is not expected to be followed by one as long."""
_LAST_CLOCK: Final = 2**28 - 256
"""Beyond it clocks take five bytes, and are left to the check of any update."""
_BEHIND, _BETWEEN = b"\x84", b"\xc4"
"""How a string begins that names its left neighbour, or both."""
_APART: Final = 64
"""Strings that are put together now and then: each by itself takes more memory than its text."""
_LOW: Final = [bytes((low | 0x80,)) for low in range(0x80)]
"""The first byte of a clock that takes several, by its lowest seven bits."""


class Spot:
    """Where a client goes on typing: right behind the string it put somewhere last.

    Args:
        summary: what ``check_update`` said of that string; its ``typed`` must be there.
    """

    __slots__ = (
        "_block",
        "_head",
        "_high_size",
        "_length",
        "_lows",
        "_middle",
        "_opening",
        "_right",
        "_sides",
        "_tail",
        "before",
        "client",
        "end",
        "needs",
        "right",
    )

    def __init__(self, summary: UpdateSummary) -> None:
        assert summary.typed is not None, "it is one string beside something"
        client, self._right, self.right = summary.typed
        self.client, _, self.end = summary.structs[0]
        right = self.right
        self.needs: tuple[Id, ...] = () if right is None or right[0] == self.client else (right,)
        """Ids of other clients that must exist first."""
        self._opening = b"\1\1" + client
        self._middle = (_BETWEEN if self._right else _BEHIND) + client
        self.before = b""
        """The bytes before the text in the message that puts the next string here, if it is as long as the
        last."""
        self._length = self._high_size = 0
        self._expect(1)

    @property
    def opening(self) -> bytes:
        """The bytes before the text's length in the update that puts the next string here."""
        return self.before[HEADER:-1]

    def take(self, messages: Sequence[bytes], begin: int = 0) -> list[bytes]:
        """Read messages, from one on as long as each is an update that puts ASCII characters right here, and
        nothing else (:meth:`text_of`). The spot moves with them.

        Returns:
            Their texts.
        """
        texts: list[bytes] = []
        before, length, block = self.before, self._length, self._block
        lows, (head, middle, right) = self._lows, self._sides
        text_at = -1 - length
        low = self.end - block
        for message in messages[begin:] if begin else messages:
            text = message[text_at:-1]
            if message[:text_at] != before or message[-1] or not text.isascii() or block >= _LAST_CLOCK:
                self.before, self.end = before, block + low
                other = self.text_of(message)
                if other is None:
                    break
                text = other
            texts.append(text)
            size = len(text)
            if size == length and low + length < 0x80:
                low += length
                before = b"".join((head, lows[low], middle, lows[low - 1], right))
                continue
            self.end = block + low
            self.move(size)
            before, length, block = self.before, self._length, self._block
            lows, (head, middle, right) = self._lows, self._sides
            text_at = -1 - length
            low = self.end - block
        self.before, self.end = before, block + low
        return texts

    def text_of(self, message: bytes) -> bytes | None:
        """The text if the message is an update that puts ASCII characters right here, and nothing else; None
        if it is any other."""
        text_at = -1 - self._length
        if message[:text_at] == self.before:
            text = message[text_at:-1]
        else:
            opening = self.opening
            update = sole_update(message) if len(message) <= SHORT else None
            if update is None or not update.startswith(opening):
                return None
            text = update[len(opening) + 1 : -1]
            if not text or update[len(opening)] != len(text):
                return None
        if message[-1] or not text.isascii() or self.end >= _LAST_CLOCK:
            return None
        return text

    def move(self, length: int) -> None:
        """Go on behind a text of that many characters, at least one."""
        self.end += length
        self._expect(length)

    def _expect(self, length: int) -> None:
        """Know the bytes before the text in the message that puts so many characters here: whoever types puts
        one at a time, and whoever is helped by a program often as many as the last time."""
        low, above = self.end & 0x7F, self.end >> 7
        self._block = above << 7
        # All but the lowest bits of the two clocks stays for the next hundred characters.
        high, self._lows = (wire.uint(above), _LOW) if above else (b"", wire.OF_ONE_BYTE)
        if length != self._length or len(high) != self._high_size:
            length = self._length = min(length, _LONG)
            self._high_size = len(high)
            self._tail = self._right + bytes((length,))
            size = len(self._opening) + len(self._middle) + len(self._tail) + 2 * len(high) + 3 + length
            self._head = update_frame(bytes(size))[:HEADER] + self._opening
        head, middle, right = self._sides = self._head, high + self._middle, high + self._tail
        if low:
            self.before = b"".join((head, self._lows[low], middle, self._lows[low - 1], right))
        else:
            self.before = self._before_at_the_edge()

    def _before_at_the_edge(self) -> bytes:
        """The bytes before the text where the clocks of an item and its neighbour differ in more than their
        lowest bits."""
        at, behind = wire.uint(self.end), wire.uint(self.end - 1)
        opening = b"".join((self._opening, at, self._middle, behind, self._right))
        return update_frame(b"%b%c%b\0" % (opening, self._length, bytes(self._length)))[: -1 - self._length]


class Run:
    """Strings put at one spot in a row, as one.

    Args:
        spot: where the first is put.
    """

    __slots__ = ("_before", "_texts", "client", "end", "spot", "start")

    def __init__(self, spot: Spot) -> None:
        self.spot = spot
        self.client = spot.client
        self.start = self.end = spot.end
        self._before = spot.before
        self._texts: list[bytes] = []

    def take(self, messages: Sequence[bytes], begin: int = 0) -> list[bytes]:
        """Put the texts of messages behind the last, from one on as long as they are what somebody who types
        sends (:meth:`Spot.take`).

        Returns:
            Their updates.
        """
        spot = self.spot
        texts = spot.take(messages, begin)
        self._texts += texts
        self.end = spot.end
        return [message[HEADER:] for message in messages[begin : begin + len(texts)]]

    def is_right_before(self, other: "Run") -> bool:
        """Whether ``other`` goes on where this ends."""
        return other.spot is self.spot and other.start == self.end

    def copy(self) -> "Run":
        """One that goes on by itself."""
        copy = Run(self.spot)
        copy.start, copy.end, copy._before = self.start, self.end, self._before
        copy._texts = self._texts.copy()
        return copy

    def take_over(self, other: "Run") -> None:
        """Have the strings of a run that this is right before."""
        if len(self._texts) > _APART:
            self._texts = [self.text]
        self._texts.append(other.text)
        self.end = other.end

    @property
    def text(self) -> bytes:
        """The whole text."""
        if len(self._texts) > 1:
            self._texts = [b"".join(self._texts)]
        return self._texts[0] if self._texts else b""

    @property
    def cuts(self) -> tuple[Id, ...]:
        """Ids that an item begins with once the whole text is there."""
        right = self.spot.right
        return ((self.client, self.start),) if right is None else ((self.client, self.start), right)

    def update(self) -> bytes:
        """The update that puts the whole text there."""
        return b"\x01%b\0" % self.section()

    def section(self) -> bytes:
        """What an update says of one client: how many structs, of whom, from which clock on, and them."""
        text = self.text
        return b"%b%b%b" % (self._before[HEADER + 1 : -1], wire.uint(len(text)), text)

    def summary(self) -> UpdateSummary:
        """What ``check_update`` would say of :meth:`update`."""
        client, start = self.client, self.start
        structs = ((client, start, self.end),)
        return UpdateSummary(structs, (), self.spot.needs, 0, (), self.cuts, (client, start - 1))


def update_of(runs: Collection[Run]) -> bytes | None:
    """The update that puts all of the texts there; None if it takes more than one section for a client."""
    count = len(runs)
    if count > 1 and len({run.client for run in runs}) < count:
        return None
    return b"".join((wire.uint(count), *[run.section() for run in runs], b"\0"))
