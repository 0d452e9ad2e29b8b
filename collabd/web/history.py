"""``/api/v1/history`` and what belongs to it: a document's changes, its named versions, what differs between
two of them, and going back to one."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from collabd import formats, history
from collabd.auth.base import Access
from collabd.errors import MalformedInput, NoSuchVersion, UnsupportedFormat
from collabd.persistence.base import HistoryEntry, Version
from collabd.rooms.replica import EMPTY_UPDATE

from . import audit
from .documents import (
    NOSNIFF,
    Documents,
    Resource,
    author_of,
    check_version,
    identity_of,
    limit_of,
    name_of,
    number_of,
    time_of,
)

LONGEST_NAME: Final = 200
"""Characters of a version's name."""

FIRST_WINDOW: Final = 4096
"""Updates of which the timeline is made at first. If they make too few changes, it is made of more."""

DIFF_FORMATS: Final = ("text", "markdown")


def history_routes(documents: Documents) -> list[BaseRoute]:
    """The routes; the document's name stands last in the path."""
    return [
        Route("/api/v1/history/{document:path}", _History(documents)),
        Route("/api/v1/versions/{document:path}", _Versions(documents)),
        Route("/api/v1/diff/{document:path}", _Diff(documents)),
        Route("/api/v1/restore/{document:path}", _Restore(documents)),
    ]


class _History(Resource):
    async def get(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.READ)
        limit = limit_of(request.query_params.get("limit"))
        document_id, head = await self.documents.position(name)
        before = number_of(request, "before")
        before = head + 1 if before is None else min(before, head + 1)
        versions = await self.documents.store.versions(document_id)
        window = FIRST_WINDOW
        while True:
            after = max(0, before - 1 - window)
            # Up to the end whatever is asked for: what comes later says who was still at work.
            history = self.documents.store.history(document_id, after=after, updates=False)
            entries = [entry async for some in history for entry in some]
            changes = await self.documents.work(_changes, entries, versions, before, after == 0)
            if len(changes) > limit or after == 0:
                break
            window *= 4
        page = changes[:limit]
        answer = {
            "head": head,
            "changes": [_change(change) for change in page],
            "next": page[-1].first if len(changes) > limit else None,
        }
        return JSONResponse(answer, headers=NOSNIFF)


class _Versions(Resource):
    async def get(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.READ)
        document_id, _ = await self.documents.position(name)
        versions = await self.documents.store.versions(document_id)
        return JSONResponse({"versions": [_version(version) for version in versions]}, headers=NOSNIFF)

    async def post(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.WRITE)
        called, seq = _wanted(await self.documents.body_of(request))
        document_id, head = await self.documents.position(name)
        if seq is None:
            seq = head
        check_version(seq, head)
        if seq < head:
            await self._demand_kept(document_id, seq)
        await self.documents.store.name_version(document_id, Version(seq, called, 0.0, author_of(request)))
        return JSONResponse({"seq": seq, "name": called}, 201, NOSNIFF)

    async def delete(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.WRITE)
        seq = number_of(request, "seq")
        if seq is None:
            raise MalformedInput("seq says which version is to lose its name")
        document_id, _ = await self.documents.position(name)
        await self.documents.store.remove_version(document_id, seq)
        return Response(status_code=204)

    async def _demand_kept(self, document_id: int, seq: int) -> None:
        async for entries in self.documents.store.history(document_id, after=seq - 1, upto=seq):
            for entry in entries:
                if entry.seq != seq:
                    history.split(entry, seq)
                return
        raise NoSuchVersion(f"version {seq} is not kept")


class _Diff(Resource):
    async def get(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.READ)
        query = request.query_params
        older, newer = number_of(request, "from"), number_of(request, "to")
        form, shape = query.get("format"), query.get("as", "json")
        if older is None:
            raise MalformedInput("from says which version to compare with")
        if form is not None and form not in DIFF_FORMATS:
            raise UnsupportedFormat(f"the formats of differences are {', '.join(DIFF_FORMATS)}")
        if shape not in ("json", "unified"):
            raise MalformedInput("as is json or unified")
        document_id, head = await self.documents.position(name)
        if newer is None:
            newer = head
        for seq in (older, newer):
            if seq:
                check_version(seq, head)
        entries = await self.documents.entries(document_id, max(older, newer))
        form, hunks = await self.documents.work(_compared, entries, older, newer, form, query.get("root"))
        if shape == "unified":
            text = history.unified(hunks, f"{name} (version {older})", f"{name} (version {newer})")
            return PlainTextResponse(text, headers=NOSNIFF)
        answer = {"from": older, "to": newer, "format": form, "hunks": [_hunk(hunk) for hunk in hunks]}
        return JSONResponse(answer, headers=NOSNIFF)


