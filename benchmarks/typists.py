"""People who write without a document of their own: the bytes that a stock client would send."""

from typing import Final

from collabd.bridge.messages import Person
from collabd.protocol import awareness, messages, wire

ROOT: Final = "content"
FIRST_CLIENT: Final = 100_000_000
"""Ids of Yjs clients are random and mostly of 32 bits: they take as many bytes as such do."""
SEEDER: Final = 99_999_999
STATE: Final = '{"user":{"name":"Somebody","color":"#aa66cc"},"cursor":{"anchor":%d,"head":%d}}'
"""What bindings of editors tell of somebody: a name, a colour, and where the cursor is."""

_STRING = 4
_LEFT = 0x80


class Typist:
    """Writes a letter at a time, each behind the one before.

    Args:
        number: from 0, whose Yjs client it is.
    """

    __slots__ = ("client", "typed")

    def __init__(self, number: int) -> None:
        self.client = FIRST_CLIENT + number
        self.typed = 0
        """How many letters were written."""

    def type(self) -> bytes:
        """The update (Yjs v1) that writes the next letter."""
        update = inserted(self.client, self.typed, b"abcdefghij klmnop"[self.typed % 17 :][:1])
        self.typed += 1
        return update


def inserted(client: int, clock: int, text: bytes, left: int | None = None) -> bytes:
    """The update that puts a text behind the client's own character ``left``, which is the last one unless
    told, or at the beginning of the document if there is none."""
    left = clock - 1 if left is None else left
    head = b"\1\1" + wire.uint(client) + wire.uint(clock)
    if clock:
        place = bytes((_STRING | _LEFT,)) + wire.uint(client) + wire.uint(left)
    else:
        place = bytes((_STRING, 1)) + wire.text(ROOT)
    return head + place + wire.octets(text) + b"\0"


def seed(structs: int) -> bytes:
    """An update that makes a text of so many structs of 20 characters, none of which can be joined."""
    parts = [b"\1", wire.uint(structs), wire.uint(SEEDER), b"\0"]
    for number in range(structs):
        # Each but the first stands behind the first character.
        place = (
            bytes((_STRING | _LEFT,)) + wire.uint(SEEDER) + b"\0"
            if number
            else bytes((_STRING, 1)) + wire.text(ROOT)
        )
        parts += [place, wire.octets(b"twenty characters of"[:20])]
    return b"".join((*parts, b"\0"))


def state_of(clock: int) -> str:
    """What somebody shows who moved the cursor so often."""
    return STATE % (1_000_000 + clock, 1_000_000 + clock)


def presence_of(client: int, clock: int) -> bytes:
    """The message by which somebody shows himself, for the ``clock``-th time."""
    entry = awareness.Entry(client, clock, state_of(clock))
    return messages.awareness_frame(awareness.encode([entry]))


def said_by(number: int) -> Person:
    """What another node says of the person with this number."""
    since = 1_790_000_000_000
    return Person(FIRST_CLIENT + number, 400_000_000, since, str(number), state_of(1))
