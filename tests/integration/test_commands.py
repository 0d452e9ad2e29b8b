"""Every command, on a file at rest and beside the server that owns it."""

import fcntl
import json
import sqlite3
import stat
from contextlib import closing
from typing import Any

import pytest
from pycrdt import Doc, Map, Text

from collabd.commands import owner
from tests.support import postgres
from tests.support.commands import Place
from tests.support.watching import ServerFactory

SECRET = "the text nobody is to find"


def write(place: Place, name: str, content: str | bytes) -> str:
    path = place.folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def change(place: Place, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(place.database)) as connection, connection:
        connection.execute(statement, parameters)


def update_with(text: str) -> bytes:
    doc: Doc[Any] = Doc()
    doc["content"] = Text(text)
    return doc.get_update()


# What documents hold


def test_documents_are_imported_listed_and_exported(place: Place) -> None:
    place.ok("import", write(place, "plan.md", "# Plan\n"), write(place, "list.txt", "milk"))
    place.ok("import", write(place, "x.yjs", update_with("raw")), "--name", "folder/raw ü")
    listed = place.run("documents", "--json").json
    assert [document["name"] for document in listed["documents"]] == ["folder/raw ü", "list", "plan"]
    assert listed["count"] == 3
    assert listed["documents"][0].keys() == {
        "name", "id", "updates", "created_at", "updated_at", "quarantine",
    }  # fmt: skip
    assert [line.split("  ")[-1] for line in place.ok("documents", "--prefix", "p").splitlines()] == ["plan"]

    assert place.ok("export", "plan", "--format", "text") == "# Plan\n"
    assert json.loads(place.ok("export", "folder/raw ü", "--root", "content")) == "raw"
    said = place.run("export", "list", "--output", "deep/list.html", "--json").json
    assert (place.folder / "deep/list.html").read_text().startswith("<!doctype html>")
    assert said == {
        "name": "list",
        "format": "html",
        "version": 1,
        "bytes": (place.folder / "deep/list.html").stat().st_size,
        "file": "deep/list.html",
    }
    place.ok("export", "--all", "out", "--format", "update")
    files = sorted(
        str(path.relative_to(place.folder / "out")) for path in (place.folder / "out").rglob("*.yjs")
    )
    assert files == ["folder/raw ü.yjs", "list.yjs", "plan.yjs"]
    copy: Doc[Any] = Doc()
    copy.apply_update((place.folder / "out/plan.yjs").read_bytes())
    assert str(copy.get("content", type=Text)) == "# Plan\n"


def test_what_cannot_be_imported_or_exported_keeps_nothing_else_from_it(place: Place) -> None:
    names = [write(place, "a.txt", "a"), write(place, "b.txt", b"\xff"), write(place, "c.pdf", "")]
    done = place.run("import", *names, "missing.txt", write(place, "d.txt", "d"), "--json")
    assert done.code == 1
    assert done.json["failed"] == 3
    assert [(row["name"], row.get("error")) for row in done.json["documents"]] == [
        ("a", None), ("b", "malformed"), ("c", "unsupported-format"), ("missing", "file"), ("d", None),
    ]  # fmt: skip
    again = place.run("import", "a.txt")
    assert (again.code, again.err) == (1, "a: a already has content\n")

    doc: Doc[Any] = Doc()
    doc["map"] = Map({"key": 1.0})
    place.ok("import", write(place, "map.yjs", doc.get_update()))
    done = place.run("export", "--all", "out", "--format", "markdown", "--json")
    assert done.code == 1
    assert {row["name"]: row.get("error") for row in done.json["documents"]} == {
        "a": None, "d": None, "map": "unsupported-format",
    }  # fmt: skip
    assert sorted(path.name for path in (place.folder / "out").iterdir()) == ["a.md", "d.md"]


def test_a_large_document_goes_in_and_out(place: Place) -> None:
    text = "".join(f"line {number} äöü\n" for number in range(60_000))
    place.ok("import", write(place, "large.txt", text))
    place.ok("export", "large", "--output", "out.txt")
    assert (place.folder / "out.txt").read_text() == text


