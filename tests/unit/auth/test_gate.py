"""Who somebody is by what they present, and for how long."""

import time

import pytest

from collabd.auth.base import ANONYMOUS, NOBODY_SIGNED_IN, Access, Principal, Scope
from collabd.auth.gate import TIDY_SECONDS, Gate, Presented
from collabd.errors import NotAllowed, SignInNeeded
from collabd.memos import Memo
from collabd.persistence.memory import MemoryStore
from tests.support.clock import Clock

ADA = Principal("ada", "Ada")
SCOPE = Scope({"notes": Access.WRITE})


async def reading(principal: Principal, document: str) -> Access:
    return Access.READ if document == "open" else Access.NONE


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def gate(store: MemoryStore, clock: Clock) -> Gate:
    gate = Gate(store, reading, clock=clock)
    await gate.open()
    return gate


async def test_who_presents_nothing_is_nobody(gate: Gate) -> None:
    assert await gate.identify(Presented()) is NOBODY_SIGNED_IN
    assert await gate.access(NOBODY_SIGNED_IN, "open") == Access.READ
    assert await gate.access(NOBODY_SIGNED_IN, "notes") == Access.NONE


async def test_a_token_says_what_it_is_good_for(gate: Gate) -> None:
    token, minted = gate.tokens.mint(ADA, SCOPE)
    for presented in (Presented(token), Presented(in_address=token)):
        identity = await gate.identify(presented)
        assert identity == minted
        assert await gate.access(identity, "notes") == Access.WRITE
        assert await gate.access(identity, "open") == Access.NONE, "rules do not add to it"


async def test_a_key_says_what_it_is_good_for(gate: Gate) -> None:
    text, key = await gate.keys.create("exports", SCOPE)
    identity = await gate.identify(Presented(text))
    assert identity.principal == Principal(f"key:{key.id}", "exports")
    assert await gate.access(identity, "notes") == Access.WRITE
    with pytest.raises(SignInNeeded):
        await gate.identify(Presented(in_address=text))


@pytest.mark.parametrize("bearer", ["x", "collabd_", "collabd_000000000000_" + "a" * 43, "a.b.c", "é"])
async def test_what_is_not_known_is_refused_without_a_reason(gate: Gate, bearer: str) -> None:
    with pytest.raises(SignInNeeded, match="not accepted"):
        await gate.identify(Presented(bearer))


async def test_what_does_not_suffice_is_refused_whether_or_not_there_is_such_a_document(gate: Gate) -> None:
    token, _ = gate.tokens.mint(ADA, SCOPE)
    identity = await gate.identify(Presented(token))
    assert await gate.demand(identity, "notes", Access.WRITE) == Access.WRITE
    with pytest.raises(NotAllowed):
        await gate.demand(identity, "notes", Access.ADMIN)
    with pytest.raises(SignInNeeded):
        await gate.demand(NOBODY_SIGNED_IN, "notes", Access.READ)


async def test_a_revoked_key_holds_no_longer(gate: Gate) -> None:
    text, key = await gate.keys.create("exports", SCOPE)
    identity = await gate.identify(Presented(text))
    assert await gate.still(identity)
    assert await gate.revoke_key(key.id)
    assert None is await gate.still(identity)
    with pytest.raises(SignInNeeded):
        await gate.identify(Presented(text))


async def test_a_revoked_token_holds_no_longer(gate: Gate) -> None:
    (token, identity), (other, _) = gate.tokens.mint(ADA, SCOPE), gate.tokens.mint(ADA, SCOPE)
    await gate.revocations.add(identity.credential)
    assert None is await gate.still(identity)
    with pytest.raises(SignInNeeded):
        await gate.identify(Presented(token))
    await gate.identify(Presented(other))


async def test_of_a_subject_is_revoked_what_it_had_so_far(gate: Gate, clock: Clock) -> None:
    token, identity = gate.tokens.mint(ADA, SCOPE)
    ben, _ = gate.tokens.mint(Principal("ben", "Ben"), SCOPE)
    await gate.revocations.add("subject:ada")
    assert None is await gate.still(identity)
    with pytest.raises(SignInNeeded):
        await gate.identify(Presented(token))
    await gate.identify(Presented(ben))
    clock.now += 1
    new, _ = gate.tokens.mint(ADA, SCOPE)
    await gate.identify(Presented(new))


async def test_what_another_server_revokes_is_known_after_looking_it_up(
    gate: Gate, store: MemoryStore, clock: Clock
) -> None:
    other = Gate(store, reading, clock=clock)
    await other.open()
    token, identity = gate.tokens.mint(ADA, SCOPE)
    assert (await other.identify(Presented(token))).principal == ADA, "both know the secret"
    await other.revocations.add("subject:ada")
    assert await gate.still(identity)
    await gate.refresh()
    assert None is await gate.still(identity)


async def test_a_connection_s_time_ends(gate: Gate, clock: Clock) -> None:
    _, identity = gate.tokens.mint(ADA, SCOPE, seconds=60, connection_seconds=600)
    clock.now += 599
    assert await gate.still(identity)
    clock.now += 1
    assert None is await gate.still(identity)
    assert await gate.still(NOBODY_SIGNED_IN)


async def test_a_gate_without_rules_lets_everybody_do_everything() -> None:
    gate = Gate(MemoryStore())
    await gate.open()
    assert gate.is_open
    assert await gate.access(NOBODY_SIGNED_IN, "notes") == Access.ADMIN
    assert NOBODY_SIGNED_IN.principal == ANONYMOUS


async def test_where_everybody_may_do_everything_what_is_not_known_counts_for_nothing() -> None:
    gate = Gate(MemoryStore())
    await gate.open()
    for presented in (Presented("x"), Presented(in_address="x"), Presented(session="x")):
        assert await gate.identify(presented) is NOBODY_SIGNED_IN
    token, identity = gate.tokens.mint(ADA, SCOPE)
    assert await gate.identify(Presented(in_address=token)) == identity


async def test_what_has_expired_is_forgotten_in_time(gate: Gate, store: MemoryStore, clock: Clock) -> None:
    await store.put_memo(Memo("sign-in", "a", "", "1", clock.now + 30))
    clock.now += TIDY_SECONDS
    await gate.refresh()
    assert await store.remove_expired_memos(clock.now) == 0
    await store.put_memo(Memo("sign-in", "b", "", "1", clock.now))
    await gate.refresh()
    assert await store.remove_expired_memos(clock.now) == 1, "it is not time again yet"
