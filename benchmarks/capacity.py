"""How much so many people need, and what gives out first: predicted from few inputs and measured unit costs.

    .venv/bin/python benchmarks/capacity.py                       # 50 servers with 2,000 connections each
    .venv/bin/python benchmarks/capacity.py --nodes 5 --people 3 --edits 0.5

Pure: numbers in, numbers out. ``simulate.py`` runs the real rooms and bridges over simulated time, and says
how far this is off; docs/capacity.md tells what follows from it.

What people do is taken for random: each is on any of the servers, and acts at any time, independently of the
others (a Poisson process). So out of ``k`` people of a document the others on one's own server are binomially
distributed, and of ``n`` servers ``n (1 - (1 - 1/n)^k)`` hold a copy of it.
"""

import argparse
import json
import sys
from dataclasses import asdict, fields
from math import exp
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.model.figures import MEASURED, Costs, Load, Predicted
from benchmarks.model.sizes import ALIVE_BYTES, committed_bytes, memory, presence_bytes
from benchmarks.model.spread import copies, mean, per_edit, spread
from benchmarks.model.waiting import FifoLink, HeldUp, commit_wait, healed, left_alone, shared
from collabd.rooms.broadcast import SECONDS_BETWEEN
from collabd.rooms.cluster import BEAT_SECONDS, PRESENCE_SECONDS
from collabd.rooms.registry import FOLLOW_SECONDS


def predict(load: Load, costs: Costs = MEASURED) -> Predicted:
    """What a load makes."""
    n, k, e = load.nodes, load.people, load.edits
    m = copies(n, k)
    rooms = load.documents * m / n
    edits = load.all_people * e
    # Of an edit: who else is on its node, and how many other nodes have a copy.
    others_of = list(spread(n, k))
    commit = commit_wait(load, edits / n)
    published = mean((p, shared(j * e, commit)) for p, j, _ in others_of)
    received = mean((p, shared(j * e, commit) * others) for p, j, others in others_of)
    flushes = edits * published
    commits = flushes / n * shared(flushes / n, load.commit) * n
    news_each = _news(load)
    news = load.all_people * news_each
    said = mean((p, shared(j * news_each, PRESENCE_SECONDS)) for p, j, _ in others_of)
    heard = mean((p, shared(j * news_each, PRESENCE_SECONDS) * others) for p, j, others in others_of)
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
    told, committed, alive = presence_bytes(load), committed_bytes(load), ALIVE_BYTES
    asked = rooms * n / FOLLOW_SECONDS
    alone = left_alone(load, rooms, commit)
    link = FifoLink(*load.bridge, rate=bridge_received / n)
    held_up = HeldUp(e * load.connections / rooms * commit, commit)
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
        redis_bytes_in=flushes * committed + news * said * told + beats * alive,
        redis_bytes_out=(edits * received + flushes) * committed
        + news * (heard + said) * told
        + beats * n * alive,
        delay_mean=link.mean() + held_up.latest(1),
        delay_all=mean(per_edit(others_of, lambda ways: link.latest(ways) + held_up.latest(ways))),
        alone_mean=alone.mean,
        alone_all=mean(per_edit(others_of, alone.latest)),
        alone_worst=alone.worst,
        alone_queries=alone.queries,
        healed=healed(load, rooms, alone),
        memory=memory(load, rooms, costs),
        node_processor=(
            edits * (costs.edit + received * costs.edit_heard + (frames + saved) * costs.frame)
            + news * (costs.news + heard * costs.news_heard + shown * costs.frame)
            + echoes * costs.echo
            + asked * costs.head_found
        )
        / n
        / 1e6,
        redis_processor=(
            bridge_published * costs.redis_message
            + (bridge_received + bridge_published) * costs.redis_delivery
        )
        / 1e6,
        database_processor=(flushes * costs.row + asked * costs.head_asked) / 1e6,
    )


def _news(load: Load) -> float:
    """How often somebody says something about himself: when the cursor moves, or has not for long."""
    if not load.moves:
        return 1 / load.renewal
    return load.moves / (1 - exp(-load.moves * load.renewal))


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
