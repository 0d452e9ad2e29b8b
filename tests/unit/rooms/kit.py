"""What the tests of rooms are made of: replicas that write, connections that remember, a store that waits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Self

from pycrdt import Doc, Map, Text, TransactionEvent

from collabd.auth.base import ANONYMOUS, Access, Principal
from collabd.compaction import Compactor
from collabd.errors import CollabdError
from collabd.persistence.base import (
    Appended,
    Author,
    Compaction,
    DocumentInfo,
    HistoryEntry,
    StoredDocument,
)
from collabd.persistence.memory import MemoryStore
from collabd.protocol import awareness, messages
from collabd.protocol.packing import PACKED, unpack
from collabd.rooms.observer import Silent
from collabd.rooms.outbox import Frame
from collabd.rooms.peer import Peer
from collabd.rooms.registry import Registry
from collabd.rooms.room import DocumentRoom, RoomLimits
from tests.support.clock import Clock

LARGEST = 2**26
"""Bytes that a compressed message may inflate to."""
SAVED_AS = "notes"
"""The document that most tests are about."""


async def turns(count: int = 20) -> None:
    """Let the event loop do all that is ready to be done."""
    for _ in range(count):
        await asyncio.sleep(0)


class ManualLoop:
    """The clock and the timers of an event loop, for what needs nothing else of one; time passes when the
    test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        return self.call_later(0.0, callback, *args)

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self.now + delay, callback, args, self)  # type: ignore[arg-type]
        self._timers.append(timer)
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        self._timers.remove(timer)

    def get_debug(self) -> bool:
        return False

    def turn(self) -> None:
        """Do what is due, but nothing that becomes due by that."""
        for timer in [timer for timer in self._timers if timer.when() <= self.now]:
            if not timer.cancelled():
                self._timers.remove(timer)
                timer._run()

    def advance(self, seconds: float = 0.0) -> None:
        """Let time pass, and do what becomes due, in order."""
        until = self.now + seconds
        while due := [timer for timer in self._timers if timer.when() <= until + 1e-9]:
            timer = min(due, key=lambda timer: timer.when())
            self._timers.remove(timer)
            self.now = max(self.now, timer.when())
            timer._run()
        self.now = until


class Writer:
    """A replica of somebody who edits: a text and a map, and the update that each edit made."""

    def __init__(self, client: int) -> None:
        self.client = client
        self.doc: Doc[Any] = Doc(client_id=client)
        self.text: Text = self.doc.get("content", type=Text)
        self.meta: Map[Any] = self.doc.get("meta", type=Map)
        self._latest = b""
        self._subscription = self.doc.observe(self._on_transaction)

    def _on_transaction(self, event: TransactionEvent) -> None:
        self._latest = event.update

    def append(self, text: str) -> bytes:
        """Type at the end; the answer is the update."""
        self.text += text
        return self._latest

    def insert(self, position: int, text: str) -> bytes:
        self.text.insert(position, text)
        return self._latest

    def delete(self, start: int, end: int) -> bytes:
        del self.text[start:end]
        return self._latest

    def put(self, key: str, value: object) -> bytes:
        self.meta[key] = value
        return self._latest

    def take(self, *updates: bytes) -> None:
        """Apply what others wrote."""
        for update in updates:
            self.doc.apply_update(update)

    @property
    def state(self) -> bytes:
        return self.doc.get_update()


def text_of(update: bytes) -> str:
    """The text of a document that is given as one update."""
    writer = Writer(1)
    writer.take(update)
    return str(writer.text)


class Recorder:
    """An outbox that keeps what the peer was sent, decoded."""

    write_framed = None

    def __init__(self) -> None:
        self.messages: list[messages.Message] = []
        self.frames: list[bytes] = []
        self.closed_by: CollabdError | None = None
        self.was_discarded = False
        """Whether what was still waiting when it was closed was thrown away."""
        self.waiting = 0
        """Bytes that the peer has not read yet, if the test says so."""
        self.pings: list[Callable[[], None]] = []

    def send(self, frame: Frame) -> None:
        if self.closed_by is None:
            self.frames.append(frame.payload)
            if frame.payload[:1] == PACKED:
                self.messages.append(unpack(frame.payload, LARGEST))
            else:
                self.messages.extend(messages.decode(frame.payload))

    def ping(self, answered: Callable[[], None]) -> None:
        self.pings.append(answered)

    def close(self, error: CollabdError, *, discard: bool = False) -> None:
        if self.closed_by is None:
            self.closed_by = error
            self.was_discarded = discard

    def of(self, *kinds: type) -> list[Any]:
        """What was sent of these kinds, in order."""
        return [message for message in self.messages if isinstance(message, kinds)]

    @property
    def updates(self) -> list[bytes]:
        return [message.update for message in self.of(messages.Update)]

    @property
    def saved(self) -> list[int]:
        return [message.count for message in self.of(messages.Saved)]

    @property
    def entries(self) -> list[awareness.Entry]:
        return [
            entry
            for message in self.of(messages.AwarenessMessage)
            for entry in awareness.decode(message.payload)
        ]


