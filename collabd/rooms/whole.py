"""The whole document as newcomers get it."""

from collections.abc import Callable

from collabd.protocol import messages

from .outbox import Frame
from .packing import Packable


class WholeState:
    """A document's state, encoded once for all who come before something is written.

    Nobody gets an older one with what came later behind it: once a client has step 2, its application takes
    the document for complete, and may put a first content into one that is empty.
    """

    __slots__ = ("_frame", "_was_wanted")

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._was_wanted = False

    def frame(self, encode: Callable[[], bytes]) -> Frame:
        """Step 2. ``encode`` gives the state as one update."""
        self._was_wanted = True
        if self._frame is None:
            self._frame = Packable(messages.step_2_frame(encode()))
        return self._frame

    def forget(self) -> None:
        """Encode it anew when it is needed: it has changed, or nobody is there."""
        self._frame = None

    def forget_if_unused(self) -> None:
        """Give its memory back if nobody came since this was asked last."""
        if not self._was_wanted:
            self.forget()
        self._was_wanted = False
