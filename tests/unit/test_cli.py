"""The command line: what it takes, and what it refuses before anything starts."""

import dataclasses
from pathlib import Path

import pytest

from collabd.cli import main
from collabd.settings import Settings, flag
from collabd.version import __version__


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ["CONFIG", *(field.name.upper() for field in dataclasses.fields(Settings))]:
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
    for field in dataclasses.fields(Settings):
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
