"""Rights asked of a service over HTTP, which may answer, be slow, be silent, or talk nonsense."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from collabd.auth import elsewhere
from collabd.auth.base import ANONYMOUS, Access, Principal
from collabd.auth.elsewhere import AT_ONCE, HOLDS_SECONDS, MAX_ANSWER, AskElsewhere
from collabd.errors import Overloaded
from tests.support.clock import Clock

ADA = Principal("ada", "Ada", groups=frozenset({"staff", "chess"}), claims={"department": "research"})
PATIENCE = 15.0

Answer = Callable[[], Awaitable[Response]]


class Official:
    """The service that decides. It answers with ``answer``."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.connections: set[Any] = set()
        self.arrived = asyncio.Condition()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.redirected_to = 0
        self.answer: Answer = self.grants("write")

    def grants(self, access: Any) -> Answer:
        async def answer() -> Response:
            return JSONResponse({"access": access})

        return answer

    async def asked_times(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE), self.arrived:
            await self.arrived.wait_for(lambda: len(self.asked) >= count)

    async def decide(self, request: Request) -> Response:
        question = json.loads(await request.body())
        self.authorizations.append(request.headers.get("authorization"))
        async with self.arrived:
            self.asked.append(question)
            self.arrived.notify_all()
        await self.may_answer.wait()
        return await self.answer()

    async def elsewhere(self, request: Request) -> Response:
        self.redirected_to += 1
        return JSONResponse({"access": "admin"})


@contextlib.asynccontextmanager
async def in_office() -> AsyncIterator[Official]:
    official = Official()
    app = Starlette(
        routes=[
            Route("/rights", official.decide, methods=["POST"]),
            Route("/elsewhere", official.elsewhere, methods=["GET", "POST"]),
        ]
    )
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    official.connections = server.server_state.connections
    port = server.servers[0].sockets[0].getsockname()[1]
    official.url = f"http://127.0.0.1:{port}/rights"
    try:
        yield official
    finally:
        official.may_answer.set()
        await server.shutdown()


@pytest.fixture
async def official() -> AsyncIterator[Official]:
    async with in_office() as official:
        yield official


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
async def asks(official: Official, clock: Clock) -> AsyncIterator[AskElsewhere]:
    asks = AskElsewhere(official.url, "our secret", clock=clock, timeout=PATIENCE)
    yield asks
    await asks.close()


async def refused(asks: AskElsewhere, document: str = "notes") -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        await asks.authorize(ADA, document)
    return caught.value


async def test_the_question_says_who_asks_for_whom_and_what(official: Official, asks: AskElsewhere) -> None:
    assert await asks.authorize(ADA, "plans/ä b") is Access.WRITE
    assert official.authorizations == ["Bearer our secret"]
    assert official.asked == [
        {
            "principal": {
                "id": "ada",
                "name": "Ada",
                "groups": ["chess", "staff"],
                "claims": {"department": "research"},
            },
            "document": "plans/ä b",
        }
    ]


async def test_without_a_secret_none_is_sent(official: Official) -> None:
    asks = AskElsewhere(official.url, timeout=PATIENCE)
    assert await asks.authorize(ANONYMOUS, "notes") is Access.WRITE
    assert official.authorizations == [None]
    assert official.asked[0]["principal"]["id"] == "anonymous"
    await asks.close()


@pytest.mark.parametrize("access", list(Access))
async def test_every_right_can_be_answered(access: Access, official: Official, asks: AskElsewhere) -> None:
    official.answer = official.grants(access.name.lower())
    assert await asks.authorize(ADA, "notes") is access


async def test_an_answer_holds_for_its_seconds_and_no_longer(
    official: Official, asks: AskElsewhere, clock: Clock
) -> None:
    assert await asks.authorize(ADA, "notes") is Access.WRITE
    official.answer = official.grants("none")
    clock.now += HOLDS_SECONDS - 0.001
    assert await asks.authorize(ADA, "notes") is Access.WRITE
    assert len(official.asked) == 1
    clock.now += 0.001
    assert await asks.authorize(ADA, "notes") is Access.NONE
    assert len(official.asked) == 2


