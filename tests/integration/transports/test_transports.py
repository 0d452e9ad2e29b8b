"""Whichever way a WebSocket is served, it keeps the same promises."""

import asyncio
import logging
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pycrdt import Doc, Text
from websockets.exceptions import InvalidStatus

from collabd.errors import DocumentDamaged
from collabd.protocol import awareness, messages, wire
from collabd.protocol.packing import PACKED, pack, unpack
from collabd.rooms.broadcast import BEHIND
from collabd.rooms.room import LARGE_MESSAGE
from tests.support.raw import CLOSE, PONG, TEXT, RawConnection, frame, handshake
from tests.unit.rooms.kit import ScriptedStore, Writer, text_of

from .site import PATIENCE, Site, closed, received, until

pytestmark = pytest.mark.timeout(60)

Serve = Callable[..., Awaitable[Site]]

EMPTY = messages.step_1_frame(b"\x00")
CONTINUATION, PING = 0, 9
GOODBYE = frame(struct.pack(">H", 1000), kind=CLOSE)


@pytest.fixture(params=["fast", "portable", "fast over TLS"])
def way(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


@pytest.fixture
def layer(way: str) -> str:
    return way.split(maxsplit=1)[0]


@pytest.fixture
def secured(way: str) -> bool:
    return way.endswith("TLS")


def update_of(size: int) -> bytes:
    """An update message of exactly ``size`` bytes."""
    text = "x" * size
    while len(message := messages.update_frame(Writer(1).append(text))) > size:
        text = text[: size - len(message)]
    assert len(message) == size
    return message


async def synced(site: Site, path: str = "notes", **arguments: Any) -> Any:
    """Connect and sync; the connection."""
    connection = await site.connect(path, **arguments)
    await connection.send(EMPTY)
    await until(connection, messages.SyncStep2)
    return connection


async def text(site: Site) -> str:
    await asyncio.wait_for(site.room().flushed(), PATIENCE)
    return text_of(site.room().state())


# What is agreed on, and messages that go back and forth


async def test_an_edit_reaches_the_others_and_is_acknowledged(site: Site) -> None:
    ada = await synced(site, subprotocols=["collabd.1"])
    ben = await synced(site)
    assert (ada.subprotocol, ben.subprotocol) == ("collabd.1", None)
    await ada.send(messages.update_frame(Writer(1).append("hello")))
    assert await until(ada, messages.Saved) == messages.Saved(1)
    assert text_of((await until(ben, messages.Update)).update) == "hello"


async def test_a_subprotocol_is_chosen_only_if_we_speak_it(site: Site) -> None:
    assert (await site.connect(subprotocols=["other", "collabd.1"])).subprotocol == "collabd.1"
    assert (await site.connect(subprotocols=["other"])).subprotocol is None


async def test_many_messages_in_one_segment_all_arrive(site: Site) -> None:
    writer = Writer(1)
    connection = await site.raw()
    connection.writer.write(b"".join(frame(messages.update_frame(writer.append("x"))) for _ in range(500)))
    connection.writer.write(GOODBYE)
    await connection.ended()
    assert await text(site) == "x" * 500


@pytest.mark.parametrize("behind", [frame(b"", kind=PING), frame(b"nobody asked", kind=PONG)])
async def test_a_message_does_not_wait_for_more_than_came_with_it(site: Site, behind: bytes) -> None:
    ben = await synced(site)
    connection = await site.raw()
    connection.writer.write(frame(messages.update_frame(Writer(1).append("here"))) + behind)
    assert text_of((await until(ben, messages.Update)).update) == "here"
    connection.abort()


@pytest.mark.parametrize("pieces", [2, 3, 2_000])
async def test_a_message_may_come_in_pieces(serve: Serve, pieces: int) -> None:
    site = await serve(max_message_bytes=500_000)
    message = messages.update_frame(Writer(1).append("x" * 10_000))
    size = len(message) // pieces + 1
    parts = [message[start : start + size] for start in range(0, len(message), size)]
    parts += [b""] * (pieces - len(parts))
    connection = await site.raw()
    connection.writer.write(frame(parts[0], fin=False))
    connection.writer.write(frame(b"are you there", kind=PING))
    for part in parts[1:-1]:
        connection.writer.write(frame(part, kind=CONTINUATION, fin=False))
    connection.writer.write(frame(parts[-1], kind=CONTINUATION))
    connection.writer.write(GOODBYE)
    await connection.ended()
    assert await text(site) == "x" * 10_000


async def test_a_message_may_come_byte_by_byte(site: Site) -> None:
    connection = await site.raw()
    for byte in frame(messages.update_frame(Writer(1).append("slowly"))):
        connection.writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    connection.writer.write(GOODBYE)
    await connection.ended()
    assert await text(site) == "slowly"


async def test_a_ping_is_answered_with_what_it_held(site: Site) -> None:
    connection = await site.connect()
    latency = await asyncio.wait_for(await connection.ping(b"payload"), PATIENCE)
    assert latency >= 0
    await connection.pong(b"nobody asked")
    await asyncio.wait_for(await connection.ping(b""), PATIENCE)


@pytest.mark.parametrize("size", [50_000, 100_000])
async def test_a_message_of_the_largest_size_is_taken(site: Site, size: int) -> None:
    message = update_of(size)
    connection = await synced(site, subprotocols=["collabd.1"])
    await connection.send(message)
    assert await until(connection, messages.Saved) == messages.Saved(1)
    again = await synced(site, subprotocols=["collabd.1"])
    await again.send([message[:60], message[60:]])
    assert await until(again, messages.Saved) == messages.Saved(1)


# What ends a connection


async def test_a_message_beyond_the_largest_size_ends_it(site: Site) -> None:
    whole = await site.connect()
    await whole.send(update_of(100_001))
    assert (await closed(whole))[0] == 1009
    assert (await site.goodbye())[0] == 1009
    pieces = await site.raw()
    pieces.writer.write(frame(bytes(60_000), fin=False) + frame(bytes(60_000), kind=CONTINUATION))
    assert await pieces.ended() == 1009
    assert (await site.goodbye())[0] == 1009
    announced = await site.raw()
    announced.writer.write(frame(b"", size=2**62))
    assert await announced.ended() == 1009
    assert (await site.goodbye())[0] == 1009


async def test_messages_are_binary(site: Site) -> None:
    connection = await site.connect()
    await connection.send("text")
    assert await closed(connection) == (4400, "malformed: messages are binary")
    in_pieces = await site.raw()
    in_pieces.writer.write(frame(b"a", kind=TEXT, fin=False) + frame(b"b", kind=CONTINUATION))
    assert await in_pieces.ended() == 4400


BROKEN = {
    "no mask": b"\x82\x01\x00",
    "first reserved bit": b"\xc2\x80\0\0\0\0",
    "second reserved bit": b"\xa2\x80\0\0\0\0",
    "third reserved bit": b"\x92\x80\0\0\0\0",
    "reserved bit on a continuation": frame(b"x", fin=False) + b"\xc0\x80\0\0\0\0",
    "reserved kind": b"\x83\x80\0\0\0\0",
    "reserved kind of control frame": b"\x8b\x80\0\0\0\0",
    "continuation of nothing": frame(b"x", kind=CONTINUATION),
    "a message within a message": frame(b"x", fin=False) + frame(b"x"),
    "a ping in pieces": b"\x09\x80\0\0\0\0",
    "a long ping": frame(b"x" * 126, kind=PING),
    "a close frame of one byte": frame(b"\x03", kind=CLOSE),
    "a close code that must not be sent": frame(struct.pack(">H", 1005), kind=CLOSE),
    "a close code that is only ever told": frame(struct.pack(">H", 1006), kind=CLOSE),
    "a close code that means nothing": frame(struct.pack(">H", 999), kind=CLOSE),
    "a close code of nought": frame(struct.pack(">H", 0), kind=CLOSE),
    "a close code beyond all": frame(struct.pack(">H", 5000), kind=CLOSE),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
async def test_broken_frames_end_it_as_the_standard_says(site: Site, data: bytes) -> None:
    connection = await site.raw()
    connection.writer.write(data)
    assert await connection.ended() == 1002
    assert (await site.goodbye())[0] == 1002


@pytest.mark.parametrize(
    ("ending", "code"),
    [(BROKEN["no mask"], 1002), (frame(b"\x63"), 4400), (GOODBYE, 1000)],
    ids=["a broken frame", "a bad message", "the client's own"],
)
async def test_nothing_is_sent_after_a_close_frame(site: Site, ending: bytes, code: int) -> None:
    acknowledges = b"Sec-WebSocket-Protocol: collabd.1\r\n\r\n"
    connection = await site.raw(head=handshake("notes").removesuffix(b"\r\n") + acknowledges)
    edit = frame(messages.update_frame(Writer(1).append("acknowledged too late")))
    connection.writer.write(edit + ending)
    sent = b""
    async with asyncio.timeout(PATIENCE):
        while b"\x88" not in sent:
            sent += await connection.reader.read(2**16)
        await site.room().flushed()
        connection.writer.write(GOODBYE)
        sent += await connection.reader.read()
    closing = sent[sent.index(b"\x88") :]
    assert closing[2:4] == struct.pack(">H", code)
    assert len(closing) == 2 + closing[1]


async def test_a_bad_message_ends_it_with_code_and_reason(site: Site) -> None:
    ada, ben = await synced(site), await synced(site)
    await ada.send(b"\x63")
    code, reason = await closed(ada)
    assert code == 4400
    assert reason.startswith("malformed: ")
    assert await site.goodbye() == (code, reason)
    await ben.send(messages.update_frame(Writer(2).append("goes on")))
    await ben.close()
    assert await text(site) == "goes on"


@pytest.mark.parametrize("size", [1, LARGE_MESSAGE + 1])
async def test_a_bad_message_is_counted_once_however_large(site: Site, size: int) -> None:
    ada = await synced(site)
    await ada.send(b"\x63" * size)
    assert (await closed(ada))[0] == 4400
    await site.goodbye()
    await site.rest()
    assert b'collabd_refusals_total{code="malformed"} 1.0\n' in site.service.telemetry.exposition()


async def test_what_comes_after_a_bad_message_is_not_taken(site: Site) -> None:
    connection = await site.raw()
    good = frame(messages.update_frame(Writer(1).append("too late")))
    connection.writer.write(frame(b"\x63") + good + good)
    assert await connection.ended() == 4400
    await site.goodbye()
    assert await text(site) == ""


@pytest.mark.parametrize(
    ("payload", "logged"),
    [
        (b"", (1005, "")),
        (struct.pack(">H", 1000), (1000, "")),
        (struct.pack(">H", 1001) + b"going away", (1001, "going away")),
        (struct.pack(">H", 4001) + "tschüß".encode(), (4001, "tschüß")),
        (struct.pack(">H", 3000), (3000, "")),
    ],
)
async def test_how_a_client_ends_it_is_logged_and_answered(
    site: Site, payload: bytes, logged: tuple[int, str]
) -> None:
    connection = await site.raw()
    connection.writer.write(frame(payload, kind=CLOSE))
    answer = await asyncio.wait_for(connection.reader.read(), PATIENCE)
    assert await site.goodbye() == logged
    closing = answer[answer.index(b"\x88") :]
    assert closing[2:4] in (payload[:2], struct.pack(">H", 1000)), "the same code, or simply 1000"
    assert len(closing) == 2 + closing[1], "nothing comes after it"
    connection.abort()


async def test_a_client_that_vanishes_is_removed(site: Site) -> None:
    ada, ben = await synced(site), await synced(site)
    entry = awareness.Entry(1, 1, "{}")
    await ada.send(messages.awareness_frame(awareness.encode([entry])))
    (here,) = awareness.decode((await until(ben, messages.AwarenessMessage)).payload)
    assert (here.client, here.state) == (1, "{}")
    ada.transport.abort()
    (gone,) = awareness.decode((await until(ben, messages.AwarenessMessage)).payload)
    assert (gone.client, gone.state) == (1, None)
    assert (await site.goodbye())[0] in (1005, 1006)
    assert len(list(site.room().peers)) == 1


async def test_a_client_that_ends_its_side_only_is_removed(site: Site) -> None:
    connection = await site.raw()
    connection.end()
    await connection.ended()
    assert (await site.goodbye())[0] in (1005, 1006)


# Who is let in


async def test_a_page_of_another_site_is_refused_before_the_upgrade(serve: Serve) -> None:
    site = await serve(allowed_origins="https://app.example")
    for origin in ("https://evil.example", "null", "http://[", f"http://127.0.0.1:{site.port + 1}"):
        with pytest.raises(InvalidStatus) as refusal:
            await site.connect(origin=origin)
        assert refusal.value.response.status_code == 403
    for origin in (f"http://127.0.0.1:{site.port}", "https://app.example"):
        await (await site.connect(origin=origin)).close()


@pytest.mark.parametrize("name", ["a%00b", "a//b", "..", "x" * 256, ""])
async def test_what_is_no_name_is_closed_for_good(site: Site, name: str) -> None:
    code, reason = await closed(await site.connect(name))
    assert code == 4422
    assert reason.startswith("invalid-name: ")


async def test_a_name_may_have_slashes_and_any_letters(site: Site) -> None:
    await synced(site, "team/%C3%BC/%F0%9F%99%82")
    assert site.room("team/ü/🙂") is not None


async def test_a_deleted_document_is_closed_for_good(site: Site) -> None:
    ada = await synced(site, subprotocols=["collabd.1"])
    await ada.send(messages.update_frame(Writer(1).append("x")))
    await until(ada, messages.Saved)
    await site.service.registry.delete("notes")
    code, reason = await closed(ada)
    assert (code, reason.split(":")[0]) == (4410, "deleted")
    code, reason = await closed(await site.connect(subprotocols=["collabd.1"]))
    assert (code, reason.split(":")[0]) == (4410, "deleted")


async def test_a_document_that_cannot_be_opened_is_closed_with_the_reason(serve: Serve) -> None:
    store = ScriptedStore(holds=False)
    site = await serve(store=store)
    store.load_errors = [DocumentDamaged("a row does not match its checksum")]
    code, reason = await closed(await site.connect())
    assert (code, reason) == (4510, "damaged: a row does not match its checksum")
    await (await synced(site)).close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_mistake_of_ours_ends_it_in_a_way_that_can_be_retried(serve: Serve) -> None:
    store = ScriptedStore(holds=False)
    site = await serve(store=store)
    store.load_errors = [ZeroDivisionError("a bug")]
    code, _ = await closed(await site.connect())
    assert not 4400 <= code <= 4499
    await site.rest()


async def test_a_token_in_the_address_is_never_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        good = await synced(site, "notes?token=SECRET")
        bad = await site.connect("notes?token=SECRET")
        await bad.send(b"\x63")
        await closed(bad)
        await closed(await site.connect("..?token=SECRET"))
        with pytest.raises(InvalidStatus):
            await site.connect("notes?token=SECRET", origin="https://evil.example")
        await good.close()
        await site.goodbye()
    ours = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    assert [record.getMessage() for record in ours if "SECRET" in record.getMessage()] == []


# Clients that do not wait


async def test_frames_sent_with_the_handshake_are_never_taken_for_something_else(site: Site) -> None:
    connection = await site.dial()
    early = frame(messages.update_frame(Writer(1).append("early")))
    connection.writer.write(handshake("notes") + early)
    head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert head.startswith(b"HTTP/1.1 101")
    connection.writer.write(frame(messages.update_frame(Writer(2).append("later"))))
    connection.writer.write(GOODBYE)
    await connection.ended()
    await site.goodbye()
    assert await text(site) in ("later", "earlylater", "laterearly")


async def test_frames_sent_while_the_document_is_loaded_do_no_harm(serve: Serve) -> None:
    store = ScriptedStore(holds=False)
    site = await serve(store=store)
    store.may_load.clear()
    connection = await site.dial()
    connection.writer.write(handshake("notes"))
    while not store.loads:
        await asyncio.sleep(0.001)
    connection.writer.write(frame(messages.update_frame(Writer(1).append("early"))) * 3)
    await connection.writer.drain()
    await asyncio.sleep(0.02)
    store.may_load.set()
    connection.abort()
    await site.rest()
    assert await text(site) in ("", "early")
    assert list(site.room().peers) == []
    await (await synced(site)).close()


async def test_who_vanishes_while_the_document_is_loaded_leaves_nothing_behind(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    store = ScriptedStore(holds=False)
    site = await serve(store=store)
    store.may_load.clear()
    connection = await site.dial()
    connection.writer.write(handshake("notes"))
    while not store.loads:
        await asyncio.sleep(0.001)
    connection.abort()
    await asyncio.sleep(0.02)
    store.may_load.set()
    await site.rest()
    assert list(site.room().peers) == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_who_vanishes_while_a_refused_document_is_loaded_leaves_nothing_behind(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    store = ScriptedStore(holds=False)
    site = await serve(store=store)
    store.may_load.clear()
    connection = await site.dial()
    connection.writer.write(handshake("notes"))
    while not store.loads:
        await asyncio.sleep(0.001)
    connection.abort()
    await asyncio.sleep(0.02)
    await site.service.drain()
    store.may_load.set()
    await site.rest()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("size", [17_000, 40_000])
async def test_a_long_request_head_is_served_like_any_other(site: Site, size: int) -> None:
    cookies = b"Cookie: " + b"c" * 8_000 + b"\r\n"
    head = handshake("notes")[:-2] + cookies * (size // 8_000) + b"\r\n"
    connection = await site.raw(head=head)
    connection.writer.write(frame(messages.update_frame(Writer(1).append("hello"))))
    connection.writer.write(GOODBYE)
    await connection.ended()
    await site.goodbye()
    assert await text(site) == "hello"


# Clients that do not read


async def not_reading(site: Site) -> RawConnection:
    """A client with small buffers that joins and then reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", site.port))
    connection = await site.raw(connected=client)
    connection.writer.write(frame(EMPTY))
    return connection


async def test_who_does_not_read_is_closed_and_the_others_go_on(serve: Serve, layer: str) -> None:
    site = await serve(peer_queue_bytes=200_000)
    slow = await not_reading(site)
    ada, ben = await synced(site, subprotocols=["collabd.1"]), await synced(site)
    writer = Writer(1)
    sent = 0
    while not site.said_goodbye:
        await ada.send(messages.update_frame(writer.append("x" * 20_000)))
        sent += 1
        assert await until(ada, messages.Saved) == messages.Saved(sent)
        assert len((await until(ben, messages.Update)).update) > 20_000
        assert sent < 800, "16 MB and more are kept for somebody who does not read"
    assert (await site.goodbye())[0] == 1013
    assert len(list(site.room().peers)) == 2
    async with asyncio.timeout(PATIENCE):
        while len(site.server.server_state.tasks) > (0 if layer == "fast" else 2):
            await asyncio.sleep(0.001)
    slow.abort()


async def test_a_document_larger_than_the_queue_can_be_opened(serve: Serve) -> None:
    site = await serve(peer_queue_bytes=65_536)
    doc: Doc[Any] = Doc()
    doc["content"] = Text("x" * 12_000_000)
    await site.service.registry.create("notes", doc.get_update())
    slow = await not_reading(site)
    quick = await synced(site)
    update = Writer(2).append("!")
    await site.room().submit(update)
    await until(quick, messages.Update)
    read = bytearray()
    async with asyncio.timeout(PATIENCE):
        while not read.endswith(messages.update_frame(update)):
            piece = await slow.reader.read(1_000_000)
            assert piece, "it was closed"
            read += piece
    assert len(read) > 12_000_000
    slow.abort()


async def test_who_has_much_to_read_hears_of_presence_when_it_has_read_it(serve: Serve) -> None:
    site = await serve(peer_queue_bytes=65_536)
    doc: Doc[Any] = Doc()
    doc["content"] = Text("x" * 12_000_000)
    await site.service.registry.create("notes", doc.get_update())
    slow = await not_reading(site)
    ada, ben = await synced(site), await synced(site)

    async def show(clock: int) -> bytes:
        state = f'{{"at":{clock},"much":"{"x" * 16_000}"}}'
        await ada.send(messages.awareness_frame(awareness.encode([awareness.Entry(1, clock, state)])))
        (entry,) = awareness.decode((await until(ben, messages.AwarenessMessage)).payload)
        assert entry.state == state
        return state.encode()

    last = b""
    for clock in range(15):
        last = await show(clock)
    assert not site.said_goodbye
    read = bytearray()
    async with asyncio.timeout(PATIENCE):
        while not read.endswith(last):
            piece = await slow.reader.read(1_000_000)
            assert piece, "it was closed"
            read += piece
    # Where uvicorn writes, what it holds is out of sight, and so some more is queued behind that.
    assert read.count(b'{"at":') <= 2 + BEHIND // 16_000, "it was not told what was past already"
    slow.abort()


# The end


async def test_stopping_closes_everybody_with_come_back(site: Site) -> None:
    connections = [await synced(site) for _ in range(3)]
    ended = asyncio.gather(*map(closed, connections))
    assert await site.service.drain()
    assert await ended == [(1012, "restart: the server restarts")] * 3
    late = await site.connect()
    assert (await closed(late))[0] == 1012


async def test_stopping_without_draining_closes_everybody_too(site: Site) -> None:
    connection = await synced(site)
    for each in list(site.server.server_state.connections):
        each.shutdown()
    assert (await closed(connection))[0] == 1012
    await site.rest()


async def test_who_waits_for_a_document_when_the_server_stops_is_told_to_come_back(serve: Serve) -> None:
    store = ScriptedStore(holds=False)
    site = await serve(store=store)
    store.may_load.clear()
    connecting = asyncio.create_task(site.connect())
    while not store.loads:
        await asyncio.sleep(0.001)
    await site.service.drain()
    assert (await closed(await connecting))[0] == 1012


async def test_something_is_sent_before_stock_providers_give_up(serve: Serve) -> None:
    site = await serve()
    connection = await synced(site)
    site.room().keep_alive()
    site.room().keep_alive()
    (message,) = await received(connection)
    assert isinstance(message, messages.AwarenessMessage)


# Compressed messages


async def test_who_agreed_gets_a_large_document_compressed_and_sends_compressed(serve: Serve) -> None:
    site = await serve()
    content = "All work and no play makes Jack a dull boy. " * 2_000
    ada = await synced(site, subprotocols=["collabd.1", "collabd.2"])
    assert ada.subprotocol == "collabd.2"
    writer = Writer(1)
    await ada.send(pack(messages.update_frame(writer.append(content))))
    assert await until(ada, messages.Saved) == messages.Saved(1)
    ben = await site.connect(subprotocols=["collabd.2"])
    await ben.send(EMPTY)
    frame = b""
    while frame[:1] != PACKED:
        frame = await asyncio.wait_for(ben.recv(decode=False), PATIENCE)
    assert len(frame) < len(content) / 20
    assert text_of(unpack(frame, len(content) * 2).update) == content
    plain = await site.connect(subprotocols=["collabd.1"])
    await plain.send(EMPTY)
    assert text_of((await until(plain, messages.SyncStep2)).update) == content
    await ada.send(messages.update_frame(writer.append("!")))
    assert text_of((await until(plain, messages.Update)).update) == ""
    assert await text(site) == content + "!"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (PACKED + wire.uint(100_001) + bytes(10), 1009),
        (pack(update_of(100_001)), 1009),
        (PACKED + wire.uint(100) + zlib.compress(bytes(10_000_000), 9, -15), 4400),
        (pack(pack(update_of(100))), 4400),
        (pack(EMPTY), 4400),
    ],
    ids=["it says too much", "it is too large", "a bomb", "nested", "a step 1"],
)
async def test_a_compressed_message_beyond_its_bounds_ends_its_sender(
    site: Site, frame: bytes, code: int
) -> None:
    ben = await synced(site)
    ada = await synced(site, subprotocols=["collabd.2"])
    await ada.send(frame)
    assert (await closed(ada))[0] == code
    await ben.send(messages.update_frame(Writer(1).append("goes on")))
    await ben.send(EMPTY)
    await until(ben, messages.SyncStep2)
    assert await text(site) == "goes on"


async def test_who_did_not_agree_may_not_send_compressed_messages(site: Site) -> None:
    ada = await synced(site, subprotocols=["collabd.1"])
    await ada.send(pack(update_of(100)))
    assert (await closed(ada))[0] == 4400
