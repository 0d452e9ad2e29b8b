"""How much so many people need, and what gives out first: predicted from few inputs and measured unit costs.

    .venv/bin/python benchmarks/capacity.py                       # 50 servers with 2,000 connections each
    .venv/bin/python benchmarks/capacity.py --nodes 5 --people 3 --edits 0.5

Pure: numbers in, numbers out. What is predicted for 50 servers with 2,000 connections
each is kept in capacity.json.

What people do is taken for random: each is on any of the servers, and acts at any time, independently of the
others (a Poisson process). So out of ``k`` people of a document the others on one's own server are binomially
distributed, and of ``n`` servers ``n (1 - (1 - 1/n)^k)`` hold a copy of it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from math import ceil, comb, exp
from pathlib import Path
from typing import Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from collabd.bridge.envelope import NODE_BYTES
from collabd.persistence.postgres import POOL_SIZE
from collabd.rooms.broadcast import SECONDS_BETWEEN
from collabd.rooms.cluster import BEAT_SECONDS, CAUGHT_UP_AT_ONCE, PRESENCE_SECONDS
from collabd.rooms.registry import FOLLOW_ALONE_SECONDS, FOLLOW_AT_ONCE

STEPS: Final = 400
"""Of numerical integrals."""


@dataclass(frozen=True)
class Load:
    """What people do, and what lies between the servers. Times are in seconds, rates are per second."""

    nodes: int = 50
    connections: int = 2_000
    """On each node."""
    people: int = 5
    """In each document."""
    edits: float = 0.05
    """Of each person."""
    moves: float = 0.05
    """Of each person's cursor."""
    renewal: float = 16.5
    """After which a stock client says again where it is if nothing moved: it looks every 3 s whether 15 are
    over."""
    edit_bytes: int = 16
    """Of an update that writes a letter."""
    state_bytes: int = 88
    """Of the JSON by which somebody shows himself."""
    name_bytes: int = 15
    """Of a document's name."""
    who_bytes: int = 5
    """Of a principal's id."""
    acknowledged: bool = True
    """Whether clients are told what is saved."""
    echoes: bool = True
    """Whether clients say again what they hear of others, as stock ones do."""
    keepalive: float = 15.0
    commit: float = 0.002
    """From a group commit's beginning to its answer."""
    query: float = 0.002
    """To ask the database how far so many documents are as are asked about at once."""
    read: float = 0.001
    """To read what is missing of one document."""
    bridge: tuple[float, float] = (0.0003, 0.0015)
    """What a message takes over the bridge, at least and at most; equally likely between."""
    structs: int = 1
    """That a document is made of, of 20 characters each."""

    @property
    def all_people(self) -> int:
        return self.nodes * self.connections

    @property
    def documents(self) -> float:
        return self.all_people / self.people


@dataclass(frozen=True)
class Costs:
    """What one of each thing costs. Bytes of memory, and µs of processor."""

    room: float = 9_950
    """A room of a small document, with its channel. ``benchmarks/units.py memory``"""
    struct: float = 251
    """Each further struct of its document, of 20 characters. The same"""
    connection: float = 5_680
    """Somebody connected and seen, without the socket. The same"""
    channel: float = 603
    """What is remembered of each other node that speaks of a document. The same"""
    person: float = 768
    """Somebody in a room who is connected to another node. The same"""


MEASURED: Final = Costs()


@dataclass(frozen=True)
class Predicted:
    """What a load makes. Rates are per second."""

    copies: float
    """Of a document in memory, on as many nodes."""
    rooms: float
    """On each node."""
    edits: float
    """Of all people."""
    published_per_edit: float
    """Messages on the bridge for an edit: fewer than one if several share a flush."""
    received_per_edit: float
    """How often such a message comes to another node."""
    frames_per_edit: float
    """Frames to clients that carry edits."""
    saved_per_edit: float
    """Frames to clients that say what is saved."""
    rows_per_edit: float
    """In the log."""
    commits: float
    """Of all nodes: each commits together what its rooms hand over meanwhile."""
    news: float
    """Of all people about themselves, those that say the same again among them."""
    presence_published_per_news: float
    presence_received_per_news: float
    presence_frames_per_news: float
    """Frames to clients."""
    keepalives: float
    """Frames to clients to which there was nothing to say."""
    echoes: float
    """Frames from clients who say again what they heard."""
    signs_of_life_received: float
    frames_out: float
    """To all clients."""
    frames_in: float
    """From all clients."""
    bridge_published: float
    """All payloads handed to the bridge."""
    bridge_received: float
    """All payloads that came to another node."""
    redis_commands: float
    redis_deliveries: float
    """What Redis sends: to the sender too, who follows the same channel."""
    redis_bytes_in: float
    redis_bytes_out: float
    delay_mean: float
    """From an edit's commit until another node has it, in seconds."""
    delay_all: float
    """Until all other nodes have it that hold a copy."""
    alone_mean: float
    """The same without the bridge."""
    alone_all: float
    alone_worst: float
    """At most."""
    alone_queries: float
    """To the database, of all nodes."""
    healed: float
    """From the bridge's being back until all nodes have everything, in seconds."""
    memory: float
    """Of each node beyond what it takes empty, in bytes, without sockets."""


