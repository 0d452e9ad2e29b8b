"""Metrics and log lines agree with what happened."""

from collabd.protocol import messages
from tests.support.clients import Client
from tests.support.watching import ServerFactory, becomes, figure_becomes, figures, log_lines, logged_updates


async def test_metrics_count_what_happened(server: ServerFactory) -> None:
    running = server(options=["--room-idle-seconds", "0.1", "--keepalive-seconds", "1"])
    before = figures(running)
    assert before["collabd_connections"] == before["collabd_rooms"] == before["collabd_updates_total"] == 0

    async with Client(running.websocket_url("one"), saves=True) as ada:
        sizes = 0
        for number in range(30):
            ada.append(f"{number} ")
            sizes += len(ada.last_edit)
        await ada.saved_all()
        async with Client(running.websocket_url("one")), Client(running.websocket_url("two")) as cy:
            # Nothing in here is new: the answers to step 1, and an update sent twice.
            ada.send_update(ada.last_edit)
            await ada.saved_all()
            seen = figures(running)
            assert seen["collabd_connections"] == seen["collabd_joins_total"] == 3
            assert seen["collabd_rooms"] == 2
            assert seen["collabd_room_load_seconds_count"] == 2
            assert seen["collabd_updates_total"] == logged_updates(running, "one") == 30
            assert seen["collabd_update_bytes_total"] == sizes
            assert 1 <= seen["collabd_commit_seconds_count"] <= 30
            assert 0 < seen["collabd_commit_seconds_sum"] < 30
            assert seen["collabd_early_updates"] == 0
            assert seen["collabd_seen_seconds_count"] == seen["collabd_edit_seconds_count"] == 30
            await becomes(lambda: figures(running)["collabd_round_trip_seconds_count"] >= 1, True)
            await figure_becomes(running, "collabd_redundant_total", 4)
            await cy.close()
        cut = await Client(running.websocket_url("one")).connect()
        await cut.synced()
        await cut.cut()
        await cut.dispose()
        bad = await Client(running.websocket_url("one")).connect()
        bad.send_raw(b"\xff")
        assert await bad.closed() == 4400
        await bad.dispose()
        await figure_becomes(running, "collabd_connections", 1)

    await figure_becomes(running, "collabd_rooms", 0)
    after = figures(running)
    assert after["collabd_connections"] == 0
    assert after["collabd_joins_total"] == 5
    left = {name: value for name, value in after.items() if name.startswith("collabd_leaves_total")}
    assert sum(left.values()) == 5
    assert left["collabd_leaves_total{code=1000}"] == 1
    assert left["collabd_leaves_total{code=4400}"] == 1
    assert left["collabd_leaves_total{code=1006}"] == 3
    assert after["collabd_refusals_total{code=malformed}"] == 1
    assert after["collabd_updates_total"] == 30


async def test_one_line_for_each_who_joins_and_leaves_says_who_where_and_why(server: ServerFactory) -> None:
    running = server(options=["--log-format", "json"])
    url = running.websocket_url("notes/été 1")
    async with Client(url, saves=True) as ada:
        for word in ("a", "b", "c"):
            ada.append(word)
        await ada.saved_all()
        sent = ada.sent
        mallory = await Client(url).connect()
        mallory.send_raw(messages.update_frame(b"\xff"))
        await mallory.closed()
        await mallory.dispose()
        await figure_becomes(running, "collabd_connections", 1)
        await ada.close()
    await figure_becomes(running, "collabd_connections", 0)

    joins, leaves = log_lines(running, "join"), log_lines(running, "leave")
    assert len(joins) == len(leaves) == 2
    assert {line["document"] for line in joins + leaves} == {"notes/été 1"}
    assert {line["peer"] for line in joins} == {line["peer"] for line in leaves}
    assert len({line["peer"] for line in joins}) == 2
    for line in joins:
        assert line["who"]
        assert line["address"].startswith("127.0.0.1:")
    told_off, went = leaves
    assert told_off["code"] == 4400
    assert told_off["reason"].startswith("malformed: ")
    assert went["code"] == 1000
    assert went["updates"] == sent
    assert 0 < went["seconds"] < 60
    # Nothing of what was written, and nothing that looks like trouble.
    assert {line["level"] for line in log_lines(running)} == {"INFO"}


async def test_a_line_cannot_be_forged_by_the_name_of_a_document(server: ServerFactory) -> None:
    running = server()
    name = 'x event=leave code=1000" reason='
    async with Client(running.websocket_url(name)):
        pass
    await figure_becomes(running, "collabd_connections", 0)
    lines = [line for line in running.log.splitlines() if "event=" in line]
    assert len(lines) == 2
    assert 'collabd: joined event=join document="x event=leave code=1000\\" reason="' in lines[0]


async def test_names_that_no_document_can_have_are_refused_for_good(server: ServerFactory) -> None:
    running = server()
    for name in ("a//b", "../etc", "a/.", "x" * 256, "tab\there", "e\N{COMBINING ACUTE ACCENT}"):
        client = await Client(running.websocket_url(name)).connect()
        assert await client.closed() == 4422, name
        assert client.close_reason.startswith("invalid-name: ")
        await client.dispose()
    assert figures(running)["collabd_refusals_total{code=invalid-name}"] == 6
    assert figures(running)["collabd_joins_total"] == 0
