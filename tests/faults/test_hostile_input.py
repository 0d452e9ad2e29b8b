"""Whatever one connection sends, the process goes on and everybody else's edits do too."""

import asyncio
import contextlib
import logging
import os
import random
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from collabd.protocol import messages
from collabd.protocol.update import check_state_vector, check_update
from tests.hostile import COSTLY, FRAMES
from tests.support import RunningServer
from tests.support.clients import Client
from tests.support.raw import BINARY, TEXT, RawConnection, frame, handshake
from tests.support.sending import closing_codes
from tests.support.watching import ServerFactory, becomes, figure_becomes, figures, resident_bytes

logger = logging.getLogger(__name__)

MALFORMED, TOO_LARGE = 4400, 1009

MEMORY_BOUND = 64 * 2**20
"""Bytes by which the process may grow, whatever is sent."""

LATENCY_BOUND = 1.0
"""Seconds an edit may take to reach somebody else: lenient, as test machines are busy. About 0.01 is usual,
and 0.1 the most on two cores of one's own; ``--log-cli-level=info`` shows the slowest of each test."""


def sockets_among(files: Path) -> int:
    """How many of a process's open files are sockets; others may be those of a compaction."""
    links = []
    for entry in files.iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(entry.readlink()))
    return sum(link.startswith("socket:") for link in links)


class Bystanders:
    """Two people who go on writing all the while, and notice how long each edit takes to the other."""

    def __init__(self, server: RunningServer, document: str = "notes") -> None:
        url = server.websocket_url(document)
        self.ada, self.bob = Client(url, saves=True), Client(url, saves=True)
        self.latencies: list[float] = []
        self._written = 0

    async def __aenter__(self) -> "Bystanders":
        for client in (self.ada, self.bob):
            await client.connect()
            await client.synced()
        self._writing = asyncio.create_task(self._write())
        return self

    async def _write(self) -> None:
        while True:
            for author, reader in ((self.ada, self.bob), (self.bob, self.ada)):
                mark = f"<{self._written}>"
                self._written += 1
                seen = reader.updates_received
                before = time.monotonic()
                author.append(mark)
                await reader.until(lambda r=reader, seen=seen: r.updates_received > seen)  # type: ignore[misc]
                self.latencies.append(time.monotonic() - before)
                await asyncio.sleep(0.005)

    async def wrote_on(self, count: int = 4) -> None:
        """Return once they have written ``count`` more pieces."""
        target = len(self.latencies) + count
        await self.ada.until(lambda: len(self.latencies) >= target or self._writing.done())
        if self._writing.done():
            self._writing.result()

    async def __aexit__(self, *exc: object) -> None:
        await self.wrote_on()
        self._writing.cancel()
        await asyncio.wait([self._writing])
        if not self._writing.cancelled():
            self._writing.result()
        for client in (self.ada, self.bob):
            await client.saved_all()
        slowest = sorted(self.latencies, reverse=True)[:3]
        shown = ", ".join(f"{seconds * 1000:.1f}" for seconds in slowest)
        logger.info("slowest of %d edits: %s ms", len(self.latencies), shown)
        # The reader may lack the piece that was under way when the writing ended.
        await self.ada.until(lambda: str(self.ada.text) == str(self.bob.text))
        text = str(self.ada.text)
        assert Counter(re.findall(r"<\d+>", text)) == Counter(f"<{n}>" for n in range(self._written))
        async with Client(self.ada.url) as newcomer:
            assert str(newcomer.text) == text
        for client in (self.ada, self.bob):
            await client.dispose()
        assert max(self.latencies) < LATENCY_BOUND


async def test_hostile_messages_end_their_sender_and_nobody_else(server: ServerFactory) -> None:
    running = server()
    # In the bystanders' document, and in one where there is nothing else yet.
    sent = [(name, document) for name in FRAMES for document in ("notes", "fresh")]
    async with Bystanders(running) as bystanders:
        await bystanders.wrote_on()
        memory = resident_bytes(running)
        closed = await closing_codes(running, [(document, FRAMES[name]) for name, document in sent])
        grown = resident_bytes(running) - memory
        await bystanders.wrote_on()
    logger.info("%d messages, %.1f MB more", len(closed), grown / 2**20)
    codes = dict(zip(sent, closed, strict=True))
    wrong = {which: code for which, code in codes.items() if code not in (MALFORMED, TOO_LARGE)}
    assert wrong == {}
    assert grown < MEMORY_BOUND
    async with Client(running.websocket_url("fresh")) as newcomer:
        assert newcomer.doc.get_state() == b"\0", "something hostile got in"
    assert figures(running)["collabd_early_updates"] == 0
    assert "Traceback" not in running.log


