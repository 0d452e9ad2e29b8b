from hypothesis import given
from hypothesis import strategies as st

from collabd.bridge.base import Figures
from collabd.bridge.envelope import Opened, Opener, Sealer
from collabd.bridge.outgoing import JOINED_BYTES, Limits, Outgoing, refuse
from tests.support.clock import Clock

KEY = b"the key of the cluster"


class Line:
    """A queue and who gets what is taken from it."""

    def __init__(self, limits: Limits | None = None) -> None:
        clock = Clock(1_800_000_000.0)
        self.figures = Figures()
        self.sealer = Sealer(KEY, b"node one", clock)
        self.outgoing = Outgoing(self.sealer, limits or Limits(), self.figures)
        self._opener = Opener(KEY, b"node two", clock)
        self.heard: list[tuple[str, bytes]] = []
        self.gaps: list[str] = []
        self.envelopes = 0

    def take(self, size: int = 1 << 30) -> None:
        for channel, envelope, payloads in self.outgoing.take(size):
            opened = self._opener.open(channel, envelope)
            assert isinstance(opened, Opened)
            assert len(opened.payloads) == payloads
            self.heard += [(channel, payload) for payload in opened.payloads]
            self.gaps += [channel] * opened.missed
            self.envelopes += 1


SENT = st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=30)), max_size=60)


@given(SENT, st.integers(0, 200))
def test_everything_is_taken_in_order_and_nothing_is_left(sent: list[tuple[str, bytes]], size: int) -> None:
    line = Line()
    for channel, payload in sent:
        assert line.outgoing.add(channel, payload)
        if len(payload) % 3 == 0:
            line.take(size)
    line.take()
    for name in "abc":
        assert [at for at in line.heard if at[0] == name] == [at for at in sent if at[0] == name]
    assert (len(line.outgoing), line.outgoing.size, line.gaps) == (0, 0, [])
    assert (line.figures.published, line.figures.dropped) == (len(sent), 0)


@given(SENT)
def test_never_more_waits_than_may(sent: list[tuple[str, bytes]]) -> None:
    line = Line(Limits(size=30, count=8, payload=20))
    dropped = 0
    for channel, payload in sent:
        added = line.outgoing.add(channel, payload)
        dropped += not added or len(payload) > 20
        assert len(line.outgoing) <= 8
        assert line.outgoing.size <= 30
    line.take()
    assert line.figures.dropped == dropped
    assert len(line.heard) == len(sent) - dropped
    assert (len(line.outgoing), line.outgoing.size) == (0, 0)


def test_payloads_of_a_channel_share_an_envelope_up_to_a_size() -> None:
    line = Line()
    for number in range(3):
        for channel in "ab":
            line.outgoing.add(channel, b"%d" % number)
    line.take()
    assert line.envelopes == 2
    for _ in range(3):
        line.outgoing.add("a", b"x" * (JOINED_BYTES // 2 - 10))
    line.outgoing.add("a", b"x" * 2 * JOINED_BYTES)
    line.take()
    assert line.envelopes == 2 + 3


def test_channels_are_taken_in_turn() -> None:
    line = Line()
    for channel in "abc":
        line.outgoing.add(channel, b"x")
    line.take(1)
    line.outgoing.add("a", b"y")
    line.take()
    assert line.heard == [("a", b"x"), ("b", b"x"), ("c", b"x"), ("a", b"y")]


def test_what_is_dropped_is_a_gap_before_what_comes_next() -> None:
    line = Line(Limits(count=1))
    line.outgoing.add("a", b"1")
    line.take()
    line.outgoing.add("a", b"2")
    assert not line.outgoing.add("a", b"3")
    line.take()
    assert (line.heard, line.gaps) == ([("a", b"1"), ("a", b"2")], ["a"])
    line.outgoing.add("a", b"4")
    line.outgoing.clear()
    assert (len(line.outgoing), line.outgoing.size) == (0, 0)
    refuse("a", line.sealer, line.figures)
    line.outgoing.add("a", b"6")
    line.take()
    assert (line.heard[2:], line.gaps) == ([("a", b"6")], ["a", "a"])
    assert (line.figures.published, line.figures.dropped) == (6, 3)


def test_one_that_is_too_large_is_a_gap_told_at_once() -> None:
    line = Line(Limits(payload=3))
    assert line.outgoing.add("a", b"xxxx")
    line.take()
    assert (line.heard, line.gaps, len(line.outgoing)) == ([], ["a"], 0)
