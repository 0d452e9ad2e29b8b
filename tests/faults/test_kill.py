"""SIGKILL while people type. Nothing that was seen or acknowledged may be missing afterwards."""

import asyncio
import random
import re
from collections import Counter

import pytest

from tests.support import RunningServer
from tests.support.clients import Client
from tests.support.postgres import new_database
from tests.support.watching import ServerFactory

KILLS = 20
UPDATES_PER_SECOND = 50

MARKER = re.compile(r"<[ab]\d+>")


class Typing:
    """One person, typing a marker fifty times a second, also while the connection is gone."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.typed: list[str] = []
        self._sent: list[tuple[str, int]] = []
        """Each marker sent on this connection, and the count that acknowledges it."""

    async def go_on(self) -> None:
        """Type until cancelled."""
        self._sent = []
        pace = asyncio.get_running_loop().time()
        while True:
            marker = f"<{self.name}{len(self.typed)}>"
            self.client.insert(0 if len(self.typed) % 2 else len(self.client.text), marker)
            self.typed.append(marker)
            if self.client.is_connected:
                self._sent.append((marker, self.client.sent))
            pace += 1 / UPDATES_PER_SECOND
            await asyncio.sleep(pace - asyncio.get_running_loop().time())

    @property
    def acknowledged(self) -> list[str]:
        """Markers of this connection that the server said are saved."""
        return [marker for marker, count in self._sent if count <= self.client.saved]


async def kill_while_typing(server: RunningServer, people: list[Typing], moment: float) -> None:
    """Kill the server ``moment`` seconds after it has saved something of everybody."""
    async with asyncio.TaskGroup() as group:
        typing = [group.create_task(person.go_on()) for person in people]
        for person in people:
            await person.client.until(lambda person=person: bool(person.acknowledged))  # type: ignore[misc]
        await asyncio.sleep(moment)
        server.process.kill()
        # Whatever had left the server is read to the end before we look at who has seen what.
        for person in people:
            await person.client.closed()
        for task in typing:
            task.cancel()
    await asyncio.to_thread(server.kill)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_nothing_seen_or_acknowledged_is_lost_by_kill_9(server: ServerFactory, kind: str) -> None:
    store = new_database() if kind == "postgres" else None
    running = server(options=["--snapshot-after-updates", "40"], store=store)
    url = running.websocket_url("notes")
    ada, bob = Typing(Client(url, saves=True), "a"), Typing(Client(url, saves=True), "b")
    people = [ada, bob]
    moments = random.Random(9)
    unacknowledged = 0
    for _ in range(KILLS):
        for person in people:
            await person.client.reconnect()
            await person.client.synced()
        await kill_while_typing(running, people, moments.uniform(0, 0.3))
        unacknowledged += sum(len(person._sent) - len(person.acknowledged) for person in people)
        promised = {
            "seen by the other": {
                marker
                for person, other in ((ada, bob), (bob, ada))
                for marker in MARKER.findall(str(other.client.text))
                if marker.startswith(f"<{person.name}")
            },
            "acknowledged to its author": {marker for person in people for marker in person.acknowledged},
        }
        for person in people:
            await person.client.cut()

        await asyncio.to_thread(running.start)
        async with Client(url) as newcomer:
            there = Counter(MARKER.findall(str(newcomer.text)))
        for promise, markers in promised.items():
            assert markers - set(there) == set(), f"was {promise} and is gone"
        assert set(there.values()) == {1}, "something is there twice"

    # With the old clients' help, everything ever typed is there, once.
    for person in people:
        await person.client.reconnect()
        await person.client.synced()
        await person.client.saved_all()
    async with Client(url) as newcomer:
        there = Counter(MARKER.findall(str(newcomer.text)))
        assert there == Counter(ada.typed + bob.typed)
        for person in people:
            await person.client.has_text(str(newcomer.text))
            await person.client.dispose()
    assert unacknowledged, "no kill came between an edit and its acknowledgement: the test has tested nothing"
