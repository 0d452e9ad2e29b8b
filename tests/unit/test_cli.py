"""The command line: what it takes, and what it refuses before anything starts."""

import argparse
import json
from pathlib import Path

import pytest

from collabd import formats
from collabd.cli import main, parser
from collabd.commands.running import COMMANDS
from collabd.commands.sources import ENDINGS, MEDIA_TYPES
from collabd.settings import flag, from_anywhere
from collabd.version import __version__


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ["CONFIG", *(field.name.upper() for field in from_anywhere())]:
        monkeypatch.delenv(f"COLLABD_{name}", raising=False)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"collabd {__version__}\n"


def test_help_tells_of_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for field in from_anywhere():
        assert flag(field.name) in text
        if field.type is not bool:
            assert f"(default: {field.default})" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["server"], "invalid choice: 'server'"),
        (["serve", "--prot", "1"], "unrecognized arguments: --prot 1"),
        (["serve", "--max-message", "1"], "unrecognized arguments: --max-message 1"),
        (["documents", "notes"], "unrecognized arguments: notes"),
        (["documents", "--prog"], "unrecognized arguments: --prog"),
        (["export", "notes", "--format", "pdf"], "invalid choice: 'pdf'"),
        (["import"], "required: FILE"),
        (["import", "a", "--from", "etherpad"], "invalid choice: 'etherpad'"),
        (["versions", "notes", "--name", "x", "--version", "two"], "invalid int value: 'two'"),
        (["restore", "notes"], "required: VERSION"),
        (["repair"], "required: NAME"),
        (["backup"], "required: FILE"),
        (["migrate-store"], "required: --to"),
    ],
)
def test_what_is_no_option_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_setting_that_makes_no_sense_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "high"]) == 2
    assert capsys.readouterr().err == "collabd: --port is 'high', which is not a whole number\n"


def test_listening_beyond_this_machine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "--insecure" in capsys.readouterr().err


def test_a_file_named_on_the_command_line_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "elsewhere.toml").write_text('host = "0.0.0.0"')
    assert main(["serve", "--config", "elsewhere.toml"]) == 2
    assert "listening on 0.0.0.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export"], "--all and a directory"),
        (["export", "notes", "--all", "out"], "--all and a directory"),
        (["export", "--all", "out", "--root", "x"], "are for one document"),
        (["export", "--all", "out", "--output", "x"], "are for one document"),
        (["export", "notes", "--json"], "--json takes --output"),
        (["import", "a.txt", "b.txt", "--name", "x"], "--name is for one file"),
        (["import", "a.db", "--from", "hocuspocus", "--name", "x"], "--name is for one file"),
        (["import", "a.db", "--from", "hocuspocus", "--format", "text"], "--format is for"),
        (["versions", "notes", "--version", "1"], "--version is for --name"),
        (["compact"], "compact takes names of documents, or --all"),
        (["check", "notes", "--all"], "check takes names of documents, or --all"),
        (["erase"], "erase takes --content"),
        (["erase", "--content", "notes", "--principal", "ada"], "erase takes --content"),
        (["erase", "--before", "yesterday"], "not 'yesterday'"),
        (["backup", "copy.db", "--store", "memory:"], "backup copies SQLite files"),
        (["migrate-store", "--to", "mysql://x"], "store must be"),
        (["documents", "--store", "mysql://x"], "store must be"),
        (["documents", "--config", "none.toml"], "none.toml cannot be read"),
    ],
    ids=" ".join,
)
def test_a_command_that_makes_no_sense_is_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert list(tmp_path.iterdir()) == []
    said = capsys.readouterr()
    assert said.out == "" or "--json" in arguments
    assert message in said.err or message in said.out
    assert (said.err or said.out).count("\n") == 1


def test_a_refusal_is_json_if_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"] == "settings"
    assert said.err == ""


def test_the_store_is_found_where_serve_finds_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "collabd.toml").write_text('store = "sqlite:///in-file.db"')
    assert main(["documents"]) == 1
    monkeypatch.setenv("COLLABD_STORE", "sqlite:///in-environment.db")
    assert main(["documents"]) == 1
    assert main(["documents", "--store", "sqlite:///in-flag.db"]) == 1
    assert capsys.readouterr().err == "".join(
        f"collabd: there is no file in-{place}.db\n" for place in ("file", "environment", "flag")
    )


def test_formats_are_those_that_can_be_written_and_read() -> None:
    choices = {
        command: next(action.choices for action in options._actions if "--format" in action.option_strings)
        for command, options in commands_of(parser()).items()
        if command in ("export", "import")
    }
    assert list(choices["export"] or ()) == list(formats.FORMATS)
    assert [MEDIA_TYPES[form] for form in choices["import"] or ()] == list(formats.READABLE)
    assert set(ENDINGS.values()) == set(MEDIA_TYPES)


def test_every_command_of_the_parser_can_be_run() -> None:
    assert commands_of(parser()).keys() == COMMANDS.keys() | {"serve"}


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(commands.choices)
