"""Servers of an older version and of this one, side by side and one after the other, while people write.

    git worktree add /tmp/before COMMIT
    python -m tests.faults.upgrading --before /tmp/before

Three servers of this version are replaced by such of the older one, one at a time, and back again. After each
step what is written on one is seen on all; in the end nothing that anybody had seen is missing or doubled, on
any server, after a fresh load, and by a stock client.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from scripts.page import ROOT, find_node
from tests.faults.nodes import Nodes, nodes

SERVERS = 3


async def replace(town: Nodes, number: int, checkout: Path) -> float:
    """Let a server leave, and one of another version take its place; the seconds until what is written on one
    server is seen on all."""
    server = town.servers[number]
    code = await asyncio.to_thread(server.terminate)
    assert code == 0, server.log
    await asyncio.to_thread(server.start, {"PYTHONPATH": str(checkout)})
    await town.write_on()
    await town.bridges_are(up=True)
    return await town.crosses()


async def back_and_forth(before: Path, folder: Path) -> None:
    """Print how each step went."""
    async with nodes(folder, SERVERS) as town:
        for what, checkout in (("older version", before), ("this version", ROOT)):
            for number in range(SERVERS):
                took = await replace(town, number, checkout)
                print(f"server {number + 1}, {what}: an edit is on all in {took * 1e3:.0f} ms", flush=True)
        node = find_node()
        assert node is not None, "a stock client needs Node"
        await town.all_is_there(node.executable)
    print("nothing is missing, nothing doubled, all agree")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the older version")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(back_and_forth(given.before.resolve(), Path(folder)))


if __name__ == "__main__":
    main()
