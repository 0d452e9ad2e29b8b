"""Which store a setting names."""

import sys

import pytest

from collabd.app import open_store
from collabd.errors import SettingsError
from collabd.persistence.memory import MemoryStore
from collabd.persistence.postgres import PostgresStore
from collabd.persistence.sqlite import SQLiteStore


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:///notes.db", SQLiteStore),
        ("memory:", MemoryStore),
        ("postgresql://db/notes", PostgresStore),
        ("postgres://db/notes", PostgresStore),
    ],
)
def test_a_store_is_chosen_by_its_url(url: str, kind: type) -> None:
    assert type(open_store(url)) is kind


@pytest.mark.parametrize("url", ["", "sqlite:///", "notes.db", "mysql://ada:secret@db/notes"])
def test_no_other_is_taken_and_no_password_is_told(url: str) -> None:
    with pytest.raises(SettingsError, match="store must be") as refusal:
        open_store(url)
    assert "secret" not in str(refusal.value)


def test_what_postgresql_needs_is_told_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("collabd.persistence.postgres"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(SettingsError, match=r"pip install 'collabd\[postgres\]'"):
        open_store("postgresql://db/notes")
