"""Finds a Chromium for the browser tests."""

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Return the path of a Chromium: one on PATH, else the newest that Playwright installed, else None."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    folders = [
        Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "") or Path.home() / ".cache" / "ms-playwright"),
        Path.home() / "Library" / "Caches" / "ms-playwright",
    ]
    programs = ("chromium-*/chrome-linux*/chrome", "chromium-*/chrome-mac*/*.app/Contents/MacOS/*")
    installed = (path for folder in folders for program in programs for path in folder.glob(program))
    newest = max(installed, key=lambda path: path.stat().st_mtime, default=None)
    return str(newest) if newest else None
