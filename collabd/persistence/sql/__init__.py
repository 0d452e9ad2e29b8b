"""The statements and migrations of the PostgreSQL store, each with its name and what it is for."""

import re
from importlib.resources import files
from typing import Final, NamedTuple

_HEADING: Final = re.compile(r"^-- (\w+) --\n", re.MULTILINE)


class Migration(NamedTuple):
    """A step from one schema to the next."""

    number: int
    """The schema it leads to."""
    name: str
    statements: str


def queries() -> dict[str, str]:
    """The statements of ``queries.sql`` by name."""
    _, *pieces = _HEADING.split((files(__name__) / "queries.sql").read_text(encoding="utf-8"))
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def migrations() -> list[Migration]:
    """All migrations, in order: ``migrations/<number>_<name>.sql``."""
    found = []
    for path in (files(__name__) / "migrations").iterdir():
        if path.name.endswith(".sql"):
            number, _, name = path.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, path.read_text(encoding="utf-8")))
    return sorted(found)
