"""``/api/v1/documents``: documents for scripts, over the same rooms and the same log as for editors."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Sized
from datetime import UTC, datetime
from email.message import Message
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from collabd import formats
from collabd.auth.base import ANONYMOUS, Access, Identity
from collabd.auth.gate import Gate
from collabd.errors import (
    CollabdError,
    InvalidName,
    MalformedInput,
    NoSuchDocument,
    NoSuchVersion,
    SignInNeeded,
    TooLarge,
    UnsupportedCoding,
    UnsupportedFormat,
    UnsupportedMediaType,
)
from collabd.history import state_at
from collabd.persistence.base import Author, DocumentInfo, HistoryEntry, Store
from collabd.rooms import peer
from collabd.rooms.loading import checked
from collabd.rooms.names import check_name, readable
from collabd.rooms.observer import Observer
from collabd.rooms.registry import Registry
from collabd.worker import Runner

from . import audit
from .identity import Cookies, address_of, presented_by
from .negotiation import attachment, best_format, is_known
from .problems import problem, problem_of

T = TypeVar("T")

LARGE: Final = 64 * 1024
"""Bytes from which on a document is shown or read in another process."""
VERBS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
DEFAULT_FORMAT: Final = "json"
MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
LONGEST_NUMBER: Final = 15
"""Digits of a number in a query."""
UTF8: Final = ("utf-8", "utf8", "us-ascii")
NOSNIFF: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
EXPORT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; sandbox"


class Documents:
    """What the routes share.

    Args:
        checker: checks large updates.
        converter: shows and reads large documents.
        max_body_bytes: the largest body taken.
    """

    def __init__(
        self,
        registry: Registry,
        store: Store,
        gate: Gate,
        cookies: Cookies,
        observer: Observer,
        checker: Runner,
        converter: Runner,
        *,
        max_body_bytes: int,
    ) -> None:
        self.registry = registry
        self.store = store
        self.gate = gate
        self.cookies = cookies
        self.observer = observer
        self.checker = checker
        self.converter = converter
        self.max_body_bytes = max_body_bytes
        self.converting = asyncio.Lock()
        """Held while a document is shown or read. Several at once would be done no sooner, but small ones are
        done in threads, which take turns with the event loop: six of them made every answer 40 ms slower."""

    def routes(self) -> list[BaseRoute]:
        """The list, and each document; the document's name stands last in the path."""
        return [
            Route("/api/v1/documents", _List(self)),
            Route("/api/v1/documents/{document:path}", _Document(self)),
        ]

    async def demand(self, request: Request, name: str, access: Access) -> Access:
        """What the caller may still do with the document.

        Raises:
            SignInNeeded, NotAllowed: it is less than ``access``.
        """
        identity = await self.gate.still(identity_of(request))
        if identity is None:
            raise SignInNeeded("the credentials are not accepted")
        return await self.gate.demand(identity, name, access)

    async def convert(self, data: bytes, conversion: Callable[..., T], *args: Any) -> T:
        """Return ``conversion(data, *args)``, worked out in a process of its own if that may take long."""
        if len(data) > LARGE:
            return await self.converter.run(conversion, data, *args)
        return await asyncio.to_thread(conversion, data, *args)

    async def body_of(self, request: Request, most: int | None = None) -> bytes:
        """The whole body, of which no more is kept than may be: ``most`` bytes, if fewer than usual.

        Raises:
            TooLarge: there is more.
            UnsupportedCoding: it is encoded. What a few bytes become when they are unpacked is not bounded by
                what was sent.
        """
        if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise UnsupportedCoding("bodies are taken as they are, without a Content-Encoding")
        most = self.max_body_bytes if most is None else min(most, self.max_body_bytes)
        too_large = TooLarge(f"a body has at most {most} bytes")
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > most:
            raise too_large
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise too_large
            parts.append(part)
        return b"".join(parts)

    async def object_of(self, request: Request) -> dict[str, Any]:
        """The body, which is a JSON object.

        Raises:
            MalformedInput: it is something else.
        """
        try:
            found = json.loads(await self.body_of(request))
        except (ValueError, RecursionError):
            raise MalformedInput("the body is JSON") from None
        if not isinstance(found, dict):
            raise MalformedInput("the body is a JSON object")
        return found

    async def position(self, name: str) -> tuple[int, int]:
        """Id and log position of a document, without loading it.

        Raises:
            NoSuchDocument: there is none.
            DocumentDeleted: it was deleted.
        """
        room = self.registry.get(name)
        if room is not None and room.document_id is not None:
            return room.document_id, room.head
        info = await self.store.find(name)
        if info is None:
            raise NoSuchDocument(f"nothing was saved under {name}")
        return info.id, info.head

    async def entries(self, document_id: int, upto: int) -> list[HistoryEntry]:
        """A document's history from its beginning up to a number."""
        history = self.store.history(document_id, upto=upto)
        return [entry async for some in history for entry in some]

    async def work(self, function: Callable[..., T], *args: Any) -> T:
        """Return ``function(*args)``, worked out in a process of its own if that may take long."""
        size = sum(
            len(arg) if isinstance(arg, bytes) else 32 * len(arg) for arg in args if isinstance(arg, Sized)
        )
        async with self.converting:
            if size > LARGE:
                return await self.converter.run(function, *args)
            return await asyncio.to_thread(function, *args)


