"""The actor that owns a document: it carries out what :class:`~collabd.rooms.state.RoomState` decides, in
order.

All of it runs on one event loop, between awaits, so that nothing else ever touches the document. An update is
committed to the log before it is applied, and applied before anybody else sees it, but for what is typed on:
with that there can be no doubt, and the document is given it when somebody looks.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from pycrdt import Awareness, Channel, Doc
from pycrdt.websocket import YRoom

from collabd.auth.base import ANONYMOUS, Access
from collabd.bridge.messages import Committed, Person, Reached
from collabd.errors import (
    CollabdError,
    DocumentExists,
    MalformedInput,
    NotAllowed,
    Overloaded,
    StoreUnavailable,
    UpdateRejected,
)
from collabd.persistence.base import UNKNOWN, Appended, Author, Store
from collabd.protocol import messages
from collabd.protocol.awareness import Entry
from collabd.protocol.awareness import encode as encode_awareness
from collabd.protocol.session import (
    KEEP_ALIVE,
    Event,
    PresenceReceived,
    StateRequested,
    UpdateReceived,
    check_large_message,
)
from collabd.protocol.update import UpdateSummary, check_update, encode_state_vector
from collabd.worker import Runner

from .ahead import Ahead
from .broadcast import PresenceBroadcast
from .channel import serve_channel
from .cluster import Cluster
from .delays import Delays, Turn
from .deliveries import Deliveries
from .loading import LARGE_UPDATE, Loaded, checked, load, read_missed
from .names import claimed_name
from .observer import Observer
from .outbox import SMALL, Frame
from .packing import Packable, send_packed
from .peer import Peer, next_number
from .presence import Presence
from .progress import Progress
from .relay import CROWD, CrowdRelay
from .replica import EMPTY_STATE_VECTOR, Replica, ReplicaBroken
from .slices import PAUSE_SECONDS, Clock, Slices
from .stamps import stamped
from .state import NOBODY, Batch, Early, RoomState
from .turns import Turns
from .whole import WholeState

logger = logging.getLogger(__name__)

PRESENCE: Final = bytes((messages.AWARENESS,))
"""How a message on presence begins."""
READ_ONLY: Final = "you may read this document, not change it"
NO_ACCESS: Final = "you may not read this document"
READ_ONLY_FRAME: Final = Frame(messages.encode(messages.PermissionDenied(READ_ONLY)))
"""Tells a page to keep its editor from taking in what would be refused."""
LARGE_MESSAGE: Final = LARGE_UPDATE
"""Bytes from which on a message is checked in another process."""
PRESENCE_EPOCH: Final = 1_767_225_600
"""The beginning of 2026, from which on presence clocks count."""
PRESENCE_CLOCKS_PER_SECOND: Final = 16
"""More than a room gives out on average, and few enough for clocks to stay within 32 bits until 2034."""
BYTES_PER_SECOND: Final = 2e9
"""How fast a system takes what is sent, about."""
_WRITE: Final = Access.WRITE
"""Looking it up takes longer than comparing it."""
KEEP_ALIVE_FRAME: Final = Frame(KEEP_ALIVE)
READY: Final = asyncio.Event()
"""Shared by all rooms: nobody gets one that is not loaded yet."""
READY.set()
STORE_RETRY_SECONDS: Final = 0.5
"""How long it is waited before the store is asked again for what it could not give."""
NAME_HOLDS: Final = 10.0
"""Seconds after which it is looked again what somebody who did not sign in calls himself."""

Compact = Callable[[str], "asyncio.Future[int]"]
"""Asks for a document to be compacted, soon; the answer is the size of its snapshot in bytes then."""


class RoomLimits(NamedTuple):
    """The bounds of one room."""

    backlog_bytes: int = 32 * 1024 * 1024
    """What may wait to be committed."""
    early_bytes: int = 4 * 1024 * 1024
    """What may wait for an update it builds on."""
    snapshot_updates: int = 500
    """Updates after the last snapshot from which on a new one may be made."""
    snapshot_updates_at_most: int = 10_000
    """Updates after the last snapshot from which on a new one is made however large it is."""
    queue_bytes: int = 16 * 1024 * 1024
    """What may wait to be sent to one peer."""


class DocumentRoom(YRoom):
    """A pycrdt room whose document is backed by the log.

    Read ``ydoc`` as you like between awaits, but change it through :meth:`edit` only: whatever is written to
    ``ydoc`` itself is neither checked nor committed nor sent to anybody. While a large update is applied, it
    holds a part of that; :meth:`readable` tells when it is whole.
    """

    __slots__ = (
        "_ahead",
        "_asked",
        "_authors",
        "_broadcast",
        "_clock",
        "_compact",
        "_compacting",
        "_crowd",
        "_delays",
        "_deliveries",
        "_flush_is_due",
        "_handed_over_at",
        "_has_ended",
        "_is_seed",
        "_is_watched",
        "_limits",
        "_link",
        "_loop",
        "_memory",
        "_observer",
        "_peers",
        "_postponed",
        "_presence",
        "_progress",
        "_reader",
        "_refusal",
        "_replica",
        "_revive",
        "_runner",
        "_snapshot_size",
        "_state",
        "_store",
        "_tail_bytes",
        "_tail_updates",
        "_tasks",
        "_turns",
        "_version",
        "_waiting",
        "_whole",
        "clients",
        "document_id",
        "idle_since",
        "log",
        "name",
        "opened_at",
        "ready_event",
        "ystore",
    )

    def __init__(
        self,
        name: str,
        store: Store,
        loaded: Loaded | None,
        *,
        runner: Runner,
        reader: Runner,
        clock: Clock = time.perf_counter,
        limits: RoomLimits,
        observer: Observer,
        turns: Turns | None = None,
        deliveries: Deliveries | None = None,
        compact: Compact | None = None,
        cluster: Cluster | None = None,
        revive: bool = False,
    ) -> None:
        # YRoom's own initialization would observe the document and enter the server as a participant.
        self.name = name
        self.log = logger
        self.clients = set()
        self.ystore = None
        self.ready_event = READY  # type: ignore[assignment]
        self.opened_at = self.idle_since = asyncio.get_running_loop().time()
        self._loop = asyncio.get_running_loop()
        self._store = store
        self._runner = runner
        self._reader = reader
        self._clock = clock
        self._limits = limits
        self._observer = observer
        self._compact = compact
        self._compacting: asyncio.Future[int] | None = None
        self._revive = revive
        self._is_seed = False
        self._state = RoomState(max_backlog=limits.backlog_bytes, max_early=limits.early_bytes)
        self._presence = Presence(presence_clock())
        self._link = None if cluster is None else cluster.link(name, self._presence)
        self._ahead = Ahead()
        self._peers: dict[int, Peer] = {}
        self._broadcast = PresenceBroadcast(self._presence, self._peers, self._loop)
        self._crowd: CrowdRelay | None = None
        """Made when there is a crowd for the first time."""
        self._authors: dict[int, Author] = {}
        """Who wrote what is not committed yet, and who may write."""
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._postponed: list[tuple[Peer, bytes | None]] | None = None
        """While the document is rebuilt, or a large update is applied: who is to be sent step 1 (None) or
        step 2 (for a state vector)."""
        self._asked: dict[int, bytes] = {}
        """Who waits for the turn to get step 2, and for which state vector: the one that came last."""
        self._flush_is_due = False
        self._delays = Delays()
        self._handed_over_at = 0.0
        self._turns = turns or Turns(self._loop)
        self._deliveries = deliveries or Deliveries(self._loop, clock, observer)
        self._whole = WholeState()
        self._memory: tuple[int, int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._progress = Progress()
        self._refusal: CollabdError | None = None
        """Why nothing more is taken in."""
        self._has_ended = False
        self._is_watched = False
        """Whether somebody may observe the document."""
        self._version = 0
        self.document_id: int | None = None
        self._snapshot_size = self._tail_updates = self._tail_bytes = 0
        if loaded is None:
            self._replica = Replica(clock=clock)
            self._state.restore(0, self._replica.known, ())
        else:
            self._restore(loaded)

    # What pycrdt-websocket's rooms offer

    @property
    def ydoc(self) -> Doc[Any]:  # type: ignore[override]
        """The document, to be read.

        Whoever was given it may observe it: from then on it has each update before anybody is sent it.
        """
        self._is_watched = True
        return self._current.doc

    @property
    def awareness(self) -> Awareness:  # type: ignore[override]
        """Who is here, as a copy: changing it changes nothing."""
        copy = Awareness(Doc())
        copy.remove_awareness_states([copy.client_id], "room")
        copy.apply_awareness_update(encode_awareness(self._presence.everyone()), "room")
        return copy

    async def serve(self, channel: Channel) -> None:
        """Let a connection take part until it ends. Anything with pycrdt's ``Channel`` interface will do."""
        await serve_channel(self, channel, self._limits.queue_bytes)

    async def __aenter__(self) -> "DocumentRoom":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.flushed()

    # Peers

    @property
    def peers(self) -> Iterable[Peer]:
        """Everybody connected."""
        return self._peers.values()

    @property
    def has_peers(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._peers)

    def join(self, peer: Peer) -> None:
        """Let a peer take part: from now on it gets what happens here, and :meth:`receive` takes what it
        sends.

        Raises:
            CollabdError: it cannot join; close it with this.
        """
        if self._refusal is not None:
            raise self._refusal
        if peer.access < Access.READ:
            raise NotAllowed("you may not read this document")
        if self._state.is_full:
            raise Overloaded("too much waits to be saved in this document")
        self._peers[peer.number] = peer
        self._authors[peer.number] = peer.author
        peer.joined_at = self._loop.time()
        self._observer.joined(self.name, peer.number, peer.principal.id, peer.address)
        present = self._presence.join(peer.number, peer.principal.id, presence_clock())
        self._ask(peer)
        if peer.access < Access.WRITE:
            peer.send(READ_ONLY_FRAME)
        self._broadcast.tell(peer, present)

    def leave(self, peer: Peer, code: int = 1000, reason: str = "") -> None:
        """Let go of a peer that joined. Everybody else hears of it with the next broadcast of presence."""
        if self._peers.pop(peer.number, None) is None:
            return
        self._asked.pop(peer.number, None)
        self._state.leave(peer.number)
        self._broadcast.forget(peer)
        self._spread(self._presence.leave(peer.number))
        if not self._peers:
            self.idle_since = self._loop.time()
            self._whole.forget()
        seconds = self._loop.time() - peer.joined_at
        self._observer.left(self.name, peer.number, peer.principal.id, code, reason, seconds, peer.updates)

    def set_access(self, peer: Peer, access: Access) -> None:
        """Let a peer do from now on what ``access`` says: with none it is let go, and gets nothing of what
        still waits to be sent to it."""
        before, peer.access = peer.access, access
        if access < Access.READ:
            self.dismiss(peer, NotAllowed(NO_ACCESS))
        elif access < Access.WRITE <= before and peer.number in self._peers:
            peer.send(READ_ONLY_FRAME)

    def dismiss(self, peer: Peer, error: CollabdError) -> None:
        """Let a peer go that may have no part in this any more, whatever it still sends."""
        peer.access = Access.NONE
        self._let_go(peer, error, discard=True)

    def receive(self, peer: Peer, message: bytes) -> None:
        """Take in one WebSocket message of a peer that joined.

        Raises:
            CollabdError: the message was not taken; close the peer with this. Nothing else is affected.
        """
        self.receive_all(peer, (message,))

    def receive_all(self, peer: Peer, messages: Sequence[bytes]) -> None:
        """Take in messages of a peer one after the other, like :meth:`receive`. Those before one that is not
        taken count."""
        self._begin_turn()
        at = 0
        while at < len(messages):
            if self._refusal is not None:
                raise self._refusal
            if peer.number not in self._peers:
                return  # it was let go, and its connection is about to end
            typed = self._type(peer, messages, at) if peer.held is None else 0
            if not typed:
                self._look_at(peer, messages[at])
            at += typed or 1

    def _look_at(self, peer: Peer, message: bytes) -> None:
        """Take in a message that may be anything."""
        if message[:1] == PRESENCE and self._broadcast.is_hearsay(peer, message):
            return
        size = peer.session.size_of(message)
        if peer.held is not None:
            peer.held_size += size
            if peer.held_size > self._limits.backlog_bytes:
                raise Overloaded("too much waits to be checked")
            peer.held.append(message)
        elif size > LARGE_MESSAGE:
            peer.held, peer.held_size = deque((message,)), size
            self._in_background(self._receive_held(peer, peer.held))
        else:
            self._handle(peer, peer.session.receive(message))

    async def _receive_held(self, peer: Peer, held: deque[bytes]) -> None:
        """Take in a large message, checked in another process so that nobody else waits for that, and after
        it what the peer sends meanwhile."""
        try:
            while held:
                data = held.popleft()
                if peer.session.size_of(data) > LARGE_MESSAGE:
                    inflates = peer.session.inflates
                    events = await self._runner.run(check_large_message, data, inflates)
                else:
                    events = peer.session.receive(data)
                self._begin_turn()
                self._handle(peer, events)
        except CollabdError as error:
            self._let_go(peer, error)
        except Exception:
            logger.exception("a peer of %s is closed: its message could not be handled", self.name)
            self._let_go(peer, CollabdError("the server failed; come back"))
        finally:
            peer.held = None
            if peer.number not in self._peers:
                self._state.leave(peer.number)

    def _let_go(self, peer: Peer, error: CollabdError, *, discard: bool = False) -> None:
        self.leave(peer, error.close_code, error.close_reason)
        peer.close(error, discard=discard)

    def _handle(self, peer: Peer, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, UpdateReceived):
                self._take(peer, event)
            elif peer.number not in self._peers:
                continue  # it has left; what it wrote counts all the same
            elif isinstance(event, PresenceReceived):
                entries = stamped(event.entries, peer.principal) if peer.vouched else event.entries
                now = int(time.time() * 1000)
                self._spread(self._presence.receive(peer.number, entries, now))
            elif isinstance(event, StateRequested):
                self._answer(peer, event.state_vector)
            else:
                self._broadcast.tell(peer, self._presence.everyone())

    def _spread(self, changes: Sequence[Entry]) -> None:
        """Tell everybody, here and elsewhere, of what has changed in presence here."""
        self._broadcast.spread(changes)
        if self._link is not None:
            self._link.spread(changes)

    def keep_alive(self) -> None:
        """Send something to every peer to which nothing was sent since the last call; to be called every few
        seconds."""
        for peer in self._peers.values():
            if peer.is_quiet:
                peer.send(KEEP_ALIVE_FRAME)
            peer.is_quiet = True
        self._whole.forget_if_unused()

    def _type(self, peer: Peer, messages: Sequence[bytes], begin: int) -> int:
        """Take in what a peer goes on typing, from a message on; the answer is how many were that. The next
        must be looked at more closely."""
        spot = peer.session.spot
        if spot is None or peer.access < _WRITE:
            return 0
        count = self._state.type(peer.number, messages, begin, spot)
        if count:
            peer.updates += count
            self._flush_soon()
        return count

    def _take(self, peer: Peer, event: UpdateReceived) -> None:
        if peer.access < _WRITE and self._state.is_new(event.update, event.summary):
            if self._postponed is not None:
                raise Overloaded("the document is being rebuilt")  # what it has cannot be told for certain
            raise NotAllowed(READ_ONLY)
        peer.updates += 1
        count = self._state.receive(peer.number, event.update, event.summary)
        if count is None:
            self._flush_soon()
        else:
            self._observer.redundant(1)
            if count and peer.acknowledges:
                peer.send(_saved_frame(count))

    def _answer(self, peer: Peer, state_vector: bytes) -> None:
        """Send step 2, then what is committed but not integrated yet."""
        if self._postponed is not None:
            self._postponed.append((peer, state_vector))
            return
        is_waiting = peer.number in self._asked
        self._asked[peer.number] = state_vector
        if not is_waiting:
            self._turns.ask(partial(self._answer_now, peer))

    def _answer_now(self, peer: Peer) -> float:
        """Do it; the answer is about how long that takes, in seconds."""
        state_vector = self._asked.pop(peer.number, None)
        if self._has_ended or state_vector is None:
            return 0.0
        if self._postponed is not None:
            self._postponed.append((peer, state_vector))
            return 0.0
        started = self._clock()
        try:
            replica = self._current
        except CollabdError:
            return 0.0  # everybody was told
        if self._crowd is not None:
            self._crowd.catch_up(peer)
        if state_vector == EMPTY_STATE_VECTOR:
            frames = [self._whole.frame(replica)]
        else:
            frames = [Packable(messages.step_2_frame(replica.state(state_vector)))]
        frames += [Packable(messages.update_frame(early.update)) for early in self._state.early]
        for frame in frames:
            work = send_packed(peer, frame)
            if work is not None:
                self._in_background(work)
        return self._clock() - started + sum(len(frame.payload) for frame in frames) / BYTES_PER_SECOND

    def _ask(self, peer: Peer) -> None:
        """Send step 1."""
        if self._postponed is not None:
            self._postponed.append((peer, None))
        else:
            peer.send(Frame(messages.step_1_frame(self._current.state_vector())))

    # Code in this process

    @property
    def head(self) -> int:
        """Sequence number of the last update that is committed and applied."""
        return self._state.head

    def state(self) -> bytes:
        """All that is integrated, as one update (Yjs v1).

        Raises:
            Overloaded: the document is not whole at the moment; wait for :meth:`readable`.
        """
        return self._sound_replica.state()

    def state_vector(self) -> bytes:
        """The encoded state vector of what is integrated; raises what :meth:`state` raises."""
        return self._sound_replica.state_vector()

    def memory(self) -> int:
        """About how many bytes of memory the document takes; raises what :meth:`state` raises.

        It is estimated anew only if something was written since the last time.
        """
        if self._memory is None or self._memory[0] != self._version:
            waiting = sum(len(early.update) for early in self._state.early)
            self._memory = self._version, self._sound_replica.memory() + waiting
        return self._memory[1]

    @property
    def _sound_replica(self) -> Replica:
        if self._postponed is not None:
            raise Overloaded("the document takes in something large")
        return self._current

    @property
    def _current(self) -> Replica:
        """The replica, whose document has all that was put off.

        Raises:
            CollabdError: pycrdt failed in that. The room has ended: what harms the document is found when it
                is loaded again.
        """
        try:
            self._replica.catch_up()
        except ReplicaBroken as error:
            logger.error("document %s is closed: pycrdt failed: %s", self.name, error)
            failure = CollabdError("the document could not take an update; come back")
            self.end(failure)
            raise failure from error
        return self._replica

    async def readable(self) -> None:
        """Return when the document is whole, which it always is unless it is rebuilt or takes in something
        large."""
        while self._postponed is not None and not self._has_ended:
            await self._progress.wait()

    async def submit(self, update: bytes, author: Author = UNKNOWN) -> int:
        """Bring in an update (Yjs v1) like one that came from a peer; ``author`` is who history names.

        Returns:
            a sequence number at which the log holds it.

        Raises:
            MalformedInput: it does not pass the structural check.
            UpdateRejected: pycrdt could not apply it.
            Overloaded: it was not taken; try again later.
        """
        if self._refusal is not None:
            raise self._refusal
        return await self._submit(update, await checked(update, self._runner), author)

    async def _submit(self, update: bytes, summary: UpdateSummary, author: Author) -> int:
        if self._refusal is not None:
            raise self._refusal
        self._begin_turn()
        number = next_number()
        if self._state.receive(number, update, summary) is not None:
            self._state.leave(number)
            self._observer.redundant(1)
            return self.head
        waiting: asyncio.Future[int] = self._loop.create_future()
        self._waiting[number] = waiting
        self._authors[number] = author
        self._flush_soon()
        return await waiting

    async def seed(
        self, update: bytes, summary: UpdateSummary | None = None, author: Author = UNKNOWN
    ) -> int:
        """Bring in the first content of a document, exactly once; see :meth:`submit`.

        Args:
            summary: what the structural check said, if it was asked.

        Raises:
            DocumentExists: something was written before.
        """
        exists = DocumentExists(f"{self.name} already has content")
        if not self._state.is_blank:
            raise exists
        if summary is None:
            summary = await checked(update, self._runner)
        if not self._state.is_blank:
            raise exists
        self._is_seed = True
        try:
            return await self._submit(update, summary, author)
        finally:
            self._is_seed = False

    async def edit(self, change: Callable[[Doc[Any]], None], author: Author = UNKNOWN) -> int:
        """Change the document as ``change`` changes the copy it is given; see :meth:`submit`.

        ``change`` must not await.
        """
        copy: Doc[Any] = Doc()
        await self.readable()
        copy.apply_update(self.state())
        before = copy.get_state()
        change(copy)
        return await self.submit(copy.get_update(before), author)

    # From pending to committed to seen

    def _begin_turn(self) -> None:
        """Updates count from now on, unless some of this turn already do. To be called before what was read
        is looked at, since that takes time too, and before every :meth:`_flush_soon`."""
        if not self._flush_is_due:
            self._delays.begin_turn(self._clock())

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._has_ended:
            return
        self._delays.end_turn(self._state.pending)
        batch = self._state.take_batch()
        if batch is not None:
            self._delays.hand_over()
            self._handed_over_at = self._clock()
            self._turns.commit_begins()
            appended = self._store.append(
                self.name,
                self.document_id,
                batch.updates,
                self._authors_of(batch),
                revive=self._revive,
                first=self._is_seed,
            )
            self._is_seed = False
            appended.add_done_callback(self._on_answer)

    def _authors_of(self, batch: Batch) -> list[tuple[Author, int]]:
        """Who sent the updates of a batch, with how many each."""
        now = self._loop.time()
        for number in batch.counts:
            peer = self._peers.get(number)
            if peer is None or peer.principal is not ANONYMOUS or now - peer.named_at < NAME_HOLDS:
                continue
            peer.named_at = now
            name = claimed_name(self._presence.state_of(number))
            if name:
                self._authors[number] = peer.author = peer.author._replace(name=name)
        authors = self._authors
        return [(authors[number], count) for number, count in batch.authors]

    def _on_answer(self, appended: "asyncio.Future[Appended]") -> None:
        self._turns.commit_ends()
        failure = appended.exception()
        if failure is not None:
            self._state.abandon()
            if isinstance(failure, DocumentExists):
                self._refuse_waiting(failure)
                failure = Overloaded("somebody else has just made this document; come back")
            self.end(failure if isinstance(failure, CollabdError) else CollabdError("the log failed"))
            return
        self.document_id, last_seq = appended.result()
        self._revive = False
        batch = self._state.in_flight
        assert batch is not None, "the log answers what it was asked"
        self._observer.committed(len(batch.updates), batch.size, self._clock() - self._handed_over_at)
        first = last_seq - len(batch.updates) + 1
        if self._link is not None:
            self._link.committed(self.document_id, first, batch.updates)
        if first == self._state.head + 1:
            self._apply(batch, last_seq)
        elif (missed := self._heard(first - 1)) is not None:
            self._apply(self._state.put_before(missed), last_seq)
        else:
            self._in_background(self._take_in_missed(batch, last_seq))

    # Other nodes

    def hear(self, message: Committed | Reached) -> None:
        """Take in what another node committed."""
        if self._has_ended:
            return
        if self.document_id is None and self._state.in_flight is None:
            self.document_id = message.document_id
        if message.document_id != self.document_id:
            if self._link is not None:
                self._link.catch_up()
            return
        if isinstance(message, Committed):
            self._ahead.put(message.first, message.updates)
        else:
            self._ahead.reach(message.head)
        self._take_in_heard()

    def hear_of(self, node: bytes, people: Sequence[Person]) -> None:
        """Take in what another node says of those who are connected to it."""
        if not self._has_ended:
            self._broadcast.spread(self._presence.hear(node, people, presence_clock()))

    def lose(self, node: bytes, but: Collection[int] = ()) -> None:
        """Another node is gone, with those who were connected to it; or all of these but some clients."""
        if not self._has_ended:
            self._broadcast.spread(self._presence.lose(node, but))

    def say_who(self) -> None:
        """Tell other nodes who is connected here."""
        if self._link is not None and not self._has_ended:
            self._link.say_who()

    def _take_in_heard(self) -> None:
        """Apply what others committed, if it is next and nothing is in flight: else its answer tells."""
        if self._state.in_flight is not None or self._ahead.last <= self._state.head:
            return
        missed = self._heard()
        if missed:
            self._state.hold()
            self._apply(self._state.put_before(missed), self._state.head + len(missed))
        else:
            self.catch_up(self._id, self._ahead.last)

    def _heard(self, upto: int | None = None) -> list[Early] | None:
        """The updates that follow the last one here, as others told them; None if not all are known."""
        head = self._state.head
        updates = self._ahead.take(head, upto)
        if updates is None:
            return None
        try:
            return [Early(seq, update, check_update(update)) for seq, update in enumerate(updates, head + 1)]
        except MalformedInput as error:
            logger.warning("document %s: a node told of an update that is refused here: %s", self.name, error)
            self._ahead.clear()
            return None

    def catch_up(self, document_id: int, head: int) -> None:
        """Take in what other processes logged, if the document in the store is further than this room.

        While a batch is in flight there is nothing to do: its answer tells the same.
        """
        if self._has_ended or self._state.in_flight is not None or head <= self._state.head:
            return
        self.document_id = document_id
        self._in_background(self._take_in_missed(self._state.hold(), head))

    async def _take_in_missed(self, batch: Batch, last_seq: int) -> None:
        """Apply what others logged before a batch, and the batch."""
        try:
            missed = await self._read_missed(self._state.head, last_seq - len(batch.updates))
        except CollabdError as failure:
            self.end(failure)
            return
        except Exception:
            logger.exception("document %s: what somebody else wrote could not be read", self.name)
            self.end(CollabdError("the document could not be brought up to date; come back"))
            return
        if self._has_ended:
            return
        if missed is None:
            logger.info("document %s is loaded anew: somebody else wrote to it", self.name)
            self._begin_rebuild(batch, last_seq)
        else:
            self._apply(self._state.put_before(missed), last_seq)

    async def _read_missed(self, after: int, upto: int) -> list[Early] | None:
        while True:
            try:
                return await read_missed(self._store, self._id, after, upto, self._reader, self._clock)
            except StoreUnavailable:
                if self._has_ended:
                    raise
                await asyncio.sleep(STORE_RETRY_SECONDS)

    def _apply(self, batch: Batch, last_seq: int) -> None:
        """Apply the batch in flight once it is committed, and tell everybody."""
        # What others wrote is for them to compact.
        self._tail_updates += len(batch.updates) - batch.missed
        self._tail_bytes += batch.size - batch.missed_size
        self._version += 1
        try:
            pieces = batch.pieces
            may_wait = batch.is_typed and not self._is_watched
            if (
                len(pieces) == 1
                and not may_wait
                and self._replica.apply_simply(pieces[0].update, pieces[0].summary)
            ):
                self._settle(batch, last_seq, pieces[0].update, ())
                return
            taken = self._replica.take_simply(pieces)
            if taken < len(pieces):
                batch.take_apart(taken)
            elif may_wait:
                self._settle(batch, last_seq, self._replica.put_off(batch.runs), ())
                return
            updates = [piece.update for piece in pieces]
            summaries = [piece.summary for piece in pieces]
            work = Slices(self._replica.applying(updates, summaries, taken=taken), self._clock)
            if not work.advance():
                self._postponed = []
                # What the document has until then may be rejected yet.
                self._state.distrust()
                self._in_background(self._go_on_applying(work, batch, last_seq))
                return
        except ReplicaBroken as error:
            logger.error("document %s is rebuilt from the log: pycrdt failed: %s", self.name, error)
            self._begin_rebuild(batch, last_seq)
            return
        self._settle(batch, last_seq, *work.result)

    async def _go_on_applying(
        self, work: "Slices[tuple[bytes | None, list[int]]]", batch: Batch, last_seq: int
    ) -> None:
        """Apply the rest of what takes long, and let the loop do other things in between."""
        try:
            while not work.advance():
                await asyncio.sleep(PAUSE_SECONDS)
                if self._has_ended:
                    return
        except ReplicaBroken as error:
            logger.error("document %s is rebuilt from the log: pycrdt failed: %s", self.name, error)
            self._begin_rebuild(batch, last_seq)
            return
        except Exception:
            logger.exception("a batch of %s could not be applied", self.name)
            self.end(CollabdError("the document could not take an update; come back"))
            return
        self._settle(batch, last_seq, *work.result)
        self._answer_postponed()

    def _settle(self, batch: Batch, last_seq: int, merged: bytes | None, refused: Sequence[int]) -> None:
        """Tell everybody what became of a batch; ``refused`` are pieces of it, by their position."""
        early_before = len(self._state.early)
        if refused:
            refused = [batch.pieces[position].first for position in refused]
        settled = self._state.settle(last_seq, self._replica.known, refused)
        if refused:
            rejected = [batch.first + position for position in refused]
            self._in_background(self._store.reject(self._id, rejected))
        for seq in settled.dropped:
            logger.warning("document %s drops what waited of update %d: it is harmful", self.name, seq)
        began_at = self._clock()
        if settled.relay:
            updates = [piece.update for piece in settled.relay] if merged is None else [merged]
            self._relay(updates, {piece.author for piece in settled.relay})
        # Peers on yrs may have put an early update aside for good; they take it up when it comes again.
        for update in settled.integrated:
            self._relay([update], {NOBODY})
        turns = self._delays.settle()
        if self._crowd is not None and self._crowd.is_due:
            self._crowd.then(partial(self._on_relayed, turns))
        else:
            self._deliveries.sent(turns, self._peers.values(), began_at)
        for number, count in settled.acknowledge.items():
            peer = self._peers.get(number)
            if peer is not None and peer.acknowledges:
                peer.send(_saved_frame(count))
        for number in settled.refuse:
            if number in self._peers:
                self._peers[number].close(_rejection())
        for number in batch.counts.keys() & self._waiting.keys() if self._waiting else ():
            waiting = self._waiting.pop(number)
            self._state.leave(number)
            if not waiting.done():
                if number in settled.refuse:
                    waiting.set_exception(_rejection())
                else:
                    waiting.set_result(last_seq)
        for number in self._state.whom_to_ask(batch) if self._state.early else ():
            if number in self._peers:
                self._ask(self._peers[number])
        if len(self._state.early) != early_before:
            self._observer.early(len(self._state.early) - early_before)
        self._compact_if_due()
        if len(self._authors) > len(self._peers) and self._state.is_settled:
            self._authors = {number: peer.author for number, peer in self._peers.items()}
        self._progress.set()
        if self._ahead.last:
            self._ahead.forget(self._state.head)
            self._take_in_heard()
        if self._state.has_pending:
            self._begin_turn()
            self._flush_soon()
        elif not self._peers:
            self.idle_since = self._loop.time()

    def _relay(self, updates: Sequence[bytes], authors: set[int]) -> None:
        self._whole.change()
        if not self._peers:
            return
        frames = [Frame(messages.update_frame(update)) for update in updates]
        if len(self._peers) > CROWD or (self._crowd is not None and self._crowd.is_due):
            if self._crowd is None:
                self._crowd = CrowdRelay(self._peers, self._state, self._loop)
            self._crowd.relay(frames, authors)
            return
        only_author = self._peers.get(authors.pop()) if len(authors) == 1 else None
        for frame in frames:
            framed = frame.framed
            is_small = len(framed) <= SMALL
            for peer in self._peers.values():
                if peer is only_author:
                    continue
                # This is what a room does most often, so it does what Peer.send would with as few steps as it
                # takes.
                write = peer.outbox.write_framed
                if write is not None and is_small:
                    peer.is_quiet = False
                    write(framed)
                else:
                    peer.send(frame)

    def _on_relayed(self, turns: Sequence[Turn]) -> None:
        """All of a crowd have been sent what was settled."""
        self._deliveries.sent(turns, self._peers.values(), self._clock())
        self._progress.set()

    # Compaction, rebuilding, the end

    def _compact_if_due(self) -> None:
        """Ask for compaction when the tail costs more to read than that is worth, so that its cost stays in
        proportion to what is written."""
        limits = self._limits
        if self._compact is None or self._compacting is not None:
            return
        if self._tail_updates >= limits.snapshot_updates_at_most or (
            self._tail_updates >= limits.snapshot_updates and self._tail_bytes * 4 >= self._snapshot_size
        ):
            self._tail_updates = self._tail_bytes = 0
            self._compacting = self._compact(self.name)
            self._compacting.add_done_callback(self._on_compacted)

    def _on_compacted(self, compacted: "asyncio.Future[int]") -> None:
        self._compacting = None
        if not compacted.cancelled() and compacted.exception() is None:
            self._snapshot_size = compacted.result()

    @property
    def _id(self) -> int:
        assert self.document_id is not None, "nothing was committed yet"
        return self.document_id

    def _restore(self, loaded: Loaded) -> None:
        stored, self._replica, unsettled = loaded
        self.document_id = stored.id
        self._snapshot_size = len(stored.snapshot or b"")
        self._tail_updates = len(stored.tail)
        self._tail_bytes = sum(len(update) for _, update in stored.tail)
        if self._replica.rejected:
            self._in_background(self._store.reject(stored.id, self._replica.rejected))
        self._state.restore(stored.head, self._replica.known, unsettled)
        self._observer.early(len(self._state.early))

    def _begin_rebuild(self, batch: Batch, last_seq: int) -> None:
        self._postponed = self._postponed or []
        self._whole.forget()
        self._state.distrust()
        self._in_background(self._rebuild(batch, last_seq))

    async def _rebuild(self, batch: Batch, last_seq: int) -> None:
        """Replace a document that is damaged, or lacks much that somebody else logged, by one made from the
        log, which already holds the batch."""
        head, clocks = self._state.head, self._state.clocks
        try:
            stored = await self._store.load(self.name)
            assert stored is not None, "a batch was committed"
            loaded = await load(self.name, stored, self._reader, self._clock)
        except CollabdError as failure:
            self.end(failure)
            return
        except Exception:
            logger.exception("document %s could not be rebuilt", self.name)
            self.end(CollabdError("the document could not be rebuilt; come back"))
            return
        if self._has_ended:
            return
        self._observer.early(-len(self._state.early))
        self._version += 1
        self._restore(loaded)
        first = last_seq - len(batch.updates) + 1
        if self._state.head != head + len(batch.updates):
            self._relay_missed(head, clocks)
        batch.take_apart()
        refused = [seq - first for seq in self._replica.rejected if first <= seq <= last_seq]
        self._settle(batch, last_seq, None, refused)
        self._answer_postponed()

    def _answer_postponed(self) -> None:
        """Let those have their answers who asked while the document was not whole."""
        postponed, self._postponed = self._postponed or [], None
        for peer, state_vector in postponed:
            if peer.number not in self._peers:
                continue
            if state_vector is None:
                self._ask(peer)
            else:
                self._answer(peer, state_vector)
        self._begin_turn()
        self._flush_soon()

    def _relay_missed(self, head: int, clocks: Mapping[int, int]) -> None:
        """Send everybody what came into the log behind this room's back: all that the document has beyond
        what it had, and what is early."""
        updates = [self._replica.state(encode_state_vector(clocks))]
        updates += [early.update for early in self._state.early if early.seq > head]
        self._relay(updates, {NOBODY})

    async def drain(self, error: CollabdError) -> None:
        """Take nothing more in, commit and send what was received, then :meth:`end`."""
        self._refusal = error
        await self.flushed()
        self.end(error)

    def end(self, error: CollabdError) -> None:
        """Close the room for good: whoever is connected or waiting is told ``error``."""
        if self._has_ended:
            return
        self._has_ended = True
        self._refusal = error
        if self._crowd is not None:
            self._crowd.finish()
        for peer in list(self._peers.values()):
            peer.close(error)
        self._broadcast.close()
        if self._link is not None:
            self._link.close()
        self._whole.forget()
        self._refuse_waiting(error)
        self._progress.set()
        self._observer.early(-len(self._state.early))

    def _refuse_waiting(self, error: CollabdError) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)
        self._waiting.clear()

    @property
    def has_ended(self) -> bool:
        return self._has_ended

    @property
    def is_idle(self) -> bool:
        """Whether nobody is connected and nothing is under way."""
        return not self._peers and self._state.is_settled and not self._tasks

    async def flushed(self) -> None:
        """Return when all that was received so far is committed, applied and sent."""
        while not self._has_ended and (not self._state.is_settled or self._tasks or self._is_relaying):
            await self._progress.wait()

    @property
    def _is_relaying(self) -> bool:
        return self._crowd is not None and self._crowd.is_due

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_background_done)

    def _on_background_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._progress.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("document %s: %s", self.name, error)


def presence_clock() -> int:
    """Where the clocks of presence are by the time."""
    return int((time.time() - PRESENCE_EPOCH) * PRESENCE_CLOCKS_PER_SECOND)


def _rejection() -> UpdateRejected:
    return UpdateRejected("the document cannot take this update")


def _saved_frame(count: int) -> Frame:
    return Frame(messages.saved_frame(count))
