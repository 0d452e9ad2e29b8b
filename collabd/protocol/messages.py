"""The y-websocket messages as frozen values.

A frame is one or more messages, each a varUint type and its body: 0 sync (step 1 with a state vector, step 2
and update with a Yjs v1 update), 1 awareness, 2 auth (permission denied), 3 query awareness. Type 100 is
collabd's own and only spoken where a subprotocol of collabd's was agreed on (``session``); type 101 is a
whole frame that holds another (``packing``). Sources:
https://github.com/yjs/y-protocols (sync.js, auth.js), https://github.com/yjs/y-websocket.
"""

from dataclasses import dataclass

from collabd.errors import MalformedInput
from collabd.protocol import wire

SYNC, AWARENESS, AUTH, QUERY_AWARENESS, SAVED = 0, 1, 2, 3, 100
STEP_1, STEP_2, UPDATE = 0, 1, 2
PERMISSION_DENIED = 0


@dataclass(frozen=True, slots=True)
class SyncStep1:
    """What the sender has, as a state vector; to be answered with step 2."""

    state_vector: bytes


@dataclass(frozen=True, slots=True)
class SyncStep2:
    """What the receiver lacked, as an update."""

    update: bytes


@dataclass(frozen=True, slots=True)
class Update:
    """An edit, as an update."""

    update: bytes


@dataclass(frozen=True, slots=True)
class AwarenessMessage:
    """Presence entries, encoded as ``collabd.protocol.awareness`` has them."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PermissionDenied:
    """The sender's refusal; ``reason`` is for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class QueryAwareness:
    """Asks for everyone's presence."""


@dataclass(frozen=True, slots=True)
class Saved:
    """How many of the receiver's step 2 and update messages are committed to disk by now."""

    count: int


Message = SyncStep1 | SyncStep2 | Update | AwarenessMessage | PermissionDenied | QueryAwareness | Saved


def sole_update(frame: bytes) -> bytes | None:
    """The update if the frame is one update message and nothing else, else None: then use ``decode``.

    This is what nearly every frame is, decoded without making values of it. A length written with more bytes
    than it takes is left to ``decode``.
    """
    if frame[:2] != b"\0\2":
        return None
    size = len(frame)
    if size < 131:
        return frame[3:] if size > 2 and frame[2] == size - 3 else None
    reader = wire.Reader(frame, 2)
    try:
        length = reader.uint()
    except MalformedInput:
        return None
    return frame[reader.pos :] if reader.pos + length == size else None


def decode(data: bytes) -> list[Message]:
    """The messages of a frame, at least one; MalformedInput if any of it is not a message listed above.

    Bodies are not looked into: updates, state vectors and awareness have checks of their own.
    """
    update = sole_update(data)
    if update is not None:
        return [Update(update)]
    reader = wire.Reader(data)
    messages = [_message(reader)]
    while not reader.at_end:
        messages.append(_message(reader))
    return messages


def _message(reader: wire.Reader) -> Message:
    kind = reader.uint()
    if kind == SYNC:
        step = reader.uint()
        if step == STEP_1:
            return SyncStep1(reader.octets())
        if step == STEP_2:
            return SyncStep2(reader.octets())
        if step == UPDATE:
            return Update(reader.octets())
        raise MalformedInput(f"unknown sync message {step}")
    if kind == AWARENESS:
        return AwarenessMessage(reader.octets())
    if kind == QUERY_AWARENESS:
        return QueryAwareness()
    if kind == AUTH:
        action = reader.uint()
        if action == PERMISSION_DENIED:
            return PermissionDenied(reader.text())
        raise MalformedInput(f"unknown auth message {action}")
    if kind == SAVED:
        return Saved(reader.uint())
    raise MalformedInput(f"unknown message type {kind}")


def encode(message: Message) -> bytes:
    """The message as a frame of its own; frames may be concatenated."""
    match message:
        case Update(update):
            return update_frame(update)
        case SyncStep1(state_vector):
            return step_1_frame(state_vector)
        case SyncStep2(update):
            return step_2_frame(update)
        case AwarenessMessage(payload):
            return awareness_frame(payload)
        case PermissionDenied(reason):
            return b"\2\0" + wire.text(reason)
        case QueryAwareness():
            return b"\3"
        case Saved(count):
            return saved_frame(count)


def update_frame(update: bytes) -> bytes:
    """An update message."""
    return b"\0\2" + wire.octets(update)


def step_1_frame(state_vector: bytes) -> bytes:
    """A sync step 1 message."""
    return b"\0\0" + wire.octets(state_vector)


def step_2_frame(update: bytes) -> bytes:
    """A sync step 2 message."""
    return b"\0\1" + wire.octets(update)


def awareness_frame(payload: bytes) -> bytes:
    """An awareness message."""
    return b"\1" + wire.octets(payload)


def saved_frame(count: int) -> bytes:
    """A saved message: only where a subprotocol of collabd's was agreed on."""
    return b"\x64" + wire.uint(count)
