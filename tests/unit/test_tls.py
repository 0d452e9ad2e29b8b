"""Which certificates are taken, and what is said of the others."""

from pathlib import Path

import pytest

from collabd.errors import SettingsError
from collabd.settings import Settings
from collabd.tls import Certificate
from tests.support.certificates import Authority, Files


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> Files:
    return authority.issue(tmp_path)


def refused(certificate: Path, key: Path) -> str:
    with pytest.raises(SettingsError) as error:
        Certificate(certificate, key)
    return str(error.value)


def test_without_files_there_is_none() -> None:
    assert Certificate.of(Settings()) is None


@pytest.mark.parametrize("name", ["tls_certificate", "tls_key"])
def test_one_file_without_the_other_is_refused(name: str, files: Files) -> None:
    missing = {"tls_certificate": "tls_key", "tls_key": "tls_certificate"}[name]
    with pytest.raises(SettingsError, match=f"{missing} is not set"):
        Certificate.of(Settings(**{name: str(files.key)}))  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_named(files: Files, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.pem"
    assert (
        refused(nowhere, files.key) == f"tls_certificate: {nowhere} cannot be read: No such file or directory"
    )
    assert refused(files.certificate, nowhere).startswith(f"tls_key: {nowhere} cannot be read")


def test_a_file_of_something_else_is_refused(files: Files, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for certificate, key in ((nonsense, files.key), (files.certificate, nonsense)):
        assert refused(certificate, key) == (
            f"{certificate} and {key} are not a certificate and its key in PEM format"
        )


def test_a_key_of_another_certificate_is_refused(authority: Authority, files: Files, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = authority.issue(tmp_path / "other")
    assert refused(files.certificate, other.key) == (
        f"the key in {other.key} is not that of the certificate in {files.certificate}"
    )


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(authority: Authority, tmp_path: Path) -> None:
    locked = authority.issue(tmp_path, passphrase=b"secret")
    assert "encrypted" in refused(locked.certificate, locked.key)
