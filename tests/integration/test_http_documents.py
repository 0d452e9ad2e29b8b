"""The HTTP API in the corners: names, headers, large and strange bodies. What it is for: test_http_api."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pycrdt import Array, Doc, Map, Text

from collabd import Settings, create_app
from collabd.auth.base import Access, Principal
from collabd.formats import FORMATS

API = "/api/v1/documents"
MAX_BODY = 100_000


async def by_name(principal: Principal, document: str) -> Access:
    """Everybody may do with a document what its name says."""
    return {"secret": Access.NONE, "public": Access.READ, "draft": Access.WRITE}.get(document, Access.ADMIN)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(store=f"sqlite:///{tmp_path / 'documents.db'}", max_body_bytes=MAX_BODY)
    app = create_app(settings, authorize=by_name)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        yield client


async def put(http: httpx.AsyncClient, name: str, content: str | bytes, media_type: str) -> httpx.Response:
    return await http.put(f"{API}/{quote(name)}", content=content, headers={"Content-Type": media_type})


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "code", "detail"}
    assert problem["status"] == answer.status_code
    code: str = problem["code"]
    return code


NAMES = [
    *(
        "a",
        "a b",
        "a/b/c",
        "a?b#c",
        "a%2Fb",
        'say "a"',
        "ünï",
        "日本/🎉",
        "\u202eabc",
        "a:b",
        "-",
        "a;b=c",
        "a+b",
    ),
    "x" * 255,
]


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_works_in_a_path(http: httpx.AsyncClient, name: str) -> None:
    created = await put(http, name, "words", "text/plain")
    assert created.status_code == 201
    assert created.json()["name"] == name
    found = await http.get(created.headers["location"], params={"format": "text", "download": "1"})
    assert (found.status_code, found.text) == (200, "words")
    assert found.headers["content-disposition"].startswith("attachment; ")
    listed = (await http.get(API)).json()["documents"]
    assert [document["name"] for document in listed] == [name]
    assert (await http.delete(created.headers["location"])).status_code == 204


@pytest.mark.parametrize("path", ["", "a//b", "a/", "%00", "a%1Fb", "e%CC%81", "%FF", "x" * 256, "%E2%82"])
@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
async def test_what_is_no_name_is_refused_whatever_is_asked(
    http: httpx.AsyncClient, path: str, verb: str
) -> None:
    answer = await http.request(verb, f"{API}/{path}", content=b"a", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert verb == "HEAD" or code_of(answer) == "invalid-name"


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("secret", set()),
        ("public", {"GET", "HEAD"}),
        ("draft", {"GET", "HEAD", "PUT", "PATCH"}),
        ("other", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
    ],
)
async def test_each_verb_takes_its_right(http: httpx.AsyncClient, name: str, allowed: set[str]) -> None:
    for verb in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        answer = await http.request(
            verb, f"{API}/{name}", content=b"", headers={"Content-Type": "text/plain"}
        )
        assert (answer.status_code == 401) is (verb not in allowed)


async def test_documents_that_may_not_be_read_are_not_listed(http: httpx.AsyncClient) -> None:
    await put(http, "draft", "a", "text/plain")
    await put(http, "other", "a", "text/plain")
    listed = (await http.get(API)).json()["documents"]
    assert [document["name"] for document in listed] == ["draft", "other"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8", "us-ascii"])
async def test_text_is_utf8(http: httpx.AsyncClient, charset: str) -> None:
    assert (await put(http, "a", "a", f"text/plain; charset={charset}")).status_code == 201


@pytest.mark.parametrize(
    "media_type", ["", "text", "text/html", "text/plain; charset=latin-1", "text/markdown;charset=utf-16"]
)
async def test_other_types_of_bodies_are_refused(http: httpx.AsyncClient, media_type: str) -> None:
    answer = await put(http, "a", "a", media_type)
    assert (answer.status_code, code_of(answer)) == (415, "unsupported-media-type")


async def test_a_body_just_within_the_bound_is_taken_and_one_beyond_is_not(http: httpx.AsyncClient) -> None:
    assert (await put(http, "a", "x" * MAX_BODY, "text/plain")).status_code == 201
    assert code_of(await put(http, "b", "x" * (MAX_BODY + 1), "text/plain")) == "too-large"


@pytest.mark.parametrize("verb", ["PUT", "PATCH"])
async def test_of_a_body_without_end_only_what_is_allowed_is_read(http: httpx.AsyncClient, verb: str) -> None:
    await put(http, "a", "x", "text/plain")
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            yield b"a" * 1000

    answer = await http.request(
        verb,
        f"{API}/{'a' if verb == 'PATCH' else 'b'}",
        content=endless(),
        headers={"Content-Type": "text/plain"},
    )
    assert (answer.status_code, code_of(answer)) == (413, "too-large")
    assert sent <= MAX_BODY + 2000


async def test_a_body_said_to_be_too_large_is_refused_before_it_is_sent(http: httpx.AsyncClient) -> None:
    asked = False

    async def large() -> AsyncIterator[bytes]:
        nonlocal asked
        asked = True
        yield b"a" * (MAX_BODY + 1)

    headers = {"Content-Type": "text/plain", "Content-Length": str(MAX_BODY + 1)}
    answer = await http.put(f"{API}/a", content=large(), headers=headers)
    assert (answer.status_code, code_of(answer)) == (413, "too-large")
    assert not asked


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "ipynb"])
async def test_every_format_is_read_in_the_same_way(http: httpx.AsyncClient, form: str) -> None:
    await put(http, "a", "# words", "text/markdown")
    answer = await http.get(f"{API}/a", params={"format": form})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == FORMATS[form]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "Accept"
    tag = answer.headers["etag"]
    assert tag.startswith('"')
    head = await http.head(f"{API}/a", params={"format": form})
    assert {**head.headers} == {**answer.headers}
    known = await http.get(f"{API}/a", params={"format": form}, headers={"If-None-Match": tag})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)


async def test_each_format_and_root_has_a_tag_of_its_own_and_every_change_a_new_one(
    http: httpx.AsyncClient,
) -> None:
    doc: Doc[Any] = Doc({"a": Text("1"), "b": Text("2"), "c": Map({"d": Array([3])})})
    await put(http, "x", doc.get_update(), "application/octet-stream")

    async def tags() -> list[str]:
        queries = [{"format": form} for form in ("json", "update", "state-vector")]
        queries += [{"format": form, "root": root} for form in ("text", "html", "json") for root in "ab"]
        return [(await http.get(f"{API}/x", params=query)).headers["etag"] for query in queries]

    before = await tags()
    assert len(set(before)) == len(before)
    assert await tags() == before
    state = doc.get_state()
    doc["a"] += "!"
    assert (await http.patch(f"{API}/x", content=doc.get_update(state))).json() == {"seq": 2}
    assert set(await tags()).isdisjoint(before)
    await http.delete(f"{API}/x")
    await put(http, "x", doc.get_update(), "application/octet-stream")
    assert set(await tags()).isdisjoint(before), "another document, though it has the old one's numbers"


async def test_roots_are_chosen_by_name_and_refusals_name_them(http: httpx.AsyncClient) -> None:
    doc: Doc[Any] = Doc({"one": Text("1"), "two": Text("2"), "three": Map({"a": 3})})
    await put(http, "x", doc.get_update(), "application/octet-stream")
    assert (await http.get(f"{API}/x", params={"format": "text", "root": "two"})).text == "2"
    assert (await http.get(f"{API}/x", params={"root": "three"})).json() == {"a": 3}
    for query in (
        {"format": "text"},
        {"format": "text", "root": "three"},
        {"format": "text", "root": "four"},
    ):
        answer = await http.get(f"{API}/x", params=query)
        assert (answer.status_code, code_of(answer)) == (406, "unsupported-format")
        assert "'one' (Text)" in answer.json()["detail"]


async def test_a_notebook_goes_in_and_comes_out(http: httpx.AsyncClient) -> None:
    made = {
        "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# T\n", "words"]}],
        "metadata": {"n": 1},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    created = await put(http, "n", json.dumps(made), "application/x-ipynb+json")
    assert created.status_code == 201
    answer = await http.get(f"{API}/n", headers={"Accept": "application/x-ipynb+json"})
    assert answer.headers["content-type"] == "application/x-ipynb+json"
    assert answer.json() == made


async def test_html_is_sandboxed_and_other_formats_are_not_html(http: httpx.AsyncClient) -> None:
    await put(http, "<script>alert(1)</script>", "<script>alert(1)</script>", "text/markdown")
    path = f"{API}/{quote('<script>alert(1)</script>')}"
    page = await http.get(path, params={"format": "html"})
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy
    for form in ("json", "text", "markdown", "update"):
        answer = await http.get(path, params={"format": form}, headers={"Accept": "text/html"})
        assert "html" not in answer.headers["content-type"]


@pytest.mark.parametrize("verb", ["POST", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["", "/a"])
async def test_other_verbs_are_refused_with_those_there_are(
    http: httpx.AsyncClient, verb: str, path: str
) -> None:
    answer = await http.request(verb, f"{API}{path}")
    assert (answer.status_code, code_of(answer)) == (405, "method-not-allowed")
    allowed = "HEAD, GET, PUT, PATCH, DELETE" if path else "HEAD, GET"
    assert answer.headers["allow"] == allowed
