"""One connection to a room."""

import itertools
import secrets
from collections import deque
from typing import Final

from collabd.auth.base import ANONYMOUS, Access, Principal
from collabd.errors import CollabdError
from collabd.persistence.base import Author
from collabd.protocol.session import Session

from .outbox import Frame, Outbox

_numbers: Final = itertools.count(1)


def next_number() -> int:
    """A number for somebody who writes, different from all others in this process."""
    return next(_numbers)


def author_of(principal: Principal, address: str = "") -> Author:
    """What history shall say of a new connection, request or command of a principal."""
    return Author(secrets.randbits(63) or 1, principal.id, principal.name, address)


class Peer:
    """A connection that follows a document.

    Args:
        outbox: takes what the peer shall get.
        acknowledges: whether it asked to be told what is committed.
        inflates: bytes that a compressed message of its may inflate to; 0 if it did not agree to compressed
            messages, and gets none.
        vouched: whether others may rely on who it says it is.
    """

    __slots__ = (
        "access",
        "acknowledges",
        "address",
        "author",
        "held",
        "held_size",
        "is_quiet",
        "joined_at",
        "named_at",
        "number",
        "outbox",
        "principal",
        "session",
        "updates",
        "vouched",
    )

    def __init__(
        self,
        outbox: Outbox,
        *,
        principal: Principal = ANONYMOUS,
        access: Access = Access.WRITE,
        address: str = "",
        acknowledges: bool = False,
        inflates: int = 0,
        vouched: bool = False,
    ) -> None:
        self.number = next_number()
        self.outbox = outbox
        self.session = Session(inflates)
        self.principal = principal
        self.access = access
        self.vouched = vouched
        self.address = address
        self.author = author_of(principal, address)
        self.named_at = 0.0
        """When the author's name was last looked for in the peer's presence, on the event loop's clock."""
        self.acknowledges = acknowledges
        self.joined_at = 0.0
        self.updates = 0
        self.held: deque[bytes] | None = None
        """What came while a large message is checked; ``held_size`` bytes with that."""
        self.held_size = 0
        self.is_quiet = True
        """Whether nothing was sent to it since the last tick of the keep-alive."""

    def send(self, frame: Frame) -> None:
        self.is_quiet = False
        self.outbox.send(frame)

    def close(self, error: CollabdError, *, discard: bool = False) -> None:
        self.outbox.close(error, discard=discard)
