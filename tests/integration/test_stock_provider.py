"""y-websocket's own provider, unchanged, against a running server."""

import asyncio

import pytest

from tests.support.clients import Client
from tests.support.stock import stock_clients
from tests.support.watching import ServerFactory, figure_becomes, figures, logged_updates

FASTER = 20.0


async def test_stock_clients_and_ours_write_together(server: ServerFactory, node: str) -> None:
    running = server()
    async with stock_clients(node, running) as stock, Client(running.websocket_url("notes")) as ours:
        await stock("open", "ada", document="notes")
        await stock("open", "bob", document="notes")
        await stock("insert", "ada", position=0, text="naïve 😀 text")
        await stock("text", "bob", expected="naïve 😀 text")
        await stock("remove", "bob", position=0, length=6)
        await ours.has_text("😀 text")
        ours.append(" and more")
        for name in ("ada", "bob"):
            await stock("text", name, expected="😀 text and more")


async def test_documents_may_have_slashes_in_their_names(server: ServerFactory, node: str) -> None:
    running = server()
    async with stock_clients(node, running) as stock:
        await stock("open", "ada", document="a/b c/été")
        await stock("insert", "ada", position=0, text="hello")
        async with Client(running.websocket_url("a/b c/été")) as ours:
            await ours.has_text("hello")
        async with Client(running.websocket_url("a")) as other:
            assert str(other.text) == ""


async def test_presence_of_stock_clients(server: ServerFactory, node: str) -> None:
    running = server()
    async with stock_clients(node, running) as stock, Client(running.websocket_url("notes")) as ours:
        ours.set_presence({"user": "ours"})
        await stock("open", "ada", document="notes")
        await stock("presence", "ada", field="user", value="ada")
        assert await stock("others", "ada", field="user", count=1) == ["ours"]
        await stock("open", "bob", document="notes")
        await stock("presence", "bob", field="user", value="bob")
        assert sorted(await stock("others", "bob", field="user", count=2)) == ["ada", "ours"]
        await ours.until(lambda: len(ours.others) == 2)

        await stock("disconnect", "bob")
        assert await stock("others", "ada", field="user", count=1) == ["ours"]
        await ours.until(lambda: len(ours.others) == 1)
        await stock("connect", "bob")
        # At once: a renewal, which comes every 15 s, would also bring them back.
        assert sorted(await stock("others", "bob", field="user", count=2, within=10)) == ["ada", "ours"]
        assert sorted(await stock("others", "ada", field="user", count=2, within=10)) == ["bob", "ours"]
        await stock("close", "bob")
        assert await stock("others", "ada", field="user", count=1) == ["ours"]


async def test_a_stock_client_stays_connected_in_silence(server: ServerFactory, node: str) -> None:
    """A minute of the provider's time in which nobody does anything. It gives up after 30 s of silence."""
    running = server(environment={"COLLABD_KEEPALIVE_SECONDS": "1"})
    async with stock_clients(node, running, clock=FASTER / 2) as stock:
        await stock("open", "ada", document="notes")
        await stock("wait", seconds=60)
        assert await stock("closes", "ada") == []
        assert (await stock("state", "ada"))["connected"]
    assert figures(running)["collabd_joins_total"] == 1


async def test_without_keep_alive_a_stock_client_would_give_up(server: ServerFactory, node: str) -> None:
    """What the test above relies on: sped up far enough, the provider does find the server silent."""
    running = server(environment={"COLLABD_KEEPALIVE_SECONDS": "25"})
    async with stock_clients(node, running, clock=FASTER) as stock:
        await stock("open", "ada", document="notes")
        assert (await stock("closes", "ada", count=1))[0] is None


async def test_a_hundred_reconnects_of_a_stock_client_write_nothing(server: ServerFactory, node: str) -> None:
    running = server()
    async with stock_clients(node, running) as stock:
        await stock("open", "ada", document="notes")
        await stock("insert", "ada", position=0, text="some words that stay or go")
        await stock("remove", "ada", position=5, length=6)
        await stock("remove", "ada", position=10, length=3)
        async with Client(running.websocket_url("notes")) as ours:
            await ours.has_text("some that y or go")
        before = await asyncio.to_thread(logged_updates, running, "notes")
        for _ in range(100):
            await stock("disconnect", "ada")
            await stock("connect", "ada")
        await stock("close", "ada")
        await figure_becomes(running, "collabd_connections", 0)
        assert figures(running)["collabd_joins_total"] == 102
        assert await asyncio.to_thread(logged_updates, running, "notes") == before


@pytest.mark.parametrize("end", ["terminate", "kill"])
async def test_a_stock_client_comes_back_by_itself_with_what_it_wrote_offline(
    end: str, server: ServerFactory, node: str
) -> None:
    running = server()
    async with stock_clients(node, running) as stock:
        for name in ("ada", "bob"):
            await stock("open", name, document="notes")
        await stock("insert", "ada", position=0, text="online ")
        await stock("text", "bob", expected="online ")
        await asyncio.to_thread(getattr(running, end))
        for name in ("ada", "bob"):
            await stock("closes", name, count=1)
        await stock("insert", "ada", position=7, text="ada ")
        await stock("insert", "bob", position=0, text="bob ")
        await asyncio.to_thread(running.start)
        for name in ("ada", "bob"):
            await stock("text", name, expected="bob online ada ")
        if end == "terminate":
            assert (await stock("closes", "ada"))[0] == 1012


async def test_a_stock_client_does_not_come_back_after_a_final_refusal(
    server: ServerFactory, node: str
) -> None:
    running = server()
    async with stock_clients(node, running) as stock:
        await stock("open", "ada", document="notes")
        await stock("insert", "ada", position=0, text="x")
        # The provider sends what it is told to, and the server cannot take this.
        await stock("send", "ada", data=[0, 2, 1, 255])
        assert await stock("closes", "ada", count=1) == [4400]
        assert not (await stock("state", "ada"))["shouldConnect"]
        assert figures(running)["collabd_joins_total"] == 1
