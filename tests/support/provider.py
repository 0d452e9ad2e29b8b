"""An OpenID provider that does whatever a test wants: tokens of any content, keys that come and go, silence.

Its tokens are signed with joserfc by hand, so that it can also make those that no provider would. The real
provider that sign-in is tested with is in ``tests/node/oidc.mjs``.
"""

import asyncio
import base64
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CLIENT_ID = "collabd"
CLIENT_SECRET = "the secret of the client"


@cache
def _first_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)


class Forge:
    """The provider. ``given`` is what the token endpoint answers with next."""

    def __init__(self) -> None:
        self.issuer = ""
        self.key = _first_key()
        self.published: list[Any] = [self.key]
        self.keys_fetched = 0
        self.given: dict[str, Any] = {}
        self.asked: list[Mapping[str, list[str]]] = []
        self.told: dict[str, Any] | None = None
        """What the userinfo endpoint says; None for nothing."""
        self.is_down = False
        self.is_hung = False
        self.is_awake = asyncio.Event()
        self.metadata: dict[str, Any] = {}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Claims of a good ID token; None takes one away."""
        now = time.time()
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "ada",
            "name": "Ada Lovelace",
            "iat": now,
            "exp": now + 300,
            **changed,
        }
        claims = {name: value() if callable(value) else value for name, value in claims.items()}
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, claims: dict[str, Any], key: Any = None, **header: Any) -> str:
        key = key or self.key
        algorithm = {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}[key.key_type]
        header = {"alg": algorithm, "kid": key.kid, **header}
        header = {name: value for name, value in header.items() if value is not None}
        return jwt.encode(header, claims, key, algorithms=[header["alg"]])

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/keys", self._keys),
                Route("/token", self._token, methods=["POST"]),
                Route("/me", self._userinfo),
            ]
        )

    async def _answer(self, content: Any, status: int = 200) -> Response:
        if self.is_hung:
            await self.is_awake.wait()
        if self.is_down:
            return Response(status_code=503)
        return JSONResponse(content, status)

    async def _metadata(self, request: Request) -> Response:
        return await self._answer(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/me",
                "jwks_uri": f"{self.issuer}/keys",
                "end_session_endpoint": f"{self.issuer}/end",
                "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"],
                **self.metadata,
            }
        )

    async def _keys(self, request: Request) -> Response:
        self.keys_fetched += 1
        return await self._answer({"keys": [key.as_dict(private=False) for key in self.published]})

    async def _token(self, request: Request) -> Response:
        self.asked.append(parse_qs((await request.body()).decode()))
        given = self.given
        return await self._answer(given, 400 if "error" in given else 200)

    async def _userinfo(self, request: Request) -> Response:
        return await self._answer(self.told or {}, 200 if self.told else 401)


def in_seconds(seconds: float) -> Callable[[], float]:
    """A time that is reckoned when a token is made."""
    return lambda: time.time() + seconds


def signed_by_hand(header: Mapping[str, Any], claims: Mapping[str, Any], key: Any) -> str:
    """A token with any header; ``key`` is an RSA key for RS256, or the bytes of a secret for HS256."""
    message = ".".join(map(_part, (header, claims))).encode()
    if isinstance(key, bytes):
        signature = hmac.digest(key, message, "sha256")
    else:
        signature = key.private_key.sign(message, PKCS1v15(), SHA256())
    return f"{message.decode()}.{_encoded(signature)}"


def _part(value: Mapping[str, Any]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def another_key(kind: str = "RSA", kid: str = "two") -> Any:
    """A key that the provider does not have."""
    if kind == "EC":
        return ECKey.generate_key("P-256", {"kid": kid}, private=True)
    if kind == "oct":
        return OctKey.generate_key(256, {"kid": kid})
    return RSAKey.generate_key(2048, {"kid": kid}, private=True)


@contextlib.asynccontextmanager
async def forging() -> AsyncIterator[Forge]:
    """Run a provider of this kind for the length of a block."""
    forge = Forge()
    config = uvicorn.Config(forge.app(), port=0, log_config=None, lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    forge.issuer = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield forge
    finally:
        forge.is_awake.set()
        await server.shutdown()
