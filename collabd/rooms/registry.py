"""The rooms of this process: each document opened once, unloaded when idle, brought to rest at shutdown."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from functools import cached_property
from typing import Any, Final

from collabd.errors import (
    CollabdError,
    DocumentDamaged,
    DocumentDeleted,
    Overloaded,
    ShuttingDown,
    StoreUnavailable,
    WorkEnded,
)
from collabd.persistence.base import UNKNOWN, Author, Store, StoredDocument
from collabd.protocol.update import UpdateSummary
from collabd.worker import Runner, ThreadRunner

from .cluster import Cluster
from .deliveries import Deliveries
from .loading import Loaded, checked, load, try_out
from .names import check_name
from .observer import Observer, Silent
from .peer import Peer
from .room import Compact, DocumentRoom, RoomLimits
from .slices import Clock, Pause
from .turns import Turns

logger = logging.getLogger(__name__)

FOLLOW_SECONDS: Final = 1.5
"""How often a store that is shared is asked what other processes wrote. A bridge that fails is noticed later
than that, and yet nobody should wait for two seconds."""
FOLLOW_ALONE_SECONDS: Final = 1.0
"""How often, if nobody tells it."""
SHED_SECONDS: Final = 2.0
"""How often it is looked how much memory idle rooms take."""
FOLLOW_AT_ONCE: Final = 1_000
"""Documents it is asked about at once."""


class Registry:
    """Opens and keeps rooms.

    Args:
        compact: asks for a document to be compacted; without it none is.
        cluster: the other nodes that serve the same store; without it they are followed by the store alone.
        idle_seconds: how long a room stays loaded after it was last used.
        idle_bytes: about how much memory the rooms may take that nobody uses.
        keepalive_seconds: how long a peer may be left without a message, at most.
        checker: checks large messages.
        reader: reads large documents; not the same, as it must not wait for what somebody sends in masses.
        clock: measures how long the event loop is held up, in seconds.

    :meth:`tick` must be called about every ``keepalive_seconds / 2``, :meth:`shed` every now and then, and
    :meth:`follow` too if the store is shared; :meth:`run` does all that.
    """

    def __init__(
        self,
        store: Store,
        *,
        limits: RoomLimits | None = None,
        observer: Observer | None = None,
        compact: Compact | None = None,
        cluster: Cluster | None = None,
        idle_seconds: float = 30.0,
        idle_bytes: int = 256 * 1024 * 1024,
        keepalive_seconds: float = 15.0,
        checker: Runner | None = None,
        reader: Runner | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._store = store
        self._checker = checker or ThreadRunner()
        self._reader = reader or self._checker
        self._clock = clock
        self._limits = limits or RoomLimits()
        self._observer = observer or Silent()
        self._compact = compact
        self._cluster = cluster
        self._idle_seconds = idle_seconds
        self._idle_bytes = idle_bytes
        self._keepalive_seconds = keepalive_seconds
        self._rooms: dict[str, DocumentRoom] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._tried: set[str] = set()
        """Documents that have proved harmless since the process before was interrupted."""
        self._held: set[str] = set()
        self._is_draining = False

    @cached_property
    def turns(self) -> Turns:
        """What gives turns to those who come in masses, while edits go on."""
        return Turns(asyncio.get_running_loop())

    @cached_property
    def _deliveries(self) -> Deliveries:
        return Deliveries(asyncio.get_running_loop(), self._clock, self._observer)

    @property
    def is_draining(self) -> bool:
        """Whether the process is leaving: nothing is opened any more."""
        return self._is_draining

    @property
    def has_peers(self) -> bool:
        """Whether anybody is connected."""
        return any(room.has_peers for room in self._rooms.values())

    def get(self, name: str) -> DocumentRoom | None:
        """The room of a document, if it is open."""
        room = self._rooms.get(name)
        return None if room is None or room.has_ended else room

    def neighbours(self) -> list[DocumentRoom]:
        """All open rooms."""
        return [room for room in self._rooms.values() if not room.has_ended]

    async def open(self, name: str) -> DocumentRoom:
        """The room of a document, loaded if need be. A document that does not exist yet has an empty room.

        The room is sure to be alive only until the caller's next await.

        Raises:
            InvalidName: no document may be called so.
            DocumentDeleted: the document was deleted.
            DocumentDamaged: it cannot be read.
            Overloaded: it is kept closed for a while.
            ShuttingDown: the process is leaving.
        """
        check_name(name)
        while True:
            if self._is_draining:
                raise ShuttingDown("the server restarts")
            if name in self._held:
                raise _held(name)
            room = self.get(name)
            if room is not None:
                room.idle_since = asyncio.get_running_loop().time()
                return room
            opening = self._opening.get(name) or self._begin(name, self._load(name))
            try:
                # Whoever asked first may be cancelled; the others still want the room.
                await asyncio.shield(opening)
            except asyncio.CancelledError:
                if not opening.cancelled():
                    raise

    async def join(self, name: str, peer: Peer) -> DocumentRoom:
        """Open a room and let a peer join it. Raises what :meth:`open` and :meth:`DocumentRoom.join`
        raise."""
        room = await self.open(name)
        room.join(peer)
        return room

    async def create(self, name: str, update: bytes, author: Author = UNKNOWN) -> DocumentRoom:
        """Make a document from its first content (Yjs v1 update), also under a name whose document was
        deleted; ``author`` is who history names.

        Raises:
            DocumentExists: it has content already.
            MalformedInput, UpdateRejected, Overloaded: as :meth:`DocumentRoom.submit`.
        """
        summary = await checked(update, self._checker)
        try:
            room = await self.open(name)
        except DocumentDeleted:
            if name in self._opening:  # somebody else is creating it
                return await self.create(name, update, author)
            await self._recreate(name, update, summary, author)
            return await self.open(name)
        await room.seed(update, summary, author)
        return room

    async def delete(self, name: str) -> None:
        """Delete a document: a tombstone stays, and whoever is connected is closed for good.

        Raises:
            NoSuchDocument: there is none.
            DocumentDeleted: it was deleted before.
        """
        check_name(name)
        await self._store.delete(name)
        if self._cluster is not None:
            self._cluster.tell_to_look(name)
        self._opening.pop(name, None)  # what is being loaded is out of date
        self._put_away(name, DocumentDeleted(f"{name} was deleted"))

    def unload(self, name: str) -> None:
        """Let go of a document's room now, not in a while, if nobody is connected and nothing under way."""
        room = self.get(name)
        if room is not None and room.is_idle:
            self._put_away(name, _was_put_away())

    @contextlib.asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[bytes | None]:
        """Keep a document closed in the block. If it has a room, that ends once all that it received is
        committed; whoever is connected, or comes, is told to come back.

        Gives:
            what was integrated in the room's document, as one update (Yjs v1); None if it had no room.

        Raises:
            Overloaded: somebody else holds it.
        """
        if name in self._held:
            raise _held(name)
        self._held.add(name)
        try:
            self._opening.pop(name, None)  # what is being loaded is out of date
            room = self.get(name)
            state = None
            if room is not None:
                await room.drain(_held(name))
                with contextlib.suppress(CollabdError):  # it was being rebuilt, or has ended
                    state = room.state()
                if self._rooms.get(name) is room:
                    self._put_away(name, _held(name))
            yield state
        finally:
            self._held.discard(name)

    async def run(self) -> None:
        """Tick, shed, and follow a shared store, until cancelled."""
        tasks = [self._tick_on(), self._shed_on()]
        if self._store.is_shared:
            tasks.append(self._follow_on())
        if self._cluster is not None:
            tasks.append(self._cluster.run())
        await asyncio.gather(*tasks)

    async def _tick_on(self) -> None:
        while True:
            await asyncio.sleep(self._keepalive_seconds / 2)
            self.tick(asyncio.get_running_loop().time())

    async def _shed_on(self) -> None:
        while True:
            await asyncio.sleep(SHED_SECONDS)
            await self.shed()

    async def _follow_on(self) -> None:
        while True:
            heard = self._cluster is not None and self._cluster.is_up
            await asyncio.sleep(FOLLOW_SECONDS if heard else FOLLOW_ALONE_SECONDS)
            # While the store does not answer, it is the readiness that says so.
            with contextlib.suppress(StoreUnavailable):
                await self.follow()

    async def follow(self, names: Sequence[str] | None = None) -> None:
        """Let rooms take in what other processes wrote into the store, and end those whose document is gone:
        all, or those of some documents.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        rooms = self._rooms
        known = {
            name: (rooms[name], rooms[name].document_id)
            for name in (rooms if names is None else names)
            if name in rooms
        }
        for names in _in_parts(list(known), FOLLOW_AT_ONCE):
            found = await self._store.find_all(names)
            for name in names:
                room, document_id = known[name]
                if self._rooms.get(name) is not room or room.has_ended:
                    continue
                info = found.get(name)
                if document_id is not None and (info is None or info.id != document_id):
                    self._put_away(name, DocumentDeleted(f"{name} was deleted"))
                elif info is not None and info.quarantine:
                    self._put_away(name, DocumentDamaged(f"{name} is in quarantine: {info.quarantine}"))
                elif info is not None:
                    room.catch_up(info.id, info.head)

    def tick(self, now: float) -> None:
        """Do what is due at the time ``now`` (seconds of the event loop's clock): keep peers alive, unload
        idle rooms."""
        for name, room in list(self._rooms.items()):
            room.keep_alive()
            if room.has_ended or (room.is_idle and now - room.idle_since >= self._idle_seconds):
                # Whoever opened the room before and did not use it yet must not write beside the next one.
                self._put_away(name, _was_put_away())

    async def shed(self) -> None:
        """Put idle rooms away, the least recently used first, until the others take no more memory than they
        may. Rooms that are in use are left alone, whatever they take."""
        pause = Pause(self._clock)
        measured: list[tuple[DocumentRoom, int]] = []
        for room in list(self._rooms.values()):
            if room.is_idle and not room.has_ended:
                with contextlib.suppress(CollabdError):  # it has ended
                    measured.append((room, room.memory()))
                await pause.if_due()
        # Some may have been used meanwhile.
        idle = [pair for pair in measured if pair[0].is_idle and self.get(pair[0].name) is pair[0]]
        idle.sort(key=lambda pair: pair[0].idle_since)
        total = sum(memory for _, memory in idle)
        for room, memory in idle:
            if total <= self._idle_bytes:
                break
            self._put_away(room.name, _was_put_away())
            total -= memory
        self._observer.idle_memory(total)

    async def drain(self, timeout: float) -> bool:
        """Refuse newcomers, commit what was received, and close everybody with "come back".

        Returns:
            whether everything could be committed within ``timeout`` seconds.
        """
        self._is_draining = True
        for opening in list(self._opening.values()):
            opening.cancel()
        error = ShuttingDown("the server restarts")
        draining = [asyncio.create_task(room.drain(error)) for room in self._rooms.values()]
        late = (await asyncio.wait(draining, timeout=timeout))[1] if draining else set()
        for task in late:
            task.cancel()
        for name in list(self._rooms):
            self._put_away(name, error)
        return not late

    def _begin(self, name: str, making: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Let a room be made; who opens the document meanwhile waits for it."""

        def end(task: "asyncio.Task[None]") -> None:
            if self._opening.get(name) is task:
                del self._opening[name]
            if not task.cancelled():
                task.exception()  # perhaps nobody waits for it any more

        task = self._opening[name] = asyncio.create_task(making)
        task.add_done_callback(end)
        return task

    async def _load(self, name: str) -> None:
        started = asyncio.get_running_loop().time()
        if self._cluster is not None:
            await self._cluster.enter(name)
        try:
            stored = await self._store.load(name)
            if stored is not None and self._store.was_interrupted and name not in self._tried:
                await self._try_out(name, stored)
            loaded = None if stored is None else await self._made_from(name, stored)
            room = self._new_room(name, loaded)
        except BaseException as error:
            self._listen_no_more(name)
            if isinstance(error, CollabdError):
                logger.error("document %s cannot be opened: %s", name, error)
            raise
        self._enter(name, room, started)

    async def _try_out(self, name: str, stored: StoredDocument) -> None:
        """Open the document in another process first, since it may be what ended the one before this."""
        try:
            await self._reader.run(try_out, stored.snapshot, stored.tail)
        except WorkEnded as error:
            reason = "opening it ended the process"
            await self._store.quarantine(stored.id, reason)
            raise DocumentDamaged(f"{name} is in quarantine: {reason}") from error
        except DocumentDamaged:
            pass  # to be told, or made up for, when it is opened here
        self._tried.add(name)

    async def _made_from(self, name: str, stored: StoredDocument) -> Loaded:
        try:
            return await load(name, stored, self._reader, self._clock)
        except DocumentDamaged as damage:
            logger.warning("document %s is opened from its whole log: %s", name, damage)
            try:
                whole = await self._store.load(name, whole=True)
            except DocumentDamaged:
                raise damage from None
            assert whole is not None, "it was there a moment ago"
            return await load(name, whole, self._reader, self._clock)

    async def _recreate(self, name: str, update: bytes, summary: UpdateSummary, author: Author) -> None:
        """Make a new document under a deleted name. Nobody gets its room before it is committed."""
        try:
            await asyncio.shield(self._begin(name, self._revive(name, update, summary, author)))
        except DocumentDeleted as error:
            raise error.__cause__ or error from None

    async def _revive(self, name: str, update: bytes, summary: UpdateSummary, author: Author) -> None:
        started = asyncio.get_running_loop().time()
        if self._cluster is not None:
            await self._cluster.enter(name)
        room = self._new_room(name, None, revive=True)
        try:
            await room.seed(update, summary, author)
        except CollabdError as error:
            self._listen_no_more(name)
            # For whoever waits to open the document, nothing has changed.
            raise DocumentDeleted(f"{name} was deleted") from error
        self._enter(name, room, started)

    def _new_room(self, name: str, loaded: Loaded | None, *, revive: bool = False) -> DocumentRoom:
        return DocumentRoom(
            name,
            self._store,
            loaded,
            runner=self._checker,
            reader=self._reader,
            clock=self._clock,
            limits=self._limits,
            observer=self._observer,
            turns=self.turns,
            deliveries=self._deliveries,
            compact=self._compact,
            cluster=self._cluster,
            revive=revive,
        )

    def _enter(self, name: str, room: DocumentRoom, started: float) -> None:
        error = _was_put_away()
        if self._opening.get(name) is not asyncio.current_task():
            room.end(error)
            self._listen_no_more(name)
            return
        before, self._rooms[name] = self._rooms.get(name), room
        if before is not None:
            before.end(error)
            self._observer.room_closed(name)
        if self._cluster is not None:
            self._cluster.entered(room)
        self._observer.room_opened(name, asyncio.get_running_loop().time() - started)

    def _put_away(self, name: str, error: CollabdError) -> None:
        room = self._rooms.pop(name, None)
        if room is not None:
            room.end(error)
            self._listen_no_more(name)
            self._observer.room_closed(name)

    def _listen_no_more(self, name: str) -> None:
        """Do not hear of a document any more, unless somebody opens it."""
        opening = self._opening.get(name)
        is_wanted = name in self._rooms or (opening is not None and opening is not asyncio.current_task())
        if self._cluster is not None and not is_wanted:
            self._cluster.leave(name)


def _in_parts(names: list[str], size: int) -> Iterator[list[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))


def _was_put_away() -> Overloaded:
    return Overloaded("the document was put away; open it again")


def _held(name: str) -> Overloaded:
    return Overloaded(f"{name} is being looked after; come back")
