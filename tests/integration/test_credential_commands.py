"""``collabd keys`` and ``collabd token``, on a file at rest and beside the server that owns it."""

import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.support.commands import Place
from tests.support.server import running_server
from tests.support.watching import ServerFactory


def in_seconds(text: str) -> float:
    """How far off a time is."""
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()


def test_keys_are_made_shown_once_listed_and_revoked(place: Place) -> None:
    done = place.run("keys", "--create", "nightly export", "--allow", "read:**")
    assert (done.code, done.err) == (0, "This is the only time the key is shown:\n")
    text = done.out.strip()
    form = re.fullmatch(r"collabd_([0-9a-f]{12})_[A-Za-z0-9_-]{43}", text)
    assert form is not None
    made = place.run(
        "keys", "--create", "backend ü", "--allow", "write:notes/**", "--allow", "admin:a b", "--mints",
        "--days", "0.5", "--json",
    ).json  # fmt: skip
    assert made["key"].startswith(f"collabd_{made['id']}_")
    assert 43_000 < in_seconds(made["expires_at"]) <= 43_200

    listed = place.run("keys", "--json")
    assert text.rpartition("_")[2] not in listed.out
    assert made["key"].removeprefix(f"collabd_{made['id']}_") not in listed.out
    by_label = {key["label"]: key for key in listed.json["keys"]}
    assert listed.json["count"] == 2
    assert by_label["nightly export"] == {
        "id": form[1],
        "label": "nightly export",
        "scope": [{"pattern": "**", "access": "read"}],
        "mints": False,
        "created_at": by_label["nightly export"]["created_at"],
        "expires_at": None,
    }
    assert by_label["backend ü"] == {name: value for name, value in made.items() if name != "key"}
    assert made["mints"] is True
    assert made["scope"] == [
        {"document": "a b", "access": "admin"},
        {"pattern": "notes/**", "access": "write"},
    ]
    lines = sorted(place.ok("keys").splitlines())
    assert len(lines) == 2
    assert f"{form[1]}  nightly export  (read:**; until for ever)" in lines
    assert any("admin:a b, write:notes/**, makes tokens; until 2" in line for line in lines)

    assert place.ok("keys", "--revoke", form[1]) == f"{form[1]} is revoked\n"
    assert [key["label"] for key in place.run("keys", "--json").json["keys"]] == ["backend ü"]
    again = place.run("keys", "--revoke", form[1])
    assert (again.code, again.out) == (1, "")
    assert "there is no key" in again.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keys", "--create", "x", "--allow", "notes"], "colon"),
        (["keys", "--create", "x", "--allow", "own:notes"], "access is"),
        (["keys", "--create", "x", "--allow", "read:"], "document"),
        (["keys", "--create", "x", "--allow", "read:a/**b"], "pattern"),
        (["keys", "--create", "", "--allow", "read:a"], "label"),
        (["keys", "--create", "x" * 101, "--allow", "read:a"], "label"),
        (["keys", "--create", "x", "--allow", "read:a", "--days", "0"], "lasts"),
        (["keys", "--create", "x", "--allow", "read:a", "--days", "-1"], "lasts"),
        (["keys", "--create", "x", "--allow", "read:a", "--days", "nan"], "lasts"),
        (["keys", "--create", "x", "--allow", "read:a", "--days", "1e300"], "lasts"),
        (["keys", "--create", "x"], "scope"),
        (["keys", "--mints"], "--create"),
        (["keys", "--allow", "read:a"], "--create"),
        (["keys", "--create", "x", "--revoke", "y"], "two things"),
        (["token", "ada", "--allow", "write:a", "--seconds", "0"], "lasts"),
        (["token", "ada", "--allow", "write:a", "--seconds", "nan"], "lasts"),
        (["token", "ada", "--allow", "write:a", "--seconds", "90000"], "lasts"),
        (["token", "ada", "--allow", "write:a", "--connection-seconds", "10"], "connection"),
        (["token", "ada", "--allow", "write:a", "--connection-seconds", "1e9"], "connection"),
        (["token", "", "--allow", "write:a"], "id"),
        (["token", "anonymous", "--allow", "write:a"], "did not sign in"),
        (["token", "x" * 256, "--allow", "write:a"], "id"),
        (["token", "ada"], "scope"),
        (["token", "ada", "--allow", "read:a", "--name", "x" * 256], "name"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(arguments: list[str], said: str, at_rest: Place) -> None:
    done = at_rest.run(*arguments)
    assert done.code in (1, 2), done
    assert done.out == ""
    assert said in done.err
    assert "Traceback" not in done.err
    if at_rest.database.exists():
        assert at_rest.run("keys", "--json").json == {"keys": [], "count": 0}


def test_there_is_nothing_to_list_where_there_is_no_store(at_rest: Place) -> None:
    for arguments in (["keys"], ["keys", "--revoke", "123"]):
        done = at_rest.run(*arguments)
        assert done.code != 0
        assert "there is no file" in done.err
        assert not at_rest.database.exists()


RULES = """
[[rules]]
documents = "nothing-is-called-so"
anyone = true
access = "read"
"""


def ask(url: str, credentials: str, path: str = "/api/v1/me") -> Any:
    return httpx.get(url + path, headers={"Authorization": f"Bearer {credentials}"})


def test_what_was_made_at_rest_is_good_once_a_server_runs(at_rest: Place) -> None:
    (at_rest.folder / "collabd.toml").write_text(RULES)
    key = at_rest.ok("keys", "--create", "backup", "--allow", "read:**").strip()
    made = at_rest.run(
        "token", "user-17", "--name", "Ada Lovelace", "--allow", "write:notes/1", "--seconds", "600",
        "--connection-seconds", "3600", "--json",
    ).json  # fmt: skip
    assert made.keys() == {"token", "token_id", "connections_end_at"}
    assert 3500 < in_seconds(made["connections_end_at"]) <= 3600
    with running_server(at_rest.folder) as server:
        assert httpx.get(server.url + "/api/v1/documents/notes/1").status_code == 401
        assert ask(server.url, key).json()["name"] == "backup"
        told = ask(server.url, made["token"]).json()
        assert (told["id"], told["name"]) == ("user-17", "Ada Lovelace")
        assert told["scope"] == [{"document": "notes/1", "access": "write"}]
        assert ask(server.url, made["token"], "/api/v1/documents/notes/1").status_code == 404
        assert ask(server.url, made["token"], "/api/v1/documents/notes/2").status_code == 403


def test_what_is_made_beside_a_server_is_good_there_and_a_revoked_key_no_more(server: ServerFactory) -> None:
    place = Place((running := server()).directory, running)
    key = place.ok("keys", "--create", "backup", "--allow", "read:**").strip()
    token = place.ok("token", "ada", "--allow", "read:**").strip()
    assert ask(running.url, key).json()["name"] == "backup"
    assert ask(running.url, token).json()["name"] == "ada"
    place.ok("keys", "--revoke", key.split("_")[1])
    assert not ask(running.url, key).json()["signed_in"], (
        "nobody is asked who he is, and it counts for nothing"
    )
    assert ask(running.url, token).status_code == 200
    for secret in (key, token):
        assert secret not in running.log


def test_the_store_holds_no_key(at_rest: Place) -> None:
    key = at_rest.ok("keys", "--create", "backup", "--allow", "read:**").strip()
    secret = key.split("_", 2)[2].encode()
    for path in at_rest.folder.iterdir():
        assert secret not in path.read_bytes(), path
