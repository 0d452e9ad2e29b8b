"""What the capacity model says, where it can be counted by other means."""

import json
import random
import subprocess
import sys
from dataclasses import asdict, replace
from math import ceil
from statistics import mean

import pytest

from benchmarks.capacity import predict
from benchmarks.model.figures import Load
from benchmarks.model.spread import copies
from benchmarks.model.waiting import FifoLink, shared
from benchmarks.simulated.report import SHOWN, lines, page
from benchmarks.sizing import BUSY, size
from scripts.page import ROOT

BESIDE = 0.02
"""How far chance may be off."""


def about(expected: float) -> object:
    return pytest.approx(expected, rel=BESIDE)


def test_copies_are_as_many_as_nodes_that_people_end_up_on_by_chance() -> None:
    chance = random.Random(1)
    for nodes, people in ((5, 3), (50, 5), (8, 40)):
        found = mean(len({chance.randrange(nodes) for _ in range(people)}) for _ in range(20_000))
        assert found == about(copies(nodes, people))


def test_what_comes_while_a_message_must_wait_shares_the_next() -> None:
    chance = random.Random(1)
    for rate, seconds in ((10.0, 0.01), (50.0, 0.05), (1.0, 3.0)):
        events, messages, now, free_at, waiting = 50_000, 0, 0.0, 0.0, False
        for _ in range(events):
            now += chance.expovariate(rate)
            if waiting and now > free_at:
                messages, free_at, waiting = messages + 1, free_at + seconds, False
            if now > free_at:
                messages, free_at = messages + 1, now + seconds
            else:
                waiting = True
        assert messages / events == about(shared(rate, seconds))


def test_a_link_on_which_nothing_overtakes_is_slower_the_more_there_is_on_it() -> None:
    chance = random.Random(1)
    for rate in (1.0, 3_000.0):
        now = comes_at = 0.0
        delays = []
        for _ in range(50_000):
            now += chance.expovariate(rate)
            comes_at = max(comes_at, now + chance.uniform(0.001, 0.002))
            delays.append(comes_at - now)
        assert mean(delays) == about(FifoLink(0.001, 0.002, rate).mean())


def test_a_node_alone_tells_nobody_anything() -> None:
    alone = predict(Load(nodes=1))
    assert alone.copies == 1
    assert alone.received_per_edit == alone.presence_received_per_news == 0
    assert alone.frames_per_edit == about(4.0)


def test_people_beside_each_other_cost_less_than_people_apart() -> None:
    apart, beside = predict(Load()), predict(Load(nodes=2, connections=50_000))
    assert beside.received_per_edit < apart.received_per_edit
    assert beside.frames_per_edit == about(apart.frames_per_edit)
    assert beside.memory * 2 < apart.memory * 50


def test_twice_as_many_of_everything_takes_twice_as_much_of_each_kind_but_signs_of_life() -> None:
    once, twice = predict(Load()), predict(replace(Load(), nodes=100))
    assert twice.edits == 2 * once.edits
    assert twice.bridge_received - twice.signs_of_life_received == pytest.approx(
        2 * (once.bridge_received - once.signs_of_life_received), rel=0.05
    )
    assert twice.signs_of_life_received == pytest.approx(4 * once.signs_of_life_received, rel=0.03)


def test_what_was_predicted_is_what_is_predicted() -> None:
    kept = json.loads((ROOT / "benchmarks" / "capacity.json").read_text())
    for name, value in asdict(predict(Load())).items():
        assert kept["predicted"][name] == pytest.approx(value, rel=1e-6), "run capacity.py --json"


def test_no_server_is_busier_than_it_may_be_and_one_fewer_would_be() -> None:
    load = Load()
    found = size(200_000, load)
    assert found.each.node_processor <= BUSY
    fewer = replace(load, nodes=found.servers - 2, connections=ceil(200_000 / (found.servers - 2)))
    assert predict(fewer).node_processor > BUSY * 0.98


def test_who_is_beside_those_he_writes_with_needs_fewer_servers() -> None:
    apart, together = (size(1_000_000, Load(), affinity=affinity) for affinity in (False, True))
    assert together.servers < apart.servers
    assert together.each.redis_deliveries < apart.each.redis_deliveries
    assert together.each.edits == pytest.approx(apart.each.edits, rel=0.01)


def test_the_page_on_capacity_holds_these_figures() -> None:
    kept = json.loads((ROOT / "benchmarks" / "capacity.json").read_text())
    text = (ROOT / "docs" / "capacity.md").read_text()
    assert page(text, kept) == text, "run simulate.py --publish"


def test_the_model_was_off_by_no_more_than_it_may_be() -> None:
    """On messages, catching up and memory, at 50 nodes with 2,000 connections each."""
    kept = json.loads((ROOT / "benchmarks" / "capacity.json").read_text())
    assert (kept["load"]["nodes"], kept["load"]["connections"]) == (50, 2_000)
    off = {
        line.name: line.ratio for line in lines(kept["predicted"], kept["simulated"]) if line.name in SHOWN
    }
    assert off.keys() == SHOWN.keys()
    assert {name: ratio for name, ratio in off.items() if abs(ratio - 1) > 0.15} == {}


def test_the_command_line_takes_another_load() -> None:
    command = [sys.executable, "benchmarks/capacity.py", "--json", "--nodes", "3", "--people", "2"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(told)["predicted"]["copies"] == about(copies(3, 2))