def test_documents_come_from_hocuspocus(place: Place) -> None:
    with closing(sqlite3.connect(place.folder / "other.db")) as connection, connection:
        connection.execute('CREATE TABLE "documents" ("name" varchar(255) NOT NULL, "data" blob NOT NULL)')
        rows = [("one", update_with("first")), ("two", update_with("second")), ("..", update_with("x")),
                ("bad", b"not an update"), ("text", "no blob")]  # fmt: skip
        connection.executemany("INSERT INTO documents VALUES (?, ?)", rows)
    before = (place.folder / "other.db").read_bytes()
    done = place.run("import", "--from", "hocuspocus", "other.db", "--json")
    assert {row["name"]: row.get("error") for row in done.json["documents"]} == {
        "one": None, "two": None, "..": "invalid-name", "bad": "malformed", "text": "malformed",
    }  # fmt: skip
    assert done.code == 1
    assert place.ok("export", "two", "--format", "text") == "second"
    assert (place.folder / "other.db").read_bytes() == before
    done = place.run("import", "--from", "hocuspocus", "collabd.db.lock")
    assert done.code == 1
    assert "not a database of Hocuspocus" in done.err


def test_versions_are_named_exported_and_restored(place: Place) -> None:
    place.ok("import", write(place, "notes.txt", "first"))
    place.ok("versions", "notes", "--name", "draft", "--version", "1")
    assert place.run("restore", "notes", "draft", "--json").json == {
        "name": "notes", "restored": 1, "version": 1, "changed": False,
    }  # fmt: skip
    (version,) = place.run("versions", "notes", "--json").json["versions"]
    assert (version["version"], version["name"]) == (1, "draft")
    assert version["author"] == {"principal": "operator", "name": "Operator"}
    assert place.ok("export", "notes", "--version", "draft", "--format", "text") == "first"
    assert "draft" in place.ok("versions", "notes")
    for arguments, code in [
        (["restore", "notes", "2"], "no-such-version"),
        (["restore", "notes", "other"], "no-such-version"),
        (["export", "notes", "--version", "0", "--output", "x"], "no-such-version"),
        (["versions", "notes", "--name", "\x07"], "malformed"),
        (["versions", "nobody"], "no-such-document"),
    ]:
        done = place.run(*arguments, "--json")
        assert (done.code, done.json["error"], done.err) == (1, code, "")


# How they are stored


def test_documents_are_compacted_and_checked(place: Place) -> None:
    place.ok("import", write(place, "a.txt", "a"), write(place, "b.txt", "b"))
    done = place.run("compact", "a", "none", "--json", "--progress")
    assert done.code == 1
    assert done.json["documents"][0] == {"name": "a", "bytes": done.json["documents"][0]["bytes"]}
    assert done.json["documents"][1]["error"] == "no-such-document"
    assert (done.json["count"], done.json["failed"]) == (2, 1)
    assert "compacting 0 of 2" in done.err
    assert place.ok("compact", "--all").count("\n") == 2
    assert place.run("check", "--all", "--json").json == {
        "documents": [
            {"name": name, "ok": True, "updates": 1, "waiting": 0, "rejected": 0, "problems": []}
            for name in ("a", "b")
        ],
        "count": 2,
        "failed": 0,
    }
    assert place.ok("check", "a") == "a: ok\n1 document checked, 0 with problems\n"


def test_a_damaged_document_is_found_and_repaired(at_rest: Place) -> None:
    at_rest.ok("import", write(at_rest, "a.txt", "a"), write(at_rest, "b.txt", "b"))
    change(at_rest, "UPDATE log SET payload = x'00' WHERE document = 1")
    done = at_rest.run("check", "--all", "--json")
    assert (done.code, done.json["failed"]) == (1, 1)
    found = done.json["documents"][0]
    assert not found["ok"]
    assert [problem["part"] for problem in found["problems"]] == ["log", "document"]
    assert at_rest.run("export", "a").code == 1
    assert "set aside log at 1" in at_rest.ok("repair", "a")
    assert at_rest.run("check", "--all").code == 0
    with closing(sqlite3.connect(at_rest.database)) as connection:
        assert connection.execute("SELECT document, part, seq FROM damaged").fetchall() == [(1, "log", 1)]


