"""Rights of open connections, kept what they are now."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from collabd.auth.base import Identity
from collabd.auth.gate import Gate
from collabd.errors import AccessExpired, CollabdError, Overloaded
from collabd.rooms.peer import Peer
from collabd.rooms.room import DocumentRoom

logger = logging.getLogger(__name__)

SECONDS_BETWEEN: Final = 1.0
"""From one look at all rights to the next."""
PATIENCE_SECONDS: Final = 3.0
"""How long rights stay what they were while nobody can be asked."""
AT_ONCE: Final = 64
"""Questions that are asked before the event loop does other things."""
UNDECIDED: Final = "who may do what cannot be found out at the moment; come back"

_Question = tuple[str, str, str, str]
"""Document, principal, credential and link."""


class _Watched(NamedTuple):
    peer: Peer
    room: DocumentRoom


class LiveRights:
    """Watches connections, and tells rooms when what a peer may do has changed.

    Args:
        clock: seconds, on any clock that only goes forward.
    """

    def __init__(self, gate: Gate, clock: Callable[[], float]) -> None:
        self._gate = gate
        self._clock = clock
        self._watched: dict[_Question, dict[int, _Watched]] = defaultdict(dict)
        self._identities: dict[_Question, Identity] = {}
        self._silent_since: dict[_Question, float] = {}
        self._look = asyncio.Event()

    def watch(self, identity: Identity, peer: Peer, room: DocumentRoom) -> None:
        """A connection was opened, with the right to do what ``peer`` may."""
        question = _question(identity, room)
        self._identities[question] = identity
        self._watched[question][peer.number] = _Watched(peer, room)

    def forget(self, identity: Identity, peer: Peer, room: DocumentRoom) -> None:
        """It has ended."""
        question = _question(identity, room)
        watched = self._watched.get(question)
        if watched is None:
            return
        watched.pop(peer.number, None)
        if not watched:
            del self._watched[question]
            self._identities.pop(question, None)
            self._silent_since.pop(question, None)

    def look_now(self) -> None:
        """Something was changed here: do not wait for the next look."""
        self._look.set()

    async def run(self) -> None:
        """Look at all rights again and again."""
        while True:
            try:
                async with asyncio.timeout(SECONDS_BETWEEN):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            try:
                await self.check()
            except Exception:
                logger.exception("rights could not be looked at")

    async def check(self) -> None:
        """Look at all rights once."""
        try:
            await self._gate.refresh()
        except CollabdError as error:
            logger.warning("what was revoked elsewhere cannot be looked up: %s", error)
        for questions in _in_parts(list(self._watched), AT_ONCE):
            await asyncio.gather(*map(self._ask, questions))
            await asyncio.sleep(0)

    async def _ask(self, question: _Question) -> None:
        identity = self._identities.get(question)
        if identity is None:
            return
        try:
            current = await self._gate.still(identity)
            if current is None:
                self._dismiss(question, AccessExpired("your time here is over; come back signed in"))
                return
            access = await self._gate.access(current, question[0])
        except CollabdError as error:
            self._have_patience(question, error)
            return
        except Exception:  # whatever it is, others are asked about all the same
            logger.exception("rights on document %s could not be looked at", question[0])
            self._have_patience(question, Overloaded(UNDECIDED))
            return
        self._silent_since.pop(question, None)
        for peer, room in self._those(question):
            if peer.access != access:
                room.set_access(peer, access)

    def _have_patience(self, question: _Question, error: CollabdError) -> None:
        since = self._silent_since.setdefault(question, self._clock())
        if self._clock() - since >= PATIENCE_SECONDS:
            self._dismiss(question, error)

    def _dismiss(self, question: _Question, error: CollabdError) -> None:
        for peer, room in self._those(question):
            room.dismiss(peer, error)

    def _those(self, question: _Question) -> list[_Watched]:
        return list(self._watched.get(question, {}).values())


def _question(identity: Identity, room: DocumentRoom) -> _Question:
    return room.name, identity.principal.id, identity.credential, identity.link


def _in_parts(questions: Sequence[_Question], size: int) -> Iterator[Sequence[_Question]]:
    for start in range(0, len(questions), size):
        yield questions[start : start + size]
