"""A Yjs client on asyncio, independent of the server's code but for the encoding of messages.

It speaks the y-websocket protocol as the stock provider does: step 1 when it connects, step 2 to the server's
step 1, an update for each edit, and presence entries of its own. Beyond that it can hold back what it
receives, be cut off, and come back.

    async with Client(server.websocket_url("notes"), saves=True) as ada:
        ada.insert(0, "hello")
        await ada.saved_all()
"""

import asyncio
import contextlib
import json
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Self

from pycrdt import Doc, Text, TransactionEvent
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from collabd.protocol import awareness, messages
from collabd.protocol.packing import PACKED, unpack

ROOT = "content"
"""The text that documents of the page have."""

LARGEST = 2**26
"""Bytes that a compressed message may inflate to."""

WAIT_SECONDS = 20.0
"""How long anything is waited for; what takes longer has failed."""


class Closed(Exception):
    """The connection ended while something was awaited."""


class Client:
    """One replica of one document.

    Args:
        saves: offer ``collabd.1`` and count what the server says is saved.
        packs: offer ``collabd.2``: take compressed messages, and count as well.
        holds: keep what is received in ``held`` until :meth:`release`.
        trust: whose certificates are believed, for ``wss://``.
    """

    def __init__(
        self,
        url: str,
        *,
        doc: "Doc[Any] | None" = None,
        saves: bool = False,
        packs: bool = False,
        holds: bool = False,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self._trust = trust
        self.doc: Doc[Any] = Doc() if doc is None else doc
        self.text: Text = self.doc.get(ROOT, type=Text)
        self.saves = saves or packs
        self.packs = packs
        self.holds = holds
        self.held: deque[bytes] = deque()
        self.last_edit = b""
        """The update our last edit made."""
        self.unsent: list[bytes] | None = None
        """Set it to a list to keep edits from being sent: they are put there."""
        self.is_synced = False
        self.sent = 0
        """Step 2 and update messages sent on this connection."""
        self.saved = 0
        """How many of them the server said are committed."""
        self.received: list[messages.Message] = []
        """Everything the server said on this connection, except updates that were applied or held."""
        self.updates_received = 0
        self.bytes_received = 0
        """What all messages on this connection had, as they came."""
        self.presence: dict[int, Any] = {}
        """State by awareness client id, everybody else's as received, our own as set."""
        self.close_code: int | None = None
        self.close_reason = ""
        self._clocks: dict[int, int] = {}
        self._socket: ClientConnection | None = None
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._is_editing = False
        self._edits: list[bytes] = []
        self._subscription = self.doc.observe(self._on_transaction)

    # Connecting

    async def connect(self) -> Self:
        """Connect and begin to synchronise; see :meth:`synced`."""
        assert self._socket is None, "connected already"
        offered = ["collabd.1"] * self.saves + ["collabd.2"] * self.packs
        subprotocols = [Subprotocol(name) for name in offered] or None
        self._socket = await connect(
            self.url,
            ssl=self._trust,
            subprotocols=subprotocols,
            compression=None,
            max_size=None,
            max_queue=None,
            ping_interval=None,
            close_timeout=2,
            proxy=None,
        )
        self.is_synced = False
        self.sent = self.saved = self.updates_received = self.bytes_received = 0
        self.received = []
        self.close_code, self.close_reason = None, ""
        self._outgoing = asyncio.Queue()
        self._say(messages.step_1_frame(self.doc.get_state()))
        if self.doc.client_id in self.presence:
            self._say_presence()
        self._tasks = [
            asyncio.create_task(self._read(self._socket)),
            asyncio.create_task(self._write(self._socket, self._outgoing)),
        ]
        return self

    async def reconnect(self) -> Self:
        """Connect as soon as the server lets us, as providers do."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return await self.connect()
            except (OSError, InvalidHandshake, TimeoutError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Say goodbye, as a page does that is left."""
        if self._socket is not None:
            await self._socket.close()
        await self._forget_connection()

    async def cut(self) -> None:
        """Vanish without a close frame."""
        if self._socket is not None:
            self._socket.transport.abort()
        await self._forget_connection()

    def abandon(self) -> asyncio.Transport:
        """Lose the connection without the server's noticing; return what is left of it, to be aborted."""
        assert self._socket is not None
        transport = self._socket.transport
        for task in self._tasks:
            task.cancel()
        self._socket = None
        return transport

    async def dispose(self) -> None:
        """Vanish for good."""
        await self.cut()
        self.doc.unobserve(self._subscription)

    async def __aenter__(self) -> Self:
        await self.connect()
        return await self.synced()

    async def __aexit__(self, *exc: object) -> None:
        await self.dispose()

    @property
    def is_connected(self) -> bool:
        return self._socket is not None and self.close_code is None

    def stop_reading(self) -> None:
        """Leave everything that comes from now on in the kernel's buffer."""
        assert self._socket is not None
        self._socket.transport.pause_reading()

    # Waiting

    async def until(self, condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Return once ``condition`` holds; it is looked at after each message.

        Raises:
            Closed: the connection ended before that.
            TimeoutError: it did not come to hold in time.
        """
        async with asyncio.timeout(seconds):
            while not condition():
                if not self.is_connected:
                    raise Closed(f"{self.close_code} {self.close_reason}")
                self._news.clear()
                await self._news.wait()

    async def synced(self) -> Self:
        """Return once the server's step 2 has come."""
        await self.until(lambda: self.is_synced)
        return self

    async def heard_all(self) -> None:
        """Return once all that the server has said so far was taken in: it answers in order."""
        self.is_synced = False
        self._say(messages.step_1_frame(self.doc.get_state()))
        await self.synced()

    async def saved_all(self) -> None:
        """Return once all that was sent is committed."""
        assert self.saves, "without the subprotocol nobody tells"
        await self.until(lambda: self.saved >= self.sent)

    async def has_text(self, expected: str) -> None:
        """Return once the text is as expected."""
        try:
            await self.until(lambda: str(self.text) == expected)
        except TimeoutError:
            assert str(self.text) == expected  # tells the difference
            raise

    async def closed(self, seconds: float = WAIT_SECONDS) -> int:
        """Return the code with which the server closed the connection."""
        async with asyncio.timeout(seconds):
            while self.close_code is None:
                self._news.clear()
                await self._news.wait()
        return self.close_code

    # Editing

    @contextlib.contextmanager
    def editing(self) -> "Iterator[Doc[Any]]":
        """Change the document in one transaction, which is sent when the block ends."""
        self._is_editing = True
        try:
            with self.doc.transaction():
                yield self.doc
        finally:
            self._is_editing = False
            edits, self._edits = self._edits, []
        for update in edits:
            self.last_edit = update
            if self.unsent is not None:
                self.unsent.append(update)
            elif self.is_connected:
                self.send_update(update)

    def insert(self, position: int, text: str) -> None:
        """Type ``text``; ``position`` counts bytes of UTF-8, as pycrdt does."""
        with self.editing():
            self.text.insert(position, text)

    def append(self, text: str) -> None:
        """Type at the end."""
        with self.editing():
            self.text += text

    def delete(self, start: int, end: int) -> None:
        """Delete bytes of UTF-8 from ``start`` up to ``end``."""
        with self.editing():
            del self.text[start:end]

    def send_update(self, update: bytes) -> None:
        """Send an update that need not be in the document."""
        self.sent += 1
        self._say(messages.update_frame(update))

    def send_raw(self, data: bytes) -> None:
        """Send one binary message as it is."""
        self._say(data)

    def set_presence(self, state: Any) -> None:
        """Tell the others who and where we are; None takes it back."""
        self.presence[self.doc.client_id] = state
        self._clocks[self.doc.client_id] = self._clocks.get(self.doc.client_id, 0) + 1
        if self.is_connected:
            self._say_presence()

    def release(self, count: int | None = None) -> None:
        """Apply the oldest ``count`` of what was held back, or all of it."""
        for _ in range(len(self.held) if count is None else count):
            self.doc.apply_update(self.held.popleft())

    @property
    def others(self) -> dict[int, Any]:
        """Everybody else who is present."""
        return {
            client: state
            for client, state in self.presence.items()
            if client != self.doc.client_id and state is not None
        }

    # The protocol

    def _say(self, frame: bytes) -> None:
        self._outgoing.put_nowait(frame)

    def _say_presence(self) -> None:
        client = self.doc.client_id
        state = self.presence[client]
        text = None if state is None else json.dumps(state)
        entry = awareness.Entry(client, self._clocks[client], text)
        self._say(messages.awareness_frame(awareness.encode([entry])))

    def _on_transaction(self, event: TransactionEvent) -> None:
        if self._is_editing:
            self._edits.append(event.update)

    async def _write(self, socket: ClientConnection, outgoing: "asyncio.Queue[bytes]") -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(await outgoing.get())

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for data in socket:
                assert isinstance(data, bytes), "the server sends binary messages only"
                self.bytes_received += len(data)
                if self.packs and data[:1] == PACKED:
                    self._on_message(unpack(data, LARGEST))
                else:
                    for message in messages.decode(data):
                        self._on_message(message)
                self._news.set()
        except ConnectionClosed:
            pass
        finally:
            self.close_code = socket.close_code or 1006
            self.close_reason = socket.close_reason or ""
            self._news.set()

    def _on_message(self, message: messages.Message) -> None:
        match message:
            case messages.Update(update):
                self.updates_received += 1
                self._on_update(update)
            case messages.SyncStep2(update):
                self._on_update(update)
                self.is_synced = True
            case messages.SyncStep1(state_vector):
                self.received.append(message)
                self.sent += 1
                self._say(messages.step_2_frame(self.doc.get_update(state_vector)))
            case messages.AwarenessMessage(payload):
                self.received.append(message)
                for entry in awareness.decode(payload):
                    self._on_presence(entry)
            case messages.Saved(count):
                assert self.saves, "the server must not say so to who did not ask"
                assert count > self.saved, "a count that does not grow says nothing"
                self.saved = count
            case _:
                self.received.append(message)

    def _on_update(self, update: bytes) -> None:
        if self.holds:
            self.held.append(update)
        else:
            self.doc.apply_update(update)

    def _on_presence(self, entry: awareness.Entry) -> None:
        # As y-protocols does: somebody new with clock 0 goes unseen.
        known = self._clocks.get(entry.client, 0)
        if entry.clock > known or (entry.clock == known and entry.state is None):
            self._clocks[entry.client] = entry.clock
            self.presence[entry.client] = None if entry.state is None else json.loads(entry.state)

    async def _forget_connection(self) -> None:
        if self._socket is None:
            return
        reading, writing = self._tasks
        writing.cancel()
        await asyncio.wait([reading, writing])
        if not writing.cancelled():
            writing.result()
        reading.result()
        self._socket = None
        for client in list(self.presence):
            if client != self.doc.client_id:
                # As the stock provider does, so that a rejoined room can tell us anew.
                del self.presence[client]
