"""A WebSocket layer for uvicorn in which picows does the framing once a connection is accepted.

Up to that point everything is uvicorn's own ASGI: routing, refusals before the upgrade, applications that
know nothing of this. An endpoint that finds :data:`EXTENSION` in its scope may take the connection over with
:meth:`FastLane.accept`; from then on messages are handed to a callback as they arrive, those of one read
together, without a task or a queue in between, and the endpoint may return.

    uvicorn.Config(app, ws=FastLaneProtocol)
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # missing in its stubs
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from collabd.errors import CollabdError, MalformedInput, SlowClient, TooLarge
from collabd.rooms.outbox import Frame

from .secured import SecuredTransport

EXTENSION: Final = "collabd.fastlane"
UPGRADE: Final = (
    "GET / HTTP/1.1\r\nHost: _\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n"
)
BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
NORMAL, PROTOCOL_ERROR, NO_CODE, ABNORMAL, LAST_CODE = 1000, 1002, 1005, 1006, 4999
"""Close codes (RFC 6455, section 7.4); 1005 and 1006 are only ever told, never sent."""
BINARY, CONTINUATION = WSMsgType.BINARY, WSMsgType.CONTINUATION
"""Looking them up takes longer than comparing them."""
CLOSE_FRAME: Final = 127
"""Bytes that one takes at most (RFC 6455, section 5.5)."""
CLOSE_TIMEOUT: Final = 2.0
"""Seconds a peer has to answer a close frame before its connection is cut."""
PING: Final = b"collabd"
"""What a ping carries, and its answer; those that picows sends are empty."""
FRAGMENT_OVERHEAD: Final = 64
"""Bytes of memory that a fragment takes beside its payload."""
DEAD_AFTER: Final = 30.0
"""Seconds after which a peer that acknowledges nothing on TCP, or answers no ping, is taken for gone."""

# picows logs every connection and its end; who comes and goes is logged by the rooms.
_picows_logger = logging.LoggerAdapter(logging.getLogger(f"{__name__}.framing"), None)
_picows_logger.setLevel(logging.CRITICAL)


class FastLane(WSListener):
    """One connection, from its upgrade on. It is the outbox of its peer too.

    Args:
        key: the client's ``Sec-WebSocket-Key``. Nothing else of its request matters to picows: uvicorn has
            checked it.
        connections: uvicorn's set of connections to shut down.
        max_message: bytes one message may have.
    """

    def __init__(
        self, key: str, transport: asyncio.Transport, connections: set[Any], max_message: int
    ) -> None:
        self._key = key
        if transport.get_extra_info("ssl_object") is not None:
            transport = SecuredTransport(transport, CLOSE_TIMEOUT)
        self._transport = transport
        self._connections = connections
        self._max_message = max_message
        self._websocket: WSTransport | None = None
        self._come: list[bytes] = []
        """Messages that are not delivered yet."""
        self._fragments: list[bytes] | None = None
        self._fragments_size = 0
        self._is_closing = False
        self._is_lost = False
        self._is_paused = False
        self._write: Callable[[bytes], object] | None = None
        """What sends, if picows never closes the connection without anybody noticing."""
        self.write_framed: Callable[[bytes], object] | None = None
        """The same as long as anything may be sent and nothing waits."""
        self._code, self._reason = ABNORMAL, ""
        self._largest = 0
        self._answered: Callable[[], None] | None = None
        self.max_queue = 0
        self.on_error: Callable[[CollabdError], None] = lambda _: None
        """Called with the error that the connection is closed for, if it is closed for one."""

    def accept(
        self,
        subprotocol: str | None,
        on_messages: Callable[[Sequence[bytes]], None],
        on_gone: Callable[[int, str], None],
        max_queue: int,
    ) -> bool:
        """Upgrade the connection. Returns whether it still exists; if not, nothing will be called.

        Args:
            on_messages: called with the binary messages that came at once, in their order. A CollabdError it
                raises closes the connection.
            on_gone: called once with the close code and reason when the connection has ended.
            max_queue: bytes that may wait to be sent, beside the largest frame since nothing waited (which
                may be a whole document), before the peer is closed as too slow.
        """
        if self._is_lost or self._transport.is_closing():
            return False
        self._on_messages = on_messages
        self._on_gone = on_gone
        self.max_queue = max_queue
        headers = {"Sec-WebSocket-Protocol": subprotocol} if subprotocol else None

        def answer(_: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(headers), self)

        detects_dead_peers = _detect_dead_peers(self._transport)
        protocol = _Framing(
            None,
            None,
            False,
            answer,
            _picows_logger,
            True,
            DEAD_AFTER,
            not detects_dead_peers,
            DEAD_AFTER,
            DEAD_AFTER / 2,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            True,
            self._max_message,
            None,
            2048,
        )
        protocol.connection_made(self._transport)
        # uvloop holds on to the last protocol that was no buffered one, and so to all that uvicorn had.
        self._transport.set_protocol(_NOBODY)
        self._transport.set_protocol(protocol)
        request = UPGRADE.format(self._key).encode()
        protocol.get_buffer(-1)[: len(request)] = request
        protocol.buffer_updated(len(request))
        # picows closes those who do not answer its pings, and says so to nobody.
        if self._websocket is not None and detects_dead_peers:
            self._write = self._transport.write
            self.write_framed = None if self._is_paused else self._write
        return True

    def refuse(self, subprotocol: str | None, error: CollabdError) -> None:
        """Upgrade the connection, unless that was done, and close it with ``error``: a browser shows a close
        code to its page, but not why an upgrade failed."""
        if self._websocket is None:
            self.accept(subprotocol, lambda _: None, lambda _code, _reason: None, 0)
        self.close(error)

    # The outbox of a peer

    @property
    def waiting(self) -> int:
        return self._transport.get_write_buffer_size()

    def send(self, frame: Frame) -> None:
        if self.write_framed is None and not self._is_open:
            return
        framed = frame.framed
        self._transport.write(framed)
        if self._is_paused:
            self._largest = max(self._largest, len(framed))
            if self._transport.get_write_buffer_size() > self.max_queue + self._largest:
                self.close(SlowClient("you do not read what you are sent"))

    def ping(self, answered: Callable[[], None]) -> None:
        if not self._is_closing and self._websocket is not None and self._answered is None:
            self._answered = answered
            self._websocket.send_ping(PING)

    def close(self, error: CollabdError, *, discard: bool = False) -> None:
        if not self._is_closing:
            self.on_error(error)
        self._close(error.close_code, error.close_reason)
        if discard and self._transport.get_write_buffer_size() > CLOSE_FRAME:
            self._transport.abort()

    # Called by uvicorn

    def shutdown(self) -> None:
        """End the connection because the server stops. Rooms have been drained by then."""
        self._close(1012, "restart: the server restarts")
        if self._websocket is None:
            self._transport.abort()

    def abort(self) -> None:
        """End the connection without a word: it broke the protocol before it was upgraded."""
        self._transport.abort()

    def lost(self) -> None:
        """The connection has ended before it was upgraded."""
        self._is_lost = True
        self._connections.discard(self)

    # Called by picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._websocket = transport
        # picows keeps both for as long as the connection lives.
        transport.request.headers.clear()
        transport.response.headers.clear()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        is_reserved = frame.rsv1 or frame.rsv2 or frame.rsv3
        if kind == BINARY and frame.fin and not is_reserved and self._fragments is None:
            self._come.append(frame.get_payload_as_bytes())
            return
        self.deliver()
        if is_reserved:
            self._close(PROTOCOL_ERROR, "reserved bits are set")
        elif kind == WSMsgType.CLOSE:
            if not self._is_closing:
                self._on_close(transport, frame)
            transport.disconnect()
        elif kind == WSMsgType.TEXT:
            self.close(MalformedInput("messages are binary"))
        elif kind in (BINARY, CONTINUATION):
            self._assemble(kind, frame)
        elif kind == WSMsgType.PONG and self._answered is not None and frame.get_payload_as_bytes() == PING:
            answered, self._answered = self._answered, None
            answered()

    @property
    def _is_open(self) -> bool:
        """Whether anything may be sent, as far as that is up to WebSocket."""
        return not self._is_closing and not (self._websocket and self._websocket.is_close_frame_sent)

    def stop(self) -> None:
        """Send nothing more: a frame broke the protocol, and picows has sent a close frame."""
        self.write_framed = None

    def deliver(self) -> None:
        """Hand over what has come; to be called when all frames of a read were told."""
        messages = self._come
        if not messages:
            return
        self._come = []
        if self._is_closing:
            return
        try:
            self._on_messages(messages)
        except CollabdError as error:
            self.close(error)
        except Exception:
            logging.getLogger(__name__).exception("a connection is closed: its message could not be handled")
            self.close(CollabdError("the server failed; come back"))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.deliver()
        self._is_closing, self.write_framed, self._write = True, None, None
        self._connections.discard(self)
        ending: Any = transport.close_handshake  # may be None, whatever picows' stubs say
        if self._code == ABNORMAL and ending is not None and ending.sent is not None:
            # picows itself found something wrong, and said so.
            self._code, self._reason = cast(int, ending.sent.code), ending.sent.reason
        self._on_gone(self._code, self._reason)
        # They hold the peer, which holds this.
        self._on_messages, self._on_gone, self.on_error, self._answered = _ignore, _ignore, _ignore, None
        if isinstance(self._transport, SecuredTransport):
            self._transport.let_go()

    def pause_writing(self) -> None:
        """More waits than the transport likes: from now on :meth:`send` bounds it."""
        self._is_paused = True
        self.write_framed = None
        self._largest = 0  # :meth:`send` has not returned yet

    def resume_writing(self) -> None:
        """Nothing waits any more."""
        self._is_paused = False
        self.write_framed = self._write if self._is_open else None

    def _on_close(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer the client's close frame (RFC 6455, section 5.5.1)."""
        code, reason = cast(int, frame.get_close_code()), frame.get_close_reason() or ""
        if not frame.payload_size:
            code, answer = NO_CODE, NORMAL
        elif code < NORMAL or code == ABNORMAL or code > LAST_CODE:
            code, reason, answer = PROTOCOL_ERROR, "the close code must not be sent", PROTOCOL_ERROR
        else:
            answer = code
        self._is_closing, self.write_framed = True, None
        self._code, self._reason = code, reason
        transport.send_close(cast(WSCloseCode, answer))

    def _assemble(self, kind: WSMsgType, frame: WSFrame) -> None:
        """Put a message together that came in several frames (RFC 6455, section 5.4)."""
        if (kind == CONTINUATION) != (self._fragments is not None):
            self._close(PROTOCOL_ERROR, "a fragment out of place")
            return
        if self._fragments is None:
            self._fragments, self._fragments_size = [], 0
        self._fragments.append(frame.get_payload_as_bytes())
        self._fragments_size += frame.payload_size
        memory = max(self._fragments_size, len(self._fragments) * FRAGMENT_OVERHEAD)
        if memory > self._max_message:
            self._fragments = []
            self.close(TooLarge("the message is too large"))
        elif frame.fin:
            self._come.append(b"".join(self._fragments))
            self._fragments = None

    def _close(self, code: int, reason: str) -> None:
        if self._is_closing:
            return
        self._is_closing, self.write_framed = True, None
        self._code, self._reason = code, reason
        if self._websocket is not None:
            self._websocket.send_close(cast(WSCloseCode, code), reason.encode())
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._transport.abort)