class Member:
    """A connection to a room with a replica behind it, as a stock provider is one."""

    def __init__(
        self,
        room: DocumentRoom,
        client: int = 0,
        *,
        writer: Writer | None = None,
        access: Access = Access.WRITE,
        acknowledges: bool = True,
        principal: Principal = ANONYMOUS,
        inflates: int = 0,
    ) -> None:
        self.room = room
        self.writer = writer or Writer(client)
        self.got = Recorder()
        self.peer = Peer(
            self.got, access=access, acknowledges=acknowledges, principal=principal, inflates=inflates
        )
        self._handled = 0

    def join(self) -> Self:
        """Connect and ask for everything, as providers do at once."""
        self.room.join(self.peer)
        self.say(messages.step_1_frame(self.writer.doc.get_state()))
        return self

    def leave(self) -> None:
        self.room.leave(self.peer)

    def say(self, *frames: bytes) -> None:
        """Send each as a WebSocket message, all at once; an error closes the connection, as an endpoint
        does."""
        try:
            self.room.receive_all(self.peer, frames)
        except CollabdError as error:
            self.got.close(error)
            self.room.leave(self.peer, error.close_code, error.close_reason)

    def send(self, *updates: bytes) -> None:
        """Send each as an update message."""
        self.say(*map(messages.update_frame, updates))

    def type(self, text: str) -> bytes:
        """Type at the end and send it."""
        update = self.writer.append(text)
        self.send(update)
        return update

    def show(self, state: str | None, clock: int, client: int | None = None) -> None:
        """Send a presence entry, normally about oneself."""
        entry = awareness.Entry(client or self.writer.client, clock, state)
        self.say(messages.awareness_frame(awareness.encode([entry])))

    def read(self) -> bool:
        """Do with what has arrived what a provider does; say whether there was anything."""
        fresh, self._handled = self.got.messages[self._handled :], len(self.got.messages)
        for message in fresh:
            match message:
                case messages.Update(update) | messages.SyncStep2(update):
                    self.writer.take(update)
                case messages.SyncStep1(state_vector):
                    self.say(messages.step_2_frame(self.writer.doc.get_update(state_vector)))
        return bool(fresh)

    @property
    def text(self) -> str:
        return str(self.writer.text)

    @property
    def is_open(self) -> bool:
        return self.got.closed_by is None


async def calm(room: DocumentRoom, members: Iterable[Member]) -> None:
    """Let everybody read and answer until nobody has anything to say."""
    members = list(members)
    while True:
        await room.flushed()
        await turns()
        if not any([member.read() for member in members]):
            return


