"""Which servers carry which channels, as the servers themselves say."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ResponseError

from .redis_link import UNREACHABLE, reason
from .redis_url import Address, Target, TlsLink, connect

NOBODY: Final = -1


class Layout(NamedTuple):
    """Who carries what."""

    servers: tuple[Address, ...]
    slots: tuple[int, ...] = ()
    """For each hash slot the position of its server in ``servers``; empty if there is only one server to talk
    to. With slots, channels are sharded: each lives on one server, by SPUBLISH and SSUBSCRIBE."""

    @property
    def sharded(self) -> bool:
        """Whether channels belong to slots."""
        return bool(self.slots)

    def server_of(self, name: bytes) -> Address:
        """The server that carries a channel."""
        return self.servers[self.slots[key_slot(name)] if self.slots else 0]


async def locate(target: Target, known: Sequence[Address], timeout: float) -> Layout:
    """Ask who carries what, each server for ``timeout`` seconds at most; those of a cluster, too, that are
    known from before.

    Raises:
        UNREACHABLE: nobody can tell.
    """
    if target.kind == "single":
        return Layout(target.seeds)
    cluster = target.kind == "cluster"
    ask = _ask_cluster if cluster else _ask_sentinel
    troubles = []
    for seed in dict.fromkeys((*target.seeds, *known) if cluster else target.seeds):
        try:
            async with asyncio.timeout(timeout):
                return await ask(target, seed)
        except TimeoutError:
            troubles.append(f"{seed[0]}:{seed[1]} does not answer")
        except UNREACHABLE as error:
            troubles.append(reason(error))
    raise ConnectionError("; ".join(troubles))


async def _ask_sentinel(target: Target, seed: Address) -> Layout:
    async with _Asking(target, seed, sentinel=True) as ask:
        found = await ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.service)
    if not found:
        raise ConnectionError(f"the sentinel {seed[0]}:{seed[1]} does not know {target.service}")
    return Layout(((found[0].decode(), int(found[1])),))


async def _ask_cluster(target: Target, seed: Address) -> Layout:
    async with _Asking(target, seed) as ask:
        try:
            shards = await ask("CLUSTER", "SHARDS")
        except ResponseError as error:
            # Sharded channels came with this command, in Redis 7. Before, all servers of a cluster pass
            # everything on to each other.
            if "unknown" not in str(error).lower():
                raise
            return Layout((seed,))
    return read_shards(shards, seed, tls=target.link is TlsLink)


def read_shards(reply: list[Any], seed: Address, *, tls: bool) -> Layout:
    """Understand what ``CLUSTER SHARDS`` gives.

    Raises:
        ConnectionError: some slots belong to nobody, so that some channels could not be carried.
    """
    carried: dict[Address, list[tuple[int, int]]] = {}
    for shard in map(_pairs, reply):
        # One that died stays a master, beside the one that took over.
        masters = [node for node in map(_pairs, shard[b"nodes"]) if node[b"role"] == b"master"]
        masters.sort(key=lambda node: node[b"health"] != b"online")
        if not masters or not shard[b"slots"]:
            continue
        master = masters[0]
        host = (master.get(b"endpoint") or b"").decode()
        port = master.get(b"tls-port") if tls else master.get(b"port")
        # A server that does not know its own address is where it was asked.
        address = host if host not in ("", "?") else seed[0], int(port or seed[1])
        carried[address] = list(zip(shard[b"slots"][::2], shard[b"slots"][1::2], strict=True))
    slots = [NOBODY] * REDIS_CLUSTER_HASH_SLOTS
    servers = tuple(sorted(carried))
    for position, server in enumerate(servers):
        for first, last in carried[server]:
            slots[first : last + 1] = [position] * (last + 1 - first)
    if NOBODY in slots:
        raise ConnectionError("the cluster has slots that no server carries")
    return Layout(servers, tuple(slots))


def name_on(layout: Layout, server: Address, prefix: str) -> str:
    """A channel that begins with ``prefix`` and that a server of the layout carries."""
    names = (f"{prefix}{number}" for number in range(100 * REDIS_CLUSTER_HASH_SLOTS))
    return next(name for name in names if layout.server_of(name.encode()) == server)


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


class _Asking:
    """A connection for a few questions."""

    def __init__(self, target: Target, address: Address, *, sentinel: bool = False) -> None:
        self._connection = target.connection(address, sentinel=sentinel)

    async def __aenter__(self) -> Callable[..., Any]:
        try:
            await connect(self._connection)
        except BaseException:
            await self.__aexit__()
            raise
        return self._ask

    async def __aexit__(self, *_: object) -> None:
        self._connection.abort()
        await self._connection.disconnect(nowait=True)

    async def _ask(self, *words: str) -> Any:
        await self._connection.send_command(*words, check_health=False)
        return await self._connection.read_response(disconnect_on_error=False)
