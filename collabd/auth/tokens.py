"""Document tokens: what the backend of an application gives its own users to open documents with.

A token is a JSON Web Token, signed with a secret that only servers know (HS256). It says for whom it is, what
to call them, and what it is good for; nothing else is asked when it is used. It is short-lived, since it may
stand in an address; a connection opened by it may last longer.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from collabd.errors import MalformedInput, SignInNeeded
from collabd.memos import Memo, Memos

from .base import ANONYMOUS, Identity, Principal, Scope
from .unverified import HEADER, part_of, time_in

TYPE: Final = "collabd-document+jwt"
"""In the header, so that no other token that was signed with the same secret passes for one."""
ISSUER: Final = "collabd"
ALGORITHM: Final = "HS256"
SECRET_BYTES: Final = 32
SECRET_KIND: Final = "secret"
MAX_TOKEN: Final = 4096
"""Characters of a token."""
DEFAULT_SECONDS: Final = 300
MAX_SECONDS: Final = 24 * 3600
MAX_CONNECTION_SECONDS: Final = 30 * 24 * 3600
MAX_TEXT: Final = 255
"""Bytes of an id or a name."""
CLOCK_SKEW: Final = 60.0
"""Seconds by which the clocks of servers may differ."""


async def stored_secret(memos: Memos) -> bytes:
    """The secret that all servers of a store sign with, made by the first that asks."""
    fresh = Memo(SECRET_KIND, "tokens", "", json.dumps(secrets.token_hex(SECRET_BYTES)))
    await memos.put_memo(fresh, fresh=True)
    memo = await memos.memo(SECRET_KIND, "tokens")
    assert memo is not None, "it was just put there"
    return bytes.fromhex(json.loads(memo.value))


class Tokens:
    """Mints and reads document tokens.

    Args:
        keys: secrets of at least 32 bytes. The first signs; all are accepted, so that one can be replaced.
        clock: seconds since the epoch.

    Raises:
        MalformedInput: a secret is too short.
    """

    def __init__(self, keys: Sequence[bytes], *, clock: Callable[[], float] = time.time) -> None:
        if not keys or min(map(len, keys)) < SECRET_BYTES:
            raise MalformedInput(f"a secret for tokens has at least {SECRET_BYTES} bytes")
        self._keys = {hashlib.sha256(key).hexdigest()[:16]: OctKey.import_key(key) for key in keys}
        self._signs_with = next(iter(self._keys))
        self._clock = clock

    def mint(
        self,
        principal: Principal,
        scope: Scope,
        *,
        seconds: float = DEFAULT_SECONDS,
        connection_seconds: float | None = None,
    ) -> tuple[str, Identity]:
        """Make a token, with which connections can be opened for ``seconds``; they end
        ``connection_seconds`` from now, or with the token.

        Raises:
            MalformedInput: what it shall say is out of bounds.
        """
        if principal.id == ANONYMOUS.id:
            raise MalformedInput(f"{ANONYMOUS.id} is the id of those who did not sign in")
        lasting = seconds if connection_seconds is None else connection_seconds
        if not 0 < seconds <= MAX_SECONDS:
            raise MalformedInput(f"a token lasts at most {MAX_SECONDS} seconds")
        if not seconds <= lasting <= MAX_CONNECTION_SECONDS:
            raise MalformedInput(
                f"a connection lasts as long as its token or longer, up to {MAX_CONNECTION_SECONDS} seconds"
            )
        now = self._clock()
        claims = {
            "iss": ISSUER,
            "sub": _text(principal.id, "an id"),
            "name": _text(principal.name, "a name"),
            "scope": scope.written(),
            "iat": now,
            "exp": now + seconds,
            "until": now + lasting,
            "jti": secrets.token_urlsafe(12),
        }
        if principal.color:
            claims["color"] = principal.color
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._signs_with}
        token = jwt.encode(header, claims, self._keys[self._signs_with])
        if len(token) > MAX_TOKEN:
            raise MalformedInput(f"a token has at most {MAX_TOKEN} characters: give it a smaller scope")
        return token, _identity(claims)

    def read(self, token: str) -> Identity:
        """Whom a token is for.

        Raises:
            SignInNeeded: it is not one of ours, or its time is over.
        """
        try:
            if len(token) > MAX_TOKEN:
                raise MalformedInput("the token is too long")
            key = self._keys.get(str(part_of(token, HEADER).get("kid")))
            if key is None:
                raise MalformedInput("the token was signed with another secret")
            found = jwt.decode(token, key, algorithms=[ALGORITHM])
            if found.header.get("typ") != TYPE or found.claims.get("iss") != ISSUER:
                raise MalformedInput("the token is another kind of token")
            now = self._clock()
            identity = _identity(found.claims)
            if not now < _time(found.claims, "exp") or identity.issued_at > now + CLOCK_SKEW:
                raise MalformedInput("the token's time is over, or yet to come")
            return identity
        except (JoseError, MalformedInput, ValueError) as error:
            raise SignInNeeded("the token is not accepted") from error


def is_token(text: str) -> bool:
    """Whether it may be a document token, or is certainly something else."""
    try:
        return bool(part_of(text, HEADER).get("typ") == TYPE)
    except MalformedInput:
        return False


def _identity(claims: Mapping[str, Any]) -> Identity:
    principal = Principal(
        _text(claims.get("sub"), "an id"),
        _text(claims.get("name"), "a name"),
        color=str(claims.get("color", "")),
    )
    token_id = _text(claims.get("jti"), "the id of a token")
    return Identity(
        principal,
        credential=f"token:{token_id}",
        scope=Scope.parse(claims.get("scope")),
        expires_at=_time(claims, "until"),
        issued_at=_time(claims, "iat"),
    )


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = time_in(claims, name)
    if value is None:
        raise MalformedInput(f"{name} is a time")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value.encode(errors="surrogatepass")) <= MAX_TEXT:
        raise MalformedInput(f"{what} is text of 1 to {MAX_TEXT} bytes")
    return value
