"""What the tests of history are made of: documents that several people edit at random, and their log."""

from collections.abc import Iterable
from random import Random
from typing import Any

from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from collabd.formats.shapes import Kind, inspect
from collabd.history.content import Content, content_of, roots_of
from collabd.persistence.base import Author, HistoryEntry

ADA = Author(1, "ada", "Ada")
BOB = Author(2, "bob", "Bob")

KINDS = {"text": Kind.TEXT, "map": Kind.MAP, "array": Kind.ARRAY, "xml": Kind.XML}
"""What the roots are that writers have. Where little is left it doesn't show."""

WORDS = ("a", "bc ", "é", "😀", "word ")


def log_of(updates: Iterable[bytes], *, per_entry: int = 1, author: Author = ADA) -> list[HistoryEntry]:
    """A log in which each entry holds so many updates."""
    every = list(updates)
    entries = []
    for start in range(0, len(every), per_entry):
        some = every[start : start + per_entry]
        entries.append(HistoryEntry(start + len(some), len(some), float(start), ((author, len(some)),), some))
    return entries


def content(state: bytes) -> dict[str, Content]:
    """What stands in a document with this full state; roots without anything left out."""
    doc: Doc[Any] = Doc()
    doc.apply_update(state)
    empty = [content_of_empty(kind) for kind in (Text, Map, Array, XmlFragment)]
    kinds = KINDS | {name: kind for name, kind in inspect(state).roots.items() if name not in KINDS}
    found = {name: content_of(root) for name, root in roots_of(doc, kinds).items()}
    return {name: value for name, value in found.items() if value not in empty}


def content_of_empty(kind: type[Any]) -> Content:
    """What a root of a type holds before anything is put in."""
    doc: Doc[Any] = Doc()
    return content_of(doc.get("a", type=kind))


def applied(state: bytes, *updates: bytes) -> bytes:
    """The full state after updates."""
    doc: Doc[Any] = Doc()
    for update in (state, *updates):
        doc.apply_update(update)
    return doc.get_update()


class Writers:
    """Several people who edit one document, mostly apart from each other, and what a server logged."""

    def __init__(self, random: Random, count: int = 3) -> None:
        self.random = random
        self.docs: list[Doc[Any]] = [Doc(client_id=number) for number in range(1, count + 1)]
        self.server: Doc[Any] = Doc()
        self.log: list[bytes] = []
        self.states: list[bytes] = []

    def edit(self) -> None:
        """Let somebody change something."""
        change(self.random, self.random.choice(self.docs))

    def meet(self, doc: "Doc[Any]") -> None:
        """Let somebody send what they did, and get what the others did."""
        update = doc.get_update(self.server.get_state())
        if update != self.server.get_update(self.server.get_state()):
            self.server.apply_update(update)
            self.log.append(update)
            self.states.append(self.server.get_update())
        doc.apply_update(self.server.get_update(doc.get_state()))

    def write(self, steps: int) -> None:
        """Let them edit and meet at random."""
        for _ in range(steps):
            self.edit()
            if self.random.random() < 0.5:
                self.meet(self.random.choice(self.docs))
        for doc in self.docs:
            self.meet(doc)


def change(random: Random, doc: "Doc[Any]") -> None:
    """Change something in a document with a root of each kind."""
    with doc.transaction():
        match random.randrange(6):
            case 0:
                _change_text(random, doc.get("text", type=Text))
            case 1:
                _change_map(random, doc.get("map", type=Map))
            case 2:
                _change_array(random, doc.get("array", type=Array))
            case _:
                _change_xml(random, doc.get("xml", type=XmlFragment))


def _change_text(random: Random, text: Text | XmlText) -> None:
    ends = [0]
    for value, _ in text.diff():
        for part in value if isinstance(value, str) else [value]:
            ends.append(ends[-1] + (len(part.encode()) if isinstance(part, str) else 1))
    start = random.randrange(len(ends))
    stop = min(len(ends) - 1, start + random.randrange(1, 5))
    match random.randrange(8):
        case 0 | 1 if start < stop:
            del text[ends[start] : ends[stop]]
        case 2 | 3 if start < stop:
            text.format(ends[start], ends[stop], {random.choice("bi"): random.choice([True, None, 1])})
        case 4:
            text.insert_embed(ends[start], random.choice([{"image": 1}, Map({"e": 1})]))
        case _:
            text.insert(ends[start], random.choice(WORDS))


def _change_map(random: Random, shared: "Map[Any]") -> None:
    key = random.choice("pqr")
    held = shared.get(key)
    match random.randrange(4):
        case 0 if key in shared:
            del shared[key]
        case 1 if isinstance(held, Map):
            held["z"] = random.randrange(9)
        case 1 | 2 if isinstance(held, Text):
            _change_text(random, held)
        case _:
            shared[key] = random.choice([5, [1, {"a": 2}], Map({"y": Array([1])}), Text("hey"), True, b"b"])


def _change_array(random: Random, array: "Array[Any]") -> None:
    held = array[random.randrange(len(array))] if len(array) else None
    match random.randrange(4):
        case 0 if len(array):
            del array[random.randrange(len(array))]
        case 1 | 2 if isinstance(held, Map):
            held[random.choice("uv")] = random.randrange(4)
        case 1 | 2 if isinstance(held, Array):
            held.append(random.randrange(5))
        case _:
            at = random.randrange(len(array) + 1)
            array.insert(at, random.choice([1, 2.5, "s", None, Map({"u": 1}), Array([7, 8])]))


def _change_xml(random: Random, fragment: XmlFragment) -> None:
    parent: XmlFragment | XmlElement = fragment
    while elements := [child for child in parent.children if isinstance(child, XmlElement)]:
        if random.random() < 0.4:
            break
        parent = random.choice(elements)
    texts = [child for child in parent.children if isinstance(child, XmlText)]
    count = len(parent.children)
    match random.randrange(8):
        case 0 | 1 | 2 if texts:
            _change_text(random, random.choice(texts))
        case 3 if count:
            del parent.children[random.randrange(count)]
        case 4 if isinstance(parent, XmlElement):
            if "level" in parent.attributes and random.random() < 0.5:
                del parent.attributes["level"]
            else:
                parent.attributes["level"] = random.choice(["1", "2"])
        case 5:
            parent.children.insert(random.randrange(count + 1), XmlText(random.choice(WORDS)))
        case _:
            parent.children.insert(random.randrange(count + 1), XmlElement(random.choice("ph")))