def test_a_document_in_quarantine_is_released_once_it_opens(at_rest: Place) -> None:
    at_rest.ok("import", write(at_rest, "a.txt", "a"))
    change(at_rest, "UPDATE documents SET quarantine = 'it ended the process'")
    assert "in quarantine: it ended the process" in at_rest.ok("documents")
    assert at_rest.run("check", "a").code == 1
    assert "it is out of quarantine" in at_rest.ok("repair", "a")
    assert at_rest.ok("export", "a", "--format", "text") == "a"


def test_a_backup_is_a_store_like_the_original(place: Place) -> None:
    place.ok("import", write(place, "a.txt", "a"))
    place.database.chmod(0o640)
    done = place.run("backup", "copy.db", "--json")
    assert done.json == {
        "file": "copy.db",
        "bytes": (place.folder / "copy.db").stat().st_size,
        "documents": 1,
    }
    assert stat.S_IMODE((place.folder / "copy.db").stat().st_mode) == 0o640
    assert place.ok("export", "a", "--format", "text", "--store", "sqlite:///copy.db") == "a"
    again = place.run("backup", "copy.db")
    assert again.code == 1
    assert "exists" in again.err
    assert not list(place.folder.glob("*.partial*"))


def test_only_collabd_s_files_are_backed_up(at_rest: Place) -> None:
    assert at_rest.run("backup", "copy.db").code == 1
    change(at_rest, "CREATE TABLE about (key, value)")
    done = at_rest.run("backup", "copy.db")
    assert (done.code, list(at_rest.folder.glob("copy*"))) == (1, [])
    done = at_rest.run("backup", "copy.db", "--store", "memory:")
    assert done.code == 2
    assert "pg_dump" in done.err


def test_a_store_is_copied_into_another(at_rest: Place) -> None:
    at_rest.ok("import", write(at_rest, "a.txt", "a"), write(at_rest, "b.txt", "b"))
    at_rest.ok("versions", "a", "--name", "draft")
    at_rest.ok("compact", "a")
    done = at_rest.run("migrate-store", "--to", "sqlite:///other.db", "--json")
    assert done.json == {"documents": 2, "deleted": 0, "quarantined": 0, "updates": 2}
    other = ["--store", "sqlite:///other.db"]
    assert at_rest.ok("export", "a", "--version", "draft", "--format", "text", *other) == "a"
    assert at_rest.ok("documents", *other) == at_rest.ok("documents")
    again = at_rest.run("migrate-store", "--to", "sqlite:///other.db")
    assert (again.code, again.err) == (1, "collabd: the store to copy to is not empty\n")


def test_a_store_moves_to_postgresql_and_back(at_rest: Place) -> None:
    there = postgres.new_database()
    at_rest.ok("import", write(at_rest, "a.txt", "a"), write(at_rest, "b.txt", "b"))
    at_rest.ok("versions", "a", "--name", "draft")
    at_rest.ok("compact", "a")
    at_rest.ok("migrate-store", "--to", there)
    assert at_rest.ok("export", "a", "--version", "draft", "--format", "text", "--store", there) == "a"
    at_rest.ok("import", write(at_rest, "c.txt", "c"), "--store", there)
    assert at_rest.run("check", "--all", "--store", there).code == 0
    at_rest.ok("migrate-store", "--store", there, "--to", "sqlite:///back.db")
    back = at_rest.run("documents", "--store", "sqlite:///back.db", "--json").json["documents"]
    assert [(document["id"], document["name"]) for document in back] == [(1, "a"), (2, "b"), (3, "c")]
    done = at_rest.run("backup", "copy.db", "--store", there)
    assert done.code == 2
    assert "pg_dump" in done.err


