"""Builds the browser page while the wheel is built, so that nobody needs Node to run collabd."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent))

from scripts.page import NODE_WHEEL, build_page, find_node, page_is_current


class PageHook(BuildHookInterface):  # type: ignore[type-arg]  # generic over a private class
    """Makes collabd/web/static what collabd/web/client says."""

    def dependencies(self) -> list[str]:
        """Ask for Node's wheel only where it is going to be used."""
        return [] if page_is_current(Path(self.root)) or find_node() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page before the wheel's files are gathered."""
        build_page(Path(self.root))
