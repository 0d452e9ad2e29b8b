"""Who somebody is by what they present, and what they may do: the one place that is asked."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from collabd.errors import CollabdError, NotAllowed, Overloaded, SignInNeeded
from collabd.memos import Memos

from .base import NOBODY_SIGNED_IN, Access, Authorize, Identity, allow_everyone
from .keys import Keys, is_key
from .oidc import Provider
from .revocations import Revocations
from .sessions import Sessions
from .shares import Shares
from .tokens import MAX_CONNECTION_SECONDS, Tokens, is_token, stored_secret

logger = logging.getLogger(__name__)

SESSION_SECONDS: Final = 12 * 3600.0
TIDY_SECONDS: Final = 60.0
"""From one removal of expired memos to the next."""


class Presented(NamedTuple):
    """What a request brings along to be known by."""

    bearer: str = ""
    """From the header Authorization, or a subprotocol."""
    in_address: str = ""
    """From the query: good for document tokens only, since addresses are written down everywhere."""
    session: str = ""
    """From the cookie, if the request comes from a page that may use it."""
    link: str = ""
    """The secret of a link to a document, which is added to what somebody may do anyway."""


class Gate:
    """Knows who somebody is, and what they may do.

    Args:
        memos: where keys, sessions and revocations are kept.
        authorize: decides for those whose credential does not say what it is good for.
        providers: with whom people can sign in, by name.
        shares: what people share with one another, if they can.
        session_seconds: how long a session lasts.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        memos: Memos,
        authorize: Authorize = allow_everyone,
        providers: Mapping[str, Provider] | None = None,
        *,
        shares: Shares | None = None,
        session_seconds: float = SESSION_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tokens: Tokens
        """To be used once the gate is open."""
        self.keys = Keys(memos, clock=clock)
        self.providers = providers or {}
        self.shares = shares
        self.revocations = Revocations(memos, MAX_CONNECTION_SECONDS, clock=clock)
        self.sessions = Sessions(
            memos, self.revocations, self.providers, lasting=session_seconds, clock=clock
        )
        self._memos = memos
        self._authorize = authorize
        self._clock = clock
        self._tidied_at = 0.0

    async def open(self, secrets: Sequence[bytes] = ()) -> None:
        """Begin, once memos can be read. ``secrets`` sign document tokens; without any, one is kept.

        Raises:
            MalformedInput: a secret is too short.
        """
        self.tokens = Tokens(secrets or [await stored_secret(self._memos)], clock=self._clock)
        await self.refresh()

    def on_change(self, tell: Callable[[], None]) -> None:
        """Let ``tell`` be called whenever something was revoked or shared here, so that others may look."""
        self.revocations.feed.on_added = tell
        if self.shares is not None:
            self.shares.feed.on_added = tell

    @property
    def is_open(self) -> bool:
        """Whether everybody may do everything, and nobody is asked who he is."""
        return self._authorize is allow_everyone

    async def identify(self, presented: Presented) -> Identity:
        """Who it is. Where everybody may do everything, what is not known counts for nothing.

        Raises:
            SignInNeeded: what was presented is not accepted.
            Overloaded: it cannot be found out at the moment.
        """
        try:
            identity = await self._identify(presented)
        except SignInNeeded:
            if self.is_open:
                return NOBODY_SIGNED_IN
            raise
        return identity if self.shares is None else replace(identity, link=presented.link)

    async def _identify(self, presented: Presented) -> Identity:
        if presented.in_address:
            identity = self.tokens.read(presented.in_address)
        elif presented.bearer:
            identity = await self._known_by(presented.bearer)
        elif presented.session:
            try:
                identity = (await self.sessions.read(presented.session)).identity
            except SignInNeeded:
                # Browsers show a cookie to everything, also when its session has ended.
                return NOBODY_SIGNED_IN
        else:
            return NOBODY_SIGNED_IN
        if self._is_over(identity):
            raise SignInNeeded("the credentials are not accepted")
        return identity

    async def access(self, identity: Identity, document: str) -> Access:
        """What somebody may do with a document. It is to be asked again while a connection lasts.

        Raises:
            Overloaded: it cannot be found out at the moment.
        """
        if identity.scope is not None:
            return identity.scope.access(document)
        access = await self._decided(identity, document)
        if self.shares is None or access == Access.ADMIN:
            return access
        return max(access, await self.shares.access(identity, document))

    async def _decided(self, identity: Identity, document: str) -> Access:
        try:
            return await self._authorize(identity.principal, document)
        except CollabdError:
            raise
        except Exception as error:  # it may be an application's own code
            logger.exception("what may be done with document %s could not be decided", document)
            raise Overloaded("who may do what cannot be found out at the moment; come back") from error

    async def demand(self, identity: Identity, document: str, needed: Access) -> Access:
        """What somebody may do with a document, if it is enough. What is said does not depend on whether
        there is such a document.

        Raises:
            SignInNeeded: it is not, and nobody is signed in.
            NotAllowed: it is not.
        """
        access = await self.access(identity, document)
        if access >= needed:
            return access
        if not identity.is_signed_in:
            raise SignInNeeded(f"who may {needed.name.lower()} this document has to sign in")
        raise NotAllowed(f"this takes the right to {needed.name.lower()} the document")

    async def enter(self, identity: Identity, document: str, needed: Access) -> Access:
        """What :meth:`demand` says, to be asked when somebody may be about to make the document: it is his
        then, if a rule lets him create it.

        Raises:
            SignInNeeded, NotAllowed: as :meth:`demand`.
        """
        if (
            self.shares is not None
            and identity.is_signed_in
            and identity.scope is None
            and await self.shares.claim(identity.principal, document)
        ):
            return Access.ADMIN
        return await self.demand(identity, document, needed)

    async def still(self, identity: Identity) -> Identity | None:
        """Who it is now whose connection was opened as ``identity``; None if the connection has to end."""
        if self._is_over(identity):
            return None
        if identity.credential.startswith("session:"):
            current = await self.sessions.still(identity)
            return None if current is None else replace(current, link=identity.link)
        return identity

    async def revoke_key(self, key_id: str) -> bool:
        """Let an API key be good for nothing any more; False if there was none.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
        if not await self.keys.remove(key_id):
            return False
        await self.revocations.add(f"key:{key_id}")
        return True

    async def refresh(self) -> None:
        """Look up what was revoked and shared elsewhere, and forget what has expired; to be called every
        second."""
        await self.revocations.look()
        if self.shares is not None:
            await self.shares.look()
        now = self._clock()
        if now - self._tidied_at >= TIDY_SECONDS:
            self._tidied_at = now
            await self._memos.remove_expired_memos(now)

    async def _known_by(self, bearer: str) -> Identity:
        if is_key(bearer):
            return await self.keys.read(bearer)
        if is_token(bearer):
            return self.tokens.read(bearer)
        for provider in self.providers.values():
            if provider.settings.audience and provider.is_issuer_of(bearer):
                return await provider.read_access_token(bearer)
        raise SignInNeeded("the credentials are not accepted")

    def _is_over(self, identity: Identity) -> bool:
        return identity.expires_at <= self._clock() or self.revocations.concern(identity)
