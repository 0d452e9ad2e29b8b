"""History over HTTP, and what live editors see of a restore."""

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from pycrdt import Doc, Text, XmlElement, XmlFragment, XmlText

from collabd import Settings, create_app
from collabd.auth.base import Access, Principal
from tests.support import RunningServer
from tests.support.clients import Client
from tests.support.stock import stock_clients
from tests.support.watching import ServerFactory

API = "/api/v1"
TEXTS = ("one", "one two", "one two three", "three")


async def by_name(principal: Principal, document: str) -> Access:
    """Everybody may do with a document what its name says."""
    return {"secret": Access.NONE, "public": Access.READ}.get(document, Access.WRITE)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(store=f"sqlite:///{tmp_path / 'documents.db'}"), authorize=by_name)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        yield client


async def write(http: httpx.AsyncClient, name: str = "notes") -> "Doc[Any]":
    """A document that has had each of TEXTS, from version 1 on."""
    doc: Doc[Any] = Doc({"content": Text(TEXTS[0])})
    created = await http.put(
        f"{API}/documents/{name}",
        content=doc.get_update(),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert created.status_code == 201
    for before, after in pairwise(TEXTS):
        state = doc.get_state()
        with doc.transaction():
            if after.startswith(before):
                doc["content"] += after.removeprefix(before)
            else:
                del doc["content"][0 : len(before) - len(after)]
        await http.patch(f"{API}/documents/{name}", content=doc.get_update(state))
    return doc


async def text(http: httpx.AsyncClient, **query: Any) -> str:
    answer = await http.get(f"{API}/documents/notes", params={"format": "text", **query})
    assert answer.status_code == 200, answer.text
    return answer.text


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_every_version_can_be_read(http: httpx.AsyncClient) -> None:
    await write(http)
    assert [await text(http, version=seq) for seq in (1, 2, 3, 4)] == list(TEXTS)
    for form in ("json", "markdown", "html", "update", "state-vector"):
        answer = await http.get(f"{API}/documents/notes", params={"format": form, "version": 2})
        assert answer.status_code == 200
    old: Doc[Any] = Doc()
    answer = await http.get(f"{API}/documents/notes", params={"format": "update", "version": 2})
    old.apply_update(answer.content)
    assert str(old.get("content", type=Text)) == "one two"


async def test_each_version_has_a_tag_of_its_own_that_stays(http: httpx.AsyncClient) -> None:
    doc = await write(http)

    async def tags() -> list[str]:
        queries: list[dict[str, Any]] = [{"version": seq} for seq in (1, 2, 3, 4)]
        answers = [await http.get(f"{API}/documents/notes", params=query) for query in queries]
        return [answer.headers["etag"] for answer in answers]

    before = await tags()
    assert len(set(before)) == 4
    state = doc.get_state()
    doc["content"] += "!"
    await http.patch(f"{API}/documents/notes", content=doc.get_update(state))
    assert await tags() == before
    known = await http.get(
        f"{API}/documents/notes", params={"version": 2}, headers={"If-None-Match": before[1]}
    )
    assert known.status_code == 304


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("0", (404, "no-such-version")),
        ("5", (404, "no-such-version")),
        ("x", (400, "malformed")),
        ("-1", (400, "malformed")),
        ("9" * 40, (400, "malformed")),
    ],
)
async def test_other_versions_are_refused(
    http: httpx.AsyncClient, version: str, refused: tuple[int, str]
) -> None:
    await write(http)
    assert refusal(await http.get(f"{API}/documents/notes?version={version}")) == refused
    assert refusal(await http.post(f"{API}/restore/notes?version={version}")) == refused
    if version != "0":  # differences from and to nothing may be asked for
        assert refusal(await http.get(f"{API}/diff/notes?from=1&to={version}")) == refused


async def test_the_timeline_shows_who_wrote_and_which_versions_have_names(http: httpx.AsyncClient) -> None:
    await write(http)
    await http.post(f"{API}/versions/notes", json={"name": "draft", "seq": 2})
    answer = (await http.get(f"{API}/history/notes")).json()
    assert (answer["head"], answer["next"]) == (4, None)
    assert answer["changes"][0]["seq"] == 4
    assert answer["changes"][-1]["first"] == 1
    assert answer["changes"][0]["authors"] == [{"principal": "anonymous", "name": "Anonymous", "updates": 4}]
    assert sum(len(change["versions"]) for change in answer["changes"]) == 1
    page = (await http.get(f"{API}/history/notes", params={"before": 1})).json()
    assert page["changes"] == []


