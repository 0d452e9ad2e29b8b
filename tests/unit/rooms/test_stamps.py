"""Who somebody is, put into what he says of himself."""

import json
from typing import Any

import pytest

from collabd.auth.base import ANONYMOUS, Access, Principal
from collabd.protocol import awareness, messages
from collabd.protocol.awareness import Entry
from collabd.rooms import broadcast as broadcast_module
from collabd.rooms.stamps import stamped

from .kit import House, Member, calm

ADA = Principal("example:1", "Ada", "#aa00bb")
PLAIN = Principal("example:2", "Ben")


def told(said: object, principal: Principal) -> Any:
    (entry,) = stamped([Entry(7, 3, json.dumps(said))], principal)
    assert (entry.client, entry.clock) == (7, 3)
    assert entry.state is not None
    return json.loads(entry.state)


def test_id_name_and_color_are_those_of_who_is_signed_in() -> None:
    lie = {"id": "example:9", "name": "Eve", "color": "#000000", "colorLight": "#00000033"}
    assert told({"user": lie, "cursor": {"anchor": 3}}, ADA) == {
        "user": {"id": "example:1", "name": "Ada", "color": "#aa00bb", "colorLight": "#00000033"},
        "cursor": {"anchor": 3},
    }


def test_a_color_that_is_up_to_people_stays() -> None:
    assert told({"user": {"color": "#123456"}}, PLAIN)["user"] == {
        "id": "example:2",
        "name": "Ben",
        "color": "#123456",
    }
    assert told({"user": {}}, PLAIN)["user"] == {"id": "example:2", "name": "Ben"}


def test_who_did_not_sign_in_has_the_name_he_chooses_and_no_id_of_anybody() -> None:
    assert told({"user": {"id": "example:1", "name": "Zoë", "color": "#123456"}}, ANONYMOUS)["user"] == {
        "id": "anonymous",
        "name": "Zoë",
        "color": "#123456",
    }


@pytest.mark.parametrize("user", ["Ada", 3, None, True, ["id"], [], ""])
def test_a_user_that_is_no_object_is_made_one(user: object) -> None:
    assert told({"user": user, "a": 1}, PLAIN) == {"user": {"id": "example:2", "name": "Ben"}, "a": 1}


def test_who_says_nothing_of_himself_is_known_all_the_same() -> None:
    assert told({}, ADA)["user"]["id"] == "example:1"


def test_a_key_said_twice_counts_once() -> None:
    """Else one of them might be read here, and the other one there."""
    said = '{"user": {"id": "x", "id": "y"}, "user": {"name": "Eve", "n\\u0061me": "Eva", "\\u0069d": "z"}}'
    (entry,) = stamped([Entry(1, 1, said)], ADA)
    assert entry.state is not None
    ((name, user),) = json.loads(entry.state, object_pairs_hook=list)
    assert name == "user"
    assert sorted(map(tuple, user)) == [("color", "#aa00bb"), ("id", "example:1"), ("name", "Ada")]


def test_a_leaving_says_nothing_else() -> None:
    gone = Entry(1, 5, None)
    assert stamped([gone, Entry(2, 1, "{}")], ADA)[0] == gone


@pytest.mark.parametrize(
    "said",
    ['{"a":1e308}', '{"a":"\\ud800"}', '{"\\udfff":"\\ud83d"}', '{"user":{"x":"\\ud800"}}'],
)
def test_what_others_get_can_be_read_by_everybody(said: str) -> None:
    payload = awareness.encode([Entry(1, 1, said)])
    entries = stamped(awareness.decode(payload), ADA)
    (entry,) = awareness.decode(awareness.encode(entries))
    assert entry.state is not None
    expected = json.loads(said)
    expected["user"] = expected.get("user", {}) | {"id": "example:1", "name": "Ada", "color": "#aa00bb"}
    assert json.loads(entry.state) == expected


def test_a_name_that_is_odd_can_be_told() -> None:
    odd = Principal('"\ud800\n', '\\"\u2028}', "#aa00bb")
    (entry,) = awareness.decode(awareness.encode(stamped([Entry(1, 1, "{}")], odd)))
    assert entry.state is not None
    assert json.loads(entry.state)["user"]["name"] == '\\"\u2028}'


# In a room


@pytest.fixture(autouse=True)
def presence_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broadcast of presence waits for the time of the next."""
    monkeypatch.setattr(broadcast_module, "SECONDS_BETWEEN", 0.0)


def shown(member: Member, client: int) -> list[Any]:
    """What was said of a client to a member, in order."""
    said = []
    for message in member.got.messages:
        if isinstance(message, messages.AwarenessMessage):
            said += [entry for entry in awareness.decode(message.payload) if entry.client == client]
    return [None if entry.state is None else json.loads(entry.state) for entry in said]


async def test_only_who_is_vouched_for_is_stamped() -> None:
    room = await House().room()
    ada, ben = Member(room, 1, principal=ADA).join(), Member(room, 2).join()
    ada.show('{"user":{"name":"x"}}', 1)
    await calm(room, [ada, ben])
    assert shown(ben, 1) == [{"user": {"name": "x"}}]
    ada.peer.vouched = True
    ada.show('{"user":{"name":"x"}}', 2)
    await calm(room, [ada, ben])
    assert shown(ben, 1)[-1]["user"] == {"id": "example:1", "name": "Ada", "color": "#aa00bb"}


async def test_what_is_said_of_others_is_dropped_and_closes_nothing() -> None:
    room = await House().room()
    ada, eve = (
        Member(room, 1, principal=ADA).join(),
        Member(room, 2, principal=PLAIN, access=Access.READ).join(),
    )
    ada.peer.vouched = eve.peer.vouched = True
    ada.show('{"user":{}}', 1)
    eve.show('{"user":{}}', 1)
    await calm(room, [ada, eve])
    eve.show('{"user":{"id":"example:1"},"cursor":1}', 2**31, client=1)
    eve.show(None, 2**31, client=1)
    eve.show('{"user":{}}', 1, client=9)
    await calm(room, [ada, eve])
    assert eve.is_open
    assert shown(ada, 9) == []
    assert room.awareness.states[1]["user"]["id"] == "example:1"
    assert "cursor" not in room.awareness.states[1]


async def test_who_comes_back_takes_over_and_another_person_does_not() -> None:
    room = await House().room()
    watcher = Member(room, 9).join()
    old = Member(room, 1, principal=ADA).join()
    old.peer.vouched = True
    old.show('{"cursor":1}', 1)
    await calm(room, [old, watcher])
    eve = Member(room, 2, principal=PLAIN).join()
    eve.peer.vouched = True
    eve.show('{"cursor":66}', 2**30, client=1)
    new = Member(room, 1, principal=ADA).join()
    new.peer.vouched = True
    new.show('{"cursor":2}', 2)
    await calm(room, [old, new, eve, watcher])
    assert shown(watcher, 1)[-1]["cursor"] == 2
    old.leave()
    await calm(room, [new, eve, watcher])
    assert [said and said["cursor"] for said in shown(watcher, 1)] == [1, 2]
    new.leave()
    await calm(room, [eve, watcher])
    assert shown(watcher, 1)[-1] is None
