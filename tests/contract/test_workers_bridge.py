"""What the bridge between processes of one machine promises beyond the contract: about its hub, and about
processes that hang."""

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collabd.bridge import hub, workers
from collabd.bridge.hub import Kind, pack_names, passing_on
from collabd.bridge.outgoing import Limits
from collabd.bridge.workers import WorkersBridge
from collabd.frames import frame
from tests.support.bridges import KEY, WAIT_SECONDS, Hearer, hears, holds, nothing_raised
from tests.support.proxy import proxied_socket

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
async def quiet() -> AsyncIterator[None]:
    async with nothing_raised():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the hub's socket is."""
    return tmp_path / "hub"


@contextlib.asynccontextmanager
async def node(
    path: Path, *, limits: Limits | None = None, patience: float = WAIT_SECONDS
) -> AsyncIterator[tuple[WorkersBridge, Hearer]]:
    """A node for the length of the block."""
    bridge = WorkersBridge(path, KEY, limits=limits, patience=patience, longest_pause=0.05)
    hearer = Hearer()
    await bridge.start(hearer)
    yield bridge, hearer
    await bridge.close()


class Frozen:
    """A hub for one node that answers what is followed first, and reads nothing else until it is told to."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.ended = asyncio.Event()
        self.received = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readexactly(len(frame(Kind.FOLLOW, 1)))
        writer.write(question)
        await self.goes_on.wait()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                self.received += len(data)
        writer.close()
        self.ended.set()


@contextlib.asynccontextmanager
async def frozen(path: Path) -> AsyncIterator[Frozen]:
    there = Frozen()
    server = await asyncio.start_unix_server(there.serve, path, limit=1 << 10)
    yield there
    there.goes_on.set()
    await there.ended.wait()
    server.close()
    path.unlink()


async def test_only_the_hub_s_user_can_connect(path: Path) -> None:
    async with passing_on(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_hub_that_comes_later_is_found(path: Path) -> None:
    async with node(path, patience=0.01) as (one, at_one):
        assert not one.is_up
        await holds(lambda: "cannot be reached" in one.trouble)
        assert not await one.subscribe("notes")
        async with passing_on(path), node(path) as (two, _):
            await at_one.told("up")
            await hears(two, at_one, "notes")


async def test_when_the_hub_is_replaced_everybody_is_told_and_hears_of_the_gap(path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with passing_on(path):
            nodes = [await stack.enter_async_context(node(path)) for _ in range(3)]
            for bridge, _ in nodes:
                assert await bridge.subscribe("notes")
            for _, hearer in nodes[1:]:
                await hears(nodes[0][0], hearer, "notes")
        for bridge, hearer in nodes:
            await hearer.told("up", "down")
            bridge.publish("notes", b"lost")
        async with passing_on(path):
            for _, hearer in nodes:
                await hearer.told("up", "down", "up")
            for bridge, _ in nodes:
                bridge.publish("notes", b"heard")
            for _, hearer in nodes:
                await hearer.until(lambda hearer=hearer: hearer.payloads("notes")[-2:] == [b"heard"] * 2)  # type: ignore[misc]
            # From the first node the others had heard before.
            assert [hearer.gaps for _, hearer in nodes] == [[], ["notes"], ["notes"]]
            assert all(bridge.figures.interruptions == 1 for bridge, _ in nodes)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", frame(9, 1), frame(Kind.PUBLISH, 1, b"\xff")])
async def test_whoever_speaks_something_else_is_cut_off(path: Path, sent: bytes) -> None:
    async with passing_on(path), node(path) as (one, _), node(path) as (two, at_two):
        assert await two.subscribe("notes")
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(sent)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        await hears(one, at_two, "notes")


async def test_who_does_not_take_in_what_is_sent_is_cut_off_and_nobody_waits(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hub, "MAX_BACKLOG", 3_000_000)
    async with passing_on(path), node(path) as (one, _), node(path) as (two, at_two):
        assert await two.subscribe("notes")
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(frame(Kind.FOLLOW, 1, pack_names([b"notes"])))
        await reader.readexactly(len(frame(Kind.FOLLOW, 1)))
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(1, 41):
            one.publish("notes", b"x" * 500_000)
            await at_two.has(number)
        assert "cut off" in caplog.text
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            assert len(await reader.read()) < 40 * 500_000
        writer.close()
        assert two.is_up


async def test_nothing_is_sent_to_who_does_not_follow_any_more(path: Path) -> None:
    async with passing_on(path), node(path) as (one, _):
        reader, writer = await asyncio.open_unix_connection(path)
        names = pack_names([b"notes", b"other"])
        writer.write(frame(Kind.FOLLOW, 1, names) + frame(Kind.UNFOLLOW, 0, pack_names([b"notes", b"never"])))
        writer.write(frame(Kind.FOLLOW, 2))
        await reader.readexactly(2 * len(frame(Kind.FOLLOW, 1)))
        one.publish("notes", b"nobody hears")
        one.publish("other", b"heard")
        heard = await reader.read(1 << 16)
        assert b"other" in heard
        assert b"notes" not in heard
        writer.close()


async def test_what_comes_late_is_heard_no_more(path: Path) -> None:
    late, on_time = (frame(Kind.PUBLISH, 0, pack_names([name]) + b"sealed") for name in (b"notes", b"other"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(frame(Kind.FOLLOW, 1))))
        await reader.readexactly(len(frame(Kind.FOLLOW, 2, pack_names([b"other"]))))
        writer.write(frame(Kind.FOLLOW, 2) + late + on_time)
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(serve, path), node(path) as (one, hearer):
        assert await one.subscribe("other")
        await holds(lambda: one.figures.refused)
        assert one.figures.refused == {"malformed": 1}
        assert hearer.states == ["up"]


async def test_a_hub_that_hangs_costs_no_more_than_the_queue(path: Path) -> None:
    async with frozen(path) as there, node(path, limits=Limits(size=2_000_000)) as (one, at_one):
        for _ in range(200):
            one.publish("notes", b"x" * 50_000)
            await asyncio.sleep(0)
        assert one.figures.published == 200
        assert one.figures.dropped > 100
        assert one._connection is not None
        assert one._connection.link.backlog < workers.MAX_BACKLOG + 2_000_000
        there.goes_on.set()
        kept = 200 - one.figures.dropped
        await holds(lambda: there.received > kept * 50_000)
        assert one.figures.dropped == 200 - kept
        assert at_one.states == ["up"]


async def test_leaving_waits_for_a_hub_that_hangs_only_so_long(path: Path) -> None:
    async with frozen(path):
        bridge = WorkersBridge(path, KEY)
        await bridge.start(Hearer())
        bridge._patience = 0.05
        for _ in range(100):
            bridge.publish("notes", b"x" * 50_000)
        await bridge.close()
        assert not bridge.is_up


async def test_a_subscription_that_is_answered_late_is_told(path: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    async with (
        passing_on(path),
        proxied_socket(path, slow) as proxy,
        node(path) as (one, _),
        node(slow, patience=0.02) as (two, at_two),
    ):
        await at_two.told("up")
        proxy.flowing.clear()
        assert not await two.subscribe("notes")
        assert not await two.subscribe("notes")
        assert not await two.subscribe("given up")
        waiting = asyncio.ensure_future(two.subscribe("left"))
        await asyncio.sleep(0)
        two.unsubscribe("left")
        assert not await waiting
        two.unsubscribe("given up")
        proxy.flowing.set()
        await at_two.until(lambda: at_two.stand)
        await hears(one, at_two, "notes")
        assert at_two.stand == ["notes"]
        assert await two.subscribe("notes")


async def test_an_old_answer_is_not_taken_for_that_to_a_new_subscription(path: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    async with passing_on(path), proxied_socket(path, slow) as proxy, node(slow) as (one, _):
        proxy.flowing.clear()
        first = asyncio.ensure_future(one.subscribe("notes"))
        await asyncio.sleep(0)
        one.unsubscribe("notes")
        again = asyncio.ensure_future(one.subscribe("notes"))
        await asyncio.sleep(0)
        connection = one._connection
        assert connection is not None
        connection._on_following(2)
        assert not connection._standing
        connection._asked[2] = ([], asyncio.get_running_loop().create_future())  # its answer comes once more
        proxy.flowing.set()
        assert not await first
        assert await again


async def test_what_is_followed_while_it_connects_is_followed_once_it_is_up(
    path: Path, tmp_path: Path
) -> None:
    slow = tmp_path / "slow"
    async with passing_on(path), proxied_socket(path, slow) as proxy, node(path) as (one, _):
        proxy.flowing.clear()
        async with node(slow, patience=0) as (two, at_two):
            await holds(lambda: two._connection)
            assert not await two.subscribe("notes")
            assert not await two.subscribe("other")
            two.unsubscribe("other")
            assert not await two.subscribe("other")
            two.unsubscribe("notes")
            proxy.flowing.set()
            await at_two.told("up")
            one.publish("notes", b"nobody hears")
            await hears(one, at_two, "other")
            assert at_two.heard == []


async def test_who_is_cut_off_while_it_waits_for_a_subscription_does_not_wait_on(
    path: Path, tmp_path: Path
) -> None:
    slow = tmp_path / "slow"
    async with passing_on(path), proxied_socket(path, slow) as proxy, node(slow) as (one, at_one):
        proxy.flowing.clear()
        waiting = asyncio.ensure_future(one.subscribe("notes"))
        await asyncio.sleep(0)
        proxy.refusing = True
        proxy.flowing.set()
        proxy.cut_all()
        await at_one.until(lambda: at_one.states[-1] == "down")
        await waiting
        proxy.refusing = False
        await at_one.told("up", "down", "up")
        assert await one.subscribe("notes")
