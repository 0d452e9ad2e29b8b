"""Fixtures and rules of every test."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from scripts.browser import find_chromium
from scripts.page import ROOT, find_node
from tests.support.server import RunningServer, running_server

pytest_plugins = ["tests.support.ci", "tests.support.postgres"]

NODE_TESTS = ROOT / "tests" / "node"

# In CI the same examples are tried every time, and slowness is no failure; elsewhere each run tries others.
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

ServerFactory = Callable[..., RunningServer]


@pytest.fixture(scope="module", autouse=True)
def garbage_is_found_where_it_was_made() -> Iterator[None]:
    """What a test leaves open says so when it is collected, and that fails whichever test runs then: so it is
    collected before another file's begin."""
    yield
    gc.collect()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerFactory]:
    """Start real servers: ``server()``, with the keyword arguments of :func:`tests.support.running_server`.

    A second call in one test gets a folder of its own. All end with the test.
    """
    with ExitStack() as running:
        started = 0

        def start(**arguments: object) -> RunningServer:
            nonlocal started
            started += 1
            directory = tmp_path / f"server-{started}"
            directory.mkdir()
            run = partial(running_server, directory, **arguments)  # type: ignore[arg-type]
            return running.enter_context(run())

        yield start


@pytest.fixture(scope="session")
def node() -> str:
    """Path of a Node.js that can run the scripts in tests/node, whose packages are installed."""
    found = find_node()
    if found is None:
        pytest.skip("no Node.js on PATH, and its wheel is not installed: run scripts/test once")
    if not (NODE_TESTS / "node_modules").is_dir():
        pytest.skip("the packages of tests/node are not installed: run scripts/test once")
    return found.executable


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium to hand to Playwright as ``executable_path``."""
    found = find_chromium()
    if found is None:
        pytest.skip("no Chromium on PATH, and none installed by Playwright")
    return found
