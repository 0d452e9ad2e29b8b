"""What descriptions of the HTTP API are put together from."""

from typing import Any

from collabd.errors import CollabdError

from . import problems


def query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter of the query."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def content(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An answer with a body."""
    return {"description": description, "content": {media_type: {"schema": schema}}}


def refusals(*errors: type[CollabdError]) -> dict[str, Any]:
    """The answers that errors stand for, by status."""
    by_status: dict[int, list[str]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error.code)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        str(status): content(
            "Refused: " + ", ".join(f"`{code}`" for code in codes), problems.MEDIA_TYPE, schema
        )
        for status, codes in sorted(by_status.items())
    }