async def test_a_request_may_say_what_its_author_is_called(http: httpx.AsyncClient) -> None:
    await write(http)
    for version, name in enumerate(("Ada%20L%C3%B6f", "%00", "x" * 300), 1):
        headers = {"Collabd-Name": name}
        answer = await http.post(f"{API}/restore/notes", params={"version": version}, headers=headers)
        assert answer.status_code == 200
    changes = (await http.get(f"{API}/history/notes")).json()["changes"]
    names = {author["name"] for change in changes for author in change["authors"]}
    assert names == {"Ada Löf", "Anonymous", "x" * 100}


async def test_versions_are_named_listed_renamed_and_unnamed(http: httpx.AsyncClient) -> None:
    await write(http)
    named = await http.post(f"{API}/versions/notes", json={"name": "last"})
    assert (named.status_code, named.json()) == (201, {"seq": 4, "name": "last"})
    assert (await http.post(f"{API}/versions/notes", json={"name": "x", "seq": 2})).status_code == 201
    assert (await http.post(f"{API}/versions/notes", json={"name": "draft", "seq": 2})).status_code == 201
    listed = (await http.get(f"{API}/versions/notes")).json()["versions"]
    assert [(version["seq"], version["name"]) for version in listed] == [(2, "draft"), (4, "last")]
    assert listed[0]["author"] == {"principal": "anonymous", "name": "Anonymous"}
    assert (await http.delete(f"{API}/versions/notes?seq=2")).status_code == 204
    listed = (await http.get(f"{API}/versions/notes")).json()["versions"]
    assert [version["seq"] for version in listed] == [4]


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"name": ""}, (400, "malformed")),
        ({"name": "x" * 201}, (400, "malformed")),
        ({"name": "a\nb"}, (400, "malformed")),
        ({"name": 1}, (400, "malformed")),
        ({"name": "a", "seq": "1"}, (400, "malformed")),
        ({"name": "a", "seq": True}, (400, "malformed")),
        ({"name": "a", "seq": 5}, (404, "no-such-version")),
        ({"name": "a", "seq": 0}, (404, "no-such-version")),
        (["a"], (400, "malformed")),
    ],
)
async def test_names_that_make_no_sense_are_refused(
    http: httpx.AsyncClient, body: Any, refused: tuple[int, str]
) -> None:
    await write(http)
    assert refusal(await http.post(f"{API}/versions/notes", json=body)) == refused


async def test_differences_by_line_and_word(http: httpx.AsyncClient) -> None:
    await write(http)
    answer = (await http.get(f"{API}/diff/notes?from=1&to=2")).json()
    assert (answer["from"], answer["to"], answer["format"]) == (1, 2, "text")
    assert answer["hunks"] == [
        {
            "from_line": 1,
            "to_line": 1,
            "lines": [
                {"kind": "removed", "text": "one", "marks": []},
                {"kind": "added", "text": "one two", "marks": [[3, 7]]},
            ],
        }
    ]
    unified = await http.get(f"{API}/diff/notes?from=0&as=unified")
    assert unified.text == "--- notes (version 0)\n+++ notes (version 4)\n@@ -0,0 +1,1 @@\n+three\n"
    for query in ("from=1&as=x", "to=1", "from=x"):
        assert refusal(await http.get(f"{API}/diff/notes?{query}")) == (400, "malformed")
    assert refusal(await http.get(f"{API}/diff/notes?from=1&format=html")) == (406, "unsupported-format")


async def test_rich_text_is_compared_as_markdown(http: httpx.AsyncClient) -> None:
    doc: Doc[Any] = Doc()
    fragment = doc.get("prosemirror", type=XmlFragment)
    fragment.children.append(XmlElement("paragraph")).children.append(XmlText("plain"))
    await http.put(
        f"{API}/documents/notes",
        content=doc.get_update(),
        headers={"Content-Type": "application/octet-stream"},
    )
    state = doc.get_state()
    fragment.children[0].children[0].format(0, 5, {"bold": True})
    await http.patch(f"{API}/documents/notes", content=doc.get_update(state))
    answer = (await http.get(f"{API}/diff/notes?from=1")).json()
    assert answer["format"] == "markdown"
    assert [line["text"] for line in answer["hunks"][0]["lines"] if line["kind"] == "added"] == ["**plain**"]


async def test_restoring_is_an_edit_and_restoring_what_is_there_is_none(http: httpx.AsyncClient) -> None:
    await write(http)
    assert (await http.post(f"{API}/restore/notes?version=2")).json() == {"seq": 5}
    assert await text(http) == "one two"
    assert (await http.post(f"{API}/restore/notes?version=2")).json() == {"seq": 5}
    assert (await http.post(f"{API}/restore/notes?version=5")).json() == {"seq": 5}
    assert (await http.post(f"{API}/restore/notes?version=4")).json() == {"seq": 6}
    assert await text(http) == "three"
    assert [await text(http, version=seq) for seq in (1, 2, 3, 4, 5, 6)] == [*TEXTS, "one two", "three"]


