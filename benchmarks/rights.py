"""What rights cost a message, and how soon somebody who has lost them hears nothing more.

    .venv/bin/python benchmarks/rights.py [--sockets 200] [--rounds 5]

The first part drives a real room without a network; figures are medians, less what an empty loop takes.
The second has a server in a process of its own, with its usual store, that many sockets of one person and
somebody who types meanwhile. It is timed from the request to ``POST /api/v1/revocations`` until the last of
the sockets was told that it is closed.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
import timeit
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx

from benchmarks.costs import WAYS, HeldStore, Wire, turn, written
from collabd.auth.base import Access, Principal
from collabd.protocol import messages
from collabd.protocol.awareness import Entry
from collabd.rooms.peer import Peer
from collabd.rooms.registry import Registry
from collabd.rooms.stamps import stamped
from tests.support.clients import Client
from tests.support.commands import Place
from tests.support.server import running_server

RUNS: Final = 7
TIMES: Final = 200_000
PRESENCE: Final = json.dumps(
    {"user": {"name": "Eve", "color": "#aa00bb"}, "cursor": {"anchor": {"item": {"client": 1, "clock": 2}}}}
)
RULES: Final = '[[rules]]\ndocuments = "nothing-is-called-so"\nanyone = true\naccess = "read"\n'
SECONDS_BETWEEN_KEYS: Final = 0.02


def microseconds(statement: str, times: int = TIMES, **names: Any) -> float:
    """What a statement takes."""
    took = [timeit.timeit(statement, number=times, globals=names) for _ in range(RUNS)]
    empty = [timeit.timeit("pass", number=times) for _ in range(RUNS)]
    return (statistics.median(took) - statistics.median(empty)) * 1e6 / times


async def receiving(way: str, updates: int = 50, turns: int = 200) -> float:
    """Microseconds in which a room takes in a message."""
    store = HeldStore()
    room = await Registry(store).open("notes")
    writer = Peer(Wire(), principal=Principal("ada", "Ada"), vouched=True)
    room.join(writer)
    frames = [messages.update_frame(update) for update in written(updates * turns, WAYS[way])]
    took = []
    for first in range(0, len(frames), updates):
        begun = time.perf_counter()
        for frame in frames[first : first + updates]:
            room.receive(writer, frame)
        took.append(time.perf_counter() - begun)
        await turn()
        store.commit()
        await turn()
    await room.flushed()
    return statistics.median(took) * 1e6 / updates


def of_messages() -> None:
    peer, principal = Peer(Wire()), Principal("ada", "Ada", "#aa00bb")
    right = microseconds("if peer.access < Access.WRITE: raise ValueError", peer=peer, Access=Access)
    stamp = microseconds(
        "stamped(entries, principal)",
        TIMES // 10,
        stamped=stamped,
        entries=[Entry(1, 2, PRESENCE)],
        principal=principal,
    )
    print(f"the right to write, looked at once for each update: {right:.3f} µs")
    for way in WAYS:
        print(f"  of what a room takes to receive one ({way}): {asyncio.run(receiving(way)):.2f} µs")
    print(f"a presence entry stamped with who it is: {stamp:.1f} µs")


async def of_revocation(folder: Path, sockets: int, rounds: int) -> None:
    (folder / "collabd.toml").write_text(RULES)
    with running_server(folder) as server:
        place = Place(folder, server)
        key = (await place.ask("keys", "--create", "bench", "--allow", "admin:**", "--mints")).out.strip()
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=server.url + "/api/v1", headers=headers) as client:

            async def address(user: str) -> str:
                wanted = {"id": user, "name": user, "scope": [{"pattern": "**", "access": "write"}]}
                answer = await client.post("/tokens", json=wanted)
                return f"{server.websocket_url('notes')}?token={answer.json()['token']}"

            async with Client(await address("typist"), saves=True) as typist:
                typing = asyncio.create_task(_type(typist))
                took = []
                for number in range(rounds):
                    url = await address(f"eve-{number}")
                    hers = [await Client(url).connect() for _ in range(sockets)]
                    await asyncio.gather(*(each.synced() for each in hers))
                    begun = time.perf_counter()
                    answer = await client.post("/revocations", json={"id": f"eve-{number}"})
                    answer.raise_for_status()
                    codes = await asyncio.gather(*(each.closed() for each in hers))
                    took.append(time.perf_counter() - begun)
                    assert set(codes) == {4501}, codes
                    for each in hers:
                        await each.dispose()
                typing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await typing
    print(f"from revocation to silence, {sockets} sockets: ", end="")
    print(f"{statistics.median(took):.2f} s in the median, {max(took):.2f} s at most, {rounds} rounds")


async def _type(client: Client) -> None:
    while True:
        client.append("x")
        await asyncio.sleep(SECONDS_BETWEEN_KEYS)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scratch", type=Path, default=Path("/var/tmp"), help="on the disk to commit to")
    given = parser.parse_args()
    of_messages()
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        asyncio.run(of_revocation(Path(folder), given.sockets, given.rounds))


if __name__ == "__main__":
    main()
