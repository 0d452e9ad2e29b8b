"""With whom documents are shared: who counts as whom, who owns what, and that changes are seen elsewhere."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from collabd.auth.base import ANONYMOUS, Access, Identity, Principal
from collabd.auth.shares import MAX_SHARES, UNUSED_SECONDS, Shares
from collabd.errors import DocumentDeleted, MalformedInput, TooLarge
from collabd.memos import Memo
from collabd.persistence.memory import MemoryStore
from tests.support.clock import Clock

ADA = Principal("example:ada", "Ada")
BEN = Principal(
    "example:ben",
    "Ben",
    groups=frozenset(("staff",)),
    claims={"email": "Ben@Example.org", "email_verified": True},
)


class Place:
    """Documents that are there or not, and the servers that share a store."""

    def __init__(self) -> None:
        self.store = SlowStore()
        self.clock = Clock(time.time())
        self.there: set[str] = set()
        self.deleted: set[str] = set()

    def shares(self, *, links: bool = True) -> Shares:
        return Shares(self.store, _may_create, self._find, links=links, clock=self.clock)

    async def _find(self, name: str) -> object | None:
        if name in self.deleted:
            raise DocumentDeleted(name)
        return name if name in self.there else None


class SlowStore(MemoryStore):
    """A store whose answers about shares can be held back."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_up = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.has_read = asyncio.Event()

    async def memos_about(self, kind: str, subjects: Sequence[str]) -> list[Memo]:
        self.looked_up += 1
        found = await super().memos_about(kind, subjects)
        self.has_read.set()
        await self.may_answer.wait()
        return found


def _may_create(principal: Principal, document: str) -> bool:
    return document.startswith("new/")


def known(principal: Principal, link: str = "") -> Identity:
    credential = "" if principal == ANONYMOUS else f"session:{principal.id}"
    return Identity(principal, credential, link=link)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def shares(place: Place) -> Shares:
    return place.shares()


@pytest.mark.parametrize(
    "who",
    ["user:example:ben", "group:staff", "signed-in", "email:ben@example.org", "email:BEN@example.ORG"],
)
async def test_it_is_shared_with_people_by_what_they_are(who: str, shares: Shares) -> None:
    await shares.share("notes", who, Access.WRITE, ADA)
    assert await shares.access(known(BEN), "notes") == Access.WRITE
    assert await shares.access(known(BEN), "notes/more") == Access.NONE
    assert await shares.access(known(ANONYMOUS), "notes") == Access.NONE
    if who != "signed-in":
        assert await shares.access(known(ADA), "notes") == Access.NONE
    await shares.share("notes", who, Access.NONE, ADA)
    assert await shares.access(known(BEN), "notes") == Access.NONE


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "ben@example.org"},
        {"email": "ben@example.org", "email_verified": False},
        {"email": "ben@example.org", "email_verified": "false"},
        {"email": "ben@example.org", "email_verified": 1.5},
        {"email": ["ben@example.org"], "email_verified": True},
    ],
)
async def test_an_address_that_was_not_verified_is_nobody_s(
    claims: dict[str, object], shares: Shares
) -> None:
    await shares.share("notes", "email:ben@example.org", Access.READ, ADA)
    assert await shares.access(known(Principal("evil", "Ben", claims=claims)), "notes") == Access.NONE


async def test_the_largest_share_counts(shares: Shares) -> None:
    await shares.share("notes", "signed-in", Access.READ, ADA)
    await shares.share("notes", "group:staff", Access.ADMIN, ADA)
    await shares.share("notes", "user:example:ben", Access.WRITE, ADA)
    assert await shares.access(known(BEN), "notes") == Access.ADMIN


@pytest.mark.parametrize(
    "who",
    [
        "",
        "ben",
        "user:",
        "group:",
        "email:",
        "email:ben",
        "email:a b@c",
        "email:a@b@c",
        "owner",
        "link",
        "anyone",
        "Signed-In",
        "user:a\nb",
        "group:a\x00",
        "user:" + "x" * 400,
    ],
)
async def test_it_is_shared_with_nobody_else(who: str, shares: Shares) -> None:
    with pytest.raises(MalformedInput):
        await shares.share("notes", who, Access.READ, ADA)


