"""What goes over the wire compressed, and that nothing else about an answer changes by it."""

import gzip
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.middleware.gzip import GZipResponder

from collabd import Settings, create_app
from collabd.web import pages
from collabd.web.compression import IN_A_THREAD, WORTH_IT

API = "/api/v1"
DOCUMENT = f"{API}/documents/notes"
GZIP = {"Accept-Encoding": "gzip"}
WORDS = "".join(f"- this is line {number}\n" for number in range(200))


@pytest.fixture
async def http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    assets = tmp_path / "static" / "assets"
    assets.mkdir(parents=True)
    (assets / "page-12345678.js").write_text("export const page = 1\n" * 1_000)
    (assets / "font-12345678.woff2").write_bytes(bytes(10_000))
    monkeypatch.setattr(pages, "STATIC", tmp_path / "static")
    app = create_app(Settings(store=f"sqlite:///{tmp_path / 'documents.db'}"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://127.0.0.1",
            headers={"Accept-Encoding": "identity"},
        ) as client,
    ):
        put = await client.put(DOCUMENT, content=WORDS, headers={"Content-Type": "text/markdown"})
        assert put.status_code == 201
        yield client


def vary(answer: httpx.Response) -> set[str]:
    return {name.strip() for name in answer.headers.get("vary", "").split(",")} - {""}


async def raw(http: httpx.AsyncClient, path: str) -> bytes:
    """The body as it goes over the wire to somebody who takes gzip."""
    async with http.stream("GET", path, headers=GZIP) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        sent = b"".join([part async for part in answer.aiter_raw()])
        assert int(answer.headers.get("content-length", len(sent))) == len(sent)
        return sent


@pytest.mark.parametrize(
    "path",
    [
        *(f"{DOCUMENT}?format={form}" for form in ("update", "json", "text", "markdown", "html")),
        f"{DOCUMENT}?format=text&version=1",
        "/openapi.json",
        "/metrics",
        "/assets/page-12345678.js",
    ],
)
async def test_large_answers_are_compressed_for_those_who_take_that(
    http: httpx.AsyncClient, path: str
) -> None:
    plain = await http.get(path)
    assert "content-encoding" not in plain.headers
    assert len(plain.content) >= WORTH_IT
    sent = await raw(http, path)
    if path != "/metrics":
        assert gzip.decompress(sent) == plain.content
    assert len(sent) < len(plain.content) / 2
    packed = await http.get(path, headers=GZIP)
    assert vary(packed) == vary(plain) >= {"Accept-Encoding"}
    assert packed.headers["content-type"] == plain.headers["content-type"]


async def test_lists_and_history_are_compressed(http: httpx.AsyncClient) -> None:
    for number in range(30):
        assert (await http.patch(DOCUMENT, content=b"\0\0")).status_code == 200
        named = {"name": f"version {number}", "seq": 1}
        assert (await http.post(f"{API}/versions/notes", json=named)).status_code == 201
        text = {"Content-Type": "text/plain"}
        assert (await http.put(f"{DOCUMENT}-{number}", content="x", headers=text)).status_code == 201
    for path in (f"{API}/documents", f"{API}/diff/notes?from=0&to=1"):
        plain = await http.get(path)
        assert plain.status_code == 200, plain.text
        assert gzip.decompress(await raw(http, path)) == plain.content


@pytest.mark.parametrize("path", ["/healthz", f"{DOCUMENT}?format=state-vector", f"{API}/documents/none"])
async def test_small_answers_go_as_they_are(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers=GZIP)
    assert "content-encoding" not in answer.headers


async def test_what_is_compressed_already_is_not_compressed_again(http: httpx.AsyncClient) -> None:
    answer = await http.get("/assets/font-12345678.woff2", headers=GZIP)
    assert (answer.status_code, len(answer.content)) == (200, 10_000)
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("path", [f"{DOCUMENT}?format=text", "/assets/page-12345678.js"])
async def test_either_form_can_be_asked_for_again(http: httpx.AsyncClient, path: str) -> None:
    plain, packed = await http.get(path), await http.get(path, headers=GZIP)
    strong, weak = plain.headers["etag"], packed.headers["etag"]
    assert weak == f"W/{strong}", "the bytes differ"
    for tag, headers in ((strong, {}), (weak, GZIP), (strong, GZIP), (f'"else", {weak}', GZIP)):
        known = await http.get(path, headers={**headers, "If-None-Match": tag})
        assert (known.status_code, known.content) == (304, b"")
        assert known.headers["etag"] == tag.rpartition(", ")[2]
        assert vary(known) == vary(plain)
    assert (await http.get(path, headers={**GZIP, "If-None-Match": 'W/"else"'})).status_code == 200


async def test_a_changed_document_is_sent_again(http: httpx.AsyncClient) -> None:
    before = await http.get(f"{DOCUMENT}?format=text", headers=GZIP)
    await http.delete(DOCUMENT)
    await http.put(DOCUMENT, content=WORDS + "new", headers={"Content-Type": "text/plain"})
    after = await http.get(
        f"{DOCUMENT}?format=text", headers={**GZIP, "If-None-Match": before.headers["etag"]}
    )
    assert (after.status_code, after.headers["etag"] != before.headers["etag"]) == (200, True)
    assert after.text.endswith("new")


async def test_a_part_of_a_file_is_not_compressed(http: httpx.AsyncClient) -> None:
    path = "/assets/page-12345678.js"
    part = await http.get(path, headers={**GZIP, "Range": "bytes=0-1999"})
    assert (part.status_code, len(part.content)) == (206, 2_000)
    assert "content-encoding" not in part.headers
    assert part.headers["etag"].startswith('"')
    whole = await http.get(path, headers=GZIP)
    assert "accept-ranges" not in whole.headers, "what can be had in parts is the other form"


async def test_compressing_much_leaves_the_event_loop_to_others(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[tuple[int, bool]] = []
    compress = GZipResponder._compress_body

    def compress_and_tell(self: GZipResponder, body: bytes, more_body: bool) -> bytes:
        threads.append((len(body), threading.current_thread() is threading.main_thread()))
        return compress(self, body, more_body)

    monkeypatch.setattr(GZipResponder, "_compress_body", compress_and_tell)
    await http.put(f"{DOCUMENT}-2", content="word " * 1_000_000, headers={"Content-Type": "text/plain"})
    assert len((await http.get(f"{DOCUMENT}-2?format=text", headers=GZIP)).content) >= 5_000_000
    await http.get("/assets/page-12345678.js", headers=GZIP)
    assert max(threads)[0] >= 5_000_000
    assert not any(size >= IN_A_THREAD and is_in_loop for size, is_in_loop in threads)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "gzip, gzip"])
async def test_compressed_bodies_are_refused(http: httpx.AsyncClient, coding: str) -> None:
    body = gzip.compress(b"x" * 1_000)
    headers = {"Content-Type": "text/plain", "Content-Encoding": coding}
    answers = [
        await http.put(f"{DOCUMENT}-2", content=body, headers=headers),
        await http.patch(DOCUMENT, content=body, headers=headers),
        await http.post(f"{API}/versions/notes", content=body, headers=headers),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
        assert "Content-Encoding" in answer.json()["detail"]
        assert answer.headers["accept-encoding"] == "identity"
    assert (await http.get(f"{DOCUMENT}-2")).status_code == 404


async def test_only_the_coding_is_blamed_for_what_is_its_fault(http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "image/png", "Content-Encoding": "identity"}
    answer = await http.put(f"{DOCUMENT}-2", content=b"x", headers=headers)
    assert answer.status_code == 415
    assert "accept-encoding" not in answer.headers
