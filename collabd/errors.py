"""Every error collabd raises on purpose.

    CollabdError
    ├── MalformedInput          a client's bytes break the protocol
    ├── TooLarge                a message or a body exceeds its bound
    ├── InvalidName             a document name that cannot be one
    ├── SignInNeeded            nobody is signed in, or not any more
    │   └── AccessExpired       the time of an open connection is over
    ├── NotAllowed              the principal lacks the right
    ├── NoSuchDocument          nothing was ever written under this name
    ├── NoSuchVersion           the document cannot be seen as of that number
    ├── DocumentDeleted         the name holds a tombstone
    ├── DocumentExists          asked to create what is already there
    ├── DocumentDamaged         the log cannot be read back
    ├── UnsupportedFormat       the document cannot be shown this way
    ├── UnsupportedMediaType    a body of a type that cannot be read
    │   └── UnsupportedCoding   a body that is compressed
    ├── Overloaded              come back later
    │   ├── TooMany             as much of it as one address may have is under way
    │   ├── SlowClient          the peer does not read what it is sent
    │   └── StoreUnavailable    the log cannot commit at the moment
    ├── ShuttingDown            this process is leaving
    ├── CannotRestore           an old state cannot be brought back by an edit
    ├── UpdateRejected          a checked update that pycrdt still refused
    ├── WorkFailed              a helper process could not finish its work
    │   └── WorkEnded           and its process ended, or had to be ended
    ├── StoreError              the store cannot be opened or used at all
    │   └── StoreInUse          another process owns it
    └── SettingsError           a setting that makes no sense

An error knows how it ends a conversation: ``close_code`` on a socket, ``status`` over HTTP. Stock Yjs
providers never reconnect after 4400 to 4499 and always do after anything else, so the close code itself says
whether coming back makes sense; ``retry`` says the same in words.
"""

from typing import ClassVar

MAX_CLOSE_REASON = 123
"""Bytes a WebSocket close frame leaves for its reason (RFC 6455, section 5.5)."""


class CollabdError(Exception):
    """Base of all errors above.

    ``code`` is stable and meant for programs; the message is meant for people and may change.
    """

    code: ClassVar[str] = "internal"
    close_code: ClassVar[int] = 4500
    status: ClassVar[int] = 500

    @property
    def retry(self) -> bool:
        """Whether the same request may succeed later without being changed."""
        return not 4400 <= self.close_code <= 4499

    @property
    def close_reason(self) -> str:
        """``code: message``, cut to what a close frame can carry."""
        reason = f"{self.code}: {self}".encode()[:MAX_CLOSE_REASON]
        return reason.decode(errors="ignore")


class MalformedInput(CollabdError):
    """Bytes that are not what the protocol says they are. Nothing of the message took effect."""

    code = "malformed"
    close_code = 4400
    status = 400


class TooLarge(CollabdError):
    """A message, body or collection exceeds its documented bound."""

    code = "too-large"
    close_code = 1009
    status = 413


class InvalidName(CollabdError):
    """A document name that breaks the naming rules."""

    code = "invalid-name"
    close_code = 4422
    status = 422


class SignInNeeded(CollabdError):
    """This takes somebody who is known, and the credentials, if there were any, are not accepted. Why is not
    said."""

    code = "sign-in"
    close_code = 4401
    status = 401


class AccessExpired(SignInNeeded):
    """The credentials that opened a connection hold no longer: come back with new ones."""

    code = "expired"
    close_code = 4501


class NotAllowed(CollabdError):
    """The principal may not do this."""

    code = "not-allowed"
    close_code = 4403
    status = 403


class NoSuchDocument(CollabdError):
    """Nothing was ever committed under this name."""

    code = "no-such-document"
    close_code = 4404
    status = 404


class NoSuchVersion(CollabdError):
    """The document was never at that number, or what it was then is not kept."""

    code = "no-such-version"
    close_code = 4404
    status = 404


class CannotRestore(CollabdError):
    """A document holds something that cannot be brought back by an edit."""

    code = "cannot-restore"
    close_code = 4424
    status = 422


class DocumentDeleted(CollabdError):
    """The document was deleted; only an explicit creation brings the name back."""

    code = "deleted"
    close_code = 4410
    status = 410


class DocumentExists(CollabdError):
    """A document that already holds content cannot be created again."""

    code = "exists"
    close_code = 4409
    status = 409


class DocumentDamaged(CollabdError):
    """The stored document cannot be read back; it is left alone until it is repaired."""

    code = "damaged"
    close_code = 4510
    status = 500


class UnsupportedFormat(CollabdError):
    """The document has no such root, or the root cannot be shown in the format asked for."""

    code = "unsupported-format"
    close_code = 4406
    status = 406


class UnsupportedMediaType(CollabdError):
    """The body of a request is of a type that no document can be made from."""

    code = "unsupported-media-type"
    close_code = 4415
    status = 415


class UnsupportedCoding(UnsupportedMediaType):
    """The body of a request is compressed or otherwise encoded."""


class Overloaded(CollabdError):
    """The server or the room is at one of its bounds."""

    code = "overloaded"
    close_code = 1013
    status = 503


class TooMany(Overloaded):
    """As much of it as one address may have is under way. ``seconds`` is when there is room again at the
    latest."""

    code = "too-many"
    status = 429

    def __init__(self, message: str, seconds: float = 1.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class SlowClient(Overloaded):
    """The peer's queue is full: it is closed rather than skipped."""

    code = "slow-client"


class StoreUnavailable(Overloaded):
    """The log cannot commit at the moment; what was not acknowledged must be sent again."""

    code = "store-unavailable"


class ShuttingDown(CollabdError):
    """The process is leaving; everything acknowledged is committed."""

    code = "restart"
    close_code = 1012
    status = 503


class UpdateRejected(CollabdError):
    """An update that passed the structural check and that pycrdt still could not apply."""

    code = "update-rejected"
    close_code = 4423
    status = 422


class WorkFailed(CollabdError):
    """A helper process ended before it had an answer, or took too long."""


class WorkEnded(WorkFailed):
    """The process was ended by the work it did, or for the time that took."""


class StoreError(CollabdError):
    """The store cannot be opened: wrong schema, locked by another process, not a database."""

    code = "store"


class StoreInUse(StoreError):
    """The store belongs to another process, which can be asked through its socket."""

    code = "in-use"


class SettingsError(CollabdError):
    """A setting or a combination of settings that makes no sense."""

    code = "settings"