async def test_no_more_than_so_many(shares: Shares) -> None:
    for number in range(MAX_SHARES):
        await shares.share("notes", f"user:{number}", Access.READ, ADA)
    with pytest.raises(TooLarge):
        await shares.share("notes", "user:one more", Access.READ, ADA)
    await shares.share("notes", "user:0", Access.WRITE, ADA)
    await shares.share("notes", "user:1", Access.NONE, ADA)
    await shares.share("notes", "user:one more", Access.READ, ADA)


async def test_a_link_is_good_for_whoever_has_it(shares: Shares) -> None:
    await shares.share_by_link("notes", Access.READ)
    link = (await shares.of("notes")).link
    assert link is not None
    for somebody in (ANONYMOUS, BEN):
        assert await shares.access(known(somebody, link.secret), "notes") == Access.READ
        assert await shares.access(known(somebody, link.secret), "other") == Access.NONE
        for wrong in ("", link.secret[:-1], link.secret + "x", "é", "null"):
            assert await shares.access(known(somebody, wrong), "notes") == Access.NONE
    await shares.share_by_link("notes", Access.WRITE)
    assert await shares.access(known(ANONYMOUS, link.secret), "notes") == Access.WRITE, "it is the same link"


async def test_a_link_that_was_taken_back_stays_so(shares: Shares) -> None:
    await shares.share_by_link("notes", Access.READ)
    first = (await shares.of("notes")).link
    assert first is not None
    await shares.share_by_link("notes", Access.NONE)
    assert await shares.access(known(ANONYMOUS, first.secret), "notes") == Access.NONE
    await shares.share_by_link("notes", Access.READ)
    assert await shares.access(known(ANONYMOUS, first.secret), "notes") == Access.NONE


async def test_no_link_gives_all_rights_or_is_made_where_there_are_none(place: Place) -> None:
    with pytest.raises(MalformedInput):
        await place.shares().share_by_link("notes", Access.ADMIN)
    with pytest.raises(MalformedInput):
        await place.shares(links=False).share_by_link("notes", Access.READ)


async def test_who_makes_a_document_owns_it(shares: Shares) -> None:
    assert await shares.claim(ADA, "new/plan")
    assert await shares.access(known(ADA), "new/plan") == Access.ADMIN
    assert not await shares.claim(BEN, "new/plan")
    assert await shares.access(known(BEN), "new/plan") == Access.NONE


async def test_of_many_who_make_it_one_owns_it(place: Place) -> None:
    people = [Principal(str(number), "") for number in range(8)]
    servers = [place.shares() for _ in people]
    claimed = await asyncio.gather(
        *(shares.claim(each, "new/plan") for shares, each in zip(servers, people, strict=True))
    )
    assert claimed.count(True) == 1
    owner = (await place.shares().of("new/plan")).owner
    assert owner is not None
    assert owner.id == people[claimed.index(True)].id


async def test_what_is_there_is_nobody_s_to_take(place: Place, shares: Shares) -> None:
    place.there.add("new/plan")
    assert not await shares.claim(ADA, "new/plan")
    assert not await shares.claim(ADA, "old/plan")
    assert not await shares.claim(ANONYMOUS, "new/other")


async def test_what_was_made_meanwhile_is_not_taken(place: Place, shares: Shares) -> None:
    place.store.may_answer.clear()
    claiming = asyncio.create_task(shares.claim(ADA, "new/plan"))
    await place.store.has_read.wait()
    original = place.store.put_memo

    async def put_memo(memo: Memo, *, fresh: bool = False) -> bool:
        place.there.add("new/plan")
        return await original(memo, fresh=fresh)

    place.store.put_memo = put_memo  # type: ignore[method-assign]
    place.store.may_answer.set()
    assert not await claiming
    assert (await shares.of("new/plan")).owner is None


