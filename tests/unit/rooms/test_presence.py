"""Who is here, message by message; see test_presence_laws for whether everybody comes to see it."""

import pytest

from collabd.protocol.awareness import Entry
from collabd.rooms import presence as presence_module
from collabd.rooms.presence import MAX_CLOCK, Presence

ADA, BEN, EVE = 1, 2, 3
"""Connections."""
A, B = 10, 20
"""Awareness client ids."""


def entry(client: int, clock: int, state: str | None = "{}") -> Entry:
    return Entry(client, clock, state)


def seen(presence: Presence) -> dict[int, str | None]:
    return {entry.client: entry.state for entry in presence.everyone()}


def room_of(*peers: int) -> Presence:
    presence = Presence()
    for peer in peers:
        presence.join(peer, f"person {peer}")
    return presence


def test_an_entry_is_told_to_everybody_and_to_who_comes_later() -> None:
    presence = room_of(ADA)
    assert presence.receive(ADA, [entry(A, 3, '{"name":"Ada"}')]) == [entry(A, 3, '{"name":"Ada"}')]
    assert presence.client_of(ADA) == A
    (told,) = presence.join(BEN, "ben")
    assert (told.client, told.state) == (A, '{"name":"Ada"}')


def test_the_first_entry_of_a_page_has_clock_0_and_is_told_with_1() -> None:
    assert room_of(ADA).receive(ADA, [entry(A, 0)]) == [entry(A, 1)], "nobody takes note of clock 0"


def test_what_is_not_newer_is_no_news() -> None:
    presence = room_of(ADA)
    presence.receive(ADA, [entry(A, 3)])
    assert presence.receive(ADA, [entry(A, 3)]) == []
    assert presence.receive(ADA, [entry(A, 2)]) == []
    assert presence.receive(ADA, [entry(A, 4)]) == [entry(A, 4)], "renewed, though it says the same"


def test_who_takes_its_state_back_is_gone_and_may_return() -> None:
    presence = room_of(ADA)
    assert presence.receive(ADA, [entry(A, 1, None)]) == [], "nobody knew of it"
    presence.receive(ADA, [entry(A, 2)])
    assert presence.receive(ADA, [entry(A, 2, None)]) == [entry(A, 3, None)]
    assert presence.everyone() == []
    assert presence.receive(ADA, [entry(A, 3, None)]) == []
    assert presence.receive(ADA, [entry(A, 4)]) == [entry(A, 4)]


def test_a_leaver_is_removed_with_a_clock_that_counts() -> None:
    presence = room_of(ADA)
    presence.receive(ADA, [entry(A, 3)])
    assert presence.leave(ADA) == [entry(A, 4, None)]
    assert presence.everyone() == []


def test_a_leaver_that_showed_nothing_is_not_mentioned() -> None:
    presence = room_of(ADA, BEN)
    presence.receive(ADA, [entry(A, 3), entry(A, 3, None)])
    assert presence.leave(ADA) == []
    assert presence.leave(BEN) == []


def test_who_comes_back_with_the_clock_it_had_is_news() -> None:
    presence = room_of(ADA, BEN)
    presence.receive(ADA, [entry(A, 3)])
    presence.leave(ADA)
    presence.join(EVE, "ada")
    assert presence.receive(EVE, [entry(A, 3)]) == [entry(A, 5)]
    assert not presence.may_echo(EVE), "it would take the room's clock for its own"
    assert presence.receive(EVE, [entry(A, 9)]) == [entry(A, 9)]
    assert presence.may_echo(EVE)


def test_who_comes_back_is_told_of_the_others_with_clocks_that_count() -> None:
    presence = room_of(ADA, BEN)
    (told,) = presence.receive(ADA, [entry(A, 3)])
    (retold,) = presence.join(EVE, "ben")
    assert retold.clock > told.clock
    (renewed,) = presence.receive(ADA, [entry(A, 4)])
    assert renewed.clock > retold.clock


def test_a_connection_speaks_for_one_client() -> None:
    presence = room_of(ADA, BEN)
    presence.receive(ADA, [entry(A, 1)])
    assert presence.receive(BEN, [entry(B, 1), entry(A, 7, "[]"), entry(A, 7, None), entry(30, 1)]) == [
        entry(B, 1)
    ]
    assert seen(presence) == {A: "{}", B: "{}"}
    assert presence.client_of(BEN) == B


def test_somebody_else_cannot_take_a_client_over() -> None:
    presence = room_of(ADA, EVE)
    presence.receive(ADA, [entry(A, 1)])
    assert presence.receive(EVE, [entry(A, 100)]) == []
    assert presence.client_of(EVE) is None


def test_nobody_is_removed_by_somebody_else() -> None:
    presence = room_of(ADA, EVE)
    presence.receive(ADA, [entry(A, 1)])
    assert presence.receive(EVE, [entry(A, 100, None)]) == []
    assert seen(presence) == {A: "{}"}


