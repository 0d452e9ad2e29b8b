"""The whole document as newcomers get it."""

from collections.abc import Callable, Sequence
from typing import Final

from collabd.protocol import messages

from .outbox import Frame
from .packing import Packable

MOST_LATER: Final = 100
"""Frames after which it is better to encode the document anew."""
LATER_SHARE: Final = 0.1
"""How much larger, with what came later, a document may be than encoded anew."""


class WholeState:
    """A document's state, encoded once for all who come at about the same time: who comes a little later gets
    it together with what was sent to everybody meanwhile.
    """

    __slots__ = ("_frames", "_later_bytes", "_was_wanted")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._later_bytes = 0
        self._was_wanted = False

    def frames(self, encode: Callable[[], bytes]) -> Sequence[Frame]:
        """Step 2, and the updates that complete it. ``encode`` gives the state as one update."""
        self._was_wanted = True
        if not self._frames:
            self._frames.append(Packable(messages.step_2_frame(encode())))
            self._later_bytes = 0
        return self._frames

    def add(self, frame: Frame) -> None:
        """Note that this was sent to everybody."""
        frames = self._frames
        if frames:
            self._later_bytes += len(frame.payload)
            if len(frames) > MOST_LATER or self._later_bytes > len(frames[0].payload) * LATER_SHARE:
                self.forget()
            else:
                frames.append(frame)

    def forget(self) -> None:
        """Encode it anew when it is needed: it has changed in other ways, or nobody is there."""
        self._frames = []

    def forget_if_unused(self) -> None:
        """Give its memory back if nobody came since this was asked last."""
        if not self._was_wanted:
            self.forget()
        self._was_wanted = False