async def test_an_answer_is_about_one_person_and_one_document(official: Official, asks: AskElsewhere) -> None:
    await asks.authorize(ADA, "notes")
    official.answer = official.grants("none")
    assert await asks.authorize(ADA, "other") is Access.NONE
    assert await asks.authorize(Principal("eve", "Ada"), "notes") is Access.NONE
    assert await asks.authorize(ADA, "notes") is Access.WRITE


async def test_what_many_ask_at_once_is_asked_once(official: Official, asks: AskElsewhere) -> None:
    official.may_answer.clear()
    asking = [asyncio.create_task(asks.authorize(ADA, "notes")) for _ in range(50)]
    await official.asked_times(1)
    asking.append(asyncio.create_task(asks.authorize(ADA, "notes")))
    # One who gives up takes the answer from nobody else.
    asking.pop(0).cancel()
    official.may_answer.set()
    assert await asyncio.gather(*asking) == [Access.WRITE] * 50
    assert len(official.asked) == 1


async def test_only_so_many_questions_are_under_way(official: Official, asks: AskElsewhere) -> None:
    official.may_answer.clear()
    asking = [asyncio.create_task(asks.authorize(ADA, f"notes/{number}")) for number in range(AT_ONCE + 8)]
    await official.asked_times(AT_ONCE)
    assert len(official.asked) == AT_ONCE
    official.may_answer.set()
    assert await asyncio.gather(*asking) == [Access.WRITE] * (AT_ONCE + 8)


async def test_what_is_remembered_is_bounded(
    official: Official, asks: AskElsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "MAX_REMEMBERED", 3)
    for number in range(10):
        await asks.authorize(ADA, f"notes/{number}")
    assert len(asks._answers) <= 3


# No answer, no access


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 1024
        await asyncio.sleep(0)  # lets it be noticed that nobody listens any more


BAD: dict[str, Response | Callable[[], Response]] = {
    "not for you": JSONResponse({"access": "admin"}, 401),
    "an error": JSONResponse({"access": "admin"}, 500),
    "not at the moment": JSONResponse({"access": "admin"}, 503),
    "elsewhere, to be asked": RedirectResponse("/elsewhere", 307),
    "elsewhere, to be looked at": RedirectResponse("/elsewhere", 302),
    "nothing": Response(b"", 200),
    "no content": Response(status_code=204),
    "no JSON": Response(b"write"),
    "not UTF-8": Response(b'{"access": "\xff\xfe\xfd"}'),
    "half": Response(b'{"access": "wri'),
    "a list": JSONResponse(["write"]),
    "text": JSONResponse("write"),
    "null": JSONResponse(None),
    "no access": JSONResponse({"right": "write"}),
    "true": JSONResponse({"access": True}),
    "a number": JSONResponse({"access": 3}),
    "another right": JSONResponse({"access": "owner"}),
    "large letters": JSONResponse({"access": "WRITE"}),
    "a list of rights": JSONResponse({"access": ["write"]}),
    "an object of rights": JSONResponse({"access": {"write": True}}),
    "deep": Response(b"[" * (MAX_ANSWER - 1)),
    "a large number": Response(b'{"access": ' + b"9" * (MAX_ANSWER - 20) + b"}"),
    "too much": Response(b'{"access": "write"}' + b" " * MAX_ANSWER),
    "too much, inflated": Response(b"\x1f\x8b garbage", headers={"Content-Encoding": "gzip"}),
    "no end": lambda: StreamingResponse(_endless()),
}


@pytest.mark.parametrize("name", BAD)
async def test_nobody_gets_in_by(name: str, official: Official, asks: AskElsewhere) -> None:
    bad = BAD[name]

    async def answer() -> Response:
        return bad if isinstance(bad, Response) else bad()

    official.answer = answer
    await refused(asks)
    assert official.redirected_to == 0
    # It is not remembered: who asks again may get in.
    official.answer = official.grants("read")
    assert await asks.authorize(ADA, "notes") is Access.READ


