"""Sign-in with an OpenID provider: authorization code with PKCE, and what its tokens are worth.

Authlib speaks to the provider. Its tokens are verified here, with pinned algorithms and all claims checked
(OpenID Connect Core 1.0, section 3.1.3.7; RFC 9068 for access tokens; OpenID Connect Back-Channel Logout 1.0,
section 2.6).
"""

import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import StarletteOAuth2App
from authlib.integrations.starlette_client.integration import StarletteIntegration
from joserfc import jwt
from joserfc.errors import JoseError

from collabd.errors import MalformedInput, Overloaded, SignInNeeded

from .base import Identity, Principal
from .jwks import Keys
from .tokens import TYPE as DOCUMENT_TOKEN
from .unverified import CLAIMS, HEADER, kind_in, part_of, time_in

logger = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
"""With which ID tokens may be signed, whatever the provider's metadata say."""
SCOPES: Final = "openid profile email"
CLOCK_SKEW: Final = 60.0
"""Seconds by which the provider's clock may differ."""
TIMEOUT_SECONDS: Final = 5.0
METADATA_SECONDS: Final = 3600.0
"""How long what the provider says of itself is taken for true."""
MAX_TOKEN: Final = 16_384
"""Characters."""
MAX_CLAIMS: Final = 8_192
"""Bytes of claims that are kept of somebody."""
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
PROTOCOL_CLAIMS: Final = frozenset(
    (
        "iss",
        "aud",
        "azp",
        "exp",
        "iat",
        "nbf",
        "nonce",
        "at_hash",
        "c_hash",
        "s_hash",
        "jti",
        "sid",
        "auth_time",
    )
)
"""What tokens say of themselves, and not of people."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider, as the configuration has it."""

    name: str
    """What its routes and the ids of its people begin with."""
    issuer: str
    client_id: str
    client_secret: str = ""
    label: str = ""
    """What people are shown."""
    scopes: str = SCOPES
    groups_claim: str = "groups"
    audience: str = ""
    """Of the access tokens that are accepted; none are without it."""

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Self:
        """Read a table of the configuration.

        Raises:
            MalformedInput: something is missing, or unknown.
        """
        unknown = table.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise MalformedInput(f"a provider has no {min(unknown)!r}")
        if not all(isinstance(value, str) for value in table.values()):
            raise MalformedInput("what is said of a provider is text")
        for name in ("name", "issuer", "client_id"):
            if not table.get(name):
                raise MalformedInput(f"a provider has a {name}")
        if not table["name"].isascii() or not table["name"].replace("-", "").isalnum():
            raise MalformedInput("a provider's name is made of letters, digits and hyphens")
        if "openid" not in table.get("scopes", SCOPES).split():
            raise MalformedInput("the scopes of a provider contain openid")
        address = urlsplit(table["issuer"])
        if address.scheme != "https" and address.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise MalformedInput("the issuer is reached by https")
        return cls(**table)


class Begun(NamedTuple):
    """A sign-in that has begun: where to send the browser, and what it must come back with."""

    url: str
    state: str
    nonce: str
    verifier: str


class SignedIn(NamedTuple):
    """Somebody who has signed in."""

    principal: Principal
    id_token: str
    sid: str
    """What the provider calls the session; empty if it does not say."""
    refresh_token: str
    expires_in: float
    """Seconds after which the provider wants to be asked again."""


