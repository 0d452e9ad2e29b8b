"""``/api/v1/tokens`` and beside it: document tokens made and revoked, and who one is."""

from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from collabd.auth.base import ANONYMOUS, Identity, Principal, Scope
from collabd.auth.tokens import DEFAULT_SECONDS
from collabd.errors import MalformedInput, NotAllowed, SignInNeeded

from . import audit
from .documents import NOSNIFF, Documents, Resource, identity_of, time_of

MAX_NAME: Final = 100
"""Characters of a name to be shown."""


def credential_routes(documents: Documents, look_now: Callable[[], None]) -> list[BaseRoute]:
    """The routes. ``look_now`` is called when something was revoked."""
    return [
        Route("/api/v1/me", _Me(documents)),
        Route("/api/v1/tokens", _Tokens(documents)),
        Route("/api/v1/revocations", _Revocations(documents, look_now)),
    ]


class _Me(Resource):
    async def get(self, request: Request) -> Response:
        identity = identity_of(request)
        principal = identity.principal
        return JSONResponse(
            {
                "id": principal.id,
                "name": principal.name,
                "color": principal.color or None,
                "groups": sorted(principal.groups),
                "signed_in": identity.is_signed_in,
                "providers": [
                    {"name": name, "label": provider.settings.label or name}
                    for name, provider in self.documents.gate.providers.items()
                ],
                "scope": None if identity.scope is None else identity.scope.written(),
            },
            headers=NOSNIFF,
        )


class _Tokens(Resource):
    async def post(self, request: Request) -> Response:
        key = _minting(request)
        wanted = await self.documents.object_of(request)
        unknown = wanted.keys() - {"id", "name", "color", "scope", "seconds", "connection_seconds"}
        if unknown:
            raise MalformedInput(f"a token has no {min(unknown)!r}")
        principal = _principal(wanted)
        scope = Scope.parse(wanted.get("scope"))
        if key.scope is None or not key.scope.covers(scope):
            raise NotAllowed("the key is not good for all that the token would be")
        seconds = _seconds(wanted, "seconds")
        token, identity = self.documents.gate.tokens.mint(
            principal,
            scope,
            seconds=DEFAULT_SECONDS if seconds is None else seconds,
            connection_seconds=_seconds(wanted, "connection_seconds"),
        )
        audit.note(
            "token-made", request, who=key.principal.id, subject=principal.id, credential=identity.credential
        )
        answer = {
            "token": token,
            "token_id": identity.credential_id,
            "connections_end_at": time_of(identity.expires_at),
        }
        return JSONResponse(answer, 201, {**NOSNIFF, "Cache-Control": "no-store"})


class _Revocations(Resource):
    def __init__(self, documents: Documents, look_now: Callable[[], None]) -> None:
        super().__init__(documents)
        self._look_now = look_now

    async def post(self, request: Request) -> Response:
        key = _minting(request)
        wanted = await self.documents.object_of(request)
        token, subject = wanted.get("token_id"), wanted.get("id")
        if wanted.keys() == {"token_id"} and isinstance(token, str) and token:
            await self.documents.gate.revocations.add(f"token:{token}")
        elif wanted.keys() == {"id"} and isinstance(subject, str) and subject:
            await self.documents.gate.revocations.add(f"subject:{subject}")
        else:
            raise MalformedInput("what is revoked is a token_id, or all tokens of an id")
        self._look_now()
        audit.note("revoked", request, who=key.principal.id, **wanted)
        return Response(status_code=204)


def _minting(request: Request) -> Identity:
    """Whose key it is that tokens are to be made with.

    Raises:
        SignInNeeded, NotAllowed: it cannot be done.
    """
    identity = identity_of(request)
    if not identity.is_signed_in:
        raise SignInNeeded("tokens are made with an API key")
    if not identity.credential.startswith("key:"):
        raise NotAllowed("tokens are made with an API key")
    if not identity.mints:
        raise NotAllowed("this API key makes no tokens")
    return identity


def _principal(wanted: dict[str, Any]) -> Principal:
    user_id, name, color = wanted.get("id"), wanted.get("name"), wanted.get("color", "")
    if not isinstance(user_id, str) or not user_id or user_id == ANONYMOUS.id:
        raise MalformedInput("id says for whom the token is")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise MalformedInput(f"name is what others are shown, of up to {MAX_NAME} characters")
    if not isinstance(color, str) or (color and not _is_color(color)):
        raise MalformedInput("color is given as #rrggbb")
    return Principal(user_id, name, color)


def _is_color(text: str) -> bool:
    return len(text) == 7 and text[0] == "#" and set(text[1:].lower()) <= set("0123456789abcdef")


def _seconds(wanted: dict[str, Any], name: str) -> float | None:
    value = wanted.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedInput(f"{name} is a number of seconds")
    return float(value)