class _Framing(WSProtocol):  # type: ignore[misc]  # missing in picows' stubs
    """picows' protocol. Its listener hears when all frames of a read were told: messages that come together
    are cheaper to take in together."""

    __slots__ = ()

    def buffer_updated(self, nbytes: int) -> None:
        super().buffer_updated(nbytes)
        if self.transport.is_close_frame_sent:
            self.listener.stop()
        self.listener.deliver()


class FastLaneProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, offering :class:`FastLane` to the application."""

    _lane: FastLane | None = None
    """What the connection was given to."""

    def data_received(self, data: bytes) -> None:
        # RFC 6455, section 4.1: a client waits for the handshake before it sends frames.
        if self._lane is not None:
            self._lane.abort()
        elif self.handshake_initiated and not self.handshake_complete:
            self.transport.abort()
        else:
            super().data_received(data)
            if not self.handshake_initiated:
                # uvicorn hands the whole request over at once, and says nothing if it cannot be read.
                self.transport.write(BAD_REQUEST)
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lane is not None:
            self._lane.lost()
        else:
            super().connection_lost(exc)

    async def run_asgi(self) -> None:
        extensions = cast(dict[str, object], self.scope["extensions"])
        extensions[EXTENSION] = self._take_over
        await super().run_asgi()

    def _take_over(self) -> FastLane:
        """Hand the connection to the application's callbacks; this object has no more part in it."""
        key = self.request.headers["Sec-WebSocket-Key"]
        lane = self._lane = FastLane(key, self.transport, self.connections, self.config.ws_max_size)
        self.connections.discard(self)
        self.connections.add(lane)  # type: ignore[arg-type]  # has all that uvicorn calls
        if self.disconnected:
            lane.lost()
        self.handshake_complete = self.close_sent = True
        self.transport = _DETACHED
        return lane


class _Detached(asyncio.Transport):
    """Stands in for the transport that was given away."""

    def is_closing(self) -> bool:
        return True

    def close(self) -> None: ...

    def abort(self) -> None: ...


_DETACHED: Final = _Detached()
_NOBODY: Final = asyncio.Protocol()


def _ignore(*_: object) -> None:
    """What is called once nobody is interested any more."""


def _detect_dead_peers(transport: asyncio.Transport) -> bool:
    """Let TCP notice a peer that has vanished. Returns whether it can; what keeps connections alive makes it
    try."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    peer_socket = transport.get_extra_info("socket")
    if option is None or peer_socket.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    peer_socket.setsockopt(socket.IPPROTO_TCP, option, int(DEAD_AFTER * 1000))
    return True
