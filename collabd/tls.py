"""TLS in the server itself: a certificate that can be replaced while connections are open."""

import ssl
from pathlib import Path
from typing import Final

from collabd.errors import SettingsError
from collabd.settings import Settings

PROTOCOLS: Final = ("http/1.1",)
"""What a client that asks (ALPN) is told it may speak."""


class Certificate:
    """A certificate with its key, read from files.

    Connections are opened with what was read last; those that are open keep what they were opened with.

    Args:
        certificate: a PEM file with the certificate and those between it and its root.
        key: a PEM file with its key, not encrypted.

    Raises:
        SettingsError: they cannot be read, or do not belong together.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._current = self._read()
        self.context = self._read()
        """To listen with, for as long as the server runs."""
        # Called at the beginning of each handshake, whether or not the client names a server.
        self.context.sni_callback = self._choose

    @classmethod
    def of(cls, settings: Settings) -> "Certificate | None":
        """The one that the settings name, if they do."""
        if not settings.tls_certificate and not settings.tls_key:
            return None
        for name in ("tls_certificate", "tls_key"):
            if not getattr(settings, name):
                raise SettingsError(f"tls_certificate and tls_key belong together, and {name} is not set")
        return cls(Path(settings.tls_certificate), Path(settings.tls_key))

    def read_again(self) -> None:
        """Take what the files hold now.

        Raises:
            SettingsError: as when it was made. All stays as it was then.
        """
        self._current = self._read()

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self._current

    def _read(self) -> ssl.SSLContext:
        for name, path in zip(("tls_certificate", "tls_key"), self._files, strict=True):
            try:
                path.open("rb").close()  # what OpenSSL says does not tell which
            except OSError as error:
                raise SettingsError(f"{name}: {path} cannot be read: {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(PROTOCOLS)
        certificate, key = self._files
        try:
            # OpenSSL would ask for a passphrase on the terminal.
            context.load_cert_chain(certificate, key, password=_refuse_passphrase)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise SettingsError(
                    f"the key in {key} is not that of the certificate in {certificate}"
                ) from error
            raise SettingsError(
                f"{certificate} and {key} are not a certificate and its key in PEM format"
            ) from error
        return context


def _refuse_passphrase() -> str:
    raise SettingsError(
        "tls_key: the key is encrypted; a key that can be read without a passphrase is needed"
    )
