"""Makes a checkout ready: a virtual environment, the packages, the built page and, for tests, the rest.

    python3 scripts/prepare.py run|dev

Called through scripts/prepare with any Python of version 3.11 or later; takes nothing but the standard
library, as nothing else can be expected. Does only what has become necessary since the last call. ``run`` is
what serving takes; ``dev`` adds the tools, the Node packages of the tests, a browser, strace and nginx.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.browser import find_chromium
from scripts.page import (
    CLIENT,
    NODE_VERSIONS,
    NODE_WHEEL,
    ROOT,
    STATIC,
    Node,
    PageError,
    build_page,
    find_node,
    install_packages,
    page_is_current,
)

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = ROOT / "constraints.txt"
READY = VENV / ".ready"
"""Says that the environment was made to the end; scripts/prepare looks for it."""


class PrepareError(Exception):
    """Preparing cannot go on; the message says what is missing and how to get it."""


def say(text: str) -> None:
    """Tell what takes long, apart from what the server or the tests print."""
    print(f"prepare: {text}", file=sys.stderr, flush=True)


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> None:
    """Run a command whose output goes to the terminal's error stream.

    Raises:
        PrepareError: it failed.
    """
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=env)
    if done.returncode:
        raise PrepareError(f"this failed: {' '.join(map(str, command))}")


def works(*command: str | Path) -> bool:
    """Whether a command can be run and succeeds; what it prints is dropped."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    except OSError:
        return False


@contextmanager
def alone() -> Iterator[None]:
    """Keep two preparations of one checkout from running at the same time."""
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_environment() -> None:
    """Make ``.venv`` with a pip in it, by whichever way this Python has."""
    python = sys.executable
    if not works(PYTHON, "-m", "pip", "--version"):
        say(f"making {VENV} with Python {sys.version.split()[0]}")
        if importlib.util.find_spec("ensurepip") and works(python, "-m", "venv", "--clear", VENV):
            pass
        # Debian splits ensurepip from Python: without it an environment can be made, but comes without pip.
        elif works(python, "-m", "pip", "--version"):
            run(python, "-m", "venv", "--clear", "--without-pip", VENV)
            run(python, "-m", "pip", "--python", PYTHON, "install", "--quiet", "pip")
        elif shutil.which("uv"):
            run("uv", "venv", "--clear", "--seed", "--python", python, VENV)
        elif os.geteuid() == 0 and shutil.which("apt-get"):
            say("this Python has neither ensurepip nor pip: installing Debian's python3-venv")
            apt_get_install("python3-venv")
            run(python, "-m", "venv", "--clear", VENV)
        else:
            raise PrepareError(
                f"{python} has neither ensurepip nor pip, and uv is not here either: "
                "install one of them (on Debian and Ubuntu: apt-get install python3-venv)"
            )
    READY.touch()


def apt_get_install(*packages: str) -> None:
    """Install Debian packages; for root only."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=environment)
    run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages, env=environment)


def install_dependencies(profile: str) -> None:
    """Install the versions that constraints.txt names, and collabd itself as a link to this checkout."""
    wanted = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt", "hatch_build.py"):
        wanted.update((ROOT / name).read_bytes())
    stamp = VENV / f".installed-{profile}"
    enough = (stamp, VENV / ".installed-dev")  # dev has all that run has
    if any(done.is_file() and done.read_text() == wanted.hexdigest() for done in enough):
        return
    say("installing the Python packages (a minute or two the first time)")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = list(project["project"]["dependencies"])
    if profile == "dev":
        packages += project["dependency-groups"]["dev"]
    pip(*packages)
    make_page()  # before the package is installed, so that its build finds the page made
    pip("--no-deps", "--editable", str(ROOT))
    stamp.write_text(wanted.hexdigest())


def pip(*arguments: str) -> None:
    """Install with the environment's pip, at the locked versions."""
    quiet = ("-qq", "--disable-pip-version-check")
    run(PYTHON, "-m", "pip", "install", *quiet, "-c", CONSTRAINTS, *arguments)
    importlib.invalidate_caches()


def make_page() -> None:
    """Build the browser page unless it is current, with Node from its wheel if there is no good one here."""
    if page_is_current():
        return
    node()
    say(f"building the page from {CLIENT} into {STATIC}")
    build_page()


def node() -> Node:
    """Return a Node.js, installing its wheel if need be."""
    found = find_node()
    if found is None:
        say("no Node.js on PATH that is new enough: installing its wheel")
        pip(NODE_WHEEL)
        found = find_node()
    if found is None:
        raise PrepareError(f"Node.js is needed ({NODE_VERSIONS}) and its wheel does not work on this machine")
    return found


def make_browser() -> None:
    """Try once to install Chromium if there is none; the browser tests say so themselves if it is missing."""
    tried = VENV / ".browser-tried"
    if find_chromium() or tried.exists():
        return
    tried.touch()
    try:
        if os.geteuid() == 0 and shutil.which("apt-get"):
            say("installing Debian's chromium for the browser tests")
            apt_get_install("chromium", "fonts-dejavu-core")
        else:
            say("installing Playwright's Chromium for the browser tests")
            if not works(PYTHON, "-m", "playwright", "install", "chromium"):
                raise PrepareError("Playwright could not download it")
    except PrepareError as error:
        say(f"there is no Chromium ({error}): the browser tests will be skipped until one is on PATH")


def make_program(program: str, package: str, purpose: str) -> None:
    """Try once to install Debian's package of a program; the tests that need it say so themselves if it is
    missing."""
    tried = VENV / f".{program}-tried"
    # Debian keeps daemons where only root looks for programs.
    is_there = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if is_there or tried.exists() or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    tried.touch()
    try:
        say(f"installing Debian's {program} for {purpose}")
        apt_get_install(package)
    except PrepareError as error:
        say(f"there is no {program} ({error}): the tests with it will be skipped until one is on PATH")


def main(profile: str) -> None:
    """Do what is missing for ``profile``, in this process once it is the environment's."""
    if Path(sys.prefix).resolve() != VENV.resolve():
        with alone():
            make_environment()
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    with alone():
        install_dependencies(profile)
        make_page()
        if profile == "dev":
            install_packages(ROOT / "tests" / "node", node())
            make_browser()
            make_program("strace", "strace", "the tests of power cuts and slow disks")
            make_program("nginx", "nginx-light", "the tests of servers behind a balancer")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (PrepareError, PageError) as error:
        sys.exit(f"prepare: {error}")
