"""The page's own unit tests, which live beside its sources."""

import pytest

from scripts.page import CLIENT, ROOT, find_node, install_packages


@pytest.mark.timeout(180)
def test_what_the_page_decides(node: str) -> None:
    npm = find_node()
    assert npm is not None
    install_packages(ROOT / CLIENT, npm)
    npm.run_npm(ROOT / CLIENT, "test")
