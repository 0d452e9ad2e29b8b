"""Updates to try the structural check with: genuine ones, well-formed nonsense, and mutants of both."""

import random
from collections.abc import Callable
from typing import Any

import pycrdt

from collabd.protocol import wire

Doc = pycrdt.Doc[Any]

WORDS = ("a", "word ", "naïve", "日本", "🎉", "x" * 40, "\n", "\0")
NAMES = ("text", "array", "map", "xml")


class Editors:
    """A few peers who edit one document at the same time and exchange what they did now and then."""

    def __init__(self, rng: random.Random, peers: int = 3) -> None:
        self._rng = rng
        self.docs: list[Doc] = [
            Doc(client_id=rng.choice((rng.getrandbits(32), rng.getrandbits(53)))) for _ in range(peers)
        ]
        for doc in self.docs:
            doc["text"] = pycrdt.Text()
            doc["array"] = pycrdt.Array()
            doc["map"] = pycrdt.Map()
            doc["xml"] = pycrdt.XmlFragment()

    def edit(self) -> tuple[Doc, bytes]:
        """One peer's edit: the peer, and what it would send."""
        doc = self._rng.choice(self.docs)
        state = doc.get_state()
        edit: Callable[[Doc], None] = self._rng.choice(
            (self._text, self._text, self._array, self._map, self._xml)
        )
        with doc.transaction():
            for _ in range(self._rng.choice((1, 1, 1, 1, 4))):
                edit(doc)
        return doc, doc.get_update(state)

    def exchange(self) -> None:
        """Brings one peer up to date with another."""
        here, there = self._rng.sample(self.docs, 2)
        here.apply_update(there.get_update(here.get_state()))

    def updates(self, edits: int) -> list[bytes]:
        """What ``edits`` edits, with an exchange after every fourth or so, would send."""
        sent = []
        for _ in range(edits):
            sent.append(self.edit()[1])
            if self._rng.random() < 0.25:
                self.exchange()
        return sent

    def _cut(self, length: int) -> tuple[int, int]:
        start = self._rng.randrange(length)
        return start, self._rng.randint(start + 1, min(length, start + 5))

    def _text(self, doc: Doc) -> None:
        text = doc["text"]
        size = len(text)
        roll = self._rng.random()
        if size and roll < 0.3:
            start, end = self._edges(text)
            del text[start:end]
        elif size and roll < 0.45:
            start, end = self._edges(text)
            text.format(
                start, end, {self._rng.choice(("bold", "link")): self._rng.choice((True, None, {"u": 1}))}
            )
        elif roll < 0.5:
            text.insert_embed(self._edges(text)[0] if size else 0, self._rng.choice(({"image": "x"}, "e")))
        else:
            text.insert(self._edges(text)[0] if size else 0, self._rng.choice(WORDS))

    def _edges(self, text: pycrdt.Text) -> tuple[int, int]:
        """Two positions between characters, in UTF-8 bytes as pycrdt counts them."""
        edges = [0]
        for part, _ in text.diff():
            for char in part if isinstance(part, str) else "e":
                edges.append(edges[-1] + len(char.encode()))
        start = self._rng.randrange(max(1, len(edges) - 1))
        return edges[start], edges[min(len(edges) - 1, start + self._rng.randint(1, 4))]

    def _value(self, depth: int = 0) -> object:
        makers: list[Callable[[], object]] = [
            lambda: self._rng.choice(
                (None, True, False, 0, 1, -1, 2**31, -(2**40), 1.5, 0.1, "s", "é", b"\0\xff")
            ),
            lambda: self._rng.choice(WORDS),
            lambda: [self._value(depth + 1) for _ in range(self._rng.randrange(3))],
            lambda: {self._rng.choice(WORDS): self._value(depth + 1) for _ in range(self._rng.randrange(3))},
        ]
        if not depth:
            makers += [
                lambda: pycrdt.Text(self._rng.choice(WORDS)),
                lambda: pycrdt.Map({"k": 1, "t": pycrdt.Text("in")}),
                lambda: pycrdt.Array([1, pycrdt.Array([2])]),
            ]
        return self._rng.choice(makers[: 2 if depth > 3 else None])()

    def _array(self, doc: Doc) -> None:
        array = doc["array"]
        if len(array) and self._rng.random() < 0.4:
            start, end = self._cut(len(array))
            del array[start:end]
        else:
            array.insert(self._rng.randint(0, len(array)), self._value())

    def _map(self, doc: Doc) -> None:
        map_ = doc["map"]
        key = self._rng.choice(WORDS)
        if key in map_.keys() and self._rng.random() < 0.4:  # noqa: SIM118 - pycrdt's Map is no dict
            del map_[key]
        else:
            map_[key] = self._value()

    def _xml(self, doc: Doc) -> None:
        holder = doc["xml"]
        while len(holder.children) and self._rng.random() < 0.5:
            child = holder.children[self._rng.randrange(len(holder.children))]
            if isinstance(child, pycrdt.XmlText):
                child.insert(0, self._rng.choice(WORDS))
                return
            holder = child
        if isinstance(holder, pycrdt.XmlElement) and self._rng.random() < 0.3:
            holder.attributes["class"] = self._rng.choice(("a", "b"))
        elif len(holder.children) and self._rng.random() < 0.3:
            del holder.children[self._rng.randrange(len(holder.children))]
        else:
            child = self._rng.choice((pycrdt.XmlElement("p"), pycrdt.XmlText("x")))
            holder.children.insert(self._rng.randint(0, len(holder.children)), child)


