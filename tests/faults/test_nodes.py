"""Whatever happens between servers of one database, nobody loses anything, and all come to the same.

How long something is wrong can be told by the variable FAULTS_WRONG_SECONDS.
"""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.faults.nodes import nodes
from tests.support.watching import figures

pytestmark = pytest.mark.timeout(300)

WRONG_SECONDS = float(os.environ.get("FAULTS_WRONG_SECONDS", "4"))
"""How long something is wrong."""


async def test_a_killed_redis_that_comes_back_empty(tmp_path: Path, node: str) -> None:
    async with nodes(tmp_path) as town:
        town.valkey.kill()
        await town.bridges_are(up=False)
        await town.crosses()
        await town.write_on(WRONG_SECONDS)
        town.valkey.start()
        await town.bridges_are(up=True)
        await town.crosses()
        await town.all_is_there(node)


async def test_a_frozen_redis(tmp_path: Path, node: str) -> None:
    async with nodes(tmp_path) as town:
        town.valkey.suspend()
        await town.write_on(WRONG_SECONDS)
        await town.crosses()
        town.valkey.resume()
        await town.bridges_are(up=True)
        await town.crosses()
        await town.all_is_there(node)


async def test_a_connection_to_redis_that_is_silently_dead(tmp_path: Path, node: str) -> None:
    """Which is also a partition between the two servers, of which one notices nothing."""
    async with nodes(tmp_path) as town:
        town.proxies[0].swallowing = True
        await town.write_on(WRONG_SECONDS)
        await town.bridges_are(up=False, servers=town.servers[:1])
        await town.crosses()
        town.proxies[0].swallowing = False
        await town.bridges_are(up=True)
        await town.crosses()
        await town.all_is_there(node)


async def test_a_killed_database(tmp_path: Path, node: str) -> None:
    async with nodes(tmp_path) as town:
        await asyncio.to_thread(town.database.stop, signal.SIGKILL)
        await asyncio.sleep(WRONG_SECONDS / 2)
        await asyncio.to_thread(town.database.start)
        await town.crosses()
        await town.all_is_there(node)


async def test_a_killed_server(tmp_path: Path, node: str) -> None:
    async with nodes(tmp_path) as town:
        await asyncio.to_thread(town.servers[0].kill)
        await town.write_on(WRONG_SECONDS)
        await asyncio.to_thread(town.servers[0].start)
        await town.bridges_are(up=True)
        await town.crosses()
        await town.all_is_there(node)


async def test_all_servers_are_restarted_one_after_the_other(tmp_path: Path, node: str) -> None:
    async with nodes(tmp_path, 3) as town:
        for server in town.servers:
            assert await asyncio.to_thread(server.terminate) == 0
            await asyncio.to_thread(server.start)
            await town.write_on()
        await town.bridges_are(up=True)
        await town.crosses()
        await town.all_is_there(node)


async def test_a_document_that_all_servers_compact(tmp_path: Path, node: str) -> None:
    """Forty updates of a server's own are enough for it to compact, so all of them do again and again."""
    async with nodes(tmp_path, 3) as town:
        await town.write_on(2 * WRONG_SECONDS)
        assert all(figures(server)["collabd_bridge_received_total"] > 0 for server in town.servers)
        await town.all_is_there(node)
