"""The whole document as newcomers get it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pycrdt import Doc

from collabd.protocol import messages, wire
from collabd.protocol.update import encode_state_vector

from .outbox import Frame
from .packing import Packable
from .replica import Replica

WORTH_KEEPING: Final = 16 * 1024
"""Bytes of a state from which on it is kept apart from what is still being written."""


class WholeState:
    """A document's state, encoded once for all who come before something is written, and after that only as
    far as it can have changed.

    What was written by clients that write nothing now is kept encoded. It is put together with what the
    others wrote, fresh each time, into one update. Nobody gets an older state with what came later behind it:
    once a client has step 2, its application takes the document for complete, and may put a first content
    into one that is empty.
    """

    __slots__ = ("_frame", "_settled", "_was_wanted")

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._settled: _Settled | None = None
        self._was_wanted = False

    def frame(self, replica: Replica) -> Frame:
        """Step 2 for somebody who has nothing yet."""
        self._was_wanted = True
        if self._frame is None:
            self._frame = Packable(messages.step_2_frame(self._encode(replica)))
        return self._frame

    def _encode(self, replica: Replica) -> bytes:
        settled = self._settled
        state = settled.completed(replica) if settled else replica.state()
        if state is not None:
            if settled is None and len(state) >= WORTH_KEEPING:
                self._settled = _Settled.of(replica, state, {})
            return state
        assert settled is not None, "without it there is a state"
        writing = settled.moved(replica)
        self._settled = _Settled.of(replica, replica.state(encode_state_vector(writing)), writing)
        return self._settled.completed(replica) or replica.state()

    def change(self) -> None:
        """Note that the document has changed."""
        self._frame = None

    def forget(self) -> None:
        """Give its memory back."""
        self._frame = self._settled = None

    def forget_if_unused(self) -> None:
        """Give its memory back if nobody came since this was asked last."""
        if not self._was_wanted:
            self.forget()
        self._was_wanted = False


@dataclass(frozen=True, slots=True)
class _Settled:
    """What some of the clients wrote, encoded: good as long as they write no more and nothing is deleted.

    An update begins with the number of clients, goes on with a section for each of them, in any order, and
    ends with the delete set.
    """

    doc: Doc[Any]
    """Repairing a document makes a new one, in which the same may be encoded differently."""
    everybody: Mapping[int, int]
    """The clocks of all clients."""
    clocks: Mapping[int, int]
    """The clocks of those whose sections these are."""
    state_vector: bytes
    """The same, encoded."""
    sections: bytes
    delete_set: bytes

    @classmethod
    def of(cls, replica: Replica, update: bytes, writing: Mapping[int, int]) -> "_Settled":
        """``update`` is all there is but what the clients in ``writing`` wrote."""
        everybody = dict(replica.known.clocks)
        clocks = {client: clock for client, clock in everybody.items() if client not in writing}
        delete_set = replica.state(replica.state_vector())[1:]
        sections = update[_after_count(update) : len(update) - len(delete_set)]
        return cls(replica.doc, everybody, clocks, encode_state_vector(clocks), sections, delete_set)

    def moved(self, replica: Replica) -> dict[int, int]:
        """The clocks of those who wrote something since."""
        everybody = self.everybody
        now = replica.known.clocks.items()
        return {client: clock for client, clock in now if everybody.get(client) != clock}

    def completed(self, replica: Replica) -> bytes | None:
        """The whole state, unless it has changed in other ways than by what others wrote."""
        now = replica.known.clocks
        if replica.doc is not self.doc or any(now.get(each) != clock for each, clock in self.clocks.items()):
            return None
        rest = replica.state(self.state_vector)
        if not rest.endswith(self.delete_set):
            return None
        return b"".join((wire.uint(len(now)), self.sections, rest[_after_count(rest) :]))


def _after_count(update: bytes) -> int:
    reader = wire.Reader(update)
    reader.uint()
    return reader.pos