async def test_two_restores_at_once_put_nothing_in_twice(http: httpx.AsyncClient) -> None:
    await write(http)
    await asyncio.gather(*(http.post(f"{API}/restore/notes?version=3") for _ in range(5)))
    assert await text(http) == "one two three"


async def test_each_takes_its_right(http: httpx.AsyncClient) -> None:
    calls = [
        ("GET", "history", ""),
        ("GET", "versions", ""),
        ("GET", "diff", "?from=1"),
        ("POST", "versions", ""),
        ("DELETE", "versions", "?seq=1"),
        ("POST", "restore", "?version=1"),
    ]
    for name, allowed in (("secret", 0), ("public", 3), ("other", 6)):
        answers = [
            await http.request(verb, f"{API}/{path}/{name}{query}", content=b"{}")
            for verb, path, query in calls
        ]
        assert [answer.status_code == 401 for answer in answers] == [False] * allowed + [True] * (6 - allowed)


async def test_what_does_not_exist_has_no_history(http: httpx.AsyncClient) -> None:
    for path in ("history/notes", "versions/notes", "diff/notes?from=1"):
        assert refusal(await http.get(f"{API}/{path}")) == (404, "no-such-document")
    assert refusal(await http.post(f"{API}/restore/notes?version=1")) == (404, "no-such-document")
    assert (await http.get(f"{API}/restore/notes")).headers["allow"] == "POST"


async def test_live_editors_see_a_restore_and_go_back(server: ServerFactory) -> None:
    running = server()
    url = running.websocket_url("notes")
    async with (
        httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as http,
        Client(url, saves=True) as ada,
        Client(url, saves=True) as bob,
    ):
        ada.append("first draft")
        await ada.saved_all()
        await bob.has_text("first draft")
        bob.insert(0, "second, not the ")
        await bob.saved_all()
        head = (await http.get(f"{API}/history/notes")).json()["head"]
        assert (await http.post(f"{API}/restore/notes?version=1")).json() == {"seq": head + 1}
        for client in (ada, bob):
            await client.has_text("first draft")
        await http.post(f"{API}/restore/notes?version={head}")
        for client in (ada, bob):
            await client.has_text("second, not the first draft")


async def test_an_editor_that_was_offline_meanwhile_merges(server: ServerFactory) -> None:
    running = server()
    url = running.websocket_url("notes")
    async with (
        httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as http,
        Client(url, saves=True) as ada,
        Client(url, saves=True) as bob,
    ):
        ada.append("words")
        await ada.saved_all()
        await bob.has_text("words")
        await bob.cut()
        ada.append(" that went")
        await ada.saved_all()
        bob.insert(0, "offline ")
        await http.post(f"{API}/restore/notes?version=1")
        await bob.connect()
        for client in (ada, bob):
            await client.has_text("offline words")


async def test_yjs_itself_comes_to_the_same(server: ServerFactory, node: str) -> None:
    running: RunningServer = server()
    async with (
        httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as http,
        Client(running.websocket_url("notes"), saves=True) as ada,
        stock_clients(node, running) as stock,
    ):
        await stock("open", "bob", document="notes")
        for edit in ("one 😀 ", "two ", "three "):
            ada.append(edit)
            await ada.saved_all()
        await stock("text", "bob", expected="one 😀 two three ")
        await stock("remove", "bob", position=2, length=6)
        await ada.has_text("onwo three ")
        for version, expected in ((2, "one 😀 two "), (4, "onwo three "), (1, "one 😀 ")):
            assert (await http.post(f"{API}/restore/notes?version={version}")).status_code == 200
            await stock("text", "bob", expected=expected)
            await ada.has_text(expected)


async def test_the_documentation_goes_back_as_it_says(server: ServerFactory) -> None:
    running = server()
    page = (Path(__file__).parents[2] / "docs" / "history.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    async with Client(running.websocket_url("notes"), saves=True) as ada:
        for words in ("one", " two"):
            ada.append(words)
            await ada.saved_all()
        with httpx.Client(base_url=running.url, trust_env=False, timeout=30) as http:
            await asyncio.to_thread(exec, example, {"http": http})
        async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as client:
            assert (await client.get(f"{API}/history/notes")).json()["head"] == 4
            assert await text(client, version=3) == "one"
        await ada.has_text("one two")
