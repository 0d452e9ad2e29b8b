"""What the tree promises to those who read and package it."""

import dataclasses
import json
import re
import tomllib

import pytest

from collabd.settings import Settings
from scripts.page import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = {path: path.read_text() for path in (ROOT / "collabd").rglob("*.py") if "client" not in path.parts}


@pytest.mark.parametrize("name", ["auth", "persistence", "web"])
def test_the_folders_at_the_top_are_links_into_the_package(name: str) -> None:
    assert (ROOT / name).is_symlink()
    assert (ROOT / name).resolve() == ROOT / "collabd" / name
    assert name in PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]


def test_the_wheel_holds_one_package() -> None:
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"] == ["collabd"]


@pytest.mark.parametrize("folder", ["collabd/web/client", "tests/node"])
def test_locked_packages_are_checked_by_hash_and_bound_to_no_registry(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert packages
    assert [path for path, package in packages.items() if "integrity" not in package] == []
    assert [path for path, package in packages.items() if "resolved" in package] == []


def test_constraints_pin_every_dependency_and_name_no_registry() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", pin)] == []
    pinned = {canonical(pin.split("==")[0]) for pin in pins}
    asked = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]
    assert {canonical(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in asked} <= pinned


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_is_used(name: str) -> None:
    uses = re.compile(rf"settings\.{name}\b|self\.{name}\b")
    assert any(uses.search(text) for path, text in SOURCES.items()), f"nothing reads the setting {name}"
