"""The process for heavy work: that it answers, in order, and how it ends."""

import asyncio
import contextlib
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from collabd.errors import MalformedInput, ShuttingDown, WorkFailed
from collabd.protocol.session import UpdateReceived, check_large_message
from collabd.protocol.update import check_update
from collabd.worker import LATE_NICENESS, MEMORY, ThreadRunner, Worker
from tests.support.clients import Client
from tests.support.watching import ServerFactory, children

pytestmark = pytest.mark.skipif(os.name != "posix", reason="looks at processes as POSIX has them")


@contextlib.asynccontextmanager
async def working(**arguments: object) -> AsyncIterator[Worker]:
    worker = Worker(**arguments)  # type: ignore[arg-type]
    try:
        yield worker
    finally:
        await worker.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def becomes(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_work_is_done_in_another_process_which_stays() -> None:
    async with working() as worker:
        before = worker.pid
        assert before is None, "nobody has asked for anything"
        first = await worker.run(os.getpid)
        assert first not in (os.getpid(), None)
        assert await worker.run(os.getpid) == first == worker.pid
        assert await worker.run(divmod, 7, 2) == (3, 1)
        assert len(await worker.run(bytes, 5_000_000)) == 5_000_000
    assert not is_alive(first)


async def test_our_errors_come_back_as_they_are_and_others_with_what_is_known() -> None:
    async with working() as worker:
        with pytest.raises(MalformedInput, match="the update ends early"):
            await worker.run(check_update, b"")
        with pytest.raises(WorkFailed, match="ZeroDivisionError"):
            await worker.run(divmod, 1, 0)
        pid = worker.pid
        assert await worker.run(os.getpid) == pid


async def test_calls_are_answered_in_order() -> None:
    async with working() as worker:
        done: list[int] = []

        async def call(number: int) -> None:
            assert await worker.run(abs, -number) == number
            done.append(number)

        await asyncio.gather(*(call(number) for number in range(20)))
        assert done == list(range(20))


async def test_a_call_that_takes_too_long_is_ended_and_the_next_has_a_new_process() -> None:
    async with working() as worker:
        first = await worker.run(os.getpid)
        with pytest.raises(WorkFailed, match=r"took longer than 0\.1 s"):
            await worker.run(time.sleep, 60, seconds=0.1)
        assert await worker.run(os.getpid) != first
        assert not is_alive(first)


async def test_a_crash_costs_the_call_that_crashed_and_no_other() -> None:
    async with working() as worker:
        before, crashing, after = await asyncio.gather(
            worker.run(os.getpid), worker.run(os.abort), worker.run(os.getpid), return_exceptions=True
        )
        assert isinstance(crashing, WorkFailed)
        assert isinstance(before, int)
        assert isinstance(after, int)
        assert before != after
        assert crashing.retry


async def test_a_process_that_somebody_killed_is_replaced() -> None:
    async with working() as worker:
        first = await worker.run(os.getpid)
        os.kill(first, signal.SIGKILL)
        await becomes(lambda: Path(f"/proc/{first}/stat").read_text().split()[2] == "Z")
        assert await worker.run(os.getpid) != first


async def test_without_work_the_process_ends_and_comes_back_when_there_is_some() -> None:
    async with working(idle_seconds=0.05) as worker:
        first = await worker.run(os.getpid)
        await becomes(lambda: worker.pid is None)
        await becomes(lambda: not is_alive(first))
        assert await worker.run(os.getpid) != first


async def test_closing_ends_what_is_under_way_and_what_waits() -> None:
    worker = Worker()
    pid = await worker.run(os.getpid)
    calls = [asyncio.ensure_future(worker.run(time.sleep, 60)) for _ in range(3)]
    await asyncio.sleep(0)
    await worker.close()
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(outcome, ShuttingDown)
    with pytest.raises(ShuttingDown):
        await worker.run(os.getpid)
    assert not is_alive(pid)


async def test_the_process_has_no_files_of_ours_and_leaves_the_cores_to_others(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server, working() as worker:
        pid = await worker.run(os.getpid)
        files = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert not [file for file in files if str(file).startswith("socket:")]
        assert await worker.run(os.nice, 0) >= min(19, os.nice(0) + 5)
        # Linux would share the processor out among sessions first, and then niceness has no effect.
        assert os.getsid(pid) == os.getsid(0)
        assert os.getpgid(pid) == pid


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a priority")

ITS_POLICY_AFTER = "__import__('time').sleep({}) or __import__('os').sched_getscheduler(0)"


@pytest.fixture
def satisfied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is left over is enough."""
    monkeypatch.setattr("collabd.worker.STARVED", 0.0)


@needs_linux
async def test_what_nobody_waits_for_gets_what_time_is_left_over(satisfied: None) -> None:
    async with working(awaited=False) as worker:
        pid = await worker.run(os.getpid)
        assert await worker.run(eval, ITS_POLICY_AFTER.format(0)) == os.SCHED_IDLE
        assert await worker.run(os.getpid) == pid
        with pytest.raises(WorkFailed, match=r"took longer than 0\.1 s"):
            await worker.run(time.sleep, 60, seconds=0.1)


@needs_linux
async def test_if_none_is_left_over_it_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async with working(awaited=False) as worker:
        with monkeypatch.context() as hasty:
            hasty.setattr("collabd.worker.PATIENCE", 0.1)
            assert await worker.run(eval, ITS_POLICY_AFTER.format(0.5)) == os.SCHED_OTHER
            niceness = "__import__('time').sleep(0.5) or __import__('os').nice(0)"
            assert await worker.run(eval, niceness) >= LATE_NICENESS, "less than who is waited for"
        with monkeypatch.context() as patient:
            patient.setattr("collabd.worker.STARVED", 0.0)
            assert await worker.run(eval, ITS_POLICY_AFTER.format(0)) == os.SCHED_IDLE
        with pytest.raises(WorkFailed, match=r"took longer than 0\.3 s"):
            await worker.run(time.sleep, 60, seconds=0.3)


@needs_linux
async def test_if_none_is_left_over_after_a_while_it_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collabd.worker.PATIENCE", 0.2)
    busy = "any(__import__('time').process_time() > 0.5 for _ in iter(int, 1)) and "
    async with working(awaited=False) as worker:
        assert await worker.run(eval, busy + ITS_POLICY_AFTER.format(1)) == os.SCHED_OTHER


@needs_linux
async def test_one_that_has_time_goes_on_for_long(satisfied: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collabd.worker.PATIENCE", 0.1)
    async with working(awaited=False) as worker:
        assert await worker.run(eval, ITS_POLICY_AFTER.format(0.5)) == os.SCHED_IDLE


async def test_it_is_not_stopped_by_what_stops_the_server() -> None:
    async with working() as worker:
        pid = await worker.run(os.getpid)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        assert await worker.run(os.getpid) == pid


async def test_what_a_function_prints_does_no_harm() -> None:
    async with working() as worker:
        await worker.run(os.write, 1, b"printed in the worker\n")
        assert await worker.run(abs, -1) == 1


async def test_checking_takes_no_more_than_the_protocol() -> None:
    async with working() as worker:
        update = bytes.fromhex("010105000401017401") + b"a\0"
        (event,) = await worker.run(check_large_message, b"\0\2" + bytes((len(update),)) + update)
        assert event == UpdateReceived(update, check_update(update)._replace(cuts=()))
        loaded = await worker.run(eval, "sorted(__import__('sys').modules)")
        assert "collabd.protocol.session" in loaded
        assert not {"pycrdt", "starlette", "uvicorn", "collabd.app", "collabd.rooms"} & set(loaded)


def test_the_process_ends_with_the_one_it_works_for() -> None:
    program = """
import asyncio, os
from collabd.worker import Worker
async def main():
    print(await Worker().run(os.getpid), flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    pid = int(done.stdout)
    deadline = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_a_process_that_has_become_large_is_replaced() -> None:
    async with working() as worker:
        first = await worker.run(os.getpid)
        assert len(await worker.run(operator.mul, b"x", MEMORY)) == MEMORY
        assert worker.pid is None
        assert await worker.run(os.getpid) != first


async def test_where_no_process_can_be_started_a_thread_does_the_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for worker in (Worker(executable="/nowhere/python"), Worker(executable=""), ThreadRunner()):
        assert await worker.run(os.getpid) == os.getpid()
        with pytest.raises(MalformedInput):
            await worker.run(check_update, b"")
        if isinstance(worker, Worker):
            await worker.close()
    assert caplog.text.count("no process can be started") == 1


async def test_a_server_has_one_only_when_it_needs_one_and_takes_it_along(server: ServerFactory) -> None:
    running = server()
    async with Client(running.websocket_url("notes"), saves=True) as ada:
        ada.append("small")
        await ada.saved_all()
        assert children(running.process.pid) == []
        ada.append("x" * 100_000)
        await ada.saved_all()
    (pid,) = children(running.process.pid)
    assert await asyncio.to_thread(running.terminate) == 0
    assert not is_alive(pid)
