"""A TLS connection's transport, made to end when it is told to."""

import asyncio
from typing import Any, Final


class SecuredTransport(asyncio.Transport):
    """What a loop gives for a TLS connection, which may be closed by several and ends in bounded time.

    The end of TLS takes the other side, which loops give 30 seconds for it. And asyncio's transport, closed a
    second time, is of no use any more: it cannot be aborted then, nor be asked what waits.

    Args:
        patience: seconds the peer has, once the connection is closed, before it is cut.
    """

    def __init__(self, transport: asyncio.Transport, patience: float) -> None:
        super().__init__()
        self._transport = transport
        self._patience = patience

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait; up to 64 KB more, or one write, may be with the TCP transport below."""
        return self._transport.get_write_buffer_size()

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.close()
            asyncio.get_running_loop().call_later(self._patience, self._transport.abort)

    def abort(self) -> None:
        self._transport.abort()

    def let_go(self) -> None:
        """Forget the protocol, once the connection is lost: loops do not."""
        self._transport.set_protocol(_NOBODY)


_NOBODY: Final = asyncio.BufferedProtocol()
