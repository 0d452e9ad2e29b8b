"""Updates that arrive before the one they build on, over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pycrdt import Doc, Text

from collabd.protocol import wire
from collabd.protocol.update import check_state_vector
from tests.support import RunningServer
from tests.support.clients import ROOT, Client
from tests.support.watching import (
    ServerFactory,
    becomes,
    copies,
    exported_text,
    figures,
    logged_updates,
    snapshot_seq,
)

SNAPSHOT_AFTER = 4


def edited(*edits: Callable[[Text], None], base: "Doc[Any] | None" = None) -> list[bytes]:
    """The update of each of several edits, made one after the other."""
    doc: Doc[Any] = Doc()
    if base is not None:
        doc.apply_update(base.get_update())
    text = doc.get(ROOT, type=Text)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for edit in edits:
        edit(text)
    doc.unobserve(subscription)
    return updates


def append(new: str) -> Callable[[Text], None]:
    """An edit that types at the end."""

    def edit(text: Text) -> None:
        text += new

    return edit


def delete(start: int, end: int) -> Callable[[Text], None]:
    """An edit that deletes."""

    def edit(text: Text) -> None:
        del text[start:end]

    return edit


def same_author() -> tuple[bytes, bytes, str]:
    first, second = edited(append("one "), append("two "))
    return first, second, "one two "


def another_author() -> tuple[bytes, bytes, str]:
    (first,) = edited(append("one "))
    base: Doc[Any] = Doc()
    base.apply_update(first)
    (second,) = edited(append("two "), base=base)
    return first, second, "one two "


def deletion() -> tuple[bytes, bytes, str]:
    first, second = edited(append("one two "), delete(0, 4))
    return first, second, "two "


async def early_updates_become(server: RunningServer, number: int) -> None:
    """Return once so many wait, wherever the document is open."""

    def in_each_copy() -> float:
        seen = figures(server)
        return seen["collabd_early_updates"] / copies(seen)

    await becomes(in_each_copy, number)


async def nothing(server: RunningServer) -> None:
    pass


async def a_client_joins(server: RunningServer) -> None:
    async with Client(server.websocket_url("notes")):
        pass


async def the_server_restarts(server: RunningServer) -> None:
    assert await asyncio.to_thread(server.terminate) == 0, server.log
    await asyncio.to_thread(server.start)


async def the_server_is_killed(server: RunningServer) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def a_snapshot_is_taken(server: RunningServer) -> None:
    async with Client(server.websocket_url("notes"), saves=True) as other:
        before = await asyncio.to_thread(logged_updates, server, "notes")
        padding = other.doc.get("padding", type=Text)
        # Enough for two snapshots: the second one has the early update under the first.
        while snapshot_seq(server, "notes") < before + SNAPSHOT_AFTER:
            with other.editing():
                padding += "some more "
            await other.saved_all()


async def a_snapshot_is_taken_and_the_server_killed(server: RunningServer) -> None:
    await a_snapshot_is_taken(server)
    await the_server_is_killed(server)


@pytest.mark.parametrize(
    "in_between",
    [
        nothing,
        a_client_joins,
        the_server_restarts,
        the_server_is_killed,
        a_snapshot_is_taken,
        a_snapshot_is_taken_and_the_server_killed,
    ],
)
@pytest.mark.parametrize("made", [same_author, another_author, deletion])
async def test_an_update_that_comes_before_its_base_waits_for_it(
    made: Callable[[], tuple[bytes, bytes, str]],
    in_between: Callable[[RunningServer], Awaitable[None]],
    server: ServerFactory,
) -> None:
    base, early, expected = made()
    running = server(options=["--snapshot-after-updates", str(SNAPSHOT_AFTER)])
    url = running.websocket_url("notes")
    reader, sender = Client(url), Client(url, saves=True)
    for client in (reader, sender):
        await client.connect()
        await client.synced()
    sender.send_update(early)
    await sender.saved_all()
    assert str(sender.text) == str(reader.text) == ""
    await early_updates_become(running, 1)

    await in_between(running)

    for client in (reader, sender):
        if not client.is_connected:
            await client.cut()
            await client.reconnect()
            await client.synced()
    async with Client(url, holds=True) as joiner:
        await early_updates_become(running, 1)
        # It is handed on as it came, beside what the document shows.
        await joiner.until(lambda: early in joiner.held)
        joiner.holds = False
        joiner.release()
        sender.send_update(base)
        await sender.saved_all()
        await early_updates_become(running, 0)
        await reader.has_text(expected)
        await joiner.has_text(expected)
    async with Client(url) as newcomer:
        assert str(newcomer.text) == expected
    await the_server_is_killed(running)
    async with Client(url) as newcomer:
        assert str(newcomer.text) == expected
    for client in (reader, sender):
        await client.dispose()


async def test_who_sent_an_early_update_is_asked_for_what_is_missing(server: ServerFactory) -> None:
    running = server()
    async with Client(running.websocket_url("notes"), saves=True) as author:
        author.unsent = []
        author.append("one ")
        author.append("two ")
        _, early = author.unsent
        author.send_update(early)
        # The answer to the server's step 1 brings it.
        async with Client(running.websocket_url("notes")) as reader:
            await reader.has_text("one two ")
    await early_updates_become(running, 0)


async def test_many_early_updates_in_reverse_order_end_as_if_in_order(server: ServerFactory) -> None:
    running = server(options=["--snapshot-after-updates", "10"])
    words = [f"{number} " for number in range(60)]
    updates = edited(*map(append, words))
    url = running.websocket_url("notes")
    async with Client(url) as reader, Client(url, saves=True) as sender:
        for update in reversed(updates):
            sender.send_update(update)
        await reader.has_text("".join(words))
        await sender.saved_all()
    await the_server_is_killed(running)
    async with Client(url) as newcomer:
        assert str(newcomer.text) == "".join(words)


async def test_ids_that_somebody_claimed_ahead_of_time_lose_nobody_an_edit(server: ServerFactory) -> None:
    running = server()
    url = running.websocket_url("notes")
    async with Client(url, saves=True) as ada, Client(url, saves=True) as mallory:
        ada.append("one ")
        await ada.saved_all()
        (have,) = check_state_vector(ada.doc.get_state()).items()
        assert have[0] == ada.doc.client_id
        # A string in the place of Ada's next hundred characters, behind something that never comes.
        claim = (
            b"\1\1" + wire.uint(have[0]) + wire.uint(have[1]) + b"\x84\x63\5" + wire.text("?" * 100) + b"\0"
        )
        mallory.send_update(claim)
        await mallory.saved_all()
        await early_updates_become(running, 1)
        for word in ("two ", "three ", "four "):
            ada.append(word)
            await ada.saved_all()
        # A pycrdt client would not do as a witness: it takes the claim in too soon, which Yjs does not.
        await becomes(lambda: exported_text(running, "notes"), "one two three four ")
        assert await asyncio.to_thread(logged_updates, running, "notes") == 5
    await the_server_is_killed(running)
    assert await asyncio.to_thread(exported_text, running, "notes") == "one two three four "


async def test_reconnecting_without_an_edit_writes_nothing(server: ServerFactory) -> None:
    running = server()
    url = running.websocket_url("notes")
    client = Client(url, saves=True)
    await client.connect()
    await client.synced()
    for word in ("some ", "words ", "that ", "stay ", "or ", "go "):
        client.append(word)
    client.delete(5, 11)
    client.delete(10, 15)
    await client.saved_all()
    before = await asyncio.to_thread(logged_updates, running, "notes")
    for _ in range(100):
        await client.cut()
        await client.connect()
        await client.synced()
        # Our step 2 repeats what we have; that it was taken is said only once it is safe.
        await client.until(lambda: client.sent == 1)
        await client.saved_all()
    assert await asyncio.to_thread(logged_updates, running, "notes") == before
    assert figures(running)["collabd_updates_total"] == before
    await client.dispose()
