"""What is published: an sdist, and the wheel that anybody can build from it."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from collabd.version import __version__
from scripts.page import ROOT

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, node: str) -> Path:
    """A folder with the sdist, and the wheel built from that sdist alone, page included."""
    folder = tmp_path_factory.mktemp("built")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return folder


def test_the_sdist_holds_sources_and_nothing_built(built: Path) -> None:
    with tarfile.open(built / f"collabd-{__version__}.tar.gz") as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"collabd/web/client/package-lock.json", "scripts/page.py", "LICENSE", "README.md"} <= names
    assert [
        name for name in names if "node_modules" in name or "/static/" in name or "__pycache__" in name
    ] == []
    assert [name for name in names if name.startswith(("auth/", "persistence/", "web/"))] == []


def test_the_wheel_holds_collabd_alone_with_its_page(built: Path) -> None:
    with zipfile.ZipFile(built / f"collabd-{__version__}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    assert {name.partition("/")[0] for name in names} == {"collabd", f"collabd-{__version__}.dist-info"}
    assert {"collabd/web/static/index.html", "collabd/web/pages.py", "collabd/py.typed"} <= names
    assert any(name.startswith("collabd/web/static/assets/") and name.endswith(".js") for name in names)
    assert [name for name in names if name.startswith("collabd/web/client")] == []


def test_the_wheel_runs_without_node(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "collabd", "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"collabd {__version__}\n")
