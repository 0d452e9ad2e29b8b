"""What the description of the HTTP API says of sign-in, tokens and sessions."""

from typing import Any, Final

from collabd.errors import (
    CollabdError,
    MalformedInput,
    NoSuchDocument,
    NotAllowed,
    Overloaded,
    SignInNeeded,
    TooLarge,
    TooMany,
)

from .openapi_parts import content, query, refusals

SECURITY_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, a document token, or an access token of an OpenID provider.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-collabd-session",
        "description": "Of somebody who signed in, for pages of this server.",
    },
}
SECURITY: Final[list[dict[str, list[str]]]] = [{}, {"bearer": []}, {"session": []}]
"""Nothing at all may be enough, where rules say so."""

_SCOPE: Final = {
    "type": "array",
    "minItems": 1,
    "maxItems": 100,
    "items": {
        "type": "object",
        "required": ["access"],
        "properties": {
            "document": {"type": "string", "description": "A name, taken as it is."},
            "pattern": {"type": "string", "description": "`*` within a segment, `**` for whole ones."},
            "access": {"type": "string", "enum": ["read", "write", "admin"]},
        },
    },
}


def credential_paths() -> dict[str, Any]:
    """The paths, by the place they have."""
    provider = _in_path("provider", "The provider's name in the settings.")
    return {
        "/api/v1/me": {
            "get": _operation(
                "Who one is.", {"200": content("Who one is.", "application/json", _me())}, SignInNeeded
            )
        },
        "/api/v1/tokens": {
            "post": _operation(
                "Make a document token, with an API key that makes them.",
                {"201": content("The token.", "application/json", _token())},
                MalformedInput,
                SignInNeeded,
                NotAllowed,
                Overloaded,
                body=_wanted_token(),
            )
        },
        "/api/v1/revocations": {
            "post": _operation(
                "Take back a document token, or all that somebody was given so far.",
                {"204": {"description": "It holds no longer."}},
                MalformedInput,
                SignInNeeded,
                NotAllowed,
                Overloaded,
                body={
                    "type": "object",
                    "properties": {"token_id": {"type": "string"}, "id": {"type": "string"}},
                },
            )
        },
        "/api/v1/sessions": {
            "get": _operation(
                "One's sessions.",
                {"200": content("The sessions.", "application/json", _sessions())},
                SignInNeeded,
            )
        },
        "/api/v1/sessions/{session}": {
            "parameters": [_in_path("session", "Its `id`.")],
            "delete": _operation(
                "End one of one's sessions.",
                {"204": {"description": "It has ended."}},
                SignInNeeded,
                NotAllowed,
                Overloaded,
            ),
        },
        "/api/v1/shares/{document}": {
            "parameters": [_in_path("document", "The document's name.")],
            "get": _operation(
                "What one may do with a document, and with whom it is shared.",
                {"200": content("What is shared.", "application/json", _shares())},
                SignInNeeded,
                NotAllowed,
                Overloaded,
            ),
            "post": _operation(
                "Share it with somebody, or no longer.",
                {"200": content("What is shared now.", "application/json", _shares())},
                MalformedInput,
                SignInNeeded,
                NotAllowed,
                TooLarge,
                Overloaded,
                body=_wanted_share(),
            ),
        },
        "/auth/login": {
            "get": _operation(
                "Begin to sign in.",
                {"302": {"description": "To the provider."}},
                NotAllowed,
                NoSuchDocument,
                TooMany,
                Overloaded,
                parameters=[
                    query("provider", "Its name; the first if left out.", {"type": "string"}),
                    query("next", "A path of this server to go to then.", {"type": "string"}),
                ],
            )
        },
        "/auth/callback/{provider}": {
            "parameters": [provider],
            "get": _operation(
                "Where the provider sends the browser back to.",
                {"302": {"description": "Signed in."}},
                NoSuchDocument,
                SignInNeeded,
                Overloaded,
            ),
        },
        "/auth/logout": {
            "post": _operation(
                "End the session.",
                {
                    "200": content(
                        "Where to go.",
                        "application/json",
                        {"type": "object", "properties": {"next": {"type": "string"}}},
                    )
                },
                NotAllowed,
                Overloaded,
            )
        },
        "/auth/backchannel-logout/{provider}": {
            "parameters": [provider],
            "post": _operation(
                "The provider says that somebody signed out there (OpenID Connect Back-Channel Logout 1.0).",
                {"200": {"description": "Those sessions have ended."}},
                NoSuchDocument,
                MalformedInput,
                TooLarge,
                Overloaded,
            ),
        },
    }


def _operation(
    summary: str,
    responses: dict[str, Any],
    *errors: type[CollabdError],
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "responses": responses | refusals(*errors)}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _in_path(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


def _me() -> dict[str, Any]:
    provider = {"name": {"type": "string"}, "label": {"type": "string"}}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "name": {"type": "string"},
            "color": {"type": ["string", "null"]},
            "groups": {"type": "array", "items": {"type": "string"}},
            "signed_in": {"type": "boolean"},
            "providers": {"type": "array", "items": {"type": "object", "properties": provider}},
            "scope": {"oneOf": [_SCOPE, {"type": "null"}]},
        },
    }


def _wanted_token() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["id", "name", "scope"],
        "properties": {
            "id": {"type": "string"},
            "name": {"type": "string", "maxLength": 100},
            "color": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
            "scope": _SCOPE,
            "seconds": {"type": "number", "default": 300, "maximum": 86_400},
            "connection_seconds": {"type": "number", "maximum": 2_592_000},
        },
    }


def _token() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "token": {"type": "string"},
            "token_id": {"type": "string"},
            "connections_end_at": {"type": "string", "format": "date-time"},
        },
    }


def _shares() -> dict[str, Any]:
    access = {"type": "string", "enum": ["read", "write", "admin"]}
    share = {
        "who": {"type": "string"},
        "access": access,
        "added_by": {"type": "string"},
        "added_at": {"type": "string", "format": "date-time"},
    }
    return {
        "type": "object",
        "properties": {
            "access": access,
            "sharing": {"type": "string", "enum": ["off", "people", "links"]},
            "owner": {
                "type": ["object", "null"],
                "properties": {"id": {"type": "string"}, "name": {"type": "string"}},
            },
            "shares": {"type": "array", "items": {"type": "object", "properties": share}},
            "link": {
                "type": ["object", "null"],
                "properties": {"access": access, "secret": {"type": "string"}},
            },
        },
    }


def _wanted_share() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["who"],
        "properties": {
            "who": {
                "type": "string",
                "description": "`user:`, `email:` or `group:` and which; `signed-in`, `link` or `owner`.",
            },
            "access": {"type": "string", "enum": ["none", "read", "write", "admin"]},
            "id": {"type": "string", "description": "Whose it is to be, for `owner`."},
            "name": {"type": "string", "description": "What that person is called."},
        },
    }


def _sessions() -> dict[str, Any]:
    session = {
        "id": {"type": "string"},
        "provider": {"type": "string"},
        "created_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": "string", "format": "date-time"},
        "agent": {"type": "string"},
        "address": {"type": "string"},
        "current": {"type": "boolean"},
    }
    return {
        "type": "object",
        "properties": {"sessions": {"type": "array", "items": {"type": "object", "properties": session}}},
    }
