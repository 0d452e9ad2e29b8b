import logging

import pytest

from collabd.bridge.base import Figures
from collabd.bridge.envelope import Opener, Sealer
from collabd.bridge.intake import Intake
from tests.support.bridges import KEY, Hearer
from tests.support.clock import Clock


class Door:
    """An intake, and what another node says."""

    def __init__(self) -> None:
        self.clock = Clock(1_800_000_000.0)
        self.hearer = Hearer()
        self.figures = Figures()
        self.intake = Intake(Opener(KEY, b"node two", self.clock), self.hearer, self.figures)
        self.sealer = Sealer(KEY, b"node one", self.clock)


def test_what_comes_is_told_and_counted() -> None:
    door = Door()
    door.intake.deliver("notes", door.sealer.seal("notes", [b"1", b"2"]))
    door.sealer.skip("notes")
    door.intake.deliver("notes", door.sealer.seal("notes", [b"3"]))
    assert door.hearer.payloads("notes") == [b"1", b"2", b"3"]
    assert door.hearer.gaps == ["notes"]
    assert (door.figures.received, door.figures.gaps, door.figures.refused) == (3, 1, {})


def test_refusals_are_counted_and_told_of_ever_less_often(caplog: pytest.LogCaptureFixture) -> None:
    door = Door()
    for _ in range(250):
        door.intake.deliver("notes", b"x" * 100)
    assert door.figures.refused == {"version": 250}
    assert [record.__dict__["times"] for record in caplog.records] == [1, 10, 100]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert door.hearer.heard == []


def test_late_messages_are_nothing_to_look_at(caplog: pytest.LogCaptureFixture) -> None:
    door = Door()
    envelope = door.sealer.seal("notes", [b"1"])
    for _ in range(3):
        door.intake.deliver("notes", envelope)
    assert door.figures.refused == {"late": 2}
    assert caplog.records == []


def test_own_messages_are_not_counted() -> None:
    door = Door()
    door.intake.deliver("notes", Sealer(KEY, b"node two", door.clock).seal("notes", [b"1"]))
    assert (door.figures.refused, door.hearer.heard) == ({}, [])


def test_a_listener_that_fails_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    door = Door()
    door.hearer.failing = True
    door.intake.deliver("notes", door.sealer.seal("notes", [b"1"]))
    door.intake.subscribed("notes")
    door.intake.interrupted()
    door.intake.restored()
    assert len(caplog.records) == 4
    assert (door.hearer.stand, door.hearer.states) == (["notes"], ["down", "up"])
