"""Every store, for tests that hold for each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collabd.persistence.base import Store

from .stores import STORES


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = STORES[request.param](tmp_path)
    await store.start()
    yield store
    await store.close()
