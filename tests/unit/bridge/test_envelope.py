import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collabd.bridge.envelope import TOLERANCE, Envelopes, Opened, Opener, Refusal, Sealer
from tests.support.clock import Clock

KEY = b"the key of the cluster"
ONE, OTHER = b"node one", b"node two"

CHANNELS = st.text(max_size=40)
PAYLOADS = st.lists(st.binary(max_size=300), min_size=1, max_size=5)


def pair(clock: Clock | None = None, key: bytes = KEY) -> tuple[Sealer, Opener]:
    """A node that says something, and another."""
    clock = clock or Clock(1_800_000_000.0)
    return Sealer(key, ONE, clock), Opener(KEY, OTHER, clock)


def opened(opener: Opener, channel: str, data: bytes) -> Opened:
    found = opener.open(channel, data)
    assert isinstance(found, Opened), found
    return found


@given(CHANNELS, PAYLOADS)
@example("\ud800", [b""])
def test_what_is_sealed_is_opened(channel: str, payloads: list[bytes]) -> None:
    sealer, opener = pair()
    for _ in range(2):
        assert opener.open(channel, sealer.seal(channel, payloads)) == (ONE, payloads, False)


@given(CHANNELS, PAYLOADS, st.data())
def test_any_changed_byte_is_refused(channel: str, payloads: list[bytes], data: st.DataObject) -> None:
    sealer, opener = pair()
    envelope = bytearray(sealer.seal(channel, payloads))
    position = data.draw(st.integers(0, len(envelope) - 1))
    envelope[position] ^= data.draw(st.integers(1, 255))
    assert opener.open(channel, bytes(envelope)) in (Refusal.FORGED, Refusal.VERSION)
    assert len(opener) == 0


@given(CHANNELS, PAYLOADS, st.data())
def test_any_cut_or_added_byte_is_refused(channel: str, payloads: list[bytes], data: st.DataObject) -> None:
    sealer, opener = pair()
    envelope = sealer.seal(channel, payloads)
    cut = data.draw(st.integers(0, len(envelope) - 1))
    assert opener.open(channel, envelope[:cut]) in (Refusal.FORGED, Refusal.MALFORMED)
    assert opener.open(channel, envelope + data.draw(st.binary(min_size=1))) is Refusal.FORGED


@given(CHANNELS, st.binary(max_size=200))
@example("", b"")
@example("", b"\x01" * 41)
@example("\ud800", b"\x01" * 41)
def test_random_bytes_are_refused(channel: str, data: bytes) -> None:
    _, opener = pair()
    assert isinstance(opener.open(channel, data), Refusal)


@given(CHANNELS, CHANNELS, PAYLOADS)
def test_an_envelope_belongs_to_its_channel(channel: str, other: str, payloads: list[bytes]) -> None:
    sealer, opener = pair()
    found = opener.open(other, sealer.seal(channel, payloads))
    assert isinstance(found, Opened) if channel == other else found is Refusal.FORGED


def test_channel_and_content_cannot_be_shifted_into_each_other() -> None:
    sealer, opener = pair()
    envelope = sealer.seal("ab", [b"x"])
    assert opener.open("a", b"b" + envelope) in (Refusal.VERSION, Refusal.FORGED)


def test_another_key_opens_nothing() -> None:
    sealer, opener = pair(key=b"the key of another cluster")
    assert opener.open("notes", sealer.seal("notes", [b"x"])) is Refusal.FORGED


def test_a_short_key_is_no_key() -> None:
    with pytest.raises(ValueError, match="needs 16"):
        Envelopes(b"x" * 15, Clock())


def test_every_process_is_somebody_else() -> None:
    assert Envelopes(KEY, Clock()).node != Envelopes(KEY, Clock()).node


def test_what_comes_again_or_late_is_refused() -> None:
    sealer, opener = pair()
    first, second = (sealer.seal("notes", [b"%d" % number]) for number in range(2))
    assert opened(opener, "notes", second).payloads == [b"1"]
    assert opener.open("notes", second) is Refusal.LATE
    assert opener.open("notes", first) is Refusal.LATE
    assert opened(opener, "notes", sealer.seal("notes", [b"2"])) == (ONE, [b"2"], False)


def test_nodes_and_channels_are_counted_apart() -> None:
    sealer, opener = pair()
    clock = Clock(1_800_000_000.0)
    other = Sealer(KEY, b"node six", clock)
    for _ in range(3):
        for channel in ("notes", "plans"):
            for each in (sealer, other):
                assert not opened(opener, channel, each.seal(channel, [b"x"])).missed