async def test_a_name_that_nobody_wrote_to_is_free_again(place: Place, shares: Shares) -> None:
    assert await shares.claim(ADA, "new/plan")
    await shares.share("new/plan", "user:cem", Access.WRITE, ADA)
    place.clock.now += UNUSED_SECONDS - 1
    assert not await shares.claim(BEN, "new/plan")
    place.clock.now += 2
    assert not await shares.claim(ADA, "new/plan"), "it is hers"
    assert await shares.claim(BEN, "new/plan")
    assert await shares.access(known(ADA), "new/plan") == Access.NONE
    assert (await shares.of("new/plan")).shares == {}
    place.there.add("new/plan")
    place.clock.now += 2 * UNUSED_SECONDS
    assert not await shares.claim(ADA, "new/plan")


async def test_a_deleted_name_may_be_made_anew(place: Place, shares: Shares) -> None:
    assert await shares.claim(ADA, "new/plan")
    await shares.share_by_link("new/plan", Access.WRITE)
    place.deleted.add("new/plan")
    await shares.forget("new/plan")
    assert await shares.access(known(ADA), "new/plan") == Access.NONE
    assert await shares.claim(BEN, "new/plan")
    assert (await shares.of("new/plan")).link is None


async def test_an_owner_can_give_it_away(shares: Shares) -> None:
    assert await shares.claim(ADA, "new/plan")
    await shares.give("new/plan", BEN.id, BEN.name)
    assert await shares.access(known(BEN), "new/plan") == Access.ADMIN
    assert await shares.access(known(ADA), "new/plan") == Access.NONE
    for nobody in ("", "anonymous", "a\nb"):
        with pytest.raises(MalformedInput):
            await shares.give("new/plan", nobody)


async def test_what_is_shared_elsewhere_is_seen_at_the_next_look(place: Place) -> None:
    here, elsewhere = place.shares(), place.shares()
    for server in (here, elsewhere):
        await server.look()
        assert await server.access(known(BEN), "notes") == Access.NONE
    await elsewhere.share("notes", "user:example:ben", Access.WRITE, ADA)
    assert await elsewhere.access(known(BEN), "notes") == Access.WRITE
    assert await here.access(known(BEN), "notes") == Access.NONE
    await here.look()
    assert await here.access(known(BEN), "notes") == Access.WRITE


async def test_a_server_that_could_not_look_for_long_forgets_what_it_knew(place: Place) -> None:
    here, elsewhere = place.shares(), place.shares()
    await here.look()
    await here.of("notes")
    await elsewhere.share("notes", "user:example:ben", Access.WRITE, ADA)
    place.clock.now += 1000
    await place.store.remove_expired_memos(place.clock.now)
    await here.look()
    assert await here.access(known(BEN), "notes") == Access.WRITE


async def test_shares_are_asked_for_once(place: Place, shares: Shares) -> None:
    for _ in range(3):
        await shares.access(known(BEN), "notes")
    await shares.of_all(["notes", "a", "b"])
    await shares.access(known(BEN), "a")
    await shares.look()
    place.clock.now += 1
    await shares.look()
    await shares.access(known(BEN), "b")
    # The first look of all forgets everything.
    assert place.store.looked_up == 3


async def test_what_changes_while_it_is_looked_up_is_not_remembered_as_it_was(
    place: Place, shares: Shares
) -> None:
    place.store.may_answer.clear()
    looking = asyncio.create_task(shares.access(known(BEN), "notes"))
    await place.store.has_read.wait()
    place.store.may_answer.set()
    place.store.may_answer = asyncio.Event()
    await place.store.put_memo(
        Memo("share", "notes//user:example:ben", "notes", '{"access": "read", "by": "a", "at": 1}')
    )
    await shares._changed("notes")
    place.store.may_answer.set()
    await looking
    assert await shares.access(known(BEN), "notes") == Access.READ
