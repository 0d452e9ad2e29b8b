"""What rooms tell whoever measures them."""

from typing import Protocol


class Observer(Protocol):
    """Hears of everything worth counting. Its methods must return at once and must not raise."""

    def room_opened(self, document: str, seconds: float) -> None:
        """A document was loaded (which took ``seconds``) and is now served."""

    def room_closed(self, document: str) -> None:
        """A room was unloaded."""

    def joined(self, document: str, peer: int, who: str, address: str) -> None:
        """A connection began to follow a document."""

    def left(
        self, document: str, peer: int, who: str, code: int, reason: str, seconds: float, updates: int
    ) -> None:
        """A connection ended with close ``code``, after ``seconds`` and ``updates`` sync messages."""

    def committed(self, updates: int, size: int, seconds: float) -> None:
        """A room's batch of ``size`` bytes became durable, ``seconds`` after it was handed to the log."""

    def delivered(self, updates: int, seconds: float) -> None:
        """Updates are on their way to everybody else, to the last of a crowd too, ``seconds`` after they
        came."""

    def round_trip(self, seconds: float) -> None:
        """A client was asked for a sign of life while there were edits, which took ``seconds`` to come."""

    def redundant(self, updates: int) -> None:
        """Updates arrived that brought nothing new."""

    def early(self, change: int) -> None:
        """The number of updates that wait for one they build on grew by ``change``."""

    def idle_memory(self, size: int) -> None:
        """The rooms that nobody uses take about ``size`` bytes now."""

    def refused(self, code: str) -> None:
        """A connection or a request was refused with the stable ``code``."""


class Silent:
    """An observer that looks away."""

    def room_opened(self, document: str, seconds: float) -> None: ...
    def room_closed(self, document: str) -> None: ...
    def joined(self, document: str, peer: int, who: str, address: str) -> None: ...
    def left(
        self, document: str, peer: int, who: str, code: int, reason: str, seconds: float, updates: int
    ) -> None: ...
    def committed(self, updates: int, size: int, seconds: float) -> None: ...
    def delivered(self, updates: int, seconds: float) -> None: ...
    def round_trip(self, seconds: float) -> None: ...
    def redundant(self, updates: int) -> None: ...
    def early(self, change: int) -> None: ...
    def idle_memory(self, size: int) -> None: ...
    def refused(self, code: str) -> None: ...
