"""Opening what is large: the page takes it compressed, whole, and plain if that fails."""

from playwright.async_api import WebSocket, WebSocketRoute, expect

from collabd.protocol.packing import PACKED
from tests.conftest import ServerFactory
from tests.support.clients import Client

from .conftest import WindowFactory

TEXT = "".join(f"{number}: all work and no play makes Jack a dull boy\n" for number in range(5_000))


async def test_a_large_document_comes_compressed_and_is_whole(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    frames: list[bytes] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", keep)

    def keep(frame: str | bytes) -> None:
        assert isinstance(frame, bytes)
        frames.append(frame)

    async with Client(running.websocket_url("large"), packs=True) as author:
        author.append(TEXT)
        await author.saved_all()
        ada = await window(running.url, "Ada")
        ada.page.on("websocket", listen)
        await ada.open("large")
        await ada.go_to_end()
        await ada.write("the end")
        await ada.is_saved()
        await author.has_text(TEXT + "the end")
        author.append("!")
        await expect(ada.text_field).to_contain_text("the end!")
        assert [frame[:1] for frame in frames].count(PACKED) == 1
        assert sum(map(len, frames)) < len(TEXT) / 4


async def test_what_cannot_be_inflated_is_asked_for_again_as_it_is(
    server: ServerFactory, window: WindowFactory
) -> None:
    running = server()
    damaged = 0

    def tamper(page: WebSocketRoute) -> None:
        origin = page.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            nonlocal damaged
            if isinstance(frame, bytes) and frame[:1] == PACKED:
                damaged += 1
                frame = frame[:-1]
            page.send(frame)

        origin.on_message(pass_on)

    async with Client(running.websocket_url("large"), saves=True) as author:
        author.append(TEXT)
        await author.saved_all()
        ada = await window(running.url, "Ada")
        await ada.page.route_web_socket("**/ws/**", tamper)
        await ada.open("large")
        await ada.go_to_end()
        await ada.write("the end")
        await ada.is_saved()
        await author.has_text(TEXT + "the end")
    assert damaged == 1
