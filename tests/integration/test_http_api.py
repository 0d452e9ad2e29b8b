"""The HTTP API of a real server: what scripts write, editors see, and the other way round."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pycrdt import Doc, Text
from starlette.routing import Route

from collabd import Settings, create_app
from tests.support import RunningServer
from tests.support.clients import Client
from tests.support.watching import ServerFactory

API = "/api/v1/documents"


@pytest.fixture
def running(server: ServerFactory) -> RunningServer:
    return server(options=["--max-body-bytes", "2000", "--room-idle-seconds", "0"])


@pytest.fixture
async def http(running: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as client:
        yield client


async def put(
    http: httpx.AsyncClient, name: str, content: str | bytes, media_type: str = "text/plain"
) -> httpx.Response:
    return await http.put(f"{API}/{quote(name)}", content=content, headers={"Content-Type": media_type})


async def read(http: httpx.AsyncClient, name: str, form: str = "text") -> str:
    answer = await http.get(f"{API}/{quote(name)}", params={"format": form})
    assert answer.status_code == 200, answer.text
    return answer.text


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    return answer.status_code, problem["code"]


async def test_what_editors_write_scripts_read(running: RunningServer, http: httpx.AsyncClient) -> None:
    async with Client(running.websocket_url("notes"), saves=True) as ada:
        ada.append("Grüße 👋")
        await ada.saved_all()
        assert await read(http, "notes") == "Grüße 👋"
        update = await http.get(f"{API}/notes?format=update")
        copy: Doc[Any] = Doc()
        copy.apply_update(update.content)
        assert str(copy.get("content", type=Text)) == "Grüße 👋"
        vector = await http.get(f"{API}/notes?format=state-vector")
        assert vector.content == copy.get_state()


async def test_what_scripts_write_editors_see(running: RunningServer, http: httpx.AsyncClient) -> None:
    async with Client(running.websocket_url("notes")) as ada:
        await ada.synced()
        created = await put(http, "notes", "# Hello", "text/markdown")
        assert (created.status_code, created.headers["location"]) == (201, f"{API}/notes")
        await ada.has_text("# Hello")
        ada.unsent = []
        ada.append(" there")
        first = await http.patch(f"{API}/notes", content=ada.unsent[0])
        again = await http.patch(f"{API}/notes", content=ada.unsent[0])
        assert first.json() == again.json() == {"seq": created.json()["seq"] + 1}
    assert await read(http, "notes", "markdown") == "# Hello there"
    page = await http.get(f"{API}/notes", headers={"Accept": "text/html,*/*;q=0.5"})
    assert "<h1>Hello there</h1>" in page.text


async def test_content_is_put_in_exactly_once(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(put(http, "notes", "once") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 9]
    assert await read(http, "notes") == "once"
    assert refusal(await put(http, "notes", "twice")) == (409, "exists")


async def test_an_unchanged_document_is_not_sent_again(
    running: RunningServer, http: httpx.AsyncClient
) -> None:
    await put(http, "notes", "one")
    first = await http.get(f"{API}/notes?format=text")
    tag = first.headers["etag"]
    known = await http.get(f"{API}/notes?format=text", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", f"W/{tag}")
    assert (await http.get(f"{API}/notes?format=json")).headers["etag"] != tag
    assert (await http.get(f"{API}/notes?format=text&root=content")).headers["etag"] != tag
    await asyncio.to_thread(running.kill)
    await asyncio.to_thread(running.start)
    assert (await http.get(f"{API}/notes?format=text")).headers["etag"] == tag, "the same after a restart"
    async with Client(running.websocket_url("notes"), saves=True) as ada:
        await ada.synced()
        ada.append("!")
        await ada.saved_all()
    changed = await http.get(f"{API}/notes?format=text", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.text) == (200, "one!")
    head = await http.head(f"{API}/notes?format=text")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", changed.headers["etag"])


async def test_a_deleted_document_stays_deleted_until_it_is_made_anew(
    running: RunningServer, http: httpx.AsyncClient
) -> None:
    first = await put(http, "notes", "old")
    async with Client(running.websocket_url("notes")) as ada:
        await ada.has_text("old")
        assert (await http.delete(f"{API}/notes")).status_code == 204
        assert await ada.closed() == 4410
        assert ada.close_reason.startswith("deleted: ")
        await ada.close()
        ada.append(" offline")
        await ada.connect()
        assert await ada.closed() == 4410
    for answer in (
        await http.get(f"{API}/notes"),
        await http.patch(f"{API}/notes", content=ada.last_edit),
        await http.delete(f"{API}/notes"),
    ):
        assert refusal(answer) == (410, "deleted")
    assert (await http.get(API)).json()["documents"] == []
    second = await put(http, "notes", "new")
    assert second.json()["id"] != first.json()["id"]
    assert await read(http, "notes") == "new"


async def test_documents_are_listed_by_name_in_pages(http: httpx.AsyncClient) -> None:
    names = [f"n/{number}" for number in range(7)] + ["m", "n", "ñ/é"]
    for name in names:
        await put(http, name, name)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await http.get(API, params={"limit": 3, "after": after})).json()
        seen += [document["name"] for document in page["documents"]]
        after = page["next"]
    assert seen == sorted(names)
    some = (await http.get(API, params={"prefix": "n/"})).json()
    assert [document["name"] for document in some["documents"]] == names[:7]
    document = some["documents"][0]
    assert document["updates"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["created_at"])


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "1e3", "٣"])
async def test_a_limit_that_makes_no_sense_is_refused(http: httpx.AsyncClient, limit: str) -> None:
    assert refusal(await http.get(API, params={"limit": limit})) == (400, "malformed")


async def test_bad_requests_are_refused_with_their_codes_and_change_nothing(http: httpx.AsyncClient) -> None:
    await put(http, "notes", "stays")
    for answer, expected in (
        (await http.get(f"{API}/missing"), (404, "no-such-document")),
        (await http.patch(f"{API}/missing", content=b"\0\0"), (404, "no-such-document")),
        (await http.delete(f"{API}/missing"), (404, "no-such-document")),
        (await http.get(f"{API}/notes?format=docx"), (406, "unsupported-format")),
        (await http.get(f"{API}/notes", headers={"Accept": "image/png"}), (406, "unsupported-format")),
        (await http.get(f"{API}/notes?format=text&root=nope"), (406, "unsupported-format")),
        (await http.get(f"{API}/notes?format=ipynb"), (406, "unsupported-format")),
        (await http.get(f"{API}/a/../notes%00"), (422, "invalid-name")),
        (await http.get(f"{API}/{'x' * 256}"), (422, "invalid-name")),
        (await put(http, "new", b"\xff", "text/plain"), (400, "malformed")),
        (await put(http, "new", b"{}", "application/x-ipynb+json"), (400, "malformed")),
        (await put(http, "new", b"\x01\x01\xff", "application/octet-stream"), (400, "malformed")),
        (await put(http, "new", b"\0\0", "application/octet-stream"), (400, "malformed")),
        (await put(http, "new", b"x", "image/png"), (415, "unsupported-media-type")),
        (await put(http, "new", "x" * 2001), (413, "too-large")),
        (await http.patch(f"{API}/notes", content=b"\x01\x01\x07\0\0\0\0"), (400, "malformed")),
        (await http.patch(f"{API}/notes", content=bytes(2001)), (413, "too-large")),
        (await http.post(f"{API}/notes"), (405, "method-not-allowed")),
        (await http.post(API), (405, "method-not-allowed")),
    ):
        assert refusal(answer) == expected, answer.request.url
    assert await read(http, "notes") == "stays"
    assert [document["name"] for document in (await http.get(API)).json()["documents"]] == ["notes"]


async def test_html_cannot_run_anything(http: httpx.AsyncClient) -> None:
    await put(http, "x", "<script>alert(1)</script>[a](javascript:alert(1))", "text/markdown")
    page = await http.get(f"{API}/x?format=html")
    assert "<script" not in page.text
    assert 'href="javascript' not in page.text
    assert "sandbox" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_a_download_is_named_after_the_document(http: httpx.AsyncClient) -> None:
    name = 'a/b "ü"'
    await put(http, name, "text")
    answer = await http.get(f"{API}/{quote(name)}?format=markdown&download=1")
    disposition = answer.headers["content-disposition"]
    assert disposition == "attachment; filename=\"b ___.md\"; filename*=UTF-8''b%20%22%C3%BC%22.md"


async def test_the_description_names_every_route_and_verb(http: httpx.AsyncClient) -> None:
    described = (await http.get("/openapi.json")).json()
    served = {
        re.sub(":path}", "}", route.path)
        for route in create_app(Settings()).routes
        if isinstance(route, Route) and not route.path.startswith(("/d/", "/ws/"))
    }
    assert served - {"/"} == set(described["paths"])
    assert json.dumps(described).count("#/components/schemas/Problem") > 10
    document = described["paths"]["/api/v1/documents/{document}"]
    assert set(document) == {"parameters", "get", "put", "patch", "delete"}