@pytest.mark.parametrize("name", COSTLY)
async def test_what_is_valid_and_costly_is_taken_and_holds_up_nobody(
    name: str, server: ServerFactory
) -> None:
    running = server()
    update = COSTLY[name]
    clients = len(check_update(update).structs)

    def integrated() -> int:
        status, answer = running.get_bytes("/api/v1/documents/costly?format=state-vector")
        return len(check_state_vector(answer)) if status == 200 else 0

    async with Bystanders(running) as bystanders:
        await bystanders.wrote_on()
        sender = await Client(running.websocket_url("costly")).connect()
        sender.send_raw(messages.update_frame(update))
        await becomes(integrated, clients, seconds=90)
        await bystanders.wrote_on()
        assert sender.is_connected
        await sender.dispose()
    assert "Traceback" not in running.log


async def test_hostile_bytes_beside_good_ones_in_a_message_spoil_the_message(server: ServerFactory) -> None:
    running = server()
    good = Client("")
    good.unsent = []
    good.append("good")
    update = messages.update_frame(good.unsent[0])
    async with Bystanders(running):
        for name, data in list(FRAMES.items())[1:12]:
            mallory = await Client(running.websocket_url("fresh")).connect()
            mallory.send_raw(update + data)
            assert await mallory.closed() in (MALFORMED, TOO_LARGE), name
            await mallory.dispose()


async def test_a_message_beyond_the_bound_ends_its_sender(server: ServerFactory) -> None:
    running = server(options=["--max-message-bytes", "100000"])
    async with Bystanders(running) as bystanders:
        memory = resident_bytes(running)
        whole = await RawConnection.upgraded(running, "notes")
        whole.writer.write(frame(b"\0" * 100_001))
        assert await whole.ended() == TOO_LARGE
        announced = await RawConnection.upgraded(running, "notes")
        announced.writer.write(frame(b"", size=2**62))
        assert await announced.ended() == TOO_LARGE
        in_pieces = await RawConnection.upgraded(running, "notes")
        in_pieces.writer.write(frame(b"\0" * 60_000, fin=False))
        in_pieces.writer.write(frame(b"\0" * 60_000, kind=0, fin=False))
        assert await in_pieces.ended() == TOO_LARGE
        in_crumbs = await RawConnection.upgraded(running, "notes")
        in_crumbs.writer.write(frame(b"", fin=False) + frame(b"", kind=0, fin=False) * 100_000)
        assert await in_crumbs.ended() == TOO_LARGE
        await bystanders.wrote_on()
        assert resident_bytes(running) - memory < MEMORY_BOUND


async def test_broken_websocket_frames_end_their_sender(server: ServerFactory) -> None:
    running = server()
    broken = {
        "reserved bits": b"\xf2\x80\0\0\0\0",
        "reserved kind of frame": b"\x83\x80\0\0\0\0",
        "continuation of nothing": frame(b"x", kind=0),
        "a message within a message": frame(b"x", fin=False) + frame(b"x"),
        "a ping in pieces": b"\x09\x80\0\0\0\0",
        "a long ping": frame(b"x" * 126, kind=9),
        "a frame without a mask": b"\x82\x01\x00",
        "a text message": frame(b"hello", kind=TEXT),
        "a text message that is not UTF-8": frame(b"\xff", kind=TEXT),
        "a close frame of one byte": frame(b"\x03", kind=8),
        "a close frame with a code that is none": frame(b"\x03\xed", kind=8),
        "http": b"GET / HTTP/1.1\r\n\r\n" * 100,
    }
    endings: dict[str, int | None] = {}
    async with Bystanders(running) as bystanders:
        for name, data in broken.items():
            connection = await RawConnection.upgraded(running, "notes")
            connection.writer.write(data)
            endings[name] = await connection.ended()
        generator = random.Random(5)
        for number in range(100):
            connection = await RawConnection.upgraded(running, "notes")
            connection.writer.write(generator.randbytes(generator.randrange(2, 3000)))
            # Some of it is the beginning of a frame that never ends, so we end it.
            connection.end()
            endings[f"random {number}"] = await connection.ended()
        await bystanders.wrote_on()
    assert endings["a text message"] == MALFORMED
    assert "Traceback" not in running.log
    await figure_becomes(running, "collabd_connections", 0)


