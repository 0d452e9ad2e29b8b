"""Presence entries: who is there, and what each shows of itself.

An entry is a client id, a clock that only grows, and a JSON object, or null for one who left. What an entry
claims proves nothing: whoever relays it must bind the client id to the connection it came by. Source:
https://github.com/yjs/y-protocols (awareness.js).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from collabd.errors import MalformedInput, TooLarge
from collabd.protocol import wire
from collabd.protocol.values import parse_json

MAX_ENTRIES = 1024
MAX_STATE_BYTES = 16 * 1024
MAX_CLOCK = 2**32 - 1
REMEMBERED_STATES = 4096
MAX_REMEMBERED_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One client's presence; ``state`` is a JSON object as text, None once the client has left."""

    client: int
    clock: int
    state: str | None


def decode(payload: bytes) -> list[Entry]:
    """The entries of an awareness message.

    Raises TooLarge for more than MAX_ENTRIES entries or a state beyond MAX_STATE_BYTES, MalformedInput for
    everything else that is wrong: a client twice, a clock beyond 32 bits, a state that is neither a JSON
    object nor null.
    """
    reader = wire.Reader(payload)
    count = reader.uint()
    if count > MAX_ENTRIES:
        raise TooLarge(f"an awareness message holds more than {MAX_ENTRIES} entries")
    entries: dict[int, Entry] = {}
    for _ in range(count):
        client = reader.uint()
        if client in entries:
            raise MalformedInput("an awareness message names a client twice")
        entries[client] = Entry(client, reader.uint(MAX_CLOCK), _state(reader))
    if not reader.at_end:
        raise MalformedInput("an awareness message has bytes left over")
    return list(entries.values())


def _state(reader: wire.Reader) -> str | None:
    text = reader.octets()
    if text == b"null":
        return None
    if len(text) <= MAX_REMEMBERED_BYTES:
        return _remembered(text)
    if len(text) > MAX_STATE_BYTES:
        raise TooLarge(f"a presence state exceeds {MAX_STATE_BYTES} bytes")
    return _checked(text)


def _checked(text: bytes) -> str | None:
    try:
        state = text.decode()
    except UnicodeDecodeError:
        raise MalformedInput("a string is not UTF-8") from None
    value = parse_json(state)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise MalformedInput("a presence state is neither a JSON object nor null")
    return state


# The same states come again and again: renewed every 15 s, and repeated by everybody who hears of them.
_remembered = lru_cache(REMEMBERED_STATES)(_checked)


def encode(entries: Iterable[Entry]) -> bytes:
    """The payload of an awareness message with these entries."""
    encoded = [encode_entry(entry) for entry in entries]
    return with_count(len(encoded), b"".join(encoded))


def encode_entry(entry: Entry) -> bytes:
    """An entry as it stands in a message."""
    state = "null" if entry.state is None else entry.state
    return wire.uint(entry.client) + wire.uint(entry.clock) + wire.text(state)


def with_count(count: int, entries: bytes) -> bytes:
    """The payload of an awareness message with so many entries, encoded one after another."""
    return wire.uint(count) + entries
