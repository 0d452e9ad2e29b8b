"""The statements of the PostgreSQL store are where they are looked for, and none is left over."""

import re
from pathlib import Path

import pytest

from collabd.persistence import sql

SOURCES = "".join(path.read_text() for path in Path(sql.__file__).parents[1].glob("postgres*.py"))
QUERIES = sql.queries()


@pytest.mark.parametrize("name", QUERIES)
def test_every_statement_is_described_and_used(name: str) -> None:
    assert QUERIES[name].startswith("-- ")
    assert f'"{name}"' in SOURCES


def test_every_statement_asked_for_is_there() -> None:
    asked = set(re.findall(r'QUERIES\[\s*"(\w+)"', SOURCES))
    assert asked
    assert asked <= QUERIES.keys()


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [migration.number for migration in sql.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
