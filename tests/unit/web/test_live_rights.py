"""Open connections are looked at again and again: what they may do is what is true now."""

import time

import pytest

from collabd.auth.base import Access, Identity, Principal, Scope
from collabd.auth.gate import Gate
from collabd.errors import AccessExpired, CollabdError, NotAllowed, Overloaded
from collabd.persistence.memory import MemoryStore
from collabd.protocol import messages
from collabd.rooms.room import READ_ONLY_FRAME
from collabd.web.rights import PATIENCE_SECONDS, LiveRights
from tests.unit.rooms.kit import House, Member, calm

ADA = Principal("example:ada", "Ada")


class Decision:
    """What somebody decides, and may change his mind about."""

    def __init__(self) -> None:
        self.access = Access.WRITE
        self.error: CollabdError | None = None
        self.asked = 0

    async def __call__(self, principal: Principal, document: str) -> Access:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.access


class Scene:
    """A room with connections whose rights are watched."""

    def __init__(self) -> None:
        self.now = time.time()
        self.decision = Decision()
        self.gate = Gate(MemoryStore(), self.decision, clock=lambda: self.now)
        self.rights = LiveRights(self.gate, lambda: self.now)
        self.house = House()

    async def member(self, client: int, identity: Identity | None = None, document: str = "notes") -> Member:
        identity = identity or Identity(ADA, issued_at=self.now)
        room = await self.house.room(document)
        member = Member(room, client, principal=identity.principal).join()
        self.rights.watch(identity, member.peer, room)
        return member


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.gate.open()
    return scene


async def test_who_may_no_longer_read_is_let_go(scene: Scene) -> None:
    ada = await scene.member(1)
    await scene.rights.check()
    assert ada.is_open
    scene.decision.access = Access.NONE
    await scene.rights.check()
    assert isinstance(ada.got.closed_by, NotAllowed)
    ada.type("graffiti")
    await calm(ada.room, [])
    assert ada.room.head == 0


async def test_who_may_no_longer_write_stays_and_is_told(scene: Scene) -> None:
    ada, ben = await scene.member(1), await scene.member(2)
    ada.type("hello")
    await calm(ada.room, [ada, ben])
    scene.decision.access = Access.READ
    await scene.rights.check()
    assert READ_ONLY_FRAME.payload in ada.got.frames
    assert ada.is_open
    ada.type(" graffiti")
    await calm(ada.room, [ben])
    assert isinstance(ada.got.closed_by, NotAllowed)
    assert ben.text == "hello"


async def test_who_may_write_again_may(scene: Scene) -> None:
    scene.decision.access = Access.READ
    ada = await scene.member(1)
    await scene.rights.check()
    scene.decision.access = Access.WRITE
    await scene.rights.check()
    ada.type("hello")
    await calm(ada.room, [ada])
    assert ada.room.head == 1


async def test_a_connection_ends_when_its_credentials_do(scene: Scene) -> None:
    _, identity = scene.gate.tokens.mint(
        ADA, Scope({"notes": Access.WRITE}), seconds=60, connection_seconds=600
    )
    ada = await scene.member(1, identity)
    scene.now += 599
    await scene.rights.check()
    assert ada.is_open
    scene.now += 1
    await scene.rights.check()
    assert isinstance(ada.got.closed_by, AccessExpired)


async def test_a_revoked_credential_ends_its_connections_and_no_others(scene: Scene) -> None:
    scope = Scope({"notes": Access.WRITE})
    (_, one), (_, other) = scene.gate.tokens.mint(ADA, scope), scene.gate.tokens.mint(ADA, scope)
    first, second, third = (
        await scene.member(1, one),
        await scene.member(2, one),
        await scene.member(3, other),
    )
    await scene.gate.revocations.add(one.credential)
    await scene.rights.check()
    assert isinstance(first.got.closed_by, AccessExpired)
    assert isinstance(second.got.closed_by, AccessExpired)
    assert third.is_open


async def test_one_question_is_asked_for_all_connections_of_somebody_to_a_document(scene: Scene) -> None:
    for client in range(1, 6):
        await scene.member(client)
    await scene.member(6, document="other")
    await scene.rights.check()
    assert scene.decision.asked == 2


async def test_rights_stay_for_a_moment_while_nobody_can_be_asked(scene: Scene) -> None:
    ada = await scene.member(1)
    scene.decision.error = Overloaded("nobody answers")
    await scene.rights.check()
    scene.now += PATIENCE_SECONDS - 0.1
    await scene.rights.check()
    assert ada.is_open
    scene.now += 0.1
    await scene.rights.check()
    assert isinstance(ada.got.closed_by, Overloaded)


async def test_an_answer_in_between_is_enough(scene: Scene) -> None:
    ada = await scene.member(1)
    for error in (Overloaded("nobody answers"), None, Overloaded("nobody answers")):
        scene.decision.error = error
        await scene.rights.check()
        scene.now += PATIENCE_SECONDS
    assert ada.is_open


async def test_who_has_left_is_not_asked_about(scene: Scene) -> None:
    identity = Identity(ADA)
    ada, ben = await scene.member(1, identity), await scene.member(2, identity)
    scene.rights.forget(identity, ada.peer, ada.room)
    scene.rights.forget(identity, ada.peer, ada.room)
    await scene.rights.check()
    assert scene.decision.asked == 1
    scene.rights.forget(identity, ben.peer, ben.room)
    await scene.rights.check()
    assert scene.decision.asked == 1


async def test_what_waits_to_be_sent_is_thrown_away(scene: Scene) -> None:
    ada = await scene.member(1)
    scene.decision.access = Access.NONE
    await scene.rights.check()
    assert ada.got.was_discarded
    frames = list(ada.got.frames)
    ben = Member(ada.room, 2).join()
    ben.type("secret")
    await calm(ada.room, [ben])
    assert ada.got.frames == frames
    assert ada.got.of(messages.Update) == []
