"""Whatever three people do to a document at once, disconnecting as they like, all end with the same."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from tests.support import RunningServer
from tests.support.clients import ROOT, Client
from tests.support.stock import StockClients, stock_clients
from tests.support.watching import ServerFactory

PEOPLE = 3


class Document(NamedTuple):
    """The roots of a document, one of each type."""

    text: Text
    map: "Map[Any]"
    array: "Array[Any]"
    xml: XmlFragment

    @classmethod
    def of(cls, doc: "Doc[Any]") -> "Document":
        return cls(
            doc.get(ROOT, type=Text),
            doc.get("map", type=Map),
            doc.get("array", type=Array),
            doc.get("prosemirror", type=XmlFragment),
        )

    def content(self) -> dict[str, Any]:
        """All of it as plain values, in the form in which client.mjs gives it."""
        return {
            "text": _delta(self.text),
            "map": self.map.to_py(),
            "array": self.array.to_py(),
            "xml": {"name": None, "attributes": {}, "children": [_xml(child) for child in self.xml.children]},
        }


def _delta(text: Text | XmlText) -> list[dict[str, Any]]:
    delta: list[dict[str, Any]] = []
    for insert, attributes in text.diff():
        delta.append({"insert": insert} | ({"attributes": attributes} if attributes else {}))
    return delta


def _xml(node: object) -> Any:
    if isinstance(node, XmlElement):
        attributes = dict(node.attributes)  # type: ignore[call-overload]  # it is iterable, whatever its type says
        return {"name": node.tag, "attributes": attributes, "children": [_xml(c) for c in node.children]}
    assert isinstance(node, XmlText)
    return _delta(node)


Edit = Callable[[Document], None]

positions = st.integers(0, 1000)
strings = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
names = st.sampled_from("abc")
values = st.recursive(
    st.none() | st.booleans() | st.floats(-1000, 1000) | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)


def _bytes_before(text: Text, position: int) -> int:
    """Where the character stands that is ``position`` characters, counted round and round, from the start."""
    content = str(text)
    return len(content[: position % (len(content) + 1)].encode())


def _range_of(text: Text, first: int, second: int) -> slice:
    return slice(*sorted((_bytes_before(text, first), _bytes_before(text, second))))


@st.composite
def text_edits(draw: st.DrawFn) -> Edit:
    first, second, new = draw(positions), draw(positions), draw(strings)
    value = draw(st.none() | st.booleans())
    kind = draw(st.sampled_from(["insert", "insert", "delete", "format"]))

    def edit(document: Document) -> None:
        text = document.text
        if kind == "insert":
            text.insert(_bytes_before(text, first), new)
            return
        selected = _range_of(text, first, second)
        if selected.start == selected.stop:
            return
        if kind == "delete":
            del text[selected]
        else:
            text.format(selected.start, selected.stop, {"bold": value})

    return edit


@st.composite
def map_edits(draw: st.DrawFn) -> Edit:
    name, value = draw(names), draw(values)
    kind = draw(st.sampled_from(["set", "set", "delete", "nest"]))

    def edit(document: Document) -> None:
        if kind == "set":
            document.map[name] = value
        elif kind == "delete":
            document.map.pop(name, None)
        else:
            nested = document.map.get(name)
            if isinstance(nested, Map):
                nested[name] = value
            else:
                document.map[name] = Map({name: value})

    return edit


@st.composite
def array_edits(draw: st.DrawFn) -> Edit:
    first, second = draw(positions), draw(positions)
    new = draw(st.lists(values, min_size=1, max_size=3))
    is_insertion = draw(st.booleans())

    def edit(document: Document) -> None:
        array = document.array
        start, stop = sorted((first % (len(array) + 1), second % (len(array) + 1)))
        if is_insertion:
            array[start:start] = new
        elif start < stop:
            del array[start:stop]

    return edit


@st.composite
def xml_edits(draw: st.DrawFn) -> Edit:
    position, depth, name, new = draw(positions), draw(st.integers(0, 2)), draw(names), draw(strings)
    kind = draw(st.sampled_from(["element", "element", "text", "type", "attribute", "delete"]))

    def edit(document: Document) -> None:
        parent: XmlFragment | XmlElement = document.xml
        for _ in range(depth):
            elements = [child for child in parent.children if isinstance(child, XmlElement)]
            if not elements:
                break
            parent = elements[position % len(elements)]
        children = list(parent.children)
        here = position % (len(children) + 1)
        if kind == "element":
            parent.children.insert(here, XmlElement(name, {"level": new}))
        elif kind == "text":
            parent.children.insert(here, XmlText(new))
        elif kind == "type":
            texts = [child for child in children if isinstance(child, XmlText)]
            if texts:
                texts[position % len(texts)].insert(0, new)
        elif kind == "attribute":
            if isinstance(parent, XmlElement):
                parent.attributes[name] = new
        elif here < len(children):
            del parent.children[here]

    return edit


edits = text_edits() | map_edits() | array_edits() | xml_edits()

Step = tuple[int, str | Edit]

# "wait" lets what is under way arrive; "hold" delays what arrives until "release".
events = st.sampled_from(["cut", "connect", "wait", "hold", "release"])
scripts = st.lists(st.tuples(st.integers(0, PEOPLE - 1), edits | edits | events), min_size=5, max_size=60)


async def carry_out(steps: list[Step], people: list[Client]) -> None:
    """Let the people do all that, one step after the other."""
    for who, what in steps:
        person = people[who]
        if callable(what):
            with person.editing() as doc:
                what(Document.of(doc))
        elif what == "cut":
            await person.cut()
        elif what == "connect" and not person.is_connected:
            await person.connect()
        elif what == "wait" and person.is_connected:
            await person.saved_all()
        elif what == "hold":
            person.holds = True
        elif what == "release":
            person.holds = False
            person.release()


async def come_to_rest(people: list[Client]) -> None:
    """Connect everybody and return when each has got all that the others did."""
    for number, person in enumerate(people):
        person.holds = False
        person.release()
        if not person.is_connected:
            await person.cut()
            await person.connect()
        await person.synced()
        with person.editing() as doc:
            # Whoever has this has all that its author did before.
            doc.get("done", type=Map)[str(number)] = True
    for person in people:
        await person.until(lambda p=person: len(p.doc.get("done", type=Map)) == PEOPLE)  # type: ignore[misc]


async def converge(server: RunningServer, stock: StockClients, name: str, steps: list[Step]) -> None:
    people = [Client(server.websocket_url(name), saves=True) for _ in range(PEOPLE)]
    for person in people:
        await person.connect()
        await person.synced()
    await carry_out(steps, people)
    await come_to_rest(people)
    first, *others = [Document.of(person.doc).content() for person in people]
    async with Client(server.websocket_url(name)) as newcomer:
        # What is committed may still be on its way between two workers.
        await newcomer.until(lambda: len(newcomer.doc.get("done", type=Map)) == PEOPLE)
        others.append(Document.of(newcomer.doc).content())
    others.append(await stock("read", document=name))
    for person in people:
        await person.dispose()
    for other in others:
        assert other == first


def test_all_end_with_the_same_document(server: ServerFactory, node: str) -> None:
    running = server(options=["--snapshot-after-updates", "20"])
    numbers = itertools.count()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        stock = runner.run(stack.enter_async_context(stock_clients(node, running)))

        @settings(max_examples=100)
        @given(scripts)
        def they_converge(steps: list[Step]) -> None:
            runner.run(converge(running, stock, f"document {next(numbers)}", steps))

        try:
            they_converge()
        finally:
            runner.run(stack.aclose())
    assert "Traceback" not in running.log
    assert "ERROR" not in running.log
