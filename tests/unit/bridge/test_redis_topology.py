from typing import Any

import pytest
from redis.crc import key_slot

from collabd.bridge.redis_topology import Layout, name_on, read_shards

SEED = "seed", 7000


def node(port: int, **told: object) -> list[Any]:
    """A server as CLUSTER SHARDS tells of it."""
    known = {"port": port, "endpoint": b"10.0.0.1", "role": b"master", "health": b"online"} | told
    return [part for name, value in known.items() for part in (name.replace("_", "-").encode(), value)]


def shard(slots: list[int], *nodes: list[Any]) -> list[Any]:
    return [b"slots", slots, b"nodes", list(nodes)]


def test_slots_lead_to_servers_whatever_the_order() -> None:
    shards = [
        shard([0, 9, 20, 16383], node(2), node(3, role=b"replica")),
        shard([10, 19], node(4, role=b"replica"), node(1)),
        shard([], node(5)),
    ]
    layout = read_shards(shards, SEED, tls=False)
    assert layout == read_shards(shards[::-1], SEED, tls=False)
    assert layout.servers == (("10.0.0.1", 1), ("10.0.0.1", 2))
    assert [layout.slots.count(position) for position in range(2)] == [10, 16374]
    assert layout.sharded
    for name in (b"a", b"{b}c"):
        assert layout.server_of(name) == ("10.0.0.1", 1 if 10 <= key_slot(name) < 20 else 2)


def test_a_master_that_died_is_passed_over_for_the_one_that_took_over() -> None:
    shards = [shard([0, 16383], node(1, health=b"fail"), node(2), node(3, role=b"replica"))]
    assert read_shards(shards, SEED, tls=False).servers == (("10.0.0.1", 2),)
    shards = [shard([0, 16383], node(1, health=b"fail"), node(3, role=b"replica"))]
    assert read_shards(shards, SEED, tls=False).servers == (("10.0.0.1", 1),)


@pytest.mark.parametrize("endpoint", [b"", b"?", None])
def test_a_server_without_an_address_is_where_it_was_asked(endpoint: bytes | None) -> None:
    shards = [shard([0, 16383], node(1, endpoint=endpoint))]
    assert read_shards(shards, SEED, tls=False).servers == (("seed", 1),)


def test_with_tls_it_has_another_port() -> None:
    shards = [shard([0, 16383], node(1, tls_port=2))]
    assert read_shards(shards, SEED, tls=True).servers == (("10.0.0.1", 2),)
    assert read_shards([shard([0, 16383], node(1))], SEED, tls=True).servers == (("10.0.0.1", 7000),)


@pytest.mark.parametrize("shards", [[], [shard([0, 16382], node(1))], [shard([0, 16383])]])
def test_a_cluster_that_lacks_slots_is_not_ready(shards: list[Any]) -> None:
    with pytest.raises(ConnectionError, match="no server carries"):
        read_shards(shards, SEED, tls=False)


def test_every_server_carries_some_channel_of_a_prefix() -> None:
    slots = [shard([0, 0], node(1)), shard([1, 8000], node(2)), shard([8001, 16383], node(3))]
    layout = read_shards(slots, SEED, tls=False)
    for server in layout.servers:
        assert layout.server_of(name_on(layout, server, "probe:").encode()) == server
    assert name_on(Layout((SEED,)), SEED, "probe:") == "probe:0"
