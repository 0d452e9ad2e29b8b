"""What the processes that serve on one port are given."""

import os
from pathlib import Path

from collabd.serving import Orders
from collabd.settings import Settings
from collabd.supervisor import count_of


def test_there_are_as_many_as_processors_or_as_one_says() -> None:
    assert count_of(Settings()) == 1
    assert count_of(Settings(workers=3)) == 3
    assert count_of(Settings(workers=0)) == len(os.sched_getaffinity(0))


def test_orders_arrive_as_they_were_given() -> None:
    settings = Settings(workers=2, host="::1", rules=({"allow": ["a"], "access": "read"},), session_hours=0.5)
    for store in (None, Path("/run/store")):
        orders = Orders(2, settings, [7, 8], store, Path("/run/hub"), Path("/run/tally"), bytes(range(32)))
        line = orders.packed()
        assert line.endswith(b"\n")
        assert Orders.unpacked(line) == orders
