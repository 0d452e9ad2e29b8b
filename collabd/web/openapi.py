"""``/openapi.json``: the HTTP API for programs (OpenAPI 3.1)."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from collabd import formats
from collabd.errors import (
    CannotRestore,
    DocumentDeleted,
    DocumentExists,
    InvalidName,
    MalformedInput,
    NoSuchDocument,
    NoSuchVersion,
    NotAllowed,
    Overloaded,
    SignInNeeded,
    TooLarge,
    UnsupportedFormat,
    UnsupportedMediaType,
    UpdateRejected,
)
from collabd.version import __version__

from .openapi_credentials import SECURITY, SECURITY_SCHEMES, credential_paths
from .openapi_parts import content, query, refusals

BINARY: Final = {"type": "string", "format": "binary"}
SEQ: Final = {
    "type": "integer",
    "description": "A number at which the log holds the change; numbers are gapless per document.",
}

NUMBER: Final = {"type": "integer", "minimum": 1}


def openapi_route() -> BaseRoute:
    """The route that serves the description."""
    description = _description()

    async def openapi(request: Request) -> Response:
        return JSONResponse(description)

    return Route("/openapi.json", openapi)


def _description() -> dict[str, Any]:
    name = {
        "name": "document",
        "in": "path",
        "required": True,
        "description": "The document's name: 1 to 255 bytes of UTF-8 in NFC. It may contain slashes.",
        "schema": {"type": "string"},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "collabd",
            "version": __version__,
            "description": "Yjs documents for scripts and backends, shared with live editors.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/api/v1/documents": {"get": _list()},
            "/api/v1/documents/{document}": {
                "parameters": [name],
                "get": _read(),
                "put": _create(),
                "patch": _change(),
                "delete": _delete(),
            },
            "/api/v1/history/{document}": {"parameters": [name], "get": _history()},
            "/api/v1/versions/{document}": {
                "parameters": [name],
                "get": _versions(),
                "post": _name_version(),
                "delete": _remove_version(),
            },
            "/api/v1/diff/{document}": {"parameters": [name], "get": _diff()},
            "/api/v1/restore/{document}": {"parameters": [name], "post": _restore()},
            **credential_paths(),
            "/openapi.json": {"get": _plain("This description.", "application/json")},
            "/healthz": {"get": _plain("The process is alive.", "text/plain")},
            "/readyz": {
                "get": _plain("The server can take connections and save.", "application/json")
                | {"description": "Answers 503 with the reason while it cannot."}
            },
            "/metrics": {"get": _plain("Figures in Prometheus' text format.", "text/plain")},
        },
        "security": SECURITY,
        "components": {
            "securitySchemes": SECURITY_SCHEMES,
            "schemas": {"Problem": PROBLEM, "Document": DOCUMENT},
        },
    }


PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable, for programs."},
        "detail": {"type": "string", "description": "For people."},
    },
}
DOCUMENT: Final = {
    "type": "object",
    "required": ["name", "id", "created_at", "updated_at", "updates"],
    "properties": {
        "name": {"type": "string"},
        "id": {"type": "integer", "description": "Another one if the name is deleted and used again."},
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
        "updates": {"type": "integer", "description": "How many updates were ever committed."},
    },
}


def _list() -> dict[str, Any]:
    answer = {
        "type": "object",
        "required": ["documents", "next"],
        "properties": {
            "documents": {"type": "array", "items": {"$ref": "#/components/schemas/Document"}},
            "next": {
                "type": ["string", "null"],
                "description": "What to give as `after` for the next page.",
            },
        },
    }
    return {
        "operationId": "listDocuments",
        "summary": "List documents by name.",
        "parameters": [
            query("prefix", "Only names that begin so.", {"type": "string"}),
            query("after", "Only names after this one.", {"type": "string"}),
            query(
                "limit",
                "How many at most.",
                {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            ),
        ],
        "responses": {"200": content("A page of documents.", "application/json", answer)}
        | refusals(MalformedInput),
    }


def _read() -> dict[str, Any]:
    content = {
        media_type.partition(";")[0]: {"schema": {} if "json" in media_type else BINARY}
        for media_type in formats.FORMATS.values()
    }
    return {
        "operationId": "readDocument",
        "summary": "Read a document.",
        "parameters": [
            query(
                "format",
                "Instead of `Accept`.",
                {"type": "string", "enum": list(formats.FORMATS), "default": "json"},
            ),
            query("root", "Which root to show; one that is there.", {"type": "string"}),
            query("version", "As of this number.", NUMBER),
            query("download", "Make a browser save the answer.", {"type": "string"}),
            {
                "name": "If-None-Match",
                "in": "header",
                "description": "An `ETag` of an earlier answer.",
                "schema": {"type": "string"},
            },
        ],
        "responses": {
            "200": {
                "description": "The document.",
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": content,
            },
            "304": {"description": "It has not changed."},
        }
        | refusals(
            InvalidName,
            MalformedInput,
            NotAllowed,
            SignInNeeded,
            NoSuchDocument,
            NoSuchVersion,
            UnsupportedFormat,
            DocumentDeleted,
            Overloaded,
        ),
    }


def _create() -> dict[str, Any]:
    answer = {
        "type": "object",
        "required": ["name", "id", "seq"],
        "properties": {"name": {"type": "string"}, "id": {"type": "integer"}, "seq": SEQ},
    }
    return {
        "operationId": "createDocument",
        "summary": "Make a document from content, exactly once.",
        "requestBody": {
            "required": True,
            "content": {media_type: {"schema": BINARY} for media_type in formats.READABLE},
        },
        "responses": {"201": content("It is made and on disk.", "application/json", answer)}
        | refusals(
            MalformedInput,
            NotAllowed,
            SignInNeeded,
            DocumentExists,
            TooLarge,
            UnsupportedMediaType,
            InvalidName,
            Overloaded,
        ),
    }


def _change() -> dict[str, Any]:
    answer = {"type": "object", "required": ["seq"], "properties": {"seq": SEQ}}
    return {
        "operationId": "changeDocument",
        "summary": "Apply a Yjs v1 update.",
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": BINARY}}},
        "responses": {"200": content("It is on disk.", "application/json", answer)}
        | refusals(
            MalformedInput,
            NotAllowed,
            SignInNeeded,
            NoSuchDocument,
            DocumentDeleted,
            TooLarge,
            UnsupportedMediaType,
            UpdateRejected,
            Overloaded,
        ),
    }


def _delete() -> dict[str, Any]:
    return {
        "operationId": "deleteDocument",
        "summary": "Delete a document; a tombstone stays under its name.",
        "responses": {"204": {"description": "It is deleted, and whoever was connected is closed."}}
        | refusals(NotAllowed, SignInNeeded, NoSuchDocument, DocumentDeleted, InvalidName),
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


TIME: Final = {"type": "string", "format": "date-time"}
STRING: Final = {"type": "string"}


def _history() -> dict[str, Any]:
    change = _object(
        first=SEQ,
        seq=SEQ,
        started_at=TIME,
        ended_at=TIME,
        authors=_array(_object(principal=STRING, name=STRING, updates={"type": "integer"})),
        versions=_array(_object(seq=SEQ, name=STRING)),
    )
    following = {"type": ["integer", "null"], "description": "What to give as `before` for the next page."}
    answer = _object(head=SEQ, changes=_array(change), next=following)
    return {
        "operationId": "listChanges",
        "summary": "Who changed a document, and when; newest first.",
        "parameters": [
            query("before", "Only changes that begin before this number.", NUMBER),
            query(
                "limit",
                "How many at most.",
                {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            ),
        ],
        "responses": {"200": content("A page of changes.", "application/json", answer)}
        | refusals(InvalidName, MalformedInput, NotAllowed, SignInNeeded, NoSuchDocument, DocumentDeleted),
    }


def _versions() -> dict[str, Any]:
    version = _object(seq=SEQ, name=STRING, named_at=TIME, author=_object(principal=STRING, name=STRING))
    return {
        "operationId": "listVersions",
        "summary": "List the named versions of a document, oldest first.",
        "responses": {"200": content("The versions.", "application/json", _object(versions=_array(version)))}
        | refusals(InvalidName, NotAllowed, SignInNeeded, NoSuchDocument, DocumentDeleted),
    }


def _name_version() -> dict[str, Any]:
    name = {"type": "string", "minLength": 1, "maxLength": 200}
    wanted = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": name, "seq": NUMBER | {"description": "The last one if left out."}},
    }
    return {
        "operationId": "nameVersion",
        "summary": "Give a version a name, in the place of the one it had.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": wanted}}},
        "responses": {"201": content("It has the name.", "application/json", _object(seq=SEQ, name=STRING))}
        | refusals(
            InvalidName,
            MalformedInput,
            NotAllowed,
            SignInNeeded,
            NoSuchDocument,
            NoSuchVersion,
            DocumentDeleted,
            TooLarge,
            UnsupportedMediaType,
        ),
    }


def _remove_version() -> dict[str, Any]:
    return {
        "operationId": "removeVersion",
        "summary": "Take a version's name away.",
        "parameters": [query("seq", "Which version.", NUMBER) | {"required": True}],
        "responses": {"204": {"description": "It has no name."}}
        | refusals(InvalidName, MalformedInput, NotAllowed, SignInNeeded, NoSuchDocument, DocumentDeleted),
    }


def _diff() -> dict[str, Any]:
    line = _object(
        kind={"type": "string", "enum": ["same", "removed", "added"]},
        text=STRING,
        marks=_array(_array({"type": "integer"})),
    )
    hunk = _object(from_line={"type": "integer"}, to_line={"type": "integer"}, lines=_array(line))
    answer = _object(**{"from": SEQ, "to": SEQ}, format=STRING, hunks=_array(hunk))
    number = {"type": "integer", "minimum": 0}
    return {
        "operationId": "compareVersions",
        "summary": "Compare two versions as text, by lines and words. Version 0 is empty.",
        "parameters": [
            query("from", "The version to compare with.", number) | {"required": True},
            query("to", "The version to compare; the last one if left out.", number),
            query(
                "format",
                "Markdown for formatted text if left out, else text.",
                {"type": "string", "enum": ["text", "markdown"]},
            ),
            query(
                "as", "How to show it.", {"type": "string", "enum": ["json", "unified"], "default": "json"}
            ),
            query("root", "Which root to compare.", STRING),
        ],
        "responses": {
            "200": {
                "description": "The differences.",
                "content": {"application/json": {"schema": answer}, "text/plain": {"schema": STRING}},
            }
        }
        | refusals(
            InvalidName,
            MalformedInput,
            NotAllowed,
            SignInNeeded,
            NoSuchDocument,
            NoSuchVersion,
            UnsupportedFormat,
            DocumentDeleted,
        ),
    }


def _restore() -> dict[str, Any]:
    return {
        "operationId": "restoreVersion",
        "summary": "Bring a version's content back, by an edit that everybody sees.",
        "parameters": [query("version", "What to go back to.", NUMBER) | {"required": True}],
        "responses": {"200": content("It is on disk.", "application/json", _object(seq=SEQ))}
        | refusals(
            InvalidName,
            MalformedInput,
            NotAllowed,
            SignInNeeded,
            NoSuchDocument,
            NoSuchVersion,
            DocumentDeleted,
            CannotRestore,
            UnsupportedFormat,
            Overloaded,
        ),
    }


def _plain(summary: str, media_type: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": content(summary, media_type, {})}}