def test_a_person_takes_over_from_its_own_dead_connection() -> None:
    presence = Presence()
    presence.join(ADA, "ada")
    presence.receive(ADA, [entry(A, 3)])
    presence.join(BEN, "ada")
    assert presence.receive(BEN, [entry(A, 9, '{"new":1}')]) == [entry(A, 9, '{"new":1}')]
    assert (presence.client_of(ADA), presence.client_of(BEN)) == (None, A)
    assert presence.leave(ADA) == [], "the old connection owns it no more"
    assert seen(presence) == {A: '{"new":1}'}


def test_who_only_repeats_what_it_heard_takes_nothing_over() -> None:
    presence = Presence()
    presence.join(ADA, "same")
    presence.receive(ADA, [entry(A, 3)])
    (heard,) = presence.join(BEN, "same")
    assert presence.receive(BEN, [heard]) == []
    assert presence.client_of(ADA) == A


def test_who_repeats_somebody_that_just_left_does_not_bring_them_back() -> None:
    presence = room_of(ADA, EVE)
    heard = presence.receive(ADA, [entry(A, 3)])
    presence.leave(ADA)
    assert presence.receive(EVE, heard) == []
    assert presence.everyone() == []
    presence.join(BEN, "ada")
    presence.receive(BEN, [entry(A, 3)])
    assert seen(presence) == {A: "{}"}, "the client itself does come back"


def test_who_hears_that_it_left_while_it_came_back_insists() -> None:
    presence = Presence()
    presence.join(ADA, "ada")
    presence.receive(ADA, [entry(A, 3)])
    presence.join(BEN, "ada")
    assert presence.receive(BEN, [entry(A, 3)]) == [], "the old connection still speaks for it"
    (removal,) = presence.leave(ADA)
    # y-protocols: "never let a remote client remove this local state", but raise the clock above
    assert presence.receive(BEN, [entry(A, removal.clock + 1)]) != []
    assert seen(presence) == {A: "{}"}


def test_clocks_stay_within_what_every_client_can_read() -> None:
    presence = room_of(ADA)
    assert presence.receive(ADA, [entry(A, MAX_CLOCK + 1)]) == []
    presence.receive(ADA, [entry(A, MAX_CLOCK)])
    (removal,) = presence.leave(ADA)
    assert removal.clock < 2**32


def test_who_took_over_a_clock_of_the_room_is_heard_in_years_to_come_too() -> None:
    in_2033 = 16 * 7 * 366 * 24 * 3600
    presence = Presence(in_2033)
    presence.join(ADA, "ada")
    assert presence.receive(ADA, [entry(A, in_2033 + 5)]) == [entry(A, in_2033 + 5)]


def test_the_clocks_of_those_who_left_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "REMEMBERED_CLOCKS", 10)
    presence = room_of(ADA)
    presence.receive(ADA, [entry(A, 5)])
    for number in range(100, 200):
        presence.join(number, "passer-by")
        presence.receive(number, [entry(number, 1000)])
        presence.leave(number)
    assert presence.known == {A, *range(190, 200)}
    assert seen(presence) == {A: "{}"}
    presence.join(BEN, "passer-by")
    assert presence.receive(BEN, [entry(199, 1)]) == [entry(199, 1002)], "the latest are remembered"


def test_who_is_present_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "REMEMBERED_CLOCKS", 2)
    presence = Presence()
    for number in range(1, 6):
        presence.join(number, "somebody")
        presence.receive(number, [entry(number, 5)])
    presence.leave(1)
    assert set(seen(presence)) == {2, 3, 4, 5}
    assert presence.latest(1) is not None, "nor who has just left, however many are present"
    (renewed,) = presence.receive(2, [entry(2, 5, None)])
    assert renewed.clock > 5


def test_a_room_that_begins_anew_is_heard_by_those_who_know_the_one_before() -> None:
    before = Presence(floor=1_000)
    before.join(1, "ada")
    known = before.receive(1, [Entry(7, 3, "{}")])[0].clock
    after = Presence(floor=2_000)
    after.join(1, "ada")
    assert after.receive(1, [Entry(7, 3, "{}")])[0].clock > known


def test_a_client_that_returns_with_news_is_heard_before_its_dead_connection_is_noticed() -> None:
    presence = Presence(floor=1_000)
    presence.join(1, "ada")
    presence.receive(1, [Entry(7, 3, '{"tab":1}')])
    presence.join(2, "ada")
    assert [entry.state for entry in presence.receive(2, [Entry(7, 4, '{"tab":2}')])] == ['{"tab":2}']
    assert presence.leave(1) == [], "the id belongs to the new connection"


def test_what_the_room_said_itself_is_hearsay() -> None:
    presence = Presence(floor=1_000)
    presence.join(1, "ada")
    (told,) = presence.receive(1, [Entry(7, 3, "{}")])
    presence.join(2, "ada")
    assert presence.receive(2, [told]) == []
    assert presence.receive(1, [Entry(7, 4, '{"still":"here"}')]) != []
