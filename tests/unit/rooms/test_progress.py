"""Whoever waits hears of what comes next, not of what was."""

import asyncio

import pytest

from collabd.rooms.progress import Progress

from .kit import turns

pytestmark = pytest.mark.timeout(20)


async def test_everybody_who_waits_is_woken_once() -> None:
    progress = Progress()
    progress.set()
    waiting = [asyncio.create_task(progress.wait()) for _ in range(3)]
    await turns()
    assert not any(task.done() for task in waiting), "what was before counts for nothing"
    progress.set()
    await asyncio.gather(*waiting)
    late = asyncio.create_task(progress.wait())
    await turns()
    assert not late.done()
    progress.set()
    await late


async def test_one_who_gives_up_keeps_nobody_else_waiting() -> None:
    progress = Progress()
    waiting = [asyncio.create_task(progress.wait()) for _ in range(2)]
    await turns()
    waiting[0].cancel()
    await turns()
    progress.set()
    await waiting[1]
