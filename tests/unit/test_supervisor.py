"""What the processes that serve on one port are given."""

import os
import socket
from pathlib import Path

import pytest

from collabd import supervisor
from collabd.serving import Orders
from collabd.settings import Settings
from collabd.supervisor import count_of, sockets_for


def test_there_are_as_many_as_processors_or_as_one_says() -> None:
    assert count_of(Settings()) == 1
    assert count_of(Settings(workers=3)) == 3
    assert count_of(Settings(workers=0)) == len(os.sched_getaffinity(0))


def test_orders_arrive_as_they_were_given() -> None:
    settings = Settings(workers=2, host="::1", rules=({"allow": ["a"], "access": "read"},), session_hours=0.5)
    for store in (None, Path("/run/store")):
        orders = Orders(2, settings, [7, 8], store, Path("/run/hub"), bytes(range(32)))
        line = orders.packed()
        assert line.endswith(b"\n")
        assert Orders.unpacked(line) == orders


def test_each_has_a_socket_of_its_own_on_one_port() -> None:
    with sockets_for("127.0.0.1", 0, 3) as each:
        addresses = {one.getsockname() for sockets in each for one in sockets}
        assert len(each) == 3
        assert len(addresses) == 1
        assert len({one.fileno() for sockets in each for one in sockets}) == 3


def test_where_the_system_does_not_distribute_connections_they_share_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "DISTRIBUTES", False)
    with sockets_for("127.0.0.1", 0, 3) as each:
        assert len({one.fileno() for sockets in each for one in sockets}) == 1


def test_a_host_may_have_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2") * 2
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with sockets_for("both", 0, 2) as each:
        assert [[one.getsockname()[0] for one in sockets] for sockets in each] == [
            ["127.0.0.1", "127.0.0.2"]
        ] * 2


def test_a_port_is_not_shared_with_others() -> None:
    with sockets_for("127.0.0.1", 0, 2) as each:
        for sockets in each:
            sockets[0].listen()
        port = each[0][0].getsockname()[1]
        with (
            pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be listened on"),
            sockets_for("127.0.0.1", port, 2),
        ):
            pass
