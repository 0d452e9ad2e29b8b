"""The figures of several processes: what is added up, and what a process that ended or hangs leaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from collabd import tally
from collabd.frames import Link, frame
from collabd.sockets import short
from collabd.tally import Kind, Reporter, adding_up, pack, unpack
from collabd.telemetry import Telemetry


def read(text: bytes) -> dict[str, float]:
    """Every sample by name and labels, as Prometheus would read it."""
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@contextlib.asynccontextmanager
async def reporting(path: Path, telemetry: Telemetry) -> AsyncIterator[Reporter]:
    reporter = Reporter(path, telemetry.registry)
    async with reporter.running():
        yield reporter


@contextlib.asynccontextmanager
async def one_that_never_answers(path: Path) -> AsyncIterator[None]:
    ended = asyncio.Event()
    link = Link(lambda *_: None, ended.set)
    with short(path) as address:
        await asyncio.get_running_loop().create_unix_connection(lambda: link, address)
    yield
    link.abort()
    await ended.wait()


async def test_one_process_of_three_knows_the_figures_of_all(tmp_path: Path) -> None:
    supervisor, one, two = Telemetry(), Telemetry(), Telemetry()
    path = tmp_path / "tally"
    async with (
        adding_up(path, supervisor.registry),
        reporting(path, one) as first,
        reporting(path, two) as second,
    ):
        one.joined("notes", 1, "anonymous", "127.0.0.1:1")
        two.joined("notes", 1, "anonymous", "127.0.0.1:2")
        two.joined("notes", 2, "anonymous", "127.0.0.1:3")
        two.left("notes", 2, "anonymous", 1000, "", 1.0, 0)
        one.refused("not-allowed")
        two.refused("too-large")
        supervisor.committed(updates=1, size=10, seconds=0.002)
        one.committed(updates=2, size=20, seconds=0.004)
        one.room_opened("notes", 0.02)
        two.room_opened("notes", 7.0)
        for reporter in (first, second):
            seen = read(await reporter.exposition())
            assert (
                seen.items()
                >= {
                    "collabd_connections": 2,
                    "collabd_joins_total": 3,
                    "collabd_leaves_total{code=1000}": 1,
                    "collabd_refusals_total{code=not-allowed}": 1,
                    "collabd_refusals_total{code=too-large}": 1,
                    "collabd_updates_total": 3,
                    "collabd_update_bytes_total": 30,
                    "collabd_commit_seconds_count": 2,
                    "collabd_commit_seconds_bucket{le=0.0025}": 1,
                    "collabd_commit_seconds_bucket{le=0.005}": 2,
                    "collabd_rooms": 2,
                    "collabd_room_load_seconds_bucket{le=5.0}": 1,
                    "collabd_room_load_seconds_bucket{le=+Inf}": 2,
                }.items()
            )
            assert seen["collabd_room_load_seconds_sum"] == pytest.approx(7.02)
            # All of them are this process; only what it makes no sense to add is not three times as much.
            alone = read(one.exposition())
            assert seen["process_start_time_seconds"] == alone["process_start_time_seconds"]
            assert seen["process_max_fds"] == alone["process_max_fds"]
            assert seen["process_open_fds"] == alone["process_open_fds"]
            assert seen["process_resident_memory_bytes"] > 2 * alone["process_resident_memory_bytes"]
            assert seen.keys() >= alone.keys()


async def test_what_a_process_counted_stays_when_it_ends_and_what_it_had_does_not(tmp_path: Path) -> None:
    supervisor, one, two = Telemetry(), Telemetry(), Telemetry()
    path = tmp_path / "tally"
    async with adding_up(path, supervisor.registry), reporting(path, one) as first:
        for number in (1, 2):
            async with reporting(path, two):
                two.joined("notes", number, "anonymous", "127.0.0.1:2")
                two.committed(updates=1, size=10, seconds=0.002)
                seen = read(await first.exposition())
                assert seen["collabd_connections"] == number
            while (seen := read(await first.exposition()))["collabd_connections"] != 0:
                await asyncio.sleep(0.01)
            # The second time, what was there before counts once more: here it is the same process again.
            assert seen["collabd_joins_total"] == seen["collabd_updates_total"] == (1, 3)[number - 1]
            assert seen["collabd_commit_seconds_count"] == (1, 3)[number - 1]


async def test_a_process_that_does_not_answer_counts_with_what_it_said_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, one = Telemetry(), Telemetry()
    path = tmp_path / "tally"
    async with adding_up(path, supervisor.registry), reporting(path, one) as first:
        one.refused("too-large")
        await first.exposition()
        monkeypatch.setattr(tally, "PATIENCE", 0.05)
        async with one_that_never_answers(path):
            for _ in range(2):
                seen = read(await first.exposition())
                assert seen["collabd_refusals_total{code=too-large}"] == 1


async def test_a_supervisor_that_goes_or_hangs_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "PATIENCE", 30.0)
    path = tmp_path / "tally"
    async with contextlib.AsyncExitStack() as stack:
        serving = await stack.enter_async_context(contextlib.AsyncExitStack())
        await serving.enter_async_context(adding_up(path, Telemetry().registry))
        reporter = await stack.enter_async_context(reporting(path, Telemetry()))
        await stack.enter_async_context(one_that_never_answers(path))
        asking = asyncio.create_task(reporter.exposition())
        await asyncio.sleep(0)
        await serving.aclose()
        with pytest.raises(ConnectionError, match="the supervisor is gone"):
            await asking
        monkeypatch.setattr(tally, "ANSWER_SECONDS", 0.01)
        with pytest.raises(TimeoutError):
            await reporter.exposition()


@pytest.mark.parametrize("kind", [Kind.OWN, 7])
async def test_one_that_says_what_no_worker_says_is_cut_off(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "tally"
    ended = asyncio.Event()
    link = Link(lambda *_: None, ended.set)
    async with adding_up(path, Telemetry().registry):
        with short(path) as address:
            await asyncio.get_running_loop().create_unix_connection(lambda: link, address)
        link.send(frame(kind, 0, b"no figures"))
        await ended.wait()


def test_figures_arrive_as_they_were_packed() -> None:
    registry = CollectorRegistry()
    Counter("seen", "What was seen.", ["kind"], registry=registry).labels('a "b" \\ é').inc(3)
    Gauge("level", "How much there is.", registry=registry).set(float("inf"))
    Histogram("took", "How long.", buckets=(0.1, 1.0), registry=registry).observe(0.5)
    sent, received = list(registry.collect()), unpack(pack(registry.collect()))
    assert [(each.name, each.documentation, each.type) for each in received] == [
        (each.name, each.documentation, each.type) for each in sent
    ]
    assert [sample[:3] for each in received for sample in each.samples] == [
        sample[:3] for each in sent for sample in each.samples
    ]
