"""Messages between processes, over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import TooLarge
from collabd.frames import MAX_BODY, Link, frame

Message = tuple[int, int, bytes]

MESSAGES = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1), st.binary(max_size=40)), max_size=8
)


class End:
    """One end, and what it heard."""

    def __init__(self, received: Callable[[Message], None] = lambda message: None) -> None:
        self.messages: list[Message] = []
        self.losses = 0
        self.news = asyncio.Event()
        self.eased = 0
        self._received = received
        self.link = Link(self._on_message, self._on_loss, self._on_ease)

    def _on_message(self, *message: object) -> None:
        self.messages.append(message)  # type: ignore[arg-type]
        self.news.set()
        self._received(message)  # type: ignore[arg-type]

    def _on_loss(self) -> None:
        self.losses += 1
        self.news.set()

    def _on_ease(self) -> None:
        self.eased += 1
        self.news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.news.clear()
            await self.news.wait()


@contextlib.asynccontextmanager
async def pair(*ends: End) -> AsyncIterator[None]:
    """Connect two ends, or one and a socket that is spoken to by hand."""
    for end, own in zip(ends, socket.socketpair(), strict=True):
        await asyncio.get_running_loop().create_unix_connection(lambda end=end: end.link, sock=own)  # type: ignore[misc]
    yield
    for end in ends:
        await end.link.close()


async def test_messages_arrive_whole_and_in_order() -> None:
    one, two = End(), End()
    sent = [(1, 7, b""), (2, 2**64 - 1, b"x" * 3_000_000), (3, 0, b"y"), (4, 1, bytes(range(256)))]
    async with pair(one, two):
        for message in sent:
            one.link.send(frame(*message))
            two.link.send(frame(*message))
        for end in (one, two):
            await end.until(lambda end=end: len(end.messages) == len(sent))  # type: ignore[misc]
            assert end.messages == sent


@given(MESSAGES, st.lists(st.integers(1, 60)))
def test_however_the_bytes_come_the_messages_are_the_same(sent: list[Message], cuts: list[int]) -> None:
    async def receive() -> list[Message]:
        end = End()
        async with pair(end, End()):
            data = b"".join(frame(*message) for message in sent)
            for cut in cuts:
                end.link.data_received(data[:cut])
                data = data[cut:]
            end.link.data_received(data)
            return end.messages

    assert asyncio.run(receive()) == sent


async def test_what_is_sent_in_one_turn_goes_out_in_one_write() -> None:
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end = End()
    own.setblocking(False)
    transport = SocketTransport(own)
    end.link.connection_made(transport)
    for number in range(10):
        end.link.send(frame(1, number))
    await asyncio.sleep(0)
    end.link.send(frame(1, 10))
    await asyncio.sleep(0)
    assert len(other.recv(10_000)) == 10 * len(frame(1, 0))
    assert other.recv(10_000) == frame(1, 10)
    own.close()
    other.close()


class SocketTransport(asyncio.Transport):
    """Writes each time into a socket that keeps writes apart."""

    def __init__(self, own: socket.socket) -> None:
        super().__init__()
        self._own = own

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._own.send(data)

    def is_closing(self) -> bool:
        return False


async def test_closing_sends_what_is_still_to_be_sent() -> None:
    one, two = End(), End()
    async with pair(one, two):
        for _ in range(4):
            one.link.send(frame(1, 1, b"x" * 1_000_000))
        await one.link.close()
        await two.until(lambda: two.losses)
        assert len(two.messages) == 4
        assert (one.losses, two.losses) == (1, 1)
        two.link.send(frame(1, 1))  # to nobody
        await two.link.close()


async def test_what_the_other_end_does_not_take_is_the_backlog() -> None:
    one, two = End(), End()
    async with pair(one, two):
        assert one.link.backlog == 0
        one.link.send(frame(1, 1, b"x" * 8_000_000))
        assert one.link.backlog > 8_000_000
        await asyncio.sleep(0)
        assert 4_000_000 < one.link.backlog < 8_000_000
        assert one.eased == 0
        await one.until(lambda: one.eased)
        await two.until(lambda: two.messages)
        assert one.link.backlog == 0
        two.link.abort()
        await one.until(lambda: one.losses)


@pytest.mark.parametrize("sent", [b"\xff" * 40, frame(1, 1, b"bad") + frame(1, 2, b"next")])
async def test_an_end_that_is_not_understood_is_cut_off(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(message: Message) -> None:
        raise ValueError("what is this")

    one, two = End(refuse), End()
    async with pair(one, two):
        two.link.send(sent)
        await two.until(lambda: two.losses)
        assert [message[1] for message in one.messages] in ([], [1])
    assert "the connection to another process is ended" in caplog.text


async def test_a_message_has_a_largest_size() -> None:
    with pytest.raises(TooLarge):
        frame(1, 1, bytes(MAX_BODY + 1))