def full_states(rng: random.Random, count: int) -> list[bytes]:
    """The whole states of documents after short sessions."""
    states = []
    for _ in range(count):
        editors = Editors(rng)
        editors.updates(30)
        for _ in range(4):
            editors.exchange()
        states.append(editors.docs[0].get_update())
    return states


class Nonsense:
    """Updates that keep to the format, and to nothing else: ids, parents and contents at random."""

    CLIENTS = (1, 2, 3, 200, 2**32, 2**53 - 1)

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def update(self) -> bytes:
        rng = self._rng
        clients = rng.sample(self.CLIENTS, rng.choice((0, 1, 1, 1, 2, 3)))
        out = [wire.uint(len(clients))]
        for client in clients:
            start = clock = rng.choice((0, 0, 0, rng.randrange(12)))
            structs = []
            for _ in range(rng.randint(1, 6)):
                struct, length = self._struct(client, clock)
                structs.append(struct)
                clock += length
            out += [wire.uint(len(structs)), wire.uint(client), wire.uint(start), *structs]
        return b"".join(out) + self._deletes(rng.choice((0, 0, 1, 2)))

    def deletion(self) -> bytes:
        return b"\0" + self._deletes(self._rng.randint(1, 3))

    def _deletes(self, count: int) -> bytes:
        rng = self._rng
        deleting = rng.sample(self.CLIENTS, count)
        out = [wire.uint(count)]
        for client in deleting:
            ranges = [(rng.randrange(14), rng.randint(1, 6)) for _ in range(rng.randint(1, 3))]
            out += [wire.uint(client), wire.uint(len(ranges))]
            out += [wire.uint(clock) + wire.uint(length) for clock, length in ranges]
        return b"".join(out)

    def _id(self, client: int, clock: int) -> bytes:
        rng = self._rng
        if clock and rng.random() < 0.6:
            return wire.uint(client) + wire.uint(rng.randrange(clock))
        return wire.uint(rng.choice(self.CLIENTS)) + wire.uint(rng.randrange(12))

    def _struct(self, client: int, clock: int) -> tuple[bytes, int]:
        rng = self._rng
        content = rng.choice((0, 1, 3, 4, 4, 4, 5, 6, 7, 7, 7, 8, 8, 9, 10))
        if content in (0, 10):
            length = rng.randint(1, 4)
            return bytes((content,)) + wire.uint(length), length
        info = content | rng.choice((0, 0, 0x80, 0x80, 0xC0, 0x40)) | rng.choice((0, 0, 0x20))
        out = b"".join(self._id(client, clock) for flag in (0x80, 0x40) if info & flag)
        if not info & 0xC0:
            name = (
                b"\1" + wire.text(rng.choice(NAMES))
                if rng.random() < 0.5
                else b"\0" + self._id(client, clock)
            )
            out += name + (wire.text(rng.choice(WORDS)) if info & 0x20 else b"")
        body, length = self._content(content)
        return bytes((info,)) + out + body, length

    def _content(self, content: int) -> tuple[bytes, int]:
        rng = self._rng
        word = rng.choice(WORDS)
        json = wire.text(
            rng.choice(("null", "true", "1", "-1.5e3", '"x"', '{"a":[1,{}]}', '"\\u00e9"', "[]", " {} "))
        )
        if content == 1:
            length = rng.randint(1, 4)
            return wire.uint(length), length
        if content == 3:
            return wire.octets(rng.randbytes(rng.randrange(4))), 1
        if content == 4:
            return wire.text(word), len(word.encode("utf-16-le")) // 2
        if content == 5:
            return json, 1
        if content == 6:
            return wire.text(rng.choice(("bold", "", word))) + json, 1
        if content == 7:
            kind = rng.choice((0, 1, 2, 3, 4, 6))
            return bytes((kind,)) + (wire.text(rng.choice(("p", "", word))) if kind == 3 else b""), 1
        if content == 8:
            length = rng.randint(1, 3)
            return wire.uint(length) + b"".join(self._any() for _ in range(length)), length
        return wire.text(rng.choice(("guid", "", word))) + self._options(), 1

    def _options(self) -> bytes:
        rng = self._rng
        if rng.random() < 0.3:
            return self._any()
        keys = rng.sample(
            ("gc", "autoLoad", "meta", "collectionId", "encoding", "shouldLoad", "guid"), rng.randrange(4)
        )
        return b"\x76" + wire.uint(len(keys)) + b"".join(wire.text(key) + self._any() for key in keys)

    def _any(self, depth: int = 0) -> bytes:
        rng = self._rng
        kind = rng.choice(
            (127, 126, 125, 124, 123, 122, 121, 120, 119, 118, 117, 116)[: None if depth < 3 else 9]
        )
        body = b""
        if kind == 125:
            body = rng.choice((b"\0", b"\x40", b"\x7f", b"\xff\x7f", b"\xbf\xff\xff\xff\xff\xff\xff\x7f"))
        elif kind in (124, 123, 122):
            body = rng.choice((bytes, rng.randbytes))(4 if kind == 124 else 8)
        elif kind == 119:
            body = wire.text(rng.choice(WORDS))
        elif kind == 118:
            count = rng.randrange(3)
            body = wire.uint(count)
            body += b"".join(wire.text(rng.choice(WORDS)) + self._any(depth + 1) for _ in range(count))
        elif kind == 117:
            count = rng.randrange(3)
            body = wire.uint(count) + b"".join(self._any(depth + 1) for _ in range(count))
        elif kind == 116:
            body = wire.octets(rng.randbytes(rng.randrange(4)))
        return bytes((kind,)) + body


_TELLING = (
    b"\0",
    b"\1",
    b"\2",
    b"\x7f",
    b"\x80\1",
    b"\xff\x7f",
    b"\xff\xff\xff\xff\7",
    b"\x80\x80\x80\x80\x08",
    b"\xff" * 9,
)


def mutant(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """``data`` with one to three small things changed, some of them taken from ``other``."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(out) + 1)
        span = rng.choice((0, 1, 1, 2, 5))
        match rng.randrange(7):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(out):
                out[at] = rng.randrange(256)
            case 2 if at < len(out):
                out[at] = (out[at] + rng.choice((-1, 1))) % 256
            case 3:
                out[at : at + span] = rng.choice(_TELLING)
            case 4:
                del out[at : at + span]
            case 5:
                out[at:at] = out[at : at + rng.randint(1, 12)]
            case _:
                start = rng.randrange(len(other) + 1)
                out[at : at + rng.choice((0, span, len(out)))] = other[start : start + rng.randint(1, 20)]
    return bytes(out)