def test_a_gap_is_told_once() -> None:
    sealer, opener = pair()
    opened(opener, "notes", sealer.seal("notes", [b"1"]))
    sealer.seal("notes", [b"lost"])
    assert opened(opener, "notes", sealer.seal("notes", [b"3"])).missed
    assert not opened(opener, "notes", sealer.seal("notes", [b"4"])).missed
    sealer.skip("notes")
    assert opened(opener, "notes", sealer.seal("notes", [b"6"])).missed


def test_an_envelope_without_payloads_tells_of_a_gap_even_first() -> None:
    sealer, opener = pair()
    assert opened(opener, "notes", sealer.seal("notes", [])) == (ONE, [], True)


def test_own_envelopes_are_told_apart() -> None:
    envelopes = Envelopes(KEY, Clock(1_800_000_000.0))
    data = envelopes.sealer.seal("notes", [b"x"])
    assert envelopes.opener.open("notes", data) is Refusal.OWN


def test_a_newer_version_is_refused_as_such() -> None:
    sealer, opener = pair()
    assert opener.open("notes", b"\x02" + sealer.seal("notes", [b"x"])[1:]) is Refusal.VERSION


def test_what_the_key_vouches_for_and_makes_no_sense_is_refused() -> None:
    sealer, opener = pair()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("collabd.bridge.envelope.wire.octets", lambda value: b"\xff" + value)
        malformed = sealer.seal("notes", [b"x"])
        assert opener.open("notes", malformed) is Refusal.MALFORMED
    assert len(opener) == 0


@pytest.mark.parametrize(
    ("later", "refused"),
    [
        (0.0, False),
        (TOLERANCE - 1, False),
        (TOLERANCE + 1, True),
        (1 - TOLERANCE, False),
        (-TOLERANCE - 1, True),
    ],
)
def test_clocks_may_be_apart_by_the_tolerance(later: float, refused: bool) -> None:
    now, then = Clock(1_800_000_000.0), Clock(1_800_000_000.0 + later)
    data = Sealer(KEY, ONE, now).seal("notes", [b"x"])
    found = Opener(KEY, OTHER, then).open("notes", data)
    assert (found is Refusal.TIME) if refused else isinstance(found, Opened)


def test_a_time_beyond_all_times_is_refused() -> None:
    _, opener = pair()
    for now in (-5.0, struct.unpack(">Q", b"\xff" * 8)[0] / 1001):
        data = Sealer(KEY, ONE, Clock(now)).seal("notes", [b"x"])
        assert opener.open("notes", data) is Refusal.TIME


def test_what_was_heard_is_remembered_as_long_as_it_could_come_again() -> None:
    clock = Clock(1_800_000_000.0)
    sealer, opener = pair(clock)
    # A sender whose clock is ahead as far as it may be: what it sent is let in longest.
    ahead = Sealer(KEY, b"node six", Clock(clock.now + TOLERANCE))
    replayed = ahead.seal("notes", [b"x"])
    opened(opener, "notes", replayed)
    refusals = set()
    for _ in range(1000):
        clock.now += 1
        opened(opener, "plans", sealer.seal("plans", [b"y"]))
        refusals.add(opener.open("notes", replayed))
    assert refusals == {Refusal.LATE, Refusal.TIME}
    assert len(opener) == 1


def test_memory_is_bounded_by_what_was_said_lately() -> None:
    clock = Clock(1_800_000_000.0)
    sealer, opener = pair(clock)
    most = 0
    for number in range(5_000):
        clock.now += 1
        channel = f"document {number}"
        opened(opener, channel, sealer.seal(channel, [b"x"]))
        most = max(most, len(opener), len(sealer))
    assert most <= 2 * TOLERANCE + 2


def test_a_channel_that_comes_back_is_heard() -> None:
    clock = Clock(1_800_000_000.0)
    sealer, opener = pair(clock)
    for _ in range(10):
        opened(opener, "notes", sealer.seal("notes", [b"x"]))
    clock.now += 1.9 * TOLERANCE
    opened(opener, "plans", sealer.seal("plans", [b"x"]))
    clock.now += 0.2 * TOLERANCE
    # The sender has forgotten it, and a node that has not still lets it in.
    sealer.seal("other", [b"x"])
    assert len(sealer) == 2
    assert opened(opener, "notes", sealer.seal("notes", [b"y"])).payloads == [b"y"]
