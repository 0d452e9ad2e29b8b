"""What the processes of one machine are connected to, and what passes their messages on; see ``workers``.

It is served over a socket that only its user can connect to. A message goes as it came to all others that
follow its channel. It holds none back for anybody: who takes in too slowly what is sent to it is cut off, and
reads the log when it is back.
"""

import contextlib
import logging
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

from collabd.frames import Link, cut_off, frame, links_at

logger = logging.getLogger(__name__)

MAX_BACKLOG: Final = 32 * 1024 * 1024
"""Bytes that may wait to be taken in by one process."""

_LENGTH: Final = struct.Struct(">H")


class Kind(IntEnum):
    """What a message is."""

    FOLLOW = 1
    """Names of channels; answered by the same number, without any."""
    UNFOLLOW = 2
    """Names of channels."""
    PUBLISH = 3
    """The name of a channel, and what is said on it."""


def pack_names(names: Iterable[bytes]) -> bytes:
    """Encode names of channels, each with its length before it."""
    return b"".join(_LENGTH.pack(len(name)) + name for name in names)


def unpack_name(body: bytes, start: int = 0) -> tuple[bytes, int]:
    """The name that begins at ``start``, and where it ends."""
    (length,) = _LENGTH.unpack_from(body, start)
    stop = start + _LENGTH.size + length
    return body[start + _LENGTH.size : stop], stop


def _names(body: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(body):
        name, position = unpack_name(body, position)
        yield name


@contextlib.asynccontextmanager
async def passing_on(path: Path) -> AsyncIterator[None]:
    """Pass messages on in the block. Who is still connected at its end is cut off.

    Raises:
        OSError: there can be no socket at ``path``.
        StoreError: the path is too long.
    """
    hub = _Hub()
    async with links_at(path, hub.welcome, hub.close):
        yield


class _Hub:
    def __init__(self) -> None:
        self.followers: dict[bytes, set[_Node]] = {}
        self._nodes: set[_Node] = set()

    def welcome(self) -> Link:
        node = _Node(self)
        self._nodes.add(node)
        return node.link

    def forget(self, node: "_Node") -> None:
        self._nodes.discard(node)

    async def close(self) -> None:
        await cut_off(node.link for node in self._nodes)


class _Node:
    def __init__(self, hub: _Hub) -> None:
        self.link = Link(self._received, self._lost)
        self._hub = hub
        self._channels: set[bytes] = set()

    def _received(self, kind: int, number: int, body: bytes) -> None:
        match kind:
            case Kind.PUBLISH:
                self._pass_on(body)
            case Kind.FOLLOW:
                for name in _names(body):
                    self._channels.add(name)
                    self._hub.followers.setdefault(name, set()).add(self)
                self.link.send(frame(Kind.FOLLOW, number))
            case Kind.UNFOLLOW:
                for name in _names(body):
                    self._unfollow(name)
            case _:
                raise ValueError(f"a hub knows no message of kind {kind}")

    def _pass_on(self, body: bytes) -> None:
        followers = self._hub.followers.get(unpack_name(body)[0], ())
        message = frame(Kind.PUBLISH, 0, body) if followers else b""
        for follower in followers:
            if follower is self:
                continue
            if follower.link.backlog + len(message) > MAX_BACKLOG:
                logger.warning("a process that takes in messages too slowly is cut off from the others'")
                follower.link.abort()
            else:
                follower.link.send(message)

    def _unfollow(self, name: bytes) -> None:
        self._channels.discard(name)
        followers = self._hub.followers.get(name, set())
        followers.discard(self)
        if not followers:
            self._hub.followers.pop(name, None)

    def _lost(self) -> None:
        for name in list(self._channels):
            self._unfollow(name)
        self._hub.forget(self)