class _Restore(Resource):
    def __init__(self, documents: Documents) -> None:
        super().__init__(documents)
        self._restoring = asyncio.Lock()
        """Two that go back to the same version at once would put in twice what went since."""

    async def post(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.WRITE)
        seq = number_of(request, "version")
        if seq is None:
            raise MalformedInput("version says what to go back to")
        document_id, head = await self.documents.position(name)
        check_version(seq, head)
        entries = await self.documents.entries(document_id, seq)
        async with self._restoring:
            room = await self.documents.registry.open(name)
            edit = await self.documents.work(_restoring, entries, seq, room.state())
            room = await self.documents.registry.open(name)
            await self.documents.demand(request, name, Access.WRITE)
            head = room.head if edit == EMPTY_UPDATE else await room.submit(edit, author_of(request))
        who = identity_of(request).principal.id
        audit.note("restore", request, who=who, document=name, version=seq)
        return JSONResponse({"seq": head}, headers=NOSNIFF)


def _changes(
    entries: Sequence[HistoryEntry], versions: Sequence[Version], before: int, is_whole: bool
) -> list[history.Change]:
    """The changes that begin before a number, as far as it is certain where they begin."""
    if not is_whole:
        begin = history.begins_at(entries)
        entries = [] if begin is None else entries[begin:]
    return [change for change in history.timeline(entries, versions) if change.first < before]


def _compared(
    entries: Sequence[HistoryEntry], older: int, newer: int, form: str | None, root: str | None
) -> tuple[str, list[history.Hunk]]:
    states = [history.state_at(entries, seq) if seq else EMPTY_UPDATE for seq in (older, newer)]
    if form is None:
        rich = any(formats.prose_format(state, root) == "markdown" for state in states if _has(state, root))
        form = "markdown" if rich else "text"
    before, after = (
        formats.render(state, form, root).body.decode() if _has(state, root) else "" for state in states
    )
    return form, history.compare(before, after)


def _has(state: bytes, root: str | None) -> bool:
    """Whether the root that is asked for was there: a root comes into being with what is put into it."""
    return root is None or formats.has_root(state, root)


def _restoring(entries: Sequence[HistoryEntry], seq: int, now: bytes) -> bytes:
    return history.restoring(history.state_at(entries, seq), now)


def _wanted(body: bytes) -> tuple[str, int | None]:
    """The name and the number that a body gives."""
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError):
        wanted = None
    if not isinstance(wanted, dict):
        raise MalformedInput("the body is a JSON object")
    name, seq = wanted.get("name"), wanted.get("seq")
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise MalformedInput(f"name is 1 to {LONGEST_NAME} printable characters")
    if seq is not None and (not isinstance(seq, int) or isinstance(seq, bool)):
        raise MalformedInput("seq is a number")
    return name, seq


def _change(change: history.Change) -> dict[str, Any]:
    return {
        "first": change.first,
        "seq": change.seq,
        "started_at": time_of(change.started_at),
        "ended_at": time_of(change.ended_at),
        "authors": [part._asdict() for part in change.parts],
        "versions": [{"seq": version.seq, "name": version.name} for version in change.versions],
    }


def _version(version: Version) -> dict[str, Any]:
    author = {"principal": version.author.principal, "name": version.author.name}
    return {"seq": version.seq, "name": version.name, "named_at": time_of(version.at), "author": author}


def _hunk(hunk: history.Hunk) -> dict[str, Any]:
    lines = [line._asdict() for line in hunk.lines]
    return {"from_line": hunk.from_line, "to_line": hunk.to_line, "lines": lines}
