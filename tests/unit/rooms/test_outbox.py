"""What peers are sent, and what becomes of those that do not read it."""

import asyncio

import pytest
from websockets.frames import Frame as ReferenceFrame
from websockets.frames import Opcode

from collabd.errors import ShuttingDown, SlowClient
from collabd.rooms.outbox import Frame, QueuedOutbox

from .kit import turns


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_a_frame_is_framed_as_the_websockets_library_does_it(size: int) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    reference = ReferenceFrame(Opcode.BINARY, payload[:size]).serialize(mask=False)
    assert Frame(payload[:size]).framed == reference


def test_a_frame_is_framed_once_for_all_peers() -> None:
    frame = Frame(b"hello")
    assert frame.framed is frame.framed


class Wire:
    """The other end of an outbox, which reads when told to."""

    def __init__(self, *, reads: bool = True) -> None:
        self.received: list[bytes] = []
        self.may_read = asyncio.Event()
        if reads:
            self.may_read.set()

    async def send(self, message: bytes) -> None:
        await self.may_read.wait()
        self.received.append(message)


async def test_everything_arrives_in_order() -> None:
    outbox, wire = QueuedOutbox(1_000), Wire()
    outbox.send(Frame(b"1"))
    draining = asyncio.create_task(outbox.drain(wire.send))
    await turns()
    outbox.send(Frame(b"2"))
    outbox.send(Frame(b"3"))
    await turns()
    assert wire.received == [b"1", b"2", b"3"]
    assert not outbox.closed.done()
    draining.cancel()


async def test_who_does_not_read_is_closed_and_never_skipped() -> None:
    outbox, wire = QueuedOutbox(100), Wire(reads=False)
    draining = asyncio.create_task(outbox.drain(wire.send))
    for number in range(10):
        outbox.send(Frame(bytes([number]) * 10))
        await turns()
    assert not outbox.closed.done()
    sent = [bytes([number]) * 10 for number in range(10)]
    while not outbox.closed.done():
        outbox.send(Frame(b"x" * 10))
        await turns()
        assert len(sent) < 20, "memory is bounded"
        sent.append(b"x" * 10)
    assert isinstance(outbox.closed.result(), SlowClient)
    wire.may_read.set()
    await turns()
    assert wire.received == sent[: len(wire.received)], "no frame is left out before the end"
    assert len(wire.received) <= 1
    draining.cancel()


async def test_it_is_closed_while_a_send_hangs() -> None:
    outbox, wire = QueuedOutbox(1_000), Wire(reads=False)
    draining = asyncio.create_task(outbox.drain(wire.send))
    outbox.send(Frame(b"stuck"))
    await turns()
    outbox.close(ShuttingDown("bye"))
    assert isinstance(await outbox.closed, ShuttingDown)
    draining.cancel()


async def test_a_frame_larger_than_the_bound_is_sent_if_the_peer_reads() -> None:
    outbox, wire = QueuedOutbox(100), Wire()
    draining = asyncio.create_task(outbox.drain(wire.send))
    outbox.send(Frame(b"step 1"))
    outbox.send(Frame(b"a large document" * 100))
    outbox.send(Frame(b"an edit"))
    await turns()
    assert [len(message) for message in wire.received] == [6, 1_600, 7]
    outbox.send(Frame(b"a large document" * 100))
    await turns()
    assert len(wire.received) == 4
    draining.cancel()


async def test_large_frames_do_not_add_up() -> None:
    outbox = QueuedOutbox(100)
    outbox.send(Frame(b"a large document" * 100))
    assert not outbox.closed.done()
    outbox.send(Frame(b"a large document" * 100))
    assert outbox.closed.done()


async def test_after_a_large_frame_was_read_the_bound_is_the_old_one() -> None:
    outbox, wire = QueuedOutbox(100), Wire()
    draining = asyncio.create_task(outbox.drain(wire.send))
    outbox.send(Frame(b"a large document" * 100))
    await turns()
    wire.may_read.clear()
    for _ in range(30):
        outbox.send(Frame(b"x" * 10))
    assert outbox.closed.done()
    draining.cancel()


async def test_the_first_reason_to_close_counts_and_nothing_is_queued_after_it() -> None:
    outbox, wire = QueuedOutbox(100), Wire()
    outbox.close(ShuttingDown("first"))
    outbox.close(SlowClient("second"))
    outbox.send(Frame(b"too late"))
    draining = asyncio.create_task(outbox.drain(wire.send))
    await turns()
    assert str(outbox.closed.result()) == "first"
    assert wire.received == []
    draining.cancel()


async def test_draining_raises_what_the_transport_raises() -> None:
    async def send(message: bytes) -> None:
        raise ConnectionResetError("gone")

    outbox = QueuedOutbox(100)
    outbox.send(Frame(b"1"))
    with pytest.raises(ConnectionResetError):
        await outbox.drain(send)
