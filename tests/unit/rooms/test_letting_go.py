"""What has ended goes at once: nothing is left that only holds itself, for which the loop would have to be
stopped."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from .kit import House, Member, calm


@pytest.fixture(autouse=True)
def no_search() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_a_room_and_its_peers_are_gone_when_they_have_ended() -> None:
    house = House(idle_seconds=0)
    ended: list[weakref.ref[Any]] = []

    async def meet() -> None:
        room = await house.room()
        ada, ben = Member(room, 1).join(), Member(room, 2).join()
        ada.show('{"name":"Ada"}', 1)
        for word in ("one ", "two ", "three "):
            ada.type(word)
        await calm(room, [ada, ben])
        ada.leave()
        ben.leave()
        ended.extend(weakref.ref(thing) for thing in (room, ada.got, room.ydoc))

    await meet()
    await asyncio.sleep(0.1)
    house.registry.tick(asyncio.get_running_loop().time() + 1)
    assert [thing() for thing in ended] == [None] * 3