class ScriptedStore(MemoryStore):
    """A memory store whose commits and loads happen when the test says so.

    ``held`` are the commits handed over and not done. While ``holds`` is false everything happens at once.
    ``keeps_history`` False is as if compaction had dropped all that was logged.
    """

    def __init__(self, *, holds: bool = True) -> None:
        super().__init__()
        self.holds = holds
        self.held: list[tuple[asyncio.Future[Appended], Callable[[], asyncio.Future[Appended]]]] = []
        self.batches: list[list[bytes]] = []
        self.loads = 0
        self.load_errors: list[Exception] = []
        self.keeps_history = True
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.snapshots: list[tuple[int, list[int]]] = []
        self.snapshot_error: Exception | None = None

    def append(
        self,
        name: str,
        document_id: int | None,
        updates: Sequence[bytes],
        authors: Sequence[tuple[Author, int]] = (),
        *,
        revive: bool = False,
        first: bool = False,
    ) -> asyncio.Future[Appended]:
        updates = list(updates)
        self.batches.append(updates)

        def commit() -> asyncio.Future[Appended]:
            return super(ScriptedStore, self).append(
                name, document_id, updates, authors, revive=revive, first=first
            )

        if not self.holds:
            return commit()
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self.held.append((future, commit))
        return future

    def release(self, count: int = 1) -> None:
        """Commit the oldest ones held."""
        for _ in range(count):
            future, commit = self.held.pop(0)
            outcome = commit()
            if error := outcome.exception():
                future.set_exception(error)
            else:
                future.set_result(outcome.result())

    def fail(self, error: Exception) -> None:
        """Refuse the oldest one held."""
        future, _ = self.held.pop(0)
        future.set_exception(error)

    async def load(self, name: str, *, whole: bool = False) -> StoredDocument | None:
        self.loads += 1
        if self.load_errors:
            raise self.load_errors.pop(0)
        try:
            return await super().load(name, whole=whole)
        finally:
            await self.may_load.wait()

    async def history(
        self, document_id: int, *, after: int = 0, upto: int | None = None, updates: bool = True
    ) -> AsyncIterator[list[HistoryEntry]]:
        found = [some async for some in super().history(document_id, after=after, upto=upto, updates=updates)]
        await self.may_load.wait()
        for entries in found if self.keeps_history else []:
            yield entries

    async def compact(self, document_id: int, compaction: Compaction) -> bool:
        if self.snapshot_error is not None:
            raise self.snapshot_error
        self.snapshots.append((compaction.seq, list(compaction.early)))
        return await super().compact(document_id, compaction)

    async def rows(self, name: str = SAVED_AS) -> int:
        """How many updates were ever committed."""
        info: DocumentInfo | None = await self.find(name)
        return info.head if info else 0


class Notes(Silent):
    """An observer that keeps count."""

    def __init__(self) -> None:
        self.rooms = 0
        self.peers = 0
        self.early_now = 0
        self.idle_bytes = 0
        self.committed_updates = 0
        self.delivered_updates: list[tuple[int, float]] = []
        self.round_trips: list[float] = []
        self.redundant_updates = 0
        self.goodbyes: list[tuple[int, str, int]] = []

    def room_opened(self, document: str, seconds: float) -> None:
        self.rooms += 1

    def room_closed(self, document: str) -> None:
        self.rooms -= 1

    def joined(self, document: str, peer: int, who: str, address: str) -> None:
        self.peers += 1

    def left(
        self, document: str, peer: int, who: str, code: int, reason: str, seconds: float, updates: int
    ) -> None:
        self.peers -= 1
        self.goodbyes.append((code, reason, updates))

    def committed(self, updates: int, size: int, seconds: float) -> None:
        self.committed_updates += updates

    def delivered(self, updates: int, seconds: float) -> None:
        self.delivered_updates.append((updates, seconds))

    def round_trip(self, seconds: float) -> None:
        self.round_trips.append(seconds)

    def redundant(self, updates: int) -> None:
        self.redundant_updates += updates

    def early(self, change: int) -> None:
        self.early_now += change

    def idle_memory(self, size: int) -> None:
        self.idle_bytes = size


async def at_once(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function here and now, where others would do it in another process."""
    return function(*arguments)


class House:
    """A store with rooms in it."""

    def __init__(
        self,
        *,
        holds: bool = False,
        limits: RoomLimits | None = None,
        idle_seconds: float = 30.0,
        idle_bytes: int = 256 * 2**20,
        store: ScriptedStore | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        clock = clock or Clock()  # no work takes long enough to be put off, unless a test says so
        self.store = store or ScriptedStore(holds=holds)
        self.notes = Notes()
        self.compactor = Compactor(self.store, run=at_once, share=1)
        self.registry = Registry(
            self.store,
            limits=limits,
            observer=self.notes,
            compact=self.compactor.soon,
            idle_seconds=idle_seconds,
            idle_bytes=idle_bytes,
            keepalive_seconds=15.0,
            clock=clock,
        )

    async def room(self, name: str = SAVED_AS) -> DocumentRoom:
        return await self.registry.open(name)

    def restarted(self, *, limits: RoomLimits | None = None) -> "House":
        """The same store under a new process."""
        return House(store=self.store, limits=limits)


class PanicException(BaseException):
    """What a Rust panic looks like in Python."""


POISON = "☠"
"""Text that makes an update poisonous for a :func:`faulty` pycrdt."""


def faulty_doc(failures: "Sequence[BaseException]") -> type:
    """A kind of Doc that fails to apply what contains POISON: the first time with the first of ``failures``,
    and so on, the last again and again."""
    left = list(failures)

    class FaultyDoc(Doc[Any]):
        def apply_update(self, update: bytes) -> None:
            if POISON.encode() in update:
                raise left.pop(0) if len(left) > 1 else left[0]
            super().apply_update(update)

    return FaultyDoc
