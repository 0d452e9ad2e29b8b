"""Recorded editing sessions (tests/data), and how to play them again.

A trace is a list of transactions, each with patches ``[position, deleted, inserted]`` in Unicode code points.
In a concurrent one a transaction also has an agent and parents, and its positions refer to the document as
the agent saw it: everything the parents build on, and nothing else.
"""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from collabd.protocol.ranges import IdRanges
from collabd.protocol.update import UpdateSummary, check_update
from tests.support.clients import Client

DATA = Path(__file__).parent.parent / "data"

Patch = tuple[int, int, str]

IN_FLIGHT = 500
"""How many transactions may be on their way."""


class Turn(NamedTuple):
    """One transaction of one agent."""

    patches: list[Patch]
    foreign: int
    """How many transactions of the other agent it builds on."""


class Session(NamedTuple):
    """What each agent did, in order, and the text all must end with."""

    agents: list[list[Turn]]
    end: str


def path_of(name: str) -> Path:
    """Where a trace is kept."""
    return DATA / f"{name}.json.gz"


def load(name: str) -> Session:
    """Read a trace of one or two agents."""
    with gzip.open(path_of(name), "rt", encoding="utf-8") as file:
        trace = json.load(file)
    assert not trace.get("startContent")
    agents: list[list[Turn]] = [[] for _ in range(trace.get("numAgents", 1))]
    seen: list[list[int]] = []
    for txn in trace["txns"]:
        agent = txn.get("agent", 0)
        known = [max((seen[p][a] for p in txn.get("parents", ())), default=0) for a in range(len(agents))]
        foreign = known[1 - agent] if len(agents) == 2 else 0
        agents[agent].append(Turn([(at, gone, new) for at, gone, new in txn["patches"]], foreign))
        known[agent] = len(agents[agent])
        seen.append(known)
    return Session(agents, trace["endContent"])


class Typist:
    """Plays one agent's turns on a client, which must hold back what it receives if there is another."""

    def __init__(self, client: Client, turns: Sequence[Turn]) -> None:
        self.client = client
        self.played: list[UpdateSummary] = []
        """What each turn so far inserted and deleted."""
        self._turns = turns
        self._text: str | None = None
        """The client's text once it is not all ASCII: then positions have to be converted to bytes. Kept here
        since asking for it takes long."""
        self._structs = IdRanges()
        self._deletes = IdRanges()

    async def play(self, other: "Typist | None" = None) -> None:
        """Play all turns.

        ``other`` is who edits at the same time. Wherever it needs the document as it was in the middle of our
        turns, we let it be saved, and so sent, before we go on: else the server may send what is before and
        after in one message.
        """
        stops = {turn.foreign for turn in other._turns} if other is not None else set()
        client = self.client
        for number, turn in enumerate(self._turns, 1):
            if other is not None:
                await self._catch_up(other, turn.foreign)
            self._type(turn.patches)
            if other is not None:
                self.played.append(check_update(client.last_edit))
                self._note(self.played[-1])
            if number in stops:
                await client.saved_all()
            elif client.sent - client.saved >= IN_FLIGHT:
                await client.until(lambda: client.sent - client.saved < IN_FLIGHT // 2)
        await client.saved_all()

    async def _catch_up(self, other: "Typist", count: int) -> None:
        """Apply what was held back until the other's first ``count`` turns are in the document."""
        client = self.client
        while not self._has(other, count):
            await client.until(lambda: bool(client.held) or self._has(other, count))
            if client.held:
                self._note(check_update(client.held[0]))
                client.release(1)
                text = str(client.text)
                self._text = None if text.isascii() else text

    def _has(self, other: "Typist", count: int) -> bool:
        if count == 0:
            return True
        if len(other.played) < count:
            return False
        last = other.played[count - 1]
        return all(self._structs.covers(*run) for run in last.structs) and all(
            self._deletes.covers(*run) for run in last.deletes
        )

    def _note(self, summary: UpdateSummary) -> None:
        for client, start, end in summary.structs:
            self._structs.add(client, start, end)
        for client, start, end in summary.deletes:
            self._deletes.add(client, start, end)

    def _type(self, patches: Sequence[Patch]) -> None:
        text = self.client.text
        with self.client.editing():
            for position, gone, new in patches:
                if self._text is None and not new.isascii():
                    self._text = str(text)
                start, end = position, position + gone
                if self._text is not None:
                    start, end = len(self._text[:start].encode()), len(self._text[:end].encode())
                    self._text = self._text[:position] + new + self._text[position + gone :]
                if gone:
                    del text[start:end]
                if new:
                    text.insert(start, new)