class Resource:
    """An ASGI application with a method for each verb it knows. Turns errors into problems."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        handlers: dict[str, Callable[[Request], Awaitable[Response]]] = {
            verb: getattr(self, verb.lower()) for verb in VERBS if hasattr(self, verb.lower())
        }
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        try:
            if handler is None:
                allowed = ", ".join([*(["HEAD"] if "GET" in handlers else []), *handlers])
                response = problem(
                    405, "method-not-allowed", f"{request.method} is not {allowed}", {"Allow": allowed}
                )
            else:
                request.state.identity = await self.identify(request)
                response = await handler(request)
        except CollabdError as error:
            self.documents.observer.refused(error.code)
            response = problem_of(error)
        await response(scope, receive, send)

    async def identify(self, request: Request) -> Identity:
        """Who asks.

        Raises:
            SignInNeeded: what was presented is not accepted.
        """
        return await self.documents.gate.identify(presented_by(request, self.documents.cookies))


class _List(Resource):
    async def get(self, request: Request) -> Response:
        query = request.query_params
        limit = limit_of(query.get("limit"))
        listed: list[DocumentInfo] = []
        # Nothing is told of the others, not even where they would stand.
        async for info in self._all(query.get("prefix", ""), query.get("after", ""), limit + 1):
            if await self.documents.gate.access(identity_of(request), info.name) >= Access.READ:
                listed.append(info)
                if len(listed) > limit:
                    break
        following = listed[limit - 1].name if len(listed) > limit else None
        found = [_listed(info) for info in listed[:limit]]
        return JSONResponse({"documents": found, "next": following}, headers=NOSNIFF)

    async def _all(self, prefix: str, after: str, size: int) -> AsyncIterator[DocumentInfo]:
        """All documents, so many looked up at first: mostly these will do."""
        shares = self.documents.gate.shares
        while found := await self.documents.store.documents(prefix=prefix, after=after, limit=size):
            if shares is not None:
                await shares.of_all([info.name for info in found])
            for info in found:
                yield info
            if len(found) < size:
                return
            after, size = found[-1].name, MAX_LIMIT


class _Document(Resource):
    async def get(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.READ)
        form, root = _format(request), request.query_params.get("root")
        seq = number_of(request, "version")
        document_id, head = await self.documents.position(name)
        if seq is not None:
            check_version(seq, head)
        etag = _etag(document_id, head if seq is None else f"version {seq}", form, root)
        headers = {"ETag": etag, "Vary": "Accept", **NOSNIFF}
        if is_known(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        title = name.rpartition("/")[2]
        if seq is not None:
            entries = await self.documents.entries(document_id, seq)
            rendered = await self.documents.work(_render_version, entries, seq, form, root, title)
        else:
            await self.documents.registry.open(name)  # a slow store holds up nobody else
            async with self.documents.converting:
                room = await self.documents.registry.open(name)
                await room.readable()
                if room.document_id is None:
                    raise NoSuchDocument(f"nothing was saved under {name}")
                # From here to the render no await, so that the tag and the content belong together.
                headers["ETag"] = _etag(room.document_id, room.head, form, root)
                update = room.state()
                rendered = await self.documents.convert(update, formats.render, form, root, title)
        if form == "html":
            headers["Content-Security-Policy"] = EXPORT_POLICY
        if request.query_params.get("download"):
            marked = name if seq is None else f"{name}-{seq}"
            headers["Content-Disposition"] = attachment(_filename(marked, form))
        return Response(rendered.body, headers=headers, media_type=rendered.media_type)

    async def put(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.gate.enter(identity_of(request), name, Access.WRITE)
        media_type = _media_type(request)
        body = await self.documents.body_of(request)
        async with self.documents.converting:
            update = await self.documents.convert(body, formats.read, media_type)
        await self.documents.demand(request, name, Access.WRITE)  # still: a body may come slowly
        room = await self.documents.registry.create(name, update, author_of(request))
        answer = {"name": name, "id": room.document_id, "seq": room.head}
        return JSONResponse(answer, 201, {"Location": quote(request.scope["path"]), **NOSNIFF})

    async def patch(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.WRITE)
        update = await self.documents.body_of(request)
        await checked(update, self.documents.checker)
        await self.documents.position(name)
        room = await self.documents.registry.open(name)
        await self.documents.demand(request, name, Access.WRITE)  # still: a body may come slowly
        return JSONResponse({"seq": await room.submit(update, author_of(request))}, headers=NOSNIFF)

    async def delete(self, request: Request) -> Response:
        name = name_of(request)
        await self.documents.demand(request, name, Access.ADMIN)
        await self.documents.registry.delete(name)
        if self.documents.gate.shares is not None:
            await self.documents.gate.shares.forget(name)
        audit.note("delete", request, who=identity_of(request).principal.id, document=name)
        return Response(status_code=204)


def name_of(request: Request) -> str:
    """The document's name in the path, which servers decode whether or not it is UTF-8."""
    try:
        unquote(request.scope.get("raw_path") or b"", errors="strict")
    except UnicodeDecodeError:
        raise InvalidName("the name is not UTF-8") from None
    return check_name(request.path_params["document"])


