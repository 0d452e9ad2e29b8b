"""Typing recognised: who types puts one string right behind the other, at one place.

Each such update says little that is new: its text. So it is recognised by the bytes it must begin with, and
many of them are put together to the one string they make, which is applied and sent in their place.
"""

from typing import Final

from collabd.protocol import wire
from collabd.protocol.walk import Id, UpdateSummary

_LAST_CLOCK: Final = 2**28 - 256
"""Beyond it clocks take five bytes, and are left to the check of any update."""
_LONGEST: Final = 0x7F
"""Bytes of text whose length takes one byte."""
_BEHIND, _BETWEEN = b"\x84", b"\xc4"
"""How a string begins that names its left neighbour, or both."""


class Spot:
    """Where a client goes on typing: right behind the string it put somewhere last.

    Args:
        summary: what ``check_update`` said of that string; its ``typed`` must be there.
    """

    __slots__ = ("_head", "_middle", "_right", "client", "end", "opening", "right")

    def __init__(self, summary: UpdateSummary) -> None:
        assert summary.typed is not None, "it is one string beside something"
        client, self._right, self.right = summary.typed
        self.client, _, self.end = summary.structs[0]
        self._head = b"\x01\x01" + client
        self._middle = (_BETWEEN if self._right else _BEHIND) + client
        self.opening = self._opening()
        """The bytes before the text's length in the update that puts the next string there."""

    def text_of(self, update: bytes) -> bytes | None:
        """The text of an update that puts ASCII characters right here; None if it is any other update."""
        opening = self.opening
        if not update.startswith(opening):
            return None
        at = len(opening)
        text = update[at + 1 : -1]
        if not text or update[at] != len(text) or len(text) > _LONGEST or update[-1] or not text.isascii():
            return None
        return text if self.end < _LAST_CLOCK else None

    def move(self, length: int) -> None:
        """Go on behind a text of that many characters."""
        self.end += length
        self.opening = self._opening()

    def _opening(self) -> bytes:
        end = self.end
        return self._head + wire.uint(end) + self._middle + wire.uint(end - 1) + self._right


class Run:
    """Strings put at one spot in a row, as one.

    Args:
        spot: where the first is put.
    """

    __slots__ = ("_opening", "_texts", "client", "end", "right", "spot", "start")

    def __init__(self, spot: Spot) -> None:
        self.spot = spot
        self.client = spot.client
        self.right = spot.right
        self.start = self.end = spot.end
        self._opening = spot.opening
        self._texts: list[bytes] = []

    def add(self, text: bytes) -> None:
        """Put one more string behind the last; it must be what :meth:`Spot.text_of` gave."""
        self._texts.append(text)
        self.end += len(text)

    @property
    def needs(self) -> tuple[Id, ...]:
        """Ids of other clients that must exist first."""
        right = self.right
        return () if right is None or right[0] == self.client else (right,)

    def update(self) -> bytes:
        """The update that puts the whole text there."""
        text = b"".join(self._texts)
        return b"%b%b%b\0" % (self._opening, wire.uint(len(text)), text)

    def summary(self) -> UpdateSummary:
        """What ``check_update`` would say of :meth:`update`."""
        client, start, right = self.client, self.start, self.right
        cuts = ((client, start),) if right is None else ((client, start), right)
        return UpdateSummary(((client, start, self.end),), (), self.needs, 0, (), cuts, (client, start - 1))
