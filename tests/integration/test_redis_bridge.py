"""The bridge over real servers that die, hang, move and refuse."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from collabd.bridge.outgoing import Limits
from collabd.bridge.redis import RedisBridge
from collabd.bridge.redis_link import Timing
from tests.support.bridges import KEY, WAIT_SECONDS, Hearer, hears, holds, nothing_raised
from tests.support.proxy import proxied
from tests.support.valkey import ValkeyServer

pytestmark = pytest.mark.timeout(90)

QUICK = Timing(silence=1.0, patience=WAIT_SECONDS, longest_pause=0.1, verify=0.2)
"""Quick to find that something does not work, and to try again."""
PATIENT = QUICK._replace(silence=60.0)
"""Never finds that a server is merely quiet."""

Node = tuple[RedisBridge, Hearer]
Join = Callable[..., Any]


@pytest.fixture
async def join() -> AsyncIterator[Join]:
    """Start nodes: ``await join(url, timing, …)``; they leave with the test."""
    async with nothing_raised(), AsyncExitStack() as stack:

        async def start(url: str, timing: Timing = QUICK, *, up: bool = True, **arguments: Any) -> Node:
            bridge, hearer = RedisBridge(url, KEY, timing=timing, **arguments), Hearer()
            stack.push_async_callback(bridge.close)
            await bridge.start(hearer)
            assert bridge.is_up is up, bridge.trouble
            return bridge, hearer

        yield start


# Servers that die and hang


async def test_a_server_that_is_killed_and_comes_back_empty(join: Join) -> None:
    with ValkeyServer() as server:
        (one, at_one), (two, at_two) = await join(server.url), await join(server.url)
        await two.subscribe("notes")
        server.kill()
        for bridge, hearer in ((one, at_one), (two, at_two)):
            await hearer.told("up", "down")
            assert not bridge.is_up
            assert bridge.trouble
        for _ in range(100):
            one.publish("notes", b"lost")
        assert not await two.subscribe("plans")
        await holds(lambda: one.figures.attempts > 3)
        server.start()
        for hearer in (at_one, at_two):
            await hearer.told("up", "down", "up")
        for name in ("notes", "plans"):
            await hears(one, at_two, name)
        assert one.figures.dropped == 100
        assert one.figures.interruptions == 1


async def test_a_server_that_is_not_there_yet(join: Join) -> None:
    with ValkeyServer() as server:
        server.kill()
        one, at_one = await join(server.url, QUICK._replace(patience=0.05), up=False)
        assert not await one.subscribe("notes")
        assert at_one.states == []
        await holds(lambda: str(server.port) in one.trouble)
        server.start()
        await at_one.told("up")
        two, _ = await join(server.url)
        await hears(two, at_one, "notes")


async def test_a_server_that_hangs_is_noticed_and_delays_nobody(join: Join) -> None:
    with ValkeyServer() as server:
        limits = Limits(size=1_000_000)
        (one, at_one), (two, at_two) = await join(server.url, limits=limits), await join(server.url)
        await two.subscribe("notes")
        await hears(one, at_two, "notes")
        server.suspend()
        # More than the queue and the buffers of the system hold together.
        for _ in range(400):
            one.publish("notes", b"x" * 50_000)
            await asyncio.sleep(0)
        (shard,) = one._shards.values()
        assert one.is_up
        assert 900_000 < shard._outgoing.size <= 1_000_000
        assert one.figures.dropped > 0
        for hearer in (at_one, at_two):
            await hearer.told("up", "down")
        assert "does not answer" in one.trouble
        one.publish("notes", b"lost")
        server.resume()
        for hearer in (at_one, at_two):
            await hearer.told("up", "down", "up")
        await hears(one, at_two, "notes")
        assert at_two.gaps


@pytest.mark.parametrize("credentials", ["", ":password@"])
async def test_a_server_that_never_answers(join: Join, credentials: str) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    timing = QUICK._replace(silence=0.2, connect=0.1, patience=0.1)
    bridge, hearer = await join(f"redis://{credentials}127.0.0.1:{port}", timing, up=False)
    await holds(lambda: bridge.figures.attempts > 2)
    assert "does not answer" in bridge.trouble
    assert hearer.states == []
    await bridge.close()
    listening.close()


async def test_a_connection_that_is_cut_silently(join: Join) -> None:
    with ValkeyServer() as server:
        async with proxied(server.url) as (proxy, url):
            (one, _), (two, at_two) = await join(server.url), await join(url)
            await two.subscribe("notes")
            proxy.swallowing = True
            await at_two.told("up", "down")
            one.publish("notes", b"missed")
            proxy.swallowing = False
            await at_two.until(lambda: at_two.states[-1] == "up")
            await hears(one, at_two, "notes")
            assert at_two.heard == []


async def test_a_server_that_never_heard_what_to_follow_is_asked_anew(join: Join) -> None:
    """It answers pings, so it is not silent: what it was asked before is lost, and nobody else would know."""
    with ValkeyServer() as server:
        async with proxied(server.url) as (proxy, url):
            two, at_two = await join(url, QUICK._replace(subscribing=0.2, silence=30.0))
            lost = asyncio.Event()

            def lose(data: bytes) -> bool:
                if b"SUBSCRIBE" not in data:
                    return False
                lost.set()
                return True

            proxy.on_asked = lose
            proxy.cut_all()
            await lost.wait()
            proxy.on_asked = lambda _: False
            await at_two.until(lambda: at_two.states == ["up", "down", "up"])
            assert two.figures.attempts >= 3


async def test_a_quiet_connection_is_kept(join: Join) -> None:
    with ValkeyServer() as server:
        one, at_one = await join(server.url, QUICK._replace(silence=2.0))
        pings = pinged(server)
        await holds(lambda: pinged(server) >= pings + 5)
        assert (one.is_up, at_one.states) == (True, ["up"])


def pinged(server: ValkeyServer) -> int:
    """How often a server was pinged, by whoever asks this too."""
    return int(server.ask("INFO", "commandstats")["cmdstat_ping"]["calls"])


# Subscriptions


async def test_thousands_of_channels_stand_before_a_node_is_told_it_is_back(join: Join) -> None:
    with ValkeyServer() as server:
        one, at_one = await join(server.url)
        names = [f"document {number}" for number in range(10_000)]
        assert all(await asyncio.gather(*map(one.subscribe, names)))
        standing: list[int] = []
        at_one.on_restored = lambda: standing.extend(len(shard._standing) for shard in one._shards.values())
        server.kill()
        server.start()
        await holds(lambda: standing)
        assert standing == [10_000]
        # And the one that is its own.
        assert len(server.ask("PUBSUB", "CHANNELS")) == 10_001


async def test_a_subscription_that_nobody_waits_for_any_more_is_told_of(join: Join) -> None:
    with ValkeyServer() as server:
        timing = PATIENT._replace(patience=0.05)
        (one, at_one), (two, _) = await join(server.url, timing), await join(server.url, PATIENT)
        assert await one.subscribe("before")
        server.suspend()
        assert [await one.subscribe(name) for name in ("before", "notes", "plans")] == [True, False, False]
        waiting = asyncio.create_task(one.subscribe("ended"))
        await asyncio.sleep(0)
        one.unsubscribe("ended")
        assert not await waiting
        one.unsubscribe("plans")
        server.resume()
        await at_one.until(lambda: at_one.stand)
        await hears(two, at_one, "notes")
        assert (at_one.stand, at_one.states) == (["notes"], ["up"])


async def test_a_follower_that_is_too_slow_is_cut_off_and_told_so(join: Join) -> None:
    with ValkeyServer(("client-output-buffer-limit", "pubsub", "256kb", "0", "0")) as server:
        async with proxied(server.url) as (proxy, url):
            (one, _), (two, at_two) = await join(server.url, PATIENT), await join(url, PATIENT)
            await two.subscribe("notes")
            proxy.flowing.clear()
            while server.ask("PUBSUB", "NUMSUB", "collabd:notes")[1]:
                one.publish("notes", b"x" * 500_000)
                await asyncio.sleep(0.01)
            proxy.flowing.set()
            await at_two.told("up", "down", "up")
            await hears(one, at_two, "notes")
            assert at_two.gaps == ["notes"]
            assert one.is_up


# Who may


async def test_a_user_with_the_documented_rights(join: Join) -> None:
    rights = (
        "resetkeys resetchannels &collabd:* -@all +publish +spublish +subscribe +ssubscribe +unsubscribe "
        "+sunsubscribe +ping"
    )
    with ValkeyServer(("user", "app", "on", ">p@ss word", *rights.split())) as server:
        url = f"redis://app:p%40ss%20word@127.0.0.1:{server.port}"
        (one, _), (two, at_two) = await join(url), await join(url)
        await two.subscribe("notes")
        two.unsubscribe("notes")
        await two.subscribe("notes")
        await hears(one, at_two, "notes")


@pytest.mark.parametrize(
    ("rights", "credentials", "trouble"),
    [
        ("+@all", "app:wrong@", "invalid username-password"),
        ("+@all -publish", "app:right@", "no permissions to run the 'publish'"),
        ("+@all resetchannels &other:*", "app:right@", "channel"),
        ("+@all", "", "Authentication required"),
    ],
)
async def test_who_may_not_is_told_why(join: Join, rights: str, credentials: str, trouble: str) -> None:
    options = (("user", "app", "on", ">right", "allchannels", *rights.split()), ("user", "default", "off"))
    with ValkeyServer(*options, user="app", password="right") as server:
        url = f"redis://{credentials}127.0.0.1:{server.port}"
        bridge, hearer = await join(url, QUICK._replace(patience=0.3), up=False)
        await holds(lambda: trouble in bridge.trouble)
        await holds(lambda: bridge.figures.attempts > 3)
        assert hearer.states == []


async def test_over_tls(join: Join, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(serving)
    with ValkeyServer() as server:
        # Not every server's program can do it itself.
        async with proxied(server.url, tls=serving) as (_, plain):
            secure = plain.replace("redis:", "valkeys:")
            url = f"{secure}?ssl_ca_certs={tmp_path / 'ca.pem'}"
            (one, _), (two, at_two) = await join(url), await join(url)
            await two.subscribe("notes")
            await hears(one, at_two, "notes")
            stranger, _ = await join(secure, QUICK._replace(patience=0.3), up=False)
            await holds(lambda: "certificate verify failed" in stranger.trouble)


async def test_over_a_unix_socket(join: Join) -> None:
    with ValkeyServer() as server:
        url = f"unix://{server.directory}/socket"
        (one, _), (two, at_two) = await join(url), await join(server.url)
        await two.subscribe("notes")
        await hears(one, at_two, "notes")


async def test_deployments_with_prefixes_do_not_hear_each_other(join: Join) -> None:
    with ValkeyServer() as server:
        (one, _), (two, at_two) = await join(server.url, prefix="a:"), await join(server.url)
        other, _ = await join(server.url)
        await two.subscribe("notes")
        one.publish("notes", b"not for you")
        await one.close()
        await hears(other, at_two, "notes")
        assert at_two.heard == []


# What comes from strangers


async def test_bytes_of_whoever_else_uses_the_server_are_refused(join: Join) -> None:
    with ValkeyServer() as server:
        (one, _), (two, at_two) = await join(server.url), await join(server.url)
        await two.subscribe("notes")
        for size in (0, 1, 40, 41, 42, 1000):
            server.ask("PUBLISH", "collabd:notes", secrets.token_bytes(size))
            server.ask("PUBLISH", "collabd:notes", b"\x01" + secrets.token_bytes(size))
        await hears(one, at_two, "notes")
        assert at_two.heard == []
        assert two.figures.refused.total() == 12
        assert two.figures.refused.keys() <= {"malformed", "version", "forged"}


# Sentinel


async def test_sentinels_name_another_server(join: Join) -> None:
    with ValkeyServer() as first, ValkeyServer(("replicaof", "127.0.0.1", str(first.port))) as second:
        await holds(lambda: second.ask("INFO", "replication")["master_link_status"] == "up")
        watching = (
            f"sentinel monitor main 127.0.0.1 {first.port} 1",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 2000",
        )
        with ValkeyServer(sentinel=watching) as sentinel:
            url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main"
            (one, at_one), (two, at_two) = await join(url), await join(url)
            await two.subscribe("notes")
            await hears(one, at_two, "notes")
            await holds(lambda: second.port in replicas(sentinel))
            first.kill()
            for hearer in (at_one, at_two):
                await hearer.told("up", "down", "up")
            await hears(one, at_two, "notes")
            assert second.ask("ROLE")[0] == b"master"
            wrong = url.replace("/main", "/other")
            stranger, _ = await join(wrong, QUICK._replace(patience=0.3), up=False)
            await holds(lambda: "does not know other" in stranger.trouble)


async def test_a_server_that_is_not_in_charge_any_more_is_left(join: Join) -> None:
    with (
        ValkeyServer() as first,
        ValkeyServer() as second,
        ValkeyServer(sentinel=[f"sentinel monitor main 127.0.0.1 {first.port} 1"]) as sentinel,
    ):
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
        one, at_one = await join(url)
        await one.subscribe("notes")
        # The first goes on and knows nothing of it, as if the network kept it from the sentinel.
        sentinel.ask("SENTINEL", "REMOVE", "main")
        sentinel.ask("SENTINEL", "MONITOR", "main", "127.0.0.1", second.port, 1)
        await at_one.told("up", "down", "up")
        two, _ = await join(second.url)
        await hears(two, at_one, "notes")


def replicas(sentinel: ValkeyServer) -> list[int]:
    """The ports of the replicas a sentinel knows."""
    found = sentinel.ask("SENTINEL", "REPLICAS", "main")
    return [int(dict(zip(each[::2], each[1::2], strict=True))[b"port"]) for each in map(list, found)]


# A cluster


@pytest.fixture
def cluster() -> Any:
    """Three servers that share the slots, and one that follows the first."""
    servers = [ValkeyServer(("cluster-enabled", "yes"), ("cluster-node-timeout", "2000")) for _ in range(4)]
    yield servers
    for server in servers:
        server.close()


async def formed(servers: list[ValkeyServer]) -> None:
    """Make a cluster of the servers."""
    first, *others = servers
    for number, server in enumerate(servers[:3]):
        server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        slots = range(number * 16384 // 3, (number + 1) * 16384 // 3)
        server.ask("CLUSTER", "ADDSLOTSRANGE", slots[0], slots[-1])
    for server in others:
        first.ask("CLUSTER", "MEET", "127.0.0.1", server.port)
    await holds(lambda: all(known(server) == 4 for server in servers))
    servers[3].ask("CLUSTER", "REPLICATE", identity(first))
    await holds(lambda: all(b"cluster_state:ok" in server.ask("CLUSTER", "INFO") for server in servers))
    await holds(lambda: servers[3].ask("INFO", "replication").get("master_link_status") == "up")


def known(server: ValkeyServer) -> int:
    return len(server.ask("CLUSTER", "NODES").strip().splitlines())


def identity(server: ValkeyServer) -> str:
    name = server.ask("CLUSTER", "MYID")
    assert isinstance(name, bytes)
    return name.decode()


async def test_a_cluster_carries_each_channel_on_one_server(join: Join, cluster: list[ValkeyServer]) -> None:
    await formed(cluster)
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster[1].port}"
    (one, _), (two, at_two) = await join(url), await join(url)
    names = [f"document {number}" for number in range(300)]
    assert all(await asyncio.gather(*map(two.subscribe, names)))
    for name in names:
        one.publish(name, name.encode())
    await at_two.has(len(names))
    shares = [len(server.ask("PUBSUB", "SHARDCHANNELS")) for server in cluster[:3]]
    assert sum(shares) == len(names) + 6  # each node's own on each server
    assert min(shares) > 50
    for name in names:
        two.unsubscribe(name)
    await holds(lambda: sum(len(server.ask("PUBSUB", "SHARDCHANNELS")) for server in cluster[:3]) == 6)
    assert at_two.states == ["up"]


async def test_channels_move_with_their_slots(join: Join, cluster: list[ValkeyServer]) -> None:
    await formed(cluster)
    url = f"redis+cluster://127.0.0.1:{cluster[1].port}"
    timing = QUICK._replace(verify=60.0)
    (one, at_one), (two, at_two) = await join(url, timing), await join(url, timing)
    names = [f"document {number}" for number in range(30)]
    for name in names:
        assert await two.subscribe(name)
    # One that the first server carries moves to the second.
    name = next(
        name for name in names if f"collabd:{name}".encode() in cluster[0].ask("PUBSUB", "SHARDCHANNELS")
    )
    slot = cluster[0].ask("CLUSTER", "KEYSLOT", f"collabd:{name}")
    for server in (cluster[1], cluster[0], cluster[2]):
        server.ask("CLUSTER", "SETSLOT", slot, "NODE", identity(cluster[1]))
    # The server ends what is followed there, and says no to what is published there.
    await at_two.came_back()
    one.publish(name, b"lost")
    await at_one.came_back()
    for name in names:
        await hears(one, at_two, name)


async def test_a_replica_takes_over(join: Join, cluster: list[ValkeyServer]) -> None:
    await formed(cluster)
    url = f"redis+cluster://127.0.0.1:{cluster[0].port}"
    (one, at_one), (two, at_two) = await join(url), await join(url)
    names = [f"document {number}" for number in range(30)]
    for name in names:
        assert await two.subscribe(name)
    carried = cluster[1].ask("PUBSUB", "SHARDCHANNELS")
    on_others = next(name for name in names if f"collabd:{name}".encode() in carried)
    cluster[0].kill()
    for hearer in (at_one, at_two):
        await hearer.told("up", "down")
    # What other servers carry goes on meanwhile.
    await hears(one, at_two, on_others)
    for hearer in (at_one, at_two):
        await hearer.told("up", "down", "up")
    for name in names:
        await hears(one, at_two, name)
    assert cluster[3].ask("ROLE")[0] == b"master"


async def test_any_server_of_a_cluster_carries_channels_that_are_not_sharded(
    join: Join, cluster: list[ValkeyServer]
) -> None:
    await formed(cluster)
    (one, _), (two, at_two) = await join(cluster[0].url), await join(cluster[1].url)
    await two.subscribe("notes")
    await hears(one, at_two, "notes")


async def test_a_cluster_that_knows_no_sharded_channels_is_used_without(join: Join) -> None:
    """As Redis before 7: all that is asked for is answered by a real server, but for that."""
    with ValkeyServer() as server:
        async with proxied(server.url) as (proxy, url):
            proxy.answers[b"SHARDS"] = (
                b"-ERR Unknown subcommand or wrong number of arguments for 'SHARDS'\r\n"
            )
            cluster_url = url.replace("redis:", "redis+cluster:")
            (one, _), (two, at_two) = await join(cluster_url), await join(cluster_url)
            await two.subscribe("notes")
            await hears(one, at_two, "notes")
            assert "collabd:notes" in {name.decode() for name in server.ask("PUBSUB", "CHANNELS")}