async def test_an_answer_may_be_as_long_as_it_may_be(official: Official, asks: AskElsewhere) -> None:
    text = b'{"access": "write"}'

    async def answer() -> Response:
        return Response(text + b" " * (MAX_ANSWER - len(text)))

    official.answer = answer
    assert await asks.authorize(ADA, "notes") is Access.WRITE


async def test_nobody_gets_in_while_the_service_hangs(official: Official, clock: Clock) -> None:
    official.may_answer.clear()
    asks = AskElsewhere(official.url, clock=clock, timeout=0.05)
    await refused(asks)
    official.may_answer.set()
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(Overloaded):  # it may well take longer than that
                assert await asks.authorize(ADA, "notes") is Access.WRITE
                break
    await asks.close()


async def test_nobody_gets_in_while_an_answer_drips(official: Official, clock: Clock) -> None:
    is_over = asyncio.Event()

    async def drip() -> AsyncIterator[bytes]:
        # Each byte is in time, all of them are not.
        while not is_over.is_set():
            yield b" "
            await asyncio.sleep(0.01)

    async def answer() -> Response:
        return StreamingResponse(drip())

    official.answer = answer
    asks = AskElsewhere(official.url, clock=clock, timeout=0.2)
    await refused(asks)
    is_over.set()
    await asks.close()


async def test_nobody_gets_in_while_nothing_listens(clock: Clock) -> None:
    async with in_office() as official:
        asks = AskElsewhere(official.url, clock=clock, timeout=PATIENCE)
        assert await asks.authorize(ADA, "notes") is Access.WRITE
    clock.now += HOLDS_SECONDS
    await refused(asks)
    await asks.close()


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_nobody_gets_in_by_what_is_no_http(said: bytes, clock: Clock) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        asks = AskElsewhere(f"http://127.0.0.1:{port}/", clock=clock, timeout=PATIENCE)
        await refused(asks)
        await asks.close()


async def test_those_who_ask_together_are_refused_together(official: Official, asks: AskElsewhere) -> None:
    official.may_answer.clear()

    async def answer() -> Response:
        return Response(status_code=500)

    official.answer = answer
    asking = [asyncio.create_task(asks.authorize(ADA, "notes")) for _ in range(5)]
    await official.asked_times(1)
    official.may_answer.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Overloaded] * 5
    assert len(official.asked) == 1


async def test_a_claim_that_is_no_json_lets_nobody_in(official: Official, asks: AskElsewhere) -> None:
    odd = Principal("ada", "Ada", claims={"when": object()})
    with pytest.raises(Overloaded):
        await asks.authorize(odd, "notes")
    assert official.asked == []


async def test_what_is_refused_says_nothing_of_the_service(official: Official, asks: AskElsewhere) -> None:
    async def answer() -> Response:
        return Response(b"the database of the service is at 10.0.0.1", 500)

    official.answer = answer
    error = await refused(asks)
    assert "127.0.0.1" not in str(error)
    assert "10.0.0.1" not in error.close_reason


async def test_nothing_is_left_once_it_is_closed(official: Official, asks: AskElsewhere) -> None:
    await asks.authorize(ADA, "notes")
    assert len(official.connections) == 1
    await asks.close()
    async with asyncio.timeout(PATIENCE):
        while official.connections:
            await asyncio.sleep(0)
    await asks.close()


async def test_a_question_under_way_ends_when_it_is_closed(official: Official, asks: AskElsewhere) -> None:
    official.may_answer.clear()
    asking = asyncio.create_task(asks.authorize(ADA, "notes"))
    await official.asked_times(1)
    await asks.close()
    with pytest.raises(Overloaded):
        async with asyncio.timeout(PATIENCE):
            await asking
    assert not asks._asking