def predict(load: Load, costs: Costs = MEASURED) -> Predicted:
    """What a load makes."""
    n, k, e = load.nodes, load.people, load.edits
    m = copies(n, k)
    rooms = load.documents * m / n
    edits = load.all_people * e
    # Of an edit: who else is on its node, and how many other nodes have a copy.
    spread = list(_spread(n, k))
    commit = _commit_wait(load, edits / n)
    published = _mean((p, shared(j * e, commit)) for p, j, _ in spread)
    received = _mean((p, shared(j * e, commit) * others) for p, j, others in spread)
    flushes = edits * published
    commits = flushes / n * shared(flushes / n, load.commit) * n
    news_each = _news(load)
    news = load.all_people * news_each
    said = _mean((p, shared(j * news_each, PRESENCE_SECONDS)) for p, j, _ in spread)
    heard = _mean((p, shared(j * news_each, PRESENCE_SECONDS) * others) for p, j, others in spread)
    shown = (k - 1) * shared((k - 1) * news_each, SECONDS_BETWEEN)
    frames = (k - 1) * published
    saved = published if load.acknowledged else 0.0
    to_each = news_each * shown + e * (frames + saved)
    half = load.keepalive / 2
    keepalives = load.all_people * exp(-half * to_each) / half
    echoes = news * shown if load.echoes else 0.0
    beats = n / BEAT_SECONDS
    bridge_published = flushes + news * said + beats
    bridge_received = edits * received + news * heard + beats * (n - 1)
    told, committed = presence_bytes(load), committed_bytes(load)
    alone = _alone(load, rooms)
    link = FifoLink(*load.bridge, rate=bridge_received / n)
    return Predicted(
        copies=m,
        rooms=rooms,
        edits=edits,
        published_per_edit=published,
        received_per_edit=received,
        frames_per_edit=frames,
        saved_per_edit=saved,
        rows_per_edit=published,
        commits=commits,
        news=news,
        presence_published_per_news=said,
        presence_received_per_news=heard,
        presence_frames_per_news=shown,
        keepalives=keepalives,
        echoes=echoes,
        signs_of_life_received=beats * (n - 1),
        frames_out=edits * (frames + saved) + news * shown + keepalives,
        frames_in=edits + news + echoes,
        bridge_published=bridge_published,
        bridge_received=bridge_received,
        redis_commands=bridge_published,
        redis_deliveries=bridge_received + bridge_published,
        redis_bytes_in=flushes * committed + news * said * told,
        redis_bytes_out=(edits * received + flushes) * committed + news * (heard + said) * told,
        delay_mean=link.mean(),
        delay_all=_mean(_per_edit(spread, link.latest)),
        alone_mean=alone.mean,
        alone_all=_mean(_per_edit(spread, alone.latest)),
        alone_worst=alone.worst,
        alone_queries=alone.queries,
        healed=_healed(load, rooms, alone),
        memory=memory(load, rooms, costs),
    )


# How people are spread


def copies(nodes: int, people: int) -> float:
    """On how many of the nodes so many people are."""
    return float(nodes * (1 - (1 - 1 / nodes) ** people))


def _spread(n: int, k: int) -> Iterator[tuple[float, int, float]]:
    """Of somebody: how likely it is that so many people of the document are on the same node, with himself;
    and on how many other nodes the others are then."""
    for beside in range(k):
        likely = comb(k - 1, beside) * (1 / n) ** beside * (1 - 1 / n) ** (k - 1 - beside)
        rest = k - 1 - beside
        yield likely, beside + 1, copies(n - 1, rest) if n > 1 else 0.0


def _mean(weighted: Iterator[tuple[float, float]]) -> float:
    total = weight = 0.0
    for likely, value in weighted:
        total += likely * value
        weight += likely
    return total / weight if weight else 0.0


def _per_edit(
    spread: list[tuple[float, int, float]], latest: Callable[[float], float]
) -> Iterator[tuple[float, float]]:
    """When the last of the other copies has an edit, for those edits of which there is another copy."""
    for likely, _, others in spread:
        if others:
            yield likely, latest(others)


# What shares a message


def shared(rate: float, seconds: float) -> float:
    """Messages for each event, if after a message the next one waits ``seconds`` and carries all that has
    come by then: it carries ``max(1, events meanwhile)``, which is ``x + e^-x`` on average."""
    x = rate * seconds
    return 1 / (x + exp(-x))


def _commit_wait(load: Load, edits: float) -> float:
    """How long a flush is in flight: a commit, and what is left of the one before."""
    idle = exp(-edits * load.commit) / edits if edits else float("inf")
    return load.commit * (1 + load.commit / (load.commit + idle) / 2)


def _news(load: Load) -> float:
    """How often somebody says something about himself: when the cursor moves, or has not for long."""
    if not load.moves:
        return 1 / load.renewal
    return load.moves / (1 - exp(-load.moves * load.renewal))


# Bytes

