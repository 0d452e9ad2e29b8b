"""Where settings come from, which values are refused, and that all of them are documented."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from collabd.errors import SettingsError
from collabd.settings import Settings, from_anywhere, is_loopback, load, refuse_exposure, without_password
from scripts.page import ROOT

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def write_config(directory: Path, text: str, name: str = "collabd.toml") -> None:
    (directory / name).write_text(text)


def test_defaults_are_used_when_nothing_is_said(tmp_path: Path) -> None:
    assert load({}, {}, tmp_path) == Settings()


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    write_config(tmp_path, 'port = 1\nhost = "::1"\nlog_level = "error"\n')
    environment = {"COLLABD_PORT": "2", "COLLABD_HOST": "127.0.0.2", "HOME": "/"}
    settings = load({"port": "3"}, environment, tmp_path)
    assert (settings.port, settings.host, settings.log_level) == (3, "127.0.0.2", "error")
    assert settings.store == Settings().store


@pytest.mark.parametrize("name", [field.name for field in from_anywhere()])
def test_every_setting_can_come_from_each_source(name: str, tmp_path: Path) -> None:
    field = FIELDS[name]
    value = {
        bool: True,
        int: (field.metadata["minimum"] or 0) + 1,
        float: (field.metadata["minimum"] or 0) + 1.5,
        str: (field.metadata["choices"] or ("::1",))[-1],
    }[field.type]  # type: ignore[index]
    text = str(value)
    assert getattr(load({name: True if value is True else text}, {}, tmp_path), name) == value
    assert getattr(load({}, {f"COLLABD_{name.upper()}": text}, tmp_path), name) == value
    write_config(tmp_path, f"{name} = {json.dumps(value)}")
    assert getattr(load({}, {}, tmp_path), name) == value
    made: dict[str, Any] = {name: value}
    assert getattr(Settings(**made), name) == value


def test_a_word_may_stand_for_a_number(tmp_path: Path) -> None:
    write_config(tmp_path, 'workers = "auto"')
    assert load({}, {}, tmp_path).workers == 0
    assert load({"workers": "4"}, {"COLLABD_WORKERS": "auto"}, tmp_path).workers == 4
    assert load({}, {"COLLABD_WORKERS": "auto"}).workers == 0
    assert load({"workers": "auto"}, {}).workers == 0
    for nonsense in ("automatic", "-1", "1.5", ""):
        with pytest.raises(SettingsError, match="--workers"):
            load({"workers": nonsense}, {})
    write_config(tmp_path, 'port = "auto"')
    with pytest.raises(SettingsError, match="not a whole number"):
        load({}, {}, tmp_path)
    with pytest.raises(SettingsError):
        Settings(workers="auto")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["providers", "rules"])
def test_tables_come_from_the_file_alone(name: str, tmp_path: Path) -> None:
    assert getattr(load({}, {}, tmp_path), name) == ()
    write_config(tmp_path, f'[[{name}]]\na = 1\n[[{name}]]\nb = ["c"]\n')
    assert getattr(load({}, {}, tmp_path), name) == ({"a": 1}, {"b": ["c"]})
    with pytest.raises(SettingsError, match="is not a setting"):
        load({}, {f"COLLABD_{name.upper()}": "x"}, tmp_path)
    for nonsense in (f"{name} = 1", f"{name} = ['a']", f"[{name}]\na = 1"):
        write_config(tmp_path, nonsense)
        with pytest.raises(SettingsError, match=rf"is a list of tables: \[\[{name}\]\]"):
            load({}, {}, tmp_path)


def test_another_file_can_be_named_by_flag_and_by_variable(tmp_path: Path) -> None:
    write_config(tmp_path, "port = 1")
    write_config(tmp_path, "port = 2", "other.toml")
    write_config(tmp_path, "port = 3", "third.toml")
    assert load({}, {"COLLABD_CONFIG": "other.toml"}, tmp_path).port == 2
    assert load({"config": "third.toml"}, {"COLLABD_CONFIG": "other.toml"}, tmp_path).port == 3


@pytest.mark.parametrize(
    ("flags", "environment", "file", "message"),
    [
        ({"port": "x"}, {}, "", "--port is 'x', which is not a whole number"),
        ({"port": "65536"}, {}, "", "--port is 65536, and must be at most 65535"),
        ({}, {"COLLABD_PORT": "tcp://10.0.0.1:8000"}, "", "variable COLLABD_PORT is 'tcp://10.0.0.1:8000'"),
        ({}, {"COLLABD_INSECURE": "maybe"}, "", "COLLABD_INSECURE is 'maybe', which is not true or false"),
        ({}, {"COLLABD_HOST": ""}, "", "COLLABD_HOST is empty"),
        ({}, {"COLLABD_PROT": "1"}, "", "COLLABD_PROT is not a setting; did you mean port?"),
        ({}, {"COLLABD_port": "1"}, "", "COLLABD_port is not a setting"),
        (
            {},
            {"COLLABD_ROOM_IDLE_SECONDS": "nan"},
            "",
            "COLLABD_ROOM_IDLE_SECONDS is nan, which is no amount",
        ),
        ({}, {"COLLABD_ROOM_IDLE_SECONDS": "-1"}, "", "must be at least 0"),
        ({}, {}, "port = '8000'", "port in PATH is '8000', which is not a whole number"),
        ({}, {}, "port = true", "port in PATH is True, which is not a whole number"),
        ({}, {}, "log_level = 'loud'", "log_level in PATH is 'loud', and must be one of debug, info"),
        ({}, {}, "[serve]\nport = 1", "serve in PATH is not a setting"),
        ({}, {}, "max_message_byte = 1", "did you mean max_message_bytes?"),
        ({}, {}, "config = 'x'", "config in PATH is not a setting"),
        ({}, {}, "port = = 1", "PATH is not TOML"),
        ({"config": "absent.toml"}, {}, "", "absent.toml cannot be read: No such file or directory"),
    ],
)
def test_nonsense_is_refused_by_name_and_source(
    flags: dict[str, str | bool], environment: dict[str, str], file: str, message: str, tmp_path: Path
) -> None:
    write_config(tmp_path, file)
    with pytest.raises(
        SettingsError, match=re.escape(message.replace("PATH", str(tmp_path / "collabd.toml")))
    ):
        load(flags, environment, tmp_path)


def test_settings_made_in_python_are_checked_too() -> None:
    with pytest.raises(SettingsError, match="argument port is -1"):
        Settings(port=-1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "localhost.example.org"])
def test_listening_beyond_this_machine_takes_insecure(host: str) -> None:
    with pytest.raises(SettingsError, match="--insecure"):
        refuse_exposure(Settings(host=host))
    refuse_exposure(Settings(host=host, insecure=True))
    refuse_exposure(Settings(host=host, rules=({"documents": "**", "signed_in": True, "access": "read"},)))
    refuse_exposure(Settings(host=host, authorize_url="https://app.example/rights"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_listening_on_this_machine_alone_takes_nothing(host: str) -> None:
    assert is_loopback(host)
    refuse_exposure(Settings(host=host))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:p@ss:w/rd@db:5432/notes", "postgresql://ada:***@db:5432/notes"),
        (
            "postgresql://ada@db/notes?password=secret&sslmode=require",
            "postgresql://ada@db/notes?password=***&sslmode=require",
        ),
        ("postgresql://db/notes", "postgresql://db/notes"),
        ("sqlite:///collabd.db", "sqlite:///collabd.db"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def documented_row(name: str) -> str:
    """The line of docs/settings.md on a setting, as its declaration says it should be."""
    field = FIELDS[name]
    about = field.metadata
    default = str(field.default).lower() if field.type is bool else str(field.default)
    if field.default == ():
        default = "none"
    value = f"{default} {about['unit']}".strip()
    text = about["description"]
    if about["choices"]:
        text += " One of " + ", ".join(f"`{choice}`" for choice in about["choices"]) + "."
    return f"| `{name}` | {value} | {text} |"


@pytest.mark.parametrize("text", ["*", "10.0.0.0/8", "127.0.0.1, ::1,fd00::/8"])
def test_proxies_are_addresses_and_networks(text: str) -> None:
    assert Settings(trusted_proxies=text).trusted_proxies == text


@pytest.mark.parametrize("text", ["proxy", "10.0.0.1/8", "10.0.0.1,", "*,10.0.0.1"])
def test_a_proxy_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="trusted_proxies: "):
        Settings(trusted_proxies=text)


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    table = "\n".join(documented_row(name) for name in FIELDS)
    assert table in page, f"docs/settings.md should hold this table:\n{table}"