class Provider:
    """One OpenID provider.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._timeout = timeout
        self._keys = Keys(self._fetch_keys, clock=monotonic)
        self._app: Any = None
        self._app_until = float("-inf")

    @property
    def name(self) -> str:
        return self.settings.name

    async def begin(self, redirect_uri: str) -> Begun:
        """Begin a sign-in.

        Raises:
            Overloaded: the provider does not answer.
        """
        app = await self._client()
        begun = await app.create_authorization_url(redirect_uri)
        return Begun(begun["url"], begun["state"], begun["nonce"], begun["code_verifier"])

    async def finish(self, code: str, redirect_uri: str, verifier: str, nonce: str) -> SignedIn:
        """Finish it with what the browser came back with.

        Raises:
            SignInNeeded: the provider does not accept the code, or what it gives for it is not acceptable.
            Overloaded: the provider does not answer.
        """
        app = await self._client()
        with _asking():
            given = await app.fetch_access_token(
                redirect_uri=redirect_uri, code=code, code_verifier=verifier, grant_type="authorization_code"
            )
        return await self._signed_in(given, nonce=nonce)

    async def renew(self, refresh_token: str, was: Principal) -> SignedIn:
        """Ask again about somebody who signed in before.

        Raises:
            SignInNeeded: the provider knows nothing of it any more.
            Overloaded: the provider does not answer.
        """
        app = await self._client()
        with _asking():
            async with app._get_oauth_client(**app.server_metadata) as client:  # noqa: SLF001
                given = await client.refresh_token(
                    app.server_metadata["token_endpoint"], refresh_token=refresh_token
                )
        given.setdefault("refresh_token", refresh_token)
        renewed = await self._signed_in(given, nonce=None)
        if renewed.principal.id != was.id:
            raise _refused("the provider speaks of somebody else")
        return renewed

    async def read_access_token(self, token: str) -> Identity:
        """Whom an access token speaks for (a JSON Web Token, RFC 9068).

        Raises:
            SignInNeeded: it is not accepted.
            Overloaded: the provider does not answer.
        """
        audience = self.settings.audience
        header, claims = await self._verified(token)
        kind = kind_in(header)
        is_access_token = kind == "at+jwt" or claims.get("typ") == "Bearer"
        if not is_access_token and (
            kind not in ("", "jwt")
            or audience == self.settings.client_id
            or not claims.keys().isdisjoint(("nonce", "at_hash", "events"))
            or "typ" in claims
        ):
            raise _refused("it is another kind of token")
        if not audience or audience not in _audiences(claims):
            raise _refused("it is for somebody else")
        expires_at = float(claims["exp"])
        credential = f"access:{self.name}:{claims.get('jti', '')}"
        return Identity(
            self._principal(claims),
            credential,
            expires_at=expires_at,
            issued_at=time_in(claims, "iat") or 0.0,
        )

    async def read_logout_token(self, token: str) -> tuple[str, str]:
        """The id of the principal who was logged out at the provider and the session there; one may be empty.

        Raises:
            SignInNeeded: it is not accepted.
            Overloaded: the provider does not answer.
        """
        header, claims = await self._verified(token)
        kind = kind_in(header)
        if kind not in ("logout+jwt", "jwt", ""):
            raise _refused("it is another kind of token")
        events = claims.get("events")
        if (
            not isinstance(events, dict)
            or not isinstance(events.get(LOGOUT_EVENT), dict)
            or "nonce" in claims
        ):
            raise _refused("it is no logout token")
        if self.settings.client_id not in _audiences(claims) or time_in(claims, "iat") is None:
            raise _refused("it is for somebody else")
        sub, sid = claims.get("sub", ""), claims.get("sid", "")
        if not (isinstance(sub, str) and isinstance(sid, str) and (sub or sid) and claims.get("jti")):
            raise _refused("it names nobody")
        return self._id_of(sub) if sub else "", sid

    async def logout_url(self, id_token: str, back_to: str) -> str | None:
        """Where to send the browser so that the provider ends its session too; None if it offers nothing."""
        try:
            app = await self._client()
            if not app.server_metadata.get("end_session_endpoint"):
                return None
            made = await app.create_logout_url(post_logout_redirect_uri=back_to, id_token_hint=id_token)
        except Overloaded:
            return None
        return str(made["url"])

    def is_issuer_of(self, token: str) -> bool:
        """Whether a token (unchecked) says that it is of this provider."""
        try:
            return bool(part_of(token, CLAIMS).get("iss") == self.settings.issuer)
        except MalformedInput:
            return False

    async def _client(self) -> Any:
        now = self._monotonic()
        if self._app is not None and now < self._app_until:
            return self._app
        settings = self.settings
        app = StarletteOAuth2App(
            StarletteIntegration(settings.name),
            name=settings.name,
            client_id=settings.client_id,
            client_secret=settings.client_secret or None,
            server_metadata_url=settings.issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_kwargs={
                "scope": settings.scopes,
                "code_challenge_method": "S256",
                "timeout": self._timeout,
                **({} if settings.client_secret else {"token_endpoint_auth_method": "none"}),
            },
        )
        try:
            metadata = await app.load_server_metadata()
        except (httpx2.HTTPError, ValueError) as error:
            if self._app is not None:
                return self._app
            raise _silent(error) from error
        if metadata.get("issuer") != settings.issuer:
            logger.error("provider %s calls itself %r", settings.name, metadata.get("issuer"))
            raise Overloaded("the provider is not the one that was meant")
        self._app, self._app_until = app, now + METADATA_SECONDS
        return app

    async def _fetch_keys(self) -> Mapping[str, Any]:
        app = await self._client()
        with _asking():
            found: Mapping[str, Any] = await self._get(app.server_metadata["jwks_uri"])
        return found

    async def _get(self, address: str, **headers: str) -> Any:
        """What the provider says at an address, which is JSON."""
        async with httpx2.AsyncClient(timeout=self._timeout) as client:
            answer = await client.get(address, headers=headers)
            answer.raise_for_status()
            return answer.json()

    async def _signed_in(self, given: Mapping[str, Any], *, nonce: str | None) -> SignedIn:
        id_token = given.get("id_token")
        if not isinstance(id_token, str):
            raise _refused("there is no ID token")
        _, claims = await self._verified(id_token)
        self._check_id_token(claims, nonce)
        told = {**claims, **await self._userinfo(str(given.get("access_token", "")), claims["sub"])}
        expires_in = given.get("expires_in")
        return SignedIn(
            self._principal(told),
            id_token,
            str(claims.get("sid", "")),
            str(given.get("refresh_token") or ""),
            float(expires_in) if isinstance(expires_in, int | float) else 300.0,
        )

    def _check_id_token(self, claims: Mapping[str, Any], nonce: str | None) -> None:
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise _refused("the ID token names nobody")
        client_id = self.settings.client_id
        audiences = _audiences(claims)
        if client_id not in audiences or (len(audiences) > 1 and "azp" not in claims):
            raise _refused("the ID token is for somebody else")
        if "azp" in claims and claims["azp"] != client_id:
            raise _refused("the ID token was given to somebody else")
        if "events" in claims or claims.get("typ", "ID") != "ID" or time_in(claims, "iat") is None:
            raise _refused("it is no ID token")
        if nonce is not None and not hmac.compare_digest(
            str(claims.get("nonce", "")).encode(), nonce.encode()
        ):
            raise _refused("the ID token belongs to another sign-in")

    async def _verified(self, token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Header and claims of a token that the provider signed and whose time it is."""
        if len(token) > MAX_TOKEN:
            raise _refused("the token is too long")
        try:
            keys = await self._keys.for_key(part_of(token, HEADER).get("kid"))
            found = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        except (JoseError, MalformedInput, ValueError) as error:
            raise _refused(f"the token is not the provider's: {error}") from error
        claims = found.claims
        now = self._clock()
        expires_at, begins_at, issued_at = (time_in(claims, name) for name in ("exp", "nbf", "iat"))
        if claims.get("iss") != self.settings.issuer:
            raise _refused("the token is of another issuer")
        if expires_at is None or now >= expires_at + CLOCK_SKEW:
            raise _refused("the token's time is over")
        if max(begins_at or 0.0, issued_at or 0.0) > now + CLOCK_SKEW:
            raise _refused("the token's time is yet to come")
        if found.header.get("typ") == DOCUMENT_TOKEN or not isinstance(claims.get("sub", ""), str):
            raise _refused("it is another kind of token")
        return found.header, claims

    async def _userinfo(self, access_token: str, sub: str) -> Mapping[str, Any]:
        """What the provider says of somebody beside; nothing if it says nothing."""
        app = await self._client()
        address = app.server_metadata.get("userinfo_endpoint")
        if not address or not access_token:
            return {}
        try:
            told = await self._get(address, Authorization=f"Bearer {access_token}")
        except (httpx2.HTTPError, ValueError) as error:
            logger.warning("provider %s says nothing of somebody: %r", self.name, error)
            return {}
        # OpenID Connect Core 1.0, section 5.3.2: else it may be about somebody else.
        return told if isinstance(told, dict) and told.get("sub") == sub else {}

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        sub = claims.get("sub")
        if not isinstance(sub, str) or not 0 < len(sub) <= 255:
            raise _refused("the token names nobody")
        names = (claims.get(name) for name in ("name", "preferred_username", "email"))
        name = next((name for name in names if isinstance(name, str) and name.strip()), sub)
        groups = claims.get(self.settings.groups_claim)
        kept = {key: value for key, value in claims.items() if key not in PROTOCOL_CLAIMS}
        if len(json.dumps(kept)) > MAX_CLAIMS:
            kept = {}
        return Principal(
            self._id_of(sub),
            name.strip()[:100],
            groups=frozenset(group for group in groups if isinstance(group, str))
            if isinstance(groups, Sequence) and not isinstance(groups, str)
            else frozenset(),
            claims=kept,
        )

    def _id_of(self, sub: str) -> str:
        return f"{self.name}:{sub}"


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    audience = claims.get("aud")
    found = audience if isinstance(audience, list) else [audience]
    return [each for each in found if isinstance(each, str)]


@contextmanager
def _asking() -> Iterator[None]:
    """Tell what goes wrong in the block, in which the provider is asked, by our errors."""
    try:
        yield
    except OAuthError as error:
        raise _refused(f"the provider says {error.error}") from error
    except httpx2.HTTPError as error:
        raise _silent(error) from error


def _refused(why: str) -> SignInNeeded:
    # Why is for the log: whoever tries things out must not learn from it.
    logger.info("credentials are refused: %s", why)
    return SignInNeeded("the credentials are not accepted")


def _silent(error: Exception) -> Overloaded:
    logger.error("a provider does not answer: %r", error)
    return Overloaded("the provider does not answer; come back")
