"""Where commands are run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Place
from tests.support.watching import ServerFactory


@pytest.fixture(params=["server", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "file":
        yield Place(tmp_path)
    else:
        factory: ServerFactory = request.getfixturevalue("server")
        running = factory()
        yield Place(running.directory, running)


@pytest.fixture
def at_rest(tmp_path: Path) -> Place:
    return Place(tmp_path)