def author_of(request: Request) -> Author:
    """Whom history names as the author of what a request does: who did not sign in may say his name."""
    principal = identity_of(request).principal
    author = peer.author_of(principal, address_of(request))
    claimed = readable(unquote(request.headers.get("collabd-name", "")))
    return author._replace(name=claimed) if claimed and principal is ANONYMOUS else author


def identity_of(request: Request) -> Identity:
    """Who asks."""
    identity: Identity = request.state.identity
    return identity


def number_of(request: Request, key: str) -> int | None:
    """A number in the query, if it is there.

    Raises:
        MalformedInput: it is none.
    """
    text = request.query_params.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER):
        raise MalformedInput(f"{key} is a number")
    return int(text)


def check_version(seq: int, head: int) -> None:
    """Raise NoSuchVersion unless the document, with this last number, was ever at that one."""
    if not 1 <= seq <= head:
        raise NoSuchVersion(f"the document has no version {seq}: its versions are 1 to {head}")


def _render_version(
    entries: Sequence[HistoryEntry], seq: int, form: str, root: str | None, title: str
) -> formats.Rendered:
    return formats.render(state_at(entries, seq), form, root, title)


def _media_type(request: Request) -> str:
    """What the body is, if a document can be made from it."""
    header = request.headers.get("content-type", "")
    media_type = header.partition(";")[0].strip().lower()
    if media_type not in formats.READABLE:
        raise UnsupportedMediaType(f"documents are made from {', '.join(formats.READABLE)}")
    message = Message()
    message["Content-Type"] = header
    if message.get_content_charset("utf-8") not in UTF8:
        raise UnsupportedMediaType("text has to be UTF-8")
    return media_type


def _format(request: Request) -> str:
    form = request.query_params.get("format")
    if form is None:
        form = best_format(request.headers.get("accept", ""), formats.FORMATS, DEFAULT_FORMAT)
    if form not in formats.FORMATS:
        raise UnsupportedFormat(f"the formats are {', '.join(formats.FORMATS)}")
    return form


def _filename(name: str, form: str) -> str:
    """What to save a document as: the last part of its name, and the ending of the format."""
    ending = f".{formats.EXTENSIONS[form]}"
    return name.rpartition("/")[2].removesuffix(ending) + ending


def _etag(document_id: int, position: int | str, form: str, root: str | None) -> str:
    key = repr((document_id, position, form, root, formats.RENDERER_VERSION))
    return f'"{hashlib.blake2s(key.encode(), digest_size=16).hexdigest()}"'


def limit_of(text: str | None) -> int:
    """How many to list, at most, if a query says so.

    Raises:
        MalformedInput: it is no number, or too large.
    """
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_LIMIT):
        raise MalformedInput(f"limit is 1 to {MAX_LIMIT}")
    return int(text)


def _listed(info: DocumentInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "id": info.id,
        "created_at": time_of(info.created_at),
        "updated_at": time_of(info.updated_at),
        "updates": info.head,
    }


def time_of(seconds: float) -> str:
    """A time as answers give it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
