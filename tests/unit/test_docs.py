"""What the documentation says is checked against the program."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import BaseRoute, Route, WebSocketRoute

from collabd import Settings, create_app, errors
from collabd.cli import parser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def every_error(base: type[errors.CollabdError] = errors.CollabdError) -> Iterator[type[errors.CollabdError]]:
    yield base
    for error in base.__subclasses__():
        yield from every_error(error)


def every_route(routes: list[BaseRoute]) -> Iterator[str]:
    for route in routes:
        if isinstance(route, Route | WebSocketRoute):
            yield re.sub(r":path}", "}", route.path)


def test_every_refusal_is_documented_with_its_close_code_its_status_and_whether_to_come_back() -> None:
    rows = {
        (code, int(close_code), int(status), retry == "yes")
        for code, close_code, status, retry in re.findall(
            r"^\| `([a-z-]+)` \| (\d+) \| (\d+) \| (yes|no) \|",
            (DOCS / "errors.md").read_text(),
            re.MULTILINE,
        )
    }
    assert rows == {(error.code, error.close_code, error.status, error("").retry) for error in every_error()}


def test_the_tree_at_the_top_of_errors_shows_every_error() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted(
        error.__name__ for error in every_error() if error is not errors.CollabdError
    )


def test_every_route_is_documented(tmp_path: Path) -> None:
    app = create_app(Settings(store=f"sqlite:///{tmp_path / 'documents.db'}"))
    text = "".join(page.read_text() for page in DOCS.glob("*.md"))
    for path in every_route(app.routes):
        assert f"`{path}`" in text or f" {path}`" in text, path


@pytest.mark.parametrize(
    "page", [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_two_commands_open_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in ("scripts/run", "scripts/test"):
        assert command in readme.split("## ")[0]
        assert (ROOT / command).stat().st_mode & 0o111, f"{command} can be executed"


def test_every_command_is_documented_with_all_its_options() -> None:
    text = (DOCS / "commands.md").read_text()
    sections = dict(re.findall(r"^## `collabd ([a-z-]+)`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    (commands,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert sections.keys() == commands.choices.keys() - {"serve"}
    common = text.split("## ")[0]
    for name, section in sections.items():
        for action in commands.choices[name]._actions:
            for option in action.option_strings[-1:] or [str(action.metavar)]:
                assert option == "--help" or re.search(rf"{option}\b", section + common), (name, option)


def test_every_option_documented_is_one() -> None:
    (commands,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    known = {
        option
        for command in commands.choices.values()
        for action in command._actions
        for option in action.option_strings
    }
    for page in ("commands.md", "backup.md"):
        said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", (DOCS / page).read_text()))
        assert said <= known, page


def test_no_layer_is_imported_through_the_links_at_the_top() -> None:
    for link in ("auth", "persistence", "web"):
        assert (ROOT / link).resolve() == ROOT / "collabd" / link
