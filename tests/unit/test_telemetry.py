"""What is counted, what is logged, and that all of it is documented."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collabd.bridge.local import Hub
from collabd.bridging import BridgeFigures
from collabd.rooms.observer import Observer
from collabd.telemetry import Telemetry, set_up_logging
from scripts.page import ROOT


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream to log to; afterwards logging is as it was."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    handlers, level, uvicorn_level = root.handlers[:], root.level, uvicorn.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    uvicorn.setLevel(uvicorn_level)


def figures(telemetry: Telemetry) -> dict[str, float]:
    """Every sample by name and labels, as Prometheus would read it."""
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(telemetry.exposition().decode())
        for sample in family.samples
    }


def test_a_visit_is_counted() -> None:
    telemetry = Telemetry()
    observer: Observer = telemetry
    observer.room_opened("notes", 0.02)
    observer.joined("notes", 1, "anonymous", "127.0.0.1:5000")
    observer.joined("notes", 2, "anonymous", "127.0.0.1:5001")
    observer.committed(updates=3, size=90, seconds=0.002)
    observer.delivered(updates=2, seconds=0.25)
    observer.round_trip(1.0)
    observer.round_trip(0.25)
    observer.delivered(updates=1, seconds=0.5)
    observer.redundant(2)
    observer.early(3)
    observer.early(-1)
    observer.left("notes", 2, "anonymous", 1013, "slow-client: x", 1.5, 7)
    observer.refused("not-allowed")

    assert (
        figures(telemetry).items()
        >= {
            "collabd_rooms": 1,
            "collabd_room_load_seconds_count": 1,
            "collabd_connections": 1,
            "collabd_joins_total": 2,
            "collabd_leaves_total{code=1013}": 1,
            "collabd_updates_total": 3,
            "collabd_update_bytes_total": 90,
            "collabd_commit_seconds_count": 1,
            "collabd_commit_seconds_bucket{le=0.0025}": 1,
            "collabd_commit_seconds_bucket{le=0.001}": 0,
            "collabd_edit_seconds_count": 3,
            "collabd_edit_seconds_sum": 1.0,
            "collabd_seen_seconds_count": 3,
            "collabd_seen_seconds_sum": 1.25,
            "collabd_round_trip_seconds_count": 2,
            "collabd_round_trip_seconds_sum": 1.25,
            "collabd_redundant_total": 2,
            "collabd_early_updates": 2,
            "collabd_refusals_total{code=not-allowed}": 1,
        }.items()
    )

    observer.left("notes", 1, "anonymous", 1000, "", 2.0, 0)
    observer.room_closed("notes")
    assert figures(telemetry)["collabd_connections"] == 0
    assert figures(telemetry)["collabd_rooms"] == 0


def test_two_applications_do_not_share_figures() -> None:
    first, second = Telemetry(), Telemetry()
    first.redundant(1)
    assert figures(second)["collabd_redundant_total"] == 0


def test_a_join_and_a_leave_are_one_json_line_each(stream: io.StringIO) -> None:
    set_up_logging("info", "json", stream)
    telemetry = Telemetry()
    telemetry.joined("team/notes", 7, "anna", "192.0.2.1:5000")
    telemetry.left("team/notes", 7, "anna", 1013, 'slow-client: "it\nlags"', 12.34567, 5)

    join, leave = (json.loads(line) for line in stream.getvalue().splitlines())
    for line in (join, leave):
        assert line.pop("time").endswith("+00:00")
        assert (line.pop("level"), line.pop("logger")) == ("INFO", "collabd")
    assert join == {
        "message": "joined",
        "event": "join",
        "document": "team/notes",
        "peer": 7,
        "who": "anna",
        "address": "192.0.2.1:5000",
    }
    assert leave == {
        "message": "left",
        "event": "leave",
        "document": "team/notes",
        "peer": 7,
        "who": "anna",
        "code": 1013,
        "reason": 'slow-client: "it\nlags"',
        "seconds": 12.346,
        "updates": 5,
    }


def test_text_lines_quote_what_could_be_taken_for_something_else(stream: io.StringIO) -> None:
    set_up_logging("info", "text", stream)
    Telemetry().joined("a b\u2028event=leave", 7, "", 'x"y')
    (line,) = stream.getvalue().split("\n")[:-1]
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    assert rest == (
        r'INFO collabd: joined event=join document="a b\u2028event=leave" peer=7 who="" address="x\"y"'
    )


def test_an_exception_is_logged_with_its_traceback_in_either_format(stream: io.StringIO) -> None:
    for form in ("json", "text"):
        set_up_logging("info", form, stream)
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("collabd").exception("failed")
    written = stream.getvalue()
    assert written.count("ValueError: broken") == 2
    assert "ValueError: broken" in json.loads(written.splitlines()[0])["exc_info"]


def test_lines_below_the_level_are_left_out(stream: io.StringIO) -> None:
    set_up_logging("warning", "text", stream)
    Telemetry().joined("notes", 1, "anna", "127.0.0.1:1")
    assert stream.getvalue() == ""


def test_uvicorn_does_not_log_query_strings_even_when_debugging(stream: io.StringIO) -> None:
    set_up_logging("debug", "text", stream)
    logging.getLogger("uvicorn.error").info(
        '%s - "WebSocket %s" [accepted]', "127.0.0.1", "/ws/a?token=secret"
    )
    logging.getLogger("uvicorn.error").warning("a warning")
    assert "secret" not in stream.getvalue()
    assert "a warning" in stream.getvalue()


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    telemetry = Telemetry()
    telemetry.registry.register(BridgeFigures(Hub(b"the key of the cluster").bridge(), lambda: 0))
    for family in telemetry.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        row = f"| `{name}` | {family.type} | {family.documentation} |"
        assert row in page, f"docs/operations.md should hold the line\n{row}"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_says_which_worker_it_comes_from(form: str, stream: io.StringIO) -> None:
    set_up_logging("info", form, stream, worker=2)
    logging.getLogger("collabd").info("joined", extra={"document": "notes"})
    line = stream.getvalue()
    if form == "json":
        assert json.loads(line)["worker"] == 2
    else:
        assert line.endswith("INFO collabd: joined document=notes worker=2\n")
