"""Sessions of people who signed in with a provider: kept here, so that they can be listed and ended.

The browser has a random number of 256 bits in a cookie; the store has its hash, and who it is. While a
session lasts the provider is asked again now and then, if it allows that: who has left there has to go.
"""

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from collabd.errors import Overloaded, SignInNeeded
from collabd.memos import Memo, Memos

from .base import Identity, Principal
from .oidc import Provider, SignedIn
from .revocations import Revocations

logger = logging.getLogger(__name__)

KIND: Final = "session"
BY_SID: Final = "session-at-provider"
"""Which of our sessions belong to one of the provider's."""
SECRET_BYTES: Final = 32
RENEW_AT_LEAST: Final = 60.0
RENEW_AT_MOST: Final = 3600.0
"""Seconds between two questions to the provider about somebody."""
GRACE_SECONDS: Final = 3600.0
"""How long a session lasts whose provider does not answer."""
MAX_KNOWN: Final = 10_000
"""Sessions that are remembered: asking for each open connection would keep the store busy."""
MAX_AGENT: Final = 200
"""Characters of what a browser calls itself."""


class Session(NamedTuple):
    """A session as its owner sees it. Times are seconds since the epoch."""

    key: str
    """What it is called; nobody gets in by it."""
    principal: Principal
    provider: str
    created_at: float
    expires_at: float
    agent: str
    """What the browser called itself."""
    address: str
    id_token: str
    sid: str
    refresh_token: str
    renew_at: float
    silent_since: float | None
    """Since when the provider does not answer."""

    @property
    def identity(self) -> Identity:
        return Identity(self.principal, f"session:{self.key}", None, self.expires_at, self.created_at)


