"""What people share with one another: per document its owner, people, groups and a link.

Shares add to what the rules of the configuration give, and take nothing away. They belong to a name: where a
document is deleted they go with it.
"""

import hmac
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from collabd.errors import DocumentDeleted, MalformedInput, TooLarge
from collabd.memos import Memo, Memos

from .base import ANONYMOUS, Access, Identity, Principal
from .feed import Feed

KIND: Final = "share"
CHANGED: Final = "share-changed"
CHANGES_LAST: Final = 900.0
"""Seconds for which servers are told of a change."""
MAX_SHARES: Final = 200
"""People and groups that one document is shared with."""
MAX_KNOWN: Final = 10_000
"""Documents whose shares are remembered: asking for each open connection would keep the store busy."""
UNUSED_SECONDS: Final = 3600.0
"""After which a name is free again that somebody opened and never wrote to."""
SECRET_BYTES: Final = 24
MAX_NAME: Final = 100
"""Characters of what an owner is called."""
OWNER: Final = "owner"
LINK: Final = "link"
SIGNED_IN: Final = "signed-in"
_WHO: Final = re.compile(r"(user|group):[^\x00-\x1f\x7f]{1,255}|email:[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+")
MAX_WHO: Final = 300
"""Characters."""


class MayCreate(Protocol):
    """Whether somebody may make new documents of a name."""

    def __call__(self, principal: Principal, document: str) -> bool: ...


class Share(NamedTuple):
    """What somebody may do with a document."""

    who: str
    """``user:`` and an id, ``email:`` and an address, ``group:`` and a name, or ``signed-in``."""
    access: Access
    added_by: str
    added_at: float
    """Seconds since the epoch."""


class Owner(NamedTuple):
    """Whose document it is: who has made it, or was given it."""

    id: str
    name: str
    since: float
    """Seconds since the epoch."""


class Link(NamedTuple):
    """What whoever knows the secret may do with a document."""

    access: Access
    secret: str

    def is_known_by(self, identity: Identity) -> bool:
        """Whether somebody has come by it."""
        return hmac.compare_digest(self.secret.encode(), identity.link.encode())


@dataclass(frozen=True, slots=True)
class Shared:
    """With whom one document is shared."""

    owner: Owner | None = None
    shares: Mapping[str, Share] = field(default_factory=dict)
    """By whom they are for."""
    link: Link | None = None

    def access(self, identity: Identity) -> Access:
        """What somebody may do by it."""
        found = Access.NONE
        principal = identity.principal
        if principal != ANONYMOUS:
            if self.owner is not None and self.owner.id == principal.id:
                return Access.ADMIN
            if self.shares:
                found = max(
                    (self.shares[who].access for who in _all_of(principal) if who in self.shares),
                    default=found,
                )
        if self.link is not None and self.link.is_known_by(identity):
            found = max(found, self.link.access)
        return found


UNSHARED: Final = Shared()


