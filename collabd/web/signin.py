"""``/auth/…``: signing in with a provider and out again; and ``/api/v1/sessions``.

What a sign-in that is under way must remember (state, nonce, PKCE verifier) is kept by the server and bound
to the browser by a cookie of its own, so that nobody can finish what somebody else began; it is good once.
"""

import hmac
import json
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from collabd.auth.base import Identity
from collabd.auth.oidc import Provider
from collabd.auth.sessions import Session
from collabd.errors import CollabdError, MalformedInput, NoSuchDocument, NotAllowed, SignInNeeded, TooMany
from collabd.memos import Memo, Memos

from . import audit
from .documents import NOSNIFF, Documents, Resource, identity_of, time_of
from .identity import Cookies, address_of, network_of

BEGUN: Final = "sign-in"
"""The kind of the memos of sign-ins under way."""
BEGUN_SECONDS: Final = 600.0
NO_STORE: Final = {**NOSNIFF, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
FAILED: Final = "sign-in"
"""The parameter by which the page is told the code of what went wrong."""
MAX_LOGOUT_BODY: Final = 32 * 1024
"""Bytes."""


class SignIn(NamedTuple):
    """What the routes share."""

    documents: Documents
    memos: Memos
    cookies: Cookies
    look_now: Callable[[], None]
    """To be called when a session was ended."""
    most_begun: int
    """How many sign-ins may be under way from one address."""


def sign_in_routes(shared: SignIn) -> list[BaseRoute]:
    """The routes."""
    return [
        Route("/auth/login", _Login(shared)),
        Route("/auth/callback/{provider}", _Callback(shared)),
        Route("/auth/logout", _Logout(shared)),
        Route("/auth/backchannel-logout/{provider}", _BackchannelLogout(shared)),
        Route("/api/v1/sessions", _Sessions(shared)),
        Route("/api/v1/sessions/{session}", _Session(shared)),
    ]


class _SignInResource(Resource):
    def __init__(self, shared: SignIn) -> None:
        super().__init__(shared.documents)
        self.shared = shared

    def _provider(self, name: str) -> Provider:
        provider = self.documents.gate.providers.get(name)
        if provider is None:
            raise NoSuchDocument("there is no such provider")
        return provider

    def _callback_url(self, request: Request, provider: Provider) -> str:
        return self.shared.cookies.own_address(request) + f"/auth/callback/{provider.name}"


class _Step(_SignInResource, ABC):
    """Where people are sent while they sign in. If it fails, the page tells them: what is meant for programs
    would leave them stranded."""

    async def get(self, request: Request) -> Response:
        try:
            return await self.go(request)
        except CollabdError as error:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            self.documents.observer.refused(error.code)
            query = urlencode({FAILED: error.code})
            return RedirectResponse(f"{self.shared.cookies.own_address(request)}/?{query}", 302, NO_STORE)

    @abstractmethod
    async def go(self, request: Request) -> Response:
        """Do what the step is for."""


class _Login(_Step):
    async def go(self, request: Request) -> Response:
        providers = self.documents.gate.providers
        name = request.query_params.get("provider") or next(iter(providers), "")
        provider = self._provider(name)
        home = urlsplit(self.shared.cookies.own_address(request)).path + "/"
        back_to = way_back(request.query_params.get("next", ""), home)
        network = network_of(address_of(request))
        _demand_not_embedded(request)
        await self._give_up_earlier(request)
        await self._demand_room(request, network)
        begun = await provider.begin(self._callback_url(request, provider))
        browser = secrets.token_urlsafe(32)
        value = {
            "provider": provider.name,
            "state": begun.state,
            "nonce": begun.nonce,
            "verifier": begun.verifier,
            "next": back_to,
        }
        until = time.time() + BEGUN_SECONDS
        await self.shared.memos.put_memo(Memo(BEGUN, browser, network, json.dumps(value), until))
        response = RedirectResponse(begun.url, 302, NO_STORE)
        self.shared.cookies.set(response, request, self.shared.cookies.sign_in, browser, BEGUN_SECONDS)
        return response

    async def _give_up_earlier(self, request: Request) -> None:
        # Its cookie is about to be replaced, so that it cannot be finished any more.
        if earlier := self.shared.cookies.value(request, self.shared.cookies.sign_in):
            await self.shared.memos.remove_memo(BEGUN, earlier)

    async def _demand_room(self, request: Request, network: str) -> None:
        # Nobody has to be known for this, and it takes room in the store that all servers share. So it is
        # counted there: it does not matter to how many of them somebody goes.
        under_way = await self.shared.memos.memos_about(BEGUN, [network]) if network else []
        if len(under_way) < self.shared.most_begun:
            return
        audit.note("sign-in-limited", request, under_way=len(under_way))
        seconds = min(memo.expires_at for memo in under_way) - time.time()
        raise TooMany("too many sign-ins were begun from your address and not finished", max(seconds, 1.0))


def _demand_not_embedded(request: Request) -> None:
    """Somebody else's page could use up all that its visitor's address may begin, by images and frames; it
    cannot by sending the visitor here, who would be away from it then (W3C, Fetch Metadata)."""
    headers = request.headers
    if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-dest") != "document":
        raise NotAllowed("another site's page cannot begin to sign you in; go to this one")


class _Callback(_Step):
    async def go(self, request: Request) -> Response:
        provider = self._provider(request.path_params["provider"])
        begun = await self._begun(request)
        query = request.query_params
        if begun["provider"] != provider.name or not _same(begun["state"], query.get("state", "")):
            raise SignInNeeded("this sign-in was not begun here, or is over; begin again")
        if query.get("iss", provider.settings.issuer) != provider.settings.issuer:  # RFC 9207
            raise SignInNeeded("this sign-in was not begun here, or is over; begin again")
        if "code" not in query:
            audit.note("sign-in-refused", request, provider=provider.name)
            raise SignInNeeded("the provider did not sign you in")
        signed_in = await provider.finish(
            query["code"], self._callback_url(request, provider), begun["verifier"], begun["nonce"]
        )
        sessions = self.documents.gate.sessions
        before = await sessions.find(self.shared.cookies.session_of(request))
        if before is not None:
            # Whatever this browser showed so far, nobody else may go on with.
            await sessions.end(before)
        secret = await sessions.begin(
            signed_in,
            provider.name,
            agent=request.headers.get("user-agent", ""),
            address=address_of(request),
        )
        audit.note("sign-in", request, who=signed_in.principal.id, provider=provider.name)
        back_to = urljoin(self.shared.cookies.own_address(request), begun["next"])
        response = RedirectResponse(back_to, 302, NO_STORE)
        cookies = self.shared.cookies
        cookies.clear(response, request, cookies.sign_in)
        cookies.set(response, request, cookies.session, secret, None)
        return response

    async def _begun(self, request: Request) -> dict[str, Any]:
        browser = self.shared.cookies.value(request, self.shared.cookies.sign_in)
        memo = await self.shared.memos.memo(BEGUN, browser) if browser else None
        # Whoever takes it away has it: of two who come with the same, one is refused.
        if memo is None or not await self.shared.memos.remove_memo(BEGUN, browser):
            raise SignInNeeded("this sign-in was not begun here, or is over; begin again")
        begun: dict[str, Any] = json.loads(memo.value)
        return begun


class _Logout(_SignInResource):
    async def post(self, request: Request) -> Response:
        cookies = self.shared.cookies
        cookies.demand_own_page(request)
        where = cookies.own_address(request) + "/"
        secret = cookies.session_of(request)
        session = await self.documents.gate.sessions.find(secret)
        if session is not None:
            await self.documents.gate.sessions.end(session)
            self.shared.look_now()
            audit.note("sign-out", request, who=session.principal.id)
            provider = self.documents.gate.providers.get(session.provider)
            if provider is not None:
                where = await provider.logout_url(session.id_token, where) or where
        response = JSONResponse({"next": where}, headers=NO_STORE)
        cookies.clear(response, request, cookies.session)
        return response


class _BackchannelLogout(_SignInResource):
    async def post(self, request: Request) -> Response:
        provider = self._provider(request.path_params["provider"])
        body = await self.documents.body_of(request, MAX_LOGOUT_BODY)
        token = _form_value(body, "logout_token")
        try:
            principal, sid = await provider.read_logout_token(token)
        except SignInNeeded as error:
            raise MalformedInput("the logout token is not accepted") from error
        ended = await self.documents.gate.sessions.end_at_provider(provider.name, principal, sid)
        self.shared.look_now()
        audit.note("signed-out-by-provider", request, who=principal, provider=provider.name, sessions=ended)
        return Response(status_code=200, headers=NO_STORE)


class _Sessions(_SignInResource):
    async def get(self, request: Request) -> Response:
        identity = _signed_in(request)
        found = await self.documents.gate.sessions.all_of(identity.principal.id)
        told = [_told(session, identity) for session in found]
        return JSONResponse({"sessions": told}, headers=NO_STORE)


class _Session(_SignInResource):
    async def delete(self, request: Request) -> Response:
        identity = _signed_in(request)
        for session in await self.documents.gate.sessions.all_of(identity.principal.id):
            if session.key == request.path_params["session"]:
                await self.documents.gate.sessions.end(session)
                self.shared.look_now()
                audit.note("session-ended", request, who=identity.principal.id)
                return Response(status_code=204)
        raise NotAllowed("you have no such session")


def way_back(text: str, home: str) -> str:
    """Where to go once signed in: a path of this server; ``home`` if it is anything else."""
    parts = urlsplit(text)
    is_path = text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.netloc
    return text if is_path and text.isprintable() and "\\" not in text else home


def _signed_in(request: Request) -> Identity:
    identity = identity_of(request)
    if not identity.credential.startswith("session:"):
        raise SignInNeeded("sessions belong to those who sign in with a provider")
    return identity


def _told(session: Session, identity: Identity) -> dict[str, Any]:
    return {
        "id": session.key,
        "provider": session.provider,
        "created_at": time_of(session.created_at),
        "expires_at": time_of(session.expires_at),
        "agent": session.agent,
        "address": session.address,
        "current": f"session:{session.key}" == identity.credential,
    }


def _form_value(body: bytes, name: str) -> str:
    try:
        values = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=10).get(name, [])
    except ValueError:
        values = []
    if len(values) != 1:
        raise MalformedInput(f"the body is a form with one {name}")
    return values[0]


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode(errors="replace"))
