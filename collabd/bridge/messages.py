"""What nodes tell one another: the payloads a bridge carries, as frozen values. Pure.

A payload is its kind (varUint) and what belongs to it, in lib0's encoding. Nodes of different versions speak
with each other: kinds that are not known are passed over, and so are bytes after what is known of a kind. So
a later version may add kinds, and add to the end of a kind, but change neither.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from collabd.errors import MalformedInput
from collabd.protocol import wire

COMMITTED: Final = 0
REACHED: Final = 1
PRESENT: Final = 2
WHO: Final = 3
LOOK: Final = 4
ALIVE: Final = 5
LEAVING: Final = 6
CHANGED: Final = 7
ONLY: Final = 8

MAX_UPDATES: Final = 10_000
MAX_PEOPLE: Final = 10_000


class Committed(NamedTuple):
    """Updates of a document that were committed to the log."""

    document_id: int
    first: int
    """The number of the first; the others follow."""
    updates: Sequence[bytes]

    @property
    def last(self) -> int:
        """The number of the last."""
        return self.first + len(self.updates) - 1


class Reached(NamedTuple):
    """A document's log has got so far: what is new in it is large, and to be read there."""

    document_id: int
    head: int


class Person(NamedTuple):
    """What a node says of one of its clients."""

    client: int
    clock: int
    since: int
    """When the client came to this node, in milliseconds since the epoch; 0 if it has left."""
    who: str
    """The id of the principal; empty if it has left."""
    state: str | None
    """Its presence, as JSON; None if it has left."""


class Present(NamedTuple):
    """How things stand with some of a node's clients in a document."""

    people: Sequence[Person]


class Only(NamedTuple):
    """Of a node's clients these are there in a document, and no others any more."""

    clients: Sequence[int]


class Who(NamedTuple):
    """Who is there in a document? To be answered with everybody who is connected, and that these are all."""


class Look(NamedTuple):
    """Something has become of the document that the store tells: it was deleted, or must not be opened."""


class Alive(NamedTuple):
    """A node is there."""


class Leaving(NamedTuple):
    """A node leaves; its clients are gone."""


class Changed(NamedTuple):
    """Something was revoked or shared: look it up."""


Message: TypeAlias = Committed | Reached | Present | Only | Who | Look | Alive | Leaving | Changed

_PLAIN: Final[dict[int, Message]] = {
    WHO: Who(),
    LOOK: Look(),
    ALIVE: Alive(),
    LEAVING: Leaving(),
    CHANGED: Changed(),
}
_KINDS: Final = {type(message): kind for kind, message in _PLAIN.items()}


def encode(message: Message) -> bytes:
    """The payload for a message."""
    if isinstance(message, Committed):
        parts = [wire.uint(COMMITTED), wire.uint(message.document_id), wire.uint(message.first)]
        parts += [wire.uint(len(message.updates)), *map(wire.octets, message.updates)]
        return b"".join(parts)
    if isinstance(message, Reached):
        return wire.uint(REACHED) + wire.uint(message.document_id) + wire.uint(message.head)
    if isinstance(message, Present):
        return b"".join((wire.uint(PRESENT), wire.uint(len(message.people)), *map(_person, message.people)))
    if isinstance(message, Only):
        clients = message.clients
        return b"".join((wire.uint(ONLY), wire.uint(len(clients)), *map(wire.uint, clients)))
    return wire.uint(_KINDS[type(message)])


def decode(payload: bytes) -> Message | None:
    """The message in a payload; None if it is of a kind that is not known here.

    Raises:
        MalformedInput: it is none.
    """
    reader = wire.Reader(payload)
    kind = reader.uint()
    if kind == COMMITTED:
        document_id, first = reader.uint(), reader.uint()
        count = reader.uint(MAX_UPDATES)
        if not count or not first:
            raise MalformedInput("numbers of updates begin at 1")
        return Committed(document_id, first, [reader.octets() for _ in range(count)])
    if kind == REACHED:
        return Reached(reader.uint(), reader.uint())
    if kind == PRESENT:
        return Present([_read_person(reader) for _ in range(reader.uint(MAX_PEOPLE))])
    if kind == ONLY:
        return Only([reader.uint() for _ in range(reader.uint(MAX_PEOPLE))])
    return _PLAIN.get(kind)


def _person(person: Person) -> bytes:
    state = b"" if person.state is None else person.state.encode()
    parts = wire.uint(person.client), wire.uint(person.clock), wire.uint(person.since)
    return b"".join((*parts, wire.text(person.who), wire.octets(state)))


def _read_person(reader: wire.Reader) -> Person:
    client, clock, since = reader.uint(), reader.uint(), reader.uint()
    who, state = reader.text(), reader.text()
    return Person(client, clock, since, who, state or None)