def test_a_damaged_store_is_not_copied(at_rest: Place) -> None:
    at_rest.ok("import", write(at_rest, "a.txt", "a"), write(at_rest, "b.txt", "b"))
    change(at_rest, "UPDATE log SET payload = x'00' WHERE document = 2")
    done = at_rest.run("migrate-store", "--to", "sqlite:///other.db", "--json")
    assert (done.code, done.json["error"]) == (1, "damaged")
    assert done.json["message"].startswith("b must be repaired first")
    assert at_rest.ok("documents", "--store", "sqlite:///other.db") == ""


def test_a_store_that_is_served_is_not_copied(server: ServerFactory) -> None:
    running = server()
    done = Place(running.directory).run("migrate-store", "--to", "sqlite:///other.db", "--json")
    assert (done.code, done.json["error"]) == (1, "in-use")


def test_who_wrote_is_erased(place: Place) -> None:
    place.ok("import", write(place, "a.txt", "a"))
    place.ok("versions", "a", "--name", "draft")
    assert place.run("erase", "--principal", "nobody", "--json").json == {"connections": 0}
    assert place.run("erase", "--principal", "operator", "--before", "2020-01-01", "--json").json == {
        "connections": 0
    }
    assert place.run("erase", "--before", "2100-01-01T00:00:00+02:00", "--json").json == {"connections": 2}
    assert place.run("versions", "a", "--json").json["versions"][0]["author"]["name"] == ""


def test_deleted_text_is_erased(place: Place) -> None:
    """Nobody could read it out of the file, nor out of a copy."""
    doc: Doc[Any] = Doc()
    doc["content"] = Text(SECRET * 1000)
    place.ok("import", write(place, "notes.yjs", doc.get_update()))
    before = doc.get_state()
    del doc["content"][:]
    doc["content"] += "harmless"
    later = doc.get_update(before)
    if place.server is not None:
        place.server.patch("notes", later)
    else:
        append(place, "notes", later)
    assert place.ok("export", "notes", "--version", "1", "--format", "text") == SECRET * 1000
    place.ok("erase", "--content", "notes")
    assert place.ok("export", "notes", "--format", "text") == "harmless"
    assert place.run("export", "notes", "--version", "1").code == 1
    place.ok("backup", "copy.db")
    for path in place.folder.glob("*.db*"):
        assert path.suffix == ".sock" or SECRET.encode() not in path.read_bytes(), path


def append(place: Place, name: str, update: bytes) -> None:
    import asyncio

    from collabd.persistence.sqlite import SQLiteStore

    async def main() -> None:
        store = SQLiteStore(place.database)
        await store.start()
        await store.append(name, None, [update])
        await store.close()

    asyncio.run(main())


# Mistakes


def test_a_store_that_is_not_there_is_not_made(at_rest: Place) -> None:
    done = at_rest.run("documents")
    assert (done.code, done.err) == (1, "collabd: there is no file collabd.db\n")
    assert list(at_rest.folder.iterdir()) == []


def test_a_store_of_a_process_that_takes_no_commands_is_left_alone(
    at_rest: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rest.ok("import", write(at_rest, "a.txt", "a"))
    monkeypatch.setattr(owner, "PATIENCE", 0.2)
    with (at_rest.folder / "collabd.db.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = at_rest.run("documents", "--json")
        assert (done.code, done.json["error"]) == (1, "in-use")
        assert "takes no commands" in done.json["message"]
        assert at_rest.run("backup", "copy.db").code == 0, "that takes only reading"
    assert at_rest.run("documents").code == 0


def test_a_reader_that_goes_away_is_no_failure_worth_a_traceback(at_rest: Place) -> None:
    at_rest.ok("import", write(at_rest, "a.txt", "a" * 500_000))
    with at_rest.start("export", "a", "--format", "text") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 1