async def test_whatever_comes_instead_of_a_handshake_harms_nobody(server: ServerFactory) -> None:
    running = server()
    async with Bystanders(running) as bystanders:
        memory = resident_bytes(running)
        connections = []
        requests = [
            b"",
            b"G",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),  # TLS
            os.urandom(5000),
            b"GET /ws/notes HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 50_000,
            b"GET /" + b"a" * 500_000,
            handshake("notes")[:-2],
            handshake("notes").replace(b"13", b"12"),
            handshake("notes").replace(b"AAAAAAAAAAAAAAAAAAAAAA==", b"A"),
            handshake("notes") + frame(FRAMES["update cut short"]),
            b"POST /ws/notes HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n",
        ]
        for _ in range(10):
            for request in requests:
                connection = await RawConnection.open(running)
                connection.writer.write(request)
                connections.append(connection)
        # Somebody who takes his time.
        slow = await RawConnection.open(running)
        for byte in handshake("notes"):
            slow.writer.write(bytes((byte,)))
            await slow.writer.drain()
            await asyncio.sleep(0)
        assert (await slow.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        await bystanders.wrote_on()
        for connection in [*connections, slow]:
            connection.abort()
        await bystanders.wrote_on()
        assert resident_bytes(running) - memory < MEMORY_BOUND
    assert "Traceback" not in running.log


async def test_connections_that_are_cut_leave_nothing_behind(server: ServerFactory) -> None:
    running = server()
    async with Bystanders(running) as bystanders:
        memory = resident_bytes(running)
        files = Path(f"/proc/{running.process.pid}/fd")
        open_sockets = sockets_among(files)
        for _ in range(4):
            cut = [await RawConnection.upgraded(running, "notes") for _ in range(50)]
            half = [await RawConnection.open(running) for _ in range(50)]
            for connection in half:
                connection.writer.write(handshake("notes")[:40])
            for connection in cut:
                connection.writer.write(frame(messages.step_1_frame(b"\0"))[:3])
            for connection in cut[:25] + half[:25]:
                connection.abort()
            for connection in cut[25:] + half[25:]:
                connection.end()  # half open: we could still read
            for connection in cut[25:]:
                await connection.ended()
            for connection in half[25:]:
                await connection.reader.read()
                connection.abort()
        await figure_becomes(running, "collabd_connections", 2)
        await bystanders.wrote_on()
        assert sockets_among(files) <= open_sockets + 1
        assert resident_bytes(running) - memory < MEMORY_BOUND
    assert "Traceback" not in running.log


async def test_who_does_not_read_is_disconnected_and_slows_nobody(server: ServerFactory) -> None:
    """2 MB/s are broadcast to two who read and one who does not."""
    running = server(options=["--peer-queue-bytes", str(2**20)])
    url = running.websocket_url("big")
    async with (
        Bystanders(running, "big") as bystanders,
        Client(url, saves=True) as author,
        Client(url) as reader,
        Client(url) as deaf,
    ):
        deaf.stop_reading()
        memory = resident_bytes(running, helpers=False)
        size, written, pace = 64 * 1024, 0, time.monotonic()
        piece = "x" * (size - 1) + "\n"
        while figures(running).get("collabd_leaves_total{code=1013}", 0) == 0:
            author.append(piece)
            written += 1
            pace += size / 2e6
            await asyncio.sleep(pace - time.monotonic())
            assert written < 1000, "the deaf client is still connected"
        await author.saved_all()
        await reader.until(lambda: str(reader.text).count("\n") == written)
        await bystanders.wrote_on()
        document = written * size
        logger.info("closed after %.1f MB", document / 2**20)
        # The document itself is in memory, in the room and in the state that joiners got.
        # Helpers check what is written and compact it, whoever reads or not.
        assert resident_bytes(running, helpers=False) - memory < MEMORY_BOUND + 3 * document
        assert reader.is_connected
        assert author.is_connected


@pytest.mark.parametrize("kind", [BINARY, TEXT])
async def test_a_frame_that_never_ends_holds_up_nobody(kind: int, server: ServerFactory) -> None:
    running = server(options=["--shutdown-seconds", "3"])
    async with Bystanders(running) as bystanders:
        slow = await RawConnection.upgraded(running, "notes")
        slow.writer.write(frame(b"\0\2", kind=kind, size=1_000_000))
        await bystanders.wrote_on()
        slow.abort()
    await figure_becomes(running, "collabd_connections", 0)