class Sessions:
    """All sessions.

    Args:
        lasting: seconds that one lasts, whatever happens.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        memos: Memos,
        revocations: Revocations,
        providers: Mapping[str, Provider],
        *,
        lasting: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memos = memos
        self._revocations = revocations
        self._providers = providers
        self._lasting = lasting
        self._clock = clock
        self._known: dict[str, Session] = {}
        """Some that were read before, by key."""
        self._renewing: dict[str, asyncio.Task[Session]] = {}

    async def begin(self, signed_in: SignedIn, provider: str, *, agent: str = "", address: str = "") -> str:
        """Begin a session; the answer is what the browser must show.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
        secret = secrets.token_urlsafe(SECRET_BYTES)
        now = self._clock()
        session = Session(
            _key_of(secret),
            signed_in.principal,
            provider,
            now,
            now + self._lasting,
            agent[:MAX_AGENT],
            address,
            signed_in.id_token,
            signed_in.sid,
            signed_in.refresh_token,
            now + _renew_in(signed_in),
            None,
        )
        await self._save(session)
        if session.sid:
            by_sid = f"{provider}:{session.sid}:{session.key}"
            about = f"{provider}:{session.sid}"
            await self._memos.put_memo(
                Memo(BY_SID, by_sid, about, json.dumps(session.key), session.expires_at)
            )
        return secret

    async def read(self, secret: str) -> Session:
        """The session that a browser shows.

        Raises:
            SignInNeeded: there is none, or it has ended.
        """
        return await self._renewed(await self._load(_key_of(secret)))

    async def find(self, secret: str) -> Session | None:
        """The session that a browser shows, without asking its provider whether it goes on; None if there is
        none."""
        try:
            return await self._load(_key_of(secret))
        except SignInNeeded:
            return None

    async def still(self, identity: Identity) -> Identity | None:
        """Who it is now whose session this was; None if it has ended."""
        key = identity.credential_id
        try:
            session = self._known.get(key) or await self._load(key)
            session = await self._renewed(session)
        except SignInNeeded:
            return None
        return session.identity

    async def all_of(self, principal: str) -> list[Session]:
        """Somebody's sessions, by key."""
        found: list[Session] = []
        while page := await self._memos.memos(KIND, subject=principal, after=found[-1].key if found else ""):
            found += map(_session, page)
        return found

    async def end(self, session: Session) -> None:
        """End a session, and the connections that were opened in it.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
        await self._revocations.add(f"session:{session.key}")
        await self._memos.remove_memo(KIND, session.key)
        if session.sid:
            await self._memos.remove_memo(BY_SID, f"{session.provider}:{session.sid}:{session.key}")
        self._known.pop(session.key, None)

    async def end_at_provider(self, provider: str, principal: str, sid: str) -> int:
        """End the sessions that a provider has ended: one of its own, or all of a principal; how many."""
        if sid:
            keys = [
                json.loads(memo.value)
                for memo in await self._memos.memos(BY_SID, subject=f"{provider}:{sid}", limit=1000)
            ]
            found = [_session(memo) for key in keys if (memo := await self._memos.memo(KIND, key))]
            ending = [session for session in found if principal in ("", session.principal.id)]
        else:
            ending = await self.all_of(principal)
        for session in ending:
            await self.end(session)
        return len(ending)

    async def _load(self, key: str) -> Session:
        memo = await self._memos.memo(KIND, key)
        if memo is None:
            raise SignInNeeded("the session has ended")
        session = _session(memo)
        if self._revocations.concern(session.identity):
            raise SignInNeeded("the session has ended")
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = session
        return session

    async def _renewed(self, session: Session) -> Session:
        """The session, after its provider was asked again if it is time."""
        now = self._clock()
        if now >= session.expires_at:
            raise SignInNeeded("the session has ended")
        if not session.refresh_token or now < session.renew_at:
            return session
        task = self._renewing.get(session.key)
        if task is None:
            task = self._renewing[session.key] = asyncio.create_task(self._renew(session))
            task.add_done_callback(lambda _: self._renewing.pop(session.key, None))
        return await asyncio.shield(task)

    async def _renew(self, session: Session) -> Session:
        now = self._clock()
        # Another server may have been faster, and refresh tokens are often good only once.
        session = await self._load(session.key)
        if now < session.renew_at:
            return session
        provider = self._providers.get(session.provider)
        try:
            if provider is None:
                raise SignInNeeded("its provider is not known any more")
            told = await provider.renew(session.refresh_token, session.principal)
        except SignInNeeded:
            logger.info("the session of %s ends: its provider says so", session.principal.id)
            await self.end(session)
            raise
        except Overloaded:
            silent_since = session.silent_since or now
            if now - silent_since >= GRACE_SECONDS:
                await self.end(session)
                raise SignInNeeded("its provider does not answer any more") from None
            session = session._replace(renew_at=now + RENEW_AT_LEAST, silent_since=silent_since)
        else:
            session = session._replace(
                principal=told.principal,
                id_token=told.id_token,
                refresh_token=told.refresh_token,
                renew_at=now + _renew_in(told),
                silent_since=None,
            )
        await self._save(session)
        self._known[session.key] = session
        return session

    async def _save(self, session: Session) -> None:
        principal = session.principal
        value = {
            "name": principal.name,
            "color": principal.color,
            "groups": sorted(principal.groups),
            "claims": dict(principal.claims),
            **{name: getattr(session, name) for name in _KEPT},
        }
        memo = Memo(KIND, session.key, principal.id, json.dumps(value), session.expires_at)
        await self._memos.put_memo(memo)


_KEPT: Final = (
    "provider",
    "created_at",
    "agent",
    "address",
    "id_token",
    "sid",
    "refresh_token",
    "renew_at",
    "silent_since",
)


def _session(memo: Memo) -> Session:
    value: dict[str, Any] = json.loads(memo.value)
    principal = Principal(
        memo.subject, value["name"], value["color"], frozenset(value["groups"]), value["claims"]
    )
    kept = {name: value[name] for name in _KEPT}
    return Session(key=memo.key, principal=principal, expires_at=memo.expires_at, **kept)


def _key_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _renew_in(told: SignedIn) -> float:
    return min(max(told.expires_in, RENEW_AT_LEAST), RENEW_AT_MOST)
