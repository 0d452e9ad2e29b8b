"""The rooms of this process: each document opened once, unloaded when idle, brought to rest at shutdown."""

import asyncio
import logging

from collabd.errors import CollabdError, DocumentDeleted, ShuttingDown
from collabd.persistence.base import Store

from .names import check_name
from .observer import Observer, Silent
from .peer import Peer
from .room import DocumentRoom, RoomLimits

logger = logging.getLogger(__name__)


class Registry:
    """Opens and keeps rooms.

    Args:
        idle_seconds: how long a room stays loaded after its last peer has left.
        keepalive_seconds: how long a peer may be left without a message, at most.

    :meth:`tick` must be called about every ``keepalive_seconds / 2``; :meth:`run` does.
    """

    def __init__(
        self,
        store: Store,
        *,
        limits: RoomLimits | None = None,
        observer: Observer | None = None,
        idle_seconds: float = 30.0,
        keepalive_seconds: float = 15.0,
    ) -> None:
        self._store = store
        self._limits = limits or RoomLimits()
        self._observer = observer or Silent()
        self._idle_seconds = idle_seconds
        self._keepalive_seconds = keepalive_seconds
        self._rooms: dict[str, DocumentRoom] = {}
        self._opening: dict[str, asyncio.Task[DocumentRoom]] = {}
        self._is_draining = False

    @property
    def is_draining(self) -> bool:
        """Whether the process is leaving: nothing is opened any more."""
        return self._is_draining

    def get(self, name: str) -> DocumentRoom | None:
        """The room of a document, if it is open."""
        room = self._rooms.get(name)
        return None if room is None or room.has_ended else room

    async def open(self, name: str, *, revive: bool = False) -> DocumentRoom:
        """The room of a document, loaded if need be. A document that does not exist yet has an empty room.

        The room is sure to be alive only until the caller's next await.

        Args:
            revive: whether a deleted name may be used for a new document.

        Raises:
            InvalidName: no document may be called so.
            DocumentDeleted: the document was deleted.
            DocumentDamaged: it cannot be read.
            ShuttingDown: the process is leaving.
        """
        check_name(name)
        while True:
            if self._is_draining:
                raise ShuttingDown("the server restarts")
            room = self.get(name)
            if room is not None:
                return room
            opening = self._opening.get(name)
            if opening is None:
                opening = asyncio.create_task(self._load(name, revive))
                self._opening[name] = opening
                opening.add_done_callback(lambda _: self._opening.pop(name, None))
            # Whoever asked first may be cancelled; the others still want the room.
            room = await asyncio.shield(opening)
            if self._rooms.get(name) is room:
                return room

    async def join(self, name: str, peer: Peer) -> DocumentRoom:
        """Open a room and let a peer join it. Raises what :meth:`open` and :meth:`DocumentRoom.join`
        raise."""
        room = await self.open(name)
        room.join(peer)
        return room

    async def create(self, name: str, update: bytes) -> DocumentRoom:
        """Make a document from its first content (Yjs v1 update), also under a name whose document was
        deleted.

        Raises:
            DocumentExists: it has content already.
        """
        room = await self.open(name, revive=True)
        await room.seed(update)
        return room

    async def delete(self, name: str) -> None:
        """Delete a document: a tombstone stays, and whoever is connected is closed for good.

        Raises:
            NoSuchDocument: there is none.
            DocumentDeleted: it was deleted before.
        """
        check_name(name)
        await self._store.delete(name)
        room = self._rooms.pop(name, None)
        if room is not None:
            room.end(DocumentDeleted(f"{name} was deleted"))
            self._observer.room_closed(name)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self._keepalive_seconds / 2)
            self.tick(asyncio.get_running_loop().time())

    def tick(self, now: float) -> None:
        """Do what is due at the time ``now`` (seconds of the event loop's clock): keep peers alive, unload
        idle rooms."""
        for name, room in list(self._rooms.items()):
            room.keep_alive()
            if room.has_ended or (room.is_idle and now - room.idle_since >= self._idle_seconds):
                del self._rooms[name]
                self._observer.room_closed(name)

    async def drain(self, timeout: float) -> bool:
        """Refuse newcomers, commit what was received, and close everybody with "come back".

        Returns:
            whether everything could be committed within ``timeout`` seconds.
        """
        self._is_draining = True
        for opening in list(self._opening.values()):
            opening.cancel()
        rooms = list(self._rooms.values())
        _, late = await asyncio.wait(
            [asyncio.ensure_future(room.flushed()) for room in rooms]
            or [asyncio.ensure_future(asyncio.sleep(0))],
            timeout=timeout,
        )
        for task in late:
            task.cancel()
        for room in rooms:
            room.end(ShuttingDown("the server restarts"))
            self._observer.room_closed(room.name)
        self._rooms.clear()
        return not late

    async def _load(self, name: str, revive: bool) -> DocumentRoom:
        started = asyncio.get_running_loop().time()
        try:
            stored = await self._store.load(name)
        except DocumentDeleted:
            if not revive:
                raise
            stored = None
        try:
            room = DocumentRoom(
                name, self._store, stored, limits=self._limits, observer=self._observer, revive=revive
            )
        except CollabdError as error:
            logger.error("document %s cannot be opened: %s", name, error)
            raise
        self._rooms[name] = room
        self._observer.room_opened(name, asyncio.get_running_loop().time() - started)
        return room