class Shares:
    """The shares of all documents.

    Args:
        may_create: who owns what he makes.
        find: looks a document up, and raises DocumentDeleted for a tombstone.
        links: whether documents can be shared by a link.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        memos: Memos,
        may_create: MayCreate,
        find: Callable[[str], Awaitable[object | None]],
        *,
        links: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.links = links
        self._memos = memos
        self._may_create = may_create
        self._find = find
        self._clock = clock
        self.feed = Feed(memos, CHANGED, CHANGES_LAST, clock=clock)
        self._known: dict[str, Shared] = {}
        self._changes = 0
        """Grows with each change: what was looked up meanwhile may be out of date."""

    async def access(self, identity: Identity, document: str) -> Access:
        """What somebody may do with a document by what is shared.

        Raises:
            StoreUnavailable: the store cannot be asked at the moment.
        """
        known = self._known.get(document)
        return (known or await self.of(document)).access(identity)

    async def of(self, document: str) -> Shared:
        """With whom a document is shared.

        Raises:
            StoreUnavailable: the store cannot be asked at the moment.
        """
        return (await self.of_all([document]))[document]

    async def of_all(self, documents: Sequence[str]) -> dict[str, Shared]:
        """The same of many at once, by name; they are remembered then."""
        found = {name: self._known[name] for name in documents if name in self._known}
        asked = [name for name in documents if name not in found]
        if not asked:
            return found
        changes = self._changes
        memos: dict[str, list[Memo]] = {name: [] for name in asked}
        for memo in await self._memos.memos_about(KIND, asked):
            memos[memo.subject].append(memo)
        read = {name: _shared(some) for name, some in memos.items()}
        if changes == self._changes:
            if len(self._known) + len(read) > MAX_KNOWN:
                self._known.clear()
            self._known.update(list(read.items())[:MAX_KNOWN])
        return found | read

    async def share(self, document: str, who: str, access: Access, by: Principal) -> None:
        """Let somebody do something with a document; with no access, no longer.

        Raises:
            MalformedInput: ``who`` is nobody it can be shared with.
            TooLarge: it is shared with too many.
            StoreUnavailable: the store cannot commit at the moment.
        """
        who = _checked(who)
        if access == Access.NONE:
            await self._memos.remove_memo(KIND, _key(document, who))
        else:
            shared = await self.of(document)
            if who not in shared.shares and len(shared.shares) >= MAX_SHARES:
                raise TooLarge(f"a document is shared with at most {MAX_SHARES} people and groups")
            await self._put(document, who, {"access": access.name.lower(), "by": by.id, "at": self._clock()})
        await self._changed(document)

    async def share_by_link(self, document: str, access: Access) -> None:
        """Let whoever has the document's link do something with it; with no access, the link holds no longer,
        and the next one is another.

        Raises:
            MalformedInput: a link does not give so much, or there are no links here.
            StoreUnavailable: the store cannot commit at the moment.
        """
        if access == Access.NONE:
            await self._memos.remove_memo(KIND, _key(document, LINK))
        elif not self.links:
            raise MalformedInput("documents are not shared by links here")
        elif access > Access.WRITE:
            raise MalformedInput("a link lets people read or write")
        else:
            link = (await self.of(document)).link
            secret = secrets.token_urlsafe(SECRET_BYTES) if link is None else link.secret
            await self._put(document, LINK, {"access": access.name.lower(), "secret": secret})
        await self._changed(document)

    async def give(self, document: str, owner: str, name: str = "") -> None:
        """Let a document be somebody's from now on.

        Raises:
            MalformedInput: it is nobody's id.
            StoreUnavailable: the store cannot commit at the moment.
        """
        _checked(f"user:{owner}")
        if owner == ANONYMOUS.id:
            raise MalformedInput("a document is owned by somebody who can sign in")
        await self._put(document, OWNER, self._owner(owner, name))
        await self._changed(document)

    async def claim(self, principal: Principal, document: str) -> bool:
        """Make somebody the owner of a document that he may create, if there is none yet of that name. Of
        several who try, one is.

        Returns:
            whether it was done.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
        if principal == ANONYMOUS or not self._may_create(principal, document):
            return False
        shared = await self.of(document)
        owner = shared.owner
        if owner is not None and (owner.id == principal.id or owner.since > self._clock() - UNUSED_SECONDS):
            return False
        if not await self._is_new(document):
            return False
        if owner is not None:
            await self.forget(document)
        value = json.dumps(self._owner(principal.id, principal.name))
        memo = Memo(KIND, _key(document, OWNER), document, value)
        if not await self._memos.put_memo(memo, fresh=True):
            self._known.pop(document, None)
            return False
        # Somebody else may have made the document while it was looked up.
        if not await self._is_new(document):
            await self._memos.remove_memo(KIND, memo.key)
            await self._changed(document)
            return False
        await self._changed(document)
        return True

    async def forget(self, document: str) -> None:
        """Share a document with nobody any more: it was deleted.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
        for memo in await self._memos.memos_about(KIND, [document]):
            await self._memos.remove_memo(KIND, memo.key)
        await self._changed(document)

    async def look(self) -> None:
        """Find out what was shared elsewhere; to be called every second.

        Raises:
            StoreUnavailable: the store cannot be asked at the moment.
        """
        was_long_ago = self._clock() - self.feed.looked_at > CHANGES_LAST / 2
        changed = await self.feed.look()
        if was_long_ago:  # of some changes nothing may be told any more
            self._drop(list(self._known))
        elif changed:
            self._drop(happening.what for happening in changed)

    async def _put(self, document: str, who: str, value: Mapping[str, Any]) -> None:
        await self._memos.put_memo(Memo(KIND, _key(document, who), document, json.dumps(value)))

    async def _changed(self, document: str) -> None:
        self._drop([document])
        await self.feed.add(document)

    def _drop(self, documents: Iterable[str]) -> None:
        self._changes += 1
        for document in documents:
            self._known.pop(document, None)

    async def _is_new(self, document: str) -> bool:
        try:
            return await self._find(document) is None
        except DocumentDeleted:
            return True

    def _owner(self, owner: str, name: str) -> dict[str, Any]:
        return {"id": owner, "name": name[:MAX_NAME], "at": self._clock()}


def _checked(who: str) -> str:
    """Whom something is shared with, in the form in which that is kept."""
    if who == SIGNED_IN:
        return who
    if len(who) > MAX_WHO or _WHO.fullmatch(who) is None:
        raise MalformedInput(
            "it is shared with user: and an id, email: and an address, group: and a name, or signed-in"
        )
    return who.lower() if who.startswith("email:") else who


def _all_of(principal: Principal) -> list[str]:
    """All that somebody is to those who share something."""
    found = [SIGNED_IN, f"user:{principal.id}", *(f"group:{group}" for group in principal.groups)]
    email = principal.claims.get("email")
    # Whoever can choose his address freely must not come by what is another's.
    if isinstance(email, str) and principal.claims.get("email_verified") in (True, "true"):
        found.append(f"email:{email.lower()}")
    return found


def _key(document: str, who: str) -> str:
    # Names of documents have no empty segments.
    return f"{document}//{who}"


def _shared(memos: Sequence[Memo]) -> Shared:
    if not memos:
        return UNSHARED
    owner, link = None, None
    shares: dict[str, Share] = {}
    for memo in memos:
        who, value = memo.key.removeprefix(f"{memo.subject}//"), json.loads(memo.value)
        if who == OWNER:
            owner = Owner(value["id"], value["name"], value["at"])
        elif who == LINK:
            link = Link(Access.named(value["access"]), value["secret"])
        else:
            shares[who] = Share(who, Access.named(value["access"]), value["by"], value["at"])
    return Shared(owner, shares, link)
