"""What a server says about subscriptions, by hand: in orders that come about only by luck."""

import pytest

from collabd.bridge.base import Figures
from collabd.bridge.envelope import Envelopes
from collabd.bridge.intake import Intake
from collabd.bridge.outgoing import Limits, Outgoing
from collabd.bridge.redis_link import Timing
from collabd.bridge.redis_shard import NAMES_AT_ONCE, Shard
from collabd.bridge.redis_url import parse
from tests.support.bridges import KEY, Hearer
from tests.support.clock import Clock

TARGET = parse("redis://nowhere")


def shard_of(hearer: Hearer, *, sharded: bool = False) -> Shard:
    """A server that is not connected."""
    envelopes, figures = Envelopes(KEY, Clock(1_800_000_000.0)), Figures()
    return Shard(
        TARGET.seeds[0],
        lambda: TARGET.connection(TARGET.seeds[0]),
        sharded=sharded,
        probe=b"probe",
        prefix=b"",
        outgoing=Outgoing(envelopes.sealer, Limits(), figures),
        intake=Intake(envelopes.opener, hearer, figures),
        figures=figures,
        timing=Timing(patience=0.001),
        on_lost=lambda why: None,
    )


@pytest.fixture
def hearer() -> Hearer:
    return Hearer()


def commands(shard: Shard) -> list[list[bytes]]:
    """What the server is told, by words."""
    return [command.split(b"\r\n")[2::2] for command in shard._take_orders()]


async def test_a_subscription_stands_once_the_last_order_is_confirmed(hearer: Hearer) -> None:
    shard = shard_of(hearer)
    shard.want_also(b"notes", "notes")
    shard.unfollow(b"notes")
    shard.want_also(b"notes", "notes")
    assert commands(shard) == [[b"SUBSCRIBE", b"notes"], [b"UNSUBSCRIBE", b"notes"], [b"SUBSCRIBE", b"notes"]]
    assert not await shard.stands(b"notes")
    shard._on_event([b"subscribe", b"notes", 1])
    assert hearer.stand == []
    shard._on_event([b"unsubscribe", b"notes", 0])
    assert hearer.stand == []
    shard._on_event([b"subscribe", b"notes", 1])
    assert hearer.stand == ["notes"]
    assert await shard.stands(b"notes")


async def test_what_ended_before_it_stood_is_told_to_nobody(hearer: Hearer) -> None:
    shard = shard_of(hearer)
    shard.want_also(b"notes", "notes")
    assert not await shard.stands(b"notes")
    shard.unfollow(b"notes")
    shard._on_event([b"subscribe", b"notes", 1])
    shard._on_event([b"unsubscribe", b"notes", 0])
    assert hearer.stand == []


@pytest.mark.parametrize("name", [b"notes", b"probe"])
async def test_a_subscription_that_the_server_ends_is_an_error(hearer: Hearer, name: bytes) -> None:
    shard = shard_of(hearer)
    shard.want_also(b"notes", "notes")
    shard._on_event([b"subscribe", b"notes", 1])
    with pytest.raises(ConnectionError, match="ended a subscription"):
        shard._on_event([b"sunsubscribe", name, 0])
    shard.unfollow(b"notes")
    shard._on_event([b"unsubscribe", b"notes", 0])


async def test_many_channels_go_into_few_commands(hearer: Hearer) -> None:
    shard = shard_of(hearer)
    shard.want({b"%d" % number: str(number) for number in range(2 * NAMES_AT_ONCE + 1)})
    assert [len(command) - 1 for command in commands(shard)] == [NAMES_AT_ONCE, NAMES_AT_ONCE, 1]
    shard.want({b"7": "7", b"new": "new"})
    words = commands(shard)
    assert {command[0] for command in words[:-1]} == {b"UNSUBSCRIBE"}
    assert sum(len(command) - 1 for command in words[:-1]) == 2 * NAMES_AT_ONCE
    assert words[-1] == [b"SUBSCRIBE", b"new"]


async def test_sharded_channels_share_a_command_only_within_a_slot(hearer: Hearer) -> None:
    shard = shard_of(hearer, sharded=True)
    shard.want({name: name.decode() for name in (b"{a}1", b"b", b"{a}2")})
    words = sorted(sorted(command) for command in commands(shard))
    assert words == [[b"SSUBSCRIBE", b"b"], [b"SSUBSCRIBE", b"{a}1", b"{a}2"]]


async def test_when_a_server_is_lost_nobody_waits_for_it(hearer: Hearer) -> None:
    lost: list[str] = []
    shard = shard_of(hearer)
    shard._on_lost = lost.append
    shard.want_also(b"notes", "notes")
    assert not await shard.stands(b"notes")
    shard._lose("gone")
    shard._lose("gone again")
    assert lost == ["gone"]
    with pytest.raises(ConnectionError, match="gone"):
        await shard.settled()
    shard._on_event([b"subscribe", b"notes", 1])
    assert hearer.stand == []
