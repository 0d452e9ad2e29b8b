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
        "_above",
        "_before",
        "_head",
        "_length",
        "_middle",
        "_right",
        "_sides",
        "client",
        "end",
        "right",
    )

    def __init__(self, summary: UpdateSummary) -> None:
        assert summary.typed is not None, "it is one string beside something"
        client, self._right, self.right = summary.typed
        self.client, _, self.end = summary.structs[0]
        self._head = b"\1\1" + client
        self._middle = (_BETWEEN if self._right else _BEHIND) + client
        self._above = 0
        self._sides = b"", b"", b""
        self._expect(1)

    @property
    def opening(self) -> bytes:
        """The bytes before the text's length in the update that puts the next string here."""
        return self._before[HEADER:-1]

    @property
    def needs(self) -> tuple[Id, ...]:
        """Ids of other clients that must exist first."""
        right = self.right
        return () if right is None or right[0] == self.client else (right,)

    def text_of(self, message: bytes) -> bytes | None:
        """The text if the message is an update that puts ASCII characters right here, and nothing else; None
        if it is any other."""
        text_at = -1 - self._length
        if message[:text_at] == self._before:
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
        end = self.end = self.end + length
        low, above = end & 0x7F, end >> 7
        if low and above and above == self._above and length == self._length:
            head, middle, right = self._sides
            self._before = b"".join((head, _LOW[low], middle, _LOW[low - 1], right))
        else:
            self._expect(length)

    def _expect(self, length: int) -> None:
        """Know the bytes before the text in the message that puts so many characters here: whoever types puts
        one at a time, and whoever is helped by a program often as many as the last time."""
        self._length = min(length, _LONG)
        self._before = self._before_at(self.end)
        # All but the lowest bits of the two clocks stays for the next hundred characters.
        self._above = self.end >> 7
        first = self._above << 7 | 1
        like = self._before_at(first)
        at = HEADER + len(self._head)
        second_at = at + len(wire.uint(first)) + len(self._middle)
        self._sides = like[:at], like[at + 1 : second_at], like[second_at + 1 :]

    def _before_at(self, end: int) -> bytes:
        """What ``_before`` is where the last string ends there, for a text as long as the one expected."""
        length = self._length
        opening = self._head + wire.uint(end) + self._middle + wire.uint(end - 1) + self._right
        return update_frame(b"%b%c%b\0" % (opening, length, bytes(length)))[: -1 - length]


class Run:
    """Strings put at one spot in a row, as one.

    Args:
        spot: where the first is put.
    """

    __slots__ = ("_opening", "_texts", "client", "end", "spot", "start")

    def __init__(self, spot: Spot) -> None:
        self.spot = spot
        self.client = spot.client
        self.start = self.end = spot.end
        self._opening = spot.opening
        self._texts: list[bytes] = []

    def take(self, messages: Sequence[bytes], begin: int = 0) -> list[bytes]:
        """Put the texts of messages behind the last, from one on as long as they are what somebody who types
        sends (:meth:`Spot.text_of`). The spot moves with them.

        Returns:
            Their updates.
        """
        spot = self.spot
        updates = []
        for at in range(begin, len(messages)):
            message = messages[at]
            text = spot.text_of(message)
            if text is None:
                break
            self._texts.append(text)
            spot.move(len(text))
            updates.append(message[HEADER:])
        self.end = spot.end
        return updates

    def is_right_before(self, other: "Run") -> bool:
        """Whether ``other`` goes on where this ends."""
        return other.spot is self.spot and other.start == self.end

    def copy(self) -> "Run":
        """One that goes on by itself."""
        copy = Run(self.spot)
        copy.start, copy.end, copy._opening = self.start, self.end, self._opening
        copy._texts = self._texts.copy()
        return copy

    def take_over(self, other: "Run") -> None:
        """Have the strings of a run that this is right before."""
        self._texts.append(other.text)
        if len(self._texts) > _APART:
            self._texts = [self.text]
        self.end = other.end

    @property
    def text(self) -> bytes:
        """The whole text."""
        return b"".join(self._texts)

    def update(self) -> bytes:
        """The update that puts the whole text there."""
        return b"\x01%b\0" % self.section()

    def section(self) -> bytes:
        """What an update says of one client: how many structs, of whom, from which clock on, and them."""
        return self._opening[1:] + wire.octets(self.text)

    def summary(self) -> UpdateSummary:
        """What ``check_update`` would say of :meth:`update`."""
        client, start, right = self.client, self.start, self.spot.right
        cuts = ((client, start),) if right is None else ((client, start), right)
        needs = self.spot.needs
        return UpdateSummary(((client, start, self.end),), (), needs, 0, (), cuts, (client, start - 1))


def update_of(runs: Collection[Run]) -> bytes | None:
    """The update that puts all of the texts there; None if it takes more than one section for a client."""
    if len({run.client for run in runs}) < len(runs):
        return None
    return b"%b%b\0" % (wire.uint(len(runs)), b"".join([run.section() for run in runs]))
