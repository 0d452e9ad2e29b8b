"""``/api/v1/shares/{document}``: with whom a document is shared, and what one may do with it oneself."""

from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from collabd.auth.base import Access
from collabd.auth.shares import LINK, OWNER, Link, Share, Shared, Shares
from collabd.errors import MalformedInput, NotAllowed

from . import audit
from .documents import NOSNIFF, Documents, Resource, identity_of, name_of, time_of

PRIVATE: Final = {**NOSNIFF, "Cache-Control": "no-store"}
"""The secret of a link is kept by nobody on its way."""


def share_route(documents: Documents, look_now: Callable[[], None]) -> BaseRoute:
    """The route. ``look_now`` is called when something was changed."""
    return Route("/api/v1/shares/{document:path}", _Shares(documents, look_now))


class _Shares(Resource):
    def __init__(self, documents: Documents, look_now: Callable[[], None]) -> None:
        super().__init__(documents)
        self._look_now = look_now

    async def get(self, request: Request) -> Response:
        name = name_of(request)
        access = await self.documents.demand(request, name, Access.READ)
        return JSONResponse(await self._told(name, access), headers=PRIVATE)

    async def post(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.ADMIN)
        shares = self.documents.gate.shares
        if shares is None:
            raise NotAllowed("documents are not shared here")
        wanted = await self.documents.object_of(request)
        access = await self.documents.demand(request, name, Access.ADMIN)  # still: a body may come slowly
        await self._change(request, shares, name, wanted)
        self._look_now()
        return JSONResponse(await self._told(name, access), headers=PRIVATE)

    async def _change(self, request: Request, shares: Shares, name: str, wanted: dict[str, Any]) -> None:
        principal = identity_of(request).principal
        who = wanted.get("who")
        if not isinstance(who, str):
            raise MalformedInput("who says whom it is shared with")
        if who == OWNER:
            owner, called = wanted.get("id"), wanted.get("name", "")
            if not isinstance(owner, str) or not isinstance(called, str) or wanted.keys() - _OF_OWNER:
                raise MalformedInput("id says whose document it is to be")
            await shares.give(name, owner, called)
            audit.note("owner", request, who=principal.id, document=name, to=owner)
            return
        if wanted.keys() != {"who", "access"}:
            raise MalformedInput("a share has a who and an access")
        access = Access.named(wanted["access"])
        if who == LINK:
            await shares.share_by_link(name, access)
        else:
            await shares.share(name, who, access, principal)
        audit.note("share", request, who=principal.id, document=name, to=who, access=access.name.lower())

    async def _told(self, name: str, access: Access) -> dict[str, Any]:
        shares = self.documents.gate.shares
        if shares is None:
            return {"access": access.name.lower(), "sharing": "off", "owner": None}
        shared = await shares.of(name)
        told = {
            "access": access.name.lower(),
            "sharing": "links" if shares.links else "people",
            "owner": None if shared.owner is None else {"id": shared.owner.id, "name": shared.owner.name},
        }
        return told | _shared(shared) if access == Access.ADMIN else told


_OF_OWNER: Final = frozenset(("who", "id", "name"))


def _shared(shared: Shared) -> dict[str, Any]:
    return {
        "shares": [_share(share) for share in sorted(shared.shares.values(), key=lambda each: each.added_at)],
        "link": _link(shared.link),
    }


def _share(share: Share) -> dict[str, str]:
    return {
        "who": share.who,
        "access": share.access.name.lower(),
        "added_by": share.added_by,
        "added_at": time_of(share.added_at),
    }


def _link(link: Link | None) -> dict[str, str] | None:
    return None if link is None else {"access": link.access.name.lower(), "secret": link.secret}
