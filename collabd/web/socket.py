"""``WS /ws/{document}``: the y-websocket protocol, as stock providers speak it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from collabd.auth.base import Access, Identity
from collabd.auth.gate import Gate, Presented
from collabd.errors import CollabdError, DocumentDeleted, MalformedInput
from collabd.protocol.session import ACKNOWLEDGED, COMPRESSED, subprotocol_among
from collabd.rooms.channel import Disconnected, converse
from collabd.rooms.names import check_name
from collabd.rooms.observer import Observer
from collabd.rooms.outbox import Outbox, QueuedOutbox
from collabd.rooms.peer import Peer
from collabd.rooms.registry import Registry
from collabd.rooms.room import DocumentRoom

from .fastlane import CLOSE_TIMEOUT, EXTENSION, FastLane
from .identity import Cookies, hide_token, presented_by
from .origins import may_come_from
from .rights import LiveRights


class DocumentSocket:
    """The endpoint. A refusal is a close with a code and a reason, since browsers cannot see why an upgrade
    failed.

    Args:
        queue_bytes: what may wait to be sent to one peer.
        max_message: bytes that a message may have, also once it is inflated.
        allowed_origins: origins (``https://app.example``) beside the server's own whose pages may connect;
            ``*`` for any.
    """

    def __init__(
        self,
        registry: Registry,
        gate: Gate,
        rights: LiveRights,
        cookies: Cookies,
        observer: Observer,
        *,
        queue_bytes: int,
        max_message: int,
        allowed_origins: frozenset[str],
    ) -> None:
        self._registry = registry
        self._gate = gate
        self._rights = rights
        self._cookies = cookies
        self._observer = observer
        self._queue_bytes = queue_bytes
        self._max_message = max_message
        self._allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        presented = presented_by(websocket, self._cookies)
        hide_token(scope)
        headers = websocket.headers
        if not may_come_from(headers.get("origin"), headers.get("host", ""), self._allowed_origins):
            self._observer.refused("origin")
            await websocket.close()
            return
        subprotocol = subprotocol_among(websocket.scope["subprotocols"])
        take_over = websocket.scope.get("extensions", {}).get(EXTENSION)
        if take_over is not None:
            await self._serve_fast(websocket, take_over(), presented, subprotocol)
        else:
            await self._serve(websocket, presented, subprotocol)

    async def _serve_fast(
        self, websocket: WebSocket, lane: FastLane, presented: Presented, subprotocol: str | None
    ) -> None:
        lane.on_error = self._count_refusal
        try:
            room, identity, access = await self._open(websocket, presented)
            peer = self._peer(websocket, lane, identity, access, subprotocol)
            # Smaller than closures, and quicker to call.
            on_messages, on_gone = partial(room.receive_all, peer), partial(room.leave, peer)
            if peer.vouched:
                on_gone = partial(self._end, room, peer, identity)
            if lane.accept(subprotocol, on_messages, on_gone, self._queue_bytes):
                room.join(peer)
                if peer.vouched:
                    self._rights.watch(identity, peer, room)
        except CollabdError as error:
            lane.refuse(subprotocol, error)
        except BaseException:
            lane.refuse(subprotocol, CollabdError("the server failed; come back"))
            raise

    def _count_refusal(self, error: CollabdError) -> None:
        self._observer.refused(error.code)

    async def _serve(self, websocket: WebSocket, presented: Presented, subprotocol: str | None) -> None:
        await websocket.accept(subprotocol)
        outbox = QueuedOutbox(self._queue_bytes)
        error: CollabdError | None
        try:
            room, identity, access = await self._open(websocket, presented)
            peer = self._peer(websocket, outbox, identity, access, subprotocol)
            if peer.vouched:
                self._rights.watch(identity, peer, room)
            try:
                error = await converse(room, peer, outbox, _messages(websocket), websocket.send_bytes)
            finally:
                self._rights.forget(identity, peer, room)
        except CollabdError as refusal:
            error = refusal
        if error is not None:
            self._count_refusal(error)
            # The client may have gone meanwhile, which Starlette tells by one of these; or it reads nothing,
            # and so does not get the close frame either.
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await websocket.close(error.close_code, error.close_reason)

    def _end(self, room: DocumentRoom, peer: Peer, identity: Identity, code: int, reason: str) -> None:
        self._rights.forget(identity, peer, room)
        room.leave(peer, code, reason)

    async def _open(
        self, websocket: WebSocket, presented: Presented
    ) -> tuple[DocumentRoom, Identity, Access]:
        name = check_name(websocket.path_params["document"])
        identity = await self._gate.identify(presented)
        access = await self._gate.enter(identity, name, Access.READ)
        room = await self._registry.open(name)
        copy_of = websocket.query_params.get("id")
        if copy_of is not None and copy_of != str(room.document_id):
            raise DocumentDeleted(f"what you have a copy of was deleted; {name} is another document now")
        return room, identity, access

    def _peer(
        self,
        websocket: WebSocket,
        outbox: Outbox,
        identity: Identity,
        access: Access,
        subprotocol: str | None,
    ) -> Peer:
        client = websocket.client
        return Peer(
            outbox,
            principal=identity.principal,
            vouched=identity.is_signed_in or not self._gate.is_open,
            access=access,
            address=f"{client.host}:{client.port}" if client else "",
            acknowledges=subprotocol in (ACKNOWLEDGED, COMPRESSED),
            inflates=self._max_message if subprotocol == COMPRESSED else 0,
        )


async def _messages(websocket: WebSocket) -> AsyncIterator[bytes]:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise Disconnected(message.get("code") or 1005, message.get("reason") or "")
        data = message.get("bytes")
        if data is None:
            raise MalformedInput("messages are binary")
        yield data
