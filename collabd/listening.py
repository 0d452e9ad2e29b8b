"""Sockets that processes listen on, and who connects to them, let in a few at a time."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

logger = logging.getLogger(__name__)

DISTRIBUTES: Final[bool] = sys.platform == "linux"
"""Whether the system distributes connections among sockets of one port."""
WAITING: Final = 2048
"""How many the system lets wait until they are let in."""
AT_ONCE: Final = 4
"""How many are let in before the event loop does what else there is; it takes some 0.2 ms."""
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What the system says that has no more files or memory for connections."""
EXHAUSTED_SECONDS: Final = 1.0
"""How soon it is tried again then."""


class Listener:
    """Lets in who connects to some sockets. Event loops do it themselves, but all who wait in one go: a
    hundred who come at once would hold up everybody who is there already for several milliseconds.

    Args:
        sockets: bound ones.
        protocol: makes what a connection is told to.
        tls: how connections are secured, if they are.
        pause: how many seconds the next ones wait after some were let in.

    Raises:
        OSError: somebody else listens there.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None = None,
        pause: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.sockets = tuple(sockets)
        self._protocol = protocol
        self._tls = tls
        self._pause = pause
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._later: dict[socket.socket, asyncio.TimerHandle] = {}
        self._is_closed = False
        for listening in self.sockets:
            listening.setblocking(False)
            listening.listen(WAITING)
            self._loop.add_reader(listening, self._let_in, listening)

    def close(self) -> None:
        """Let in nobody any more. Calling it again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        for timer in self._later.values():
            timer.cancel()
        for listening in self.sockets:
            self._loop.remove_reader(listening)
            listening.close()

    async def wait_closed(self) -> None:
        """Return once all who were let in are known to the protocol, or gone."""
        if self._beginning:
            await asyncio.wait(self._beginning)

    def _let_in(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                logger.error("nobody can be let in for a while: %s", error)
                self._rest(listening, EXHAUSTED_SECONDS)
                return
            task = self._loop.create_task(self._begin(connection))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)
        pause = self._pause()
        if pause:
            self._rest(listening, pause)

    def _rest(self, listening: socket.socket, seconds: float) -> None:
        self._loop.remove_reader(listening)
        self._later[listening] = self._loop.call_later(seconds, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        del self._later[listening]
        self._loop.add_reader(listening, self._let_in, listening)

    async def _begin(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection, ssl=self._tls)
        except OSError as error:  # no handshake came to an end
            logger.debug("somebody is not let in: %s", error)


def sockets_on(host: str, port: int) -> list[socket.socket]:
    """Sockets for this process to listen on, one for each address of the host.

    Raises:
        OSError: somebody else listens there, or there is no such host.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_bound(*each)) for each in _addresses(host, port)]
        stack.pop_all()
        return sockets


@contextlib.contextmanager
def sockets_for(host: str, port: int, count: int) -> Generator[list[list[socket.socket]]]:
    """Sockets for ``count`` processes to listen on, one for each address of the host.

    Where the system distributes connections among sockets of one port, each process gets its own; elsewhere
    they are the same for all.

    Raises:
        OSError: somebody else listens there, or there is no such host.
    """
    with contextlib.ExitStack() as stack:
        each: list[list[socket.socket]] = [[] for _ in range(count)]
        for family, address in _addresses(host, port):
            # Whoever else listens there would share connections with us, and not know it either.
            with _bound(family, address) as alone:
                address = (address[0], alone.getsockname()[1], *address[2:])
            if not DISTRIBUTES:
                shared = stack.enter_context(_bound(family, address))
                for sockets in each:
                    sockets.append(shared)
                continue
            for sockets in each:
                sockets.append(stack.enter_context(_bound(family, address, together=True)))
        yield each


_Address = tuple[int, tuple[Any, ...]]
"""Of which family, and what sockets of that bind to."""


def _addresses(host: str, port: int) -> list[_Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses: list[_Address] = list(dict.fromkeys((family, address) for family, *_, address in found))
    # A name may stand for addresses of a kind that the system does not have: IPv6, where it is switched off.
    return [each for each in addresses if _has(each[0])] or addresses


def _has(family: int) -> bool:
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _bound(family: int, address: tuple[Any, ...], *, together: bool = False) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if together:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError as error:
        one.close()
        raise OSError(
            error.errno, f"{address[0]}:{address[1]} cannot be listened on: {error.strerror}"
        ) from None
    return one