ENVELOPE: Final = 1 + NODE_BYTES + 8 + 8 + 16
"""Of an envelope, beside its payloads; see ``collabd.bridge.envelope``."""
COMMAND: Final = len("*3\r\n$7\r\nPUBLISH\r\n$30\r\ncollabd:document:\r\n$100\r\n\r\n")
"""Of a command beside the document's name and the envelope; what is delivered is framed as long."""


def committed_bytes(load: Load) -> float:
    """Of a message that carries one edit, on its way to Redis or from there."""
    return COMMAND + load.name_bytes + ENVELOPE + 1 + 1 + 3 + 2 + 1 + 1 + load.edit_bytes


def presence_bytes(load: Load) -> float:
    """Of a message that says how one person is."""
    return (
        COMMAND + load.name_bytes + ENVELOPE + 1 + 1 + 1 + 4 + 5 + 6 + 2 + load.who_bytes + load.state_bytes
    )


# Time


class FifoLink(NamedTuple):
    """A way to a node on which what comes later never overtakes: a message waits for those before it."""

    least: float
    most: float
    rate: float
    """Messages a second."""

    def mean(self) -> float:
        """Seconds a message takes."""
        return self.latest(1)

    def latest(self, ways: float) -> float:
        """Seconds until it has come on so many ways that do not depend on each other."""
        width = (self.most - self.least) / STEPS
        late = (1.0 - self._arrived(step * width) ** ways for step in range(STEPS))
        return float(self.least + sum(late) * width)

    def _arrived(self, beyond: float) -> float:
        """How likely it has come so long after the least time: it and all that were sent before have."""
        span = self.most - self.least
        if not span:
            return 1.0
        return beyond / span * exp(-self.rate * (span - beyond) ** 2 / 2 / span)


class Alone(NamedTuple):
    """A node that hears of the others by the store alone: it asks every ``period``, and then reads."""

    period: float
    reading: float
    """Until what is missing of a document is read, on average: many are asked for at once."""
    reading_all: float
    reads: float
    """Documents to be read each time."""
    queries: float

    @property
    def mean(self) -> float:
        return self.latest(1)

    @property
    def worst(self) -> float:
        return self.period + self.reading_all

    def latest(self, nodes: float) -> float:
        """Until so many nodes have it, which ask at times that do not depend on each other."""
        return self.period * nodes / (nodes + 1) + self.reading


def _alone(load: Load, rooms: float) -> Alone:
    parts = ceil(rooms / FOLLOW_AT_ONCE)
    elsewhere = load.edits * (load.people - load.connections / rooms)
    period, reads = FOLLOW_ALONE_SECONDS + parts * load.query, 0.0
    # The next documents are asked about when a connection to the database is free again.
    for _ in range(10):
        reads = rooms * (1 - exp(-elsewhere * period))
        waits = reads * (parts - 1) / parts * load.read / POOL_SIZE
        period = FOLLOW_ALONE_SECONDS + parts * load.query + waits
    at_once = reads / parts
    return Alone(
        period=period,
        reading=load.read * (max(at_once, 1) / POOL_SIZE + 1) / 2 if at_once > POOL_SIZE else load.read,
        reading_all=load.read * ceil(at_once / POOL_SIZE),
        reads=reads,
        queries=load.nodes * (reads + parts) / period,
    )


def _healed(load: Load, rooms: float, alone: Alone) -> float:
    """Up to so many documents a node looks at them at once; with more it does so at its next signs of life,
    and what it asks the store anyway is faster."""
    if rooms <= CAUGHT_UP_AT_ONCE:
        return load.query + load.read * ceil(alone.reads / POOL_SIZE)
    return alone.period * load.nodes / (load.nodes + 1) + alone.reading_all


# Memory


def memory(load: Load, rooms: float, costs: Costs = MEASURED) -> float:
    """Bytes a node takes for its rooms and connections, without sockets."""
    n, k = load.nodes, load.people
    m = copies(n, k)
    # Of somebody's document: how many other copies there are, for each of its copies.
    other_copies = n * (n - 1) * (1 - 2 * (1 - 1 / n) ** k + (1 - 2 / n) ** k) / m if n > 1 else 0.0
    elsewhere = k - load.connections / rooms
    structs = load.structs - 1
    room = costs.room + structs * costs.struct + other_copies * costs.channel + elsewhere * costs.person
    return rooms * room + load.connections * costs.connection


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    for field in fields(Load):
        if field.type in (int, float):
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=field.type, default=field.default)


def load_from(given: argparse.Namespace) -> Load:
    """The load that a command line asks for."""
    names = [field.name for field in fields(Load)]
    values: dict[str, Any] = {name: value for name, value in vars(given).items() if name in names}
    return Load(**values)


def parser_of(about: str | None) -> argparse.ArgumentParser:
    """A parser that takes a load."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_inputs(parser)
    return parser


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--json", action="store_true", help="machine-readable")
    given = parser.parse_args()
    load = load_from(given)
    predicted = asdict(predict(load))
    if given.json:
        print(json.dumps({"load": asdict(load), "predicted": predicted}, indent=1))
    else:
        for name, value in predicted.items():
            print(f"{name:30} {value:,.6g}")


if __name__ == "__main__":
    main()
