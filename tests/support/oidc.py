"""A certified OpenID provider (oidc-provider in Node.js, tests/node/oidc.mjs) and a server that trusts it."""

import json
import select
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from joserfc.jwk import RSAKey

from tests.support.server import RunningServer

SCRIPT = Path(__file__).parent.parent / "node" / "oidc.mjs"
NAME = "example"
"""What the server calls the provider."""
LABEL = "Example Inc."
START_SECONDS = 30.0
"""Once in some thousand starts the provider has not said a word for two minutes."""
START_TRIES = 2
SECRET = "a secret that only the two of them know"

CONFIGURATION = """
[[providers]]
name = {name}
issuer = {issuer}
client_id = "collabd"
client_secret = {secret}
label = {label}
scopes = "openid profile email groups"
"""


class Town(NamedTuple):
    """A server and its provider."""

    server: RunningServer
    issuer: str


@contextmanager
def running_provider(node: str, server_url: str) -> Iterator[str]:
    """Run the provider for the length of a block; its issuer. It signs people in for one server."""
    client = {
        "key": _key(),
        "secret": SECRET,
        "redirect_uri": f"{server_url}/auth/callback/{NAME}",
        "post_logout_redirect_uri": f"{server_url}/",
        "backchannel_logout_uri": f"{server_url}/auth/backchannel-logout/{NAME}",
    }
    command = [node, str(SCRIPT), json.dumps(client)]
    for _ in range(START_TRIES):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                if (issuer := _issuer_of(process)) is None:
                    continue
                yield issuer
                return
            finally:
                process.kill()
    pytest.fail(f"the provider does not start within {START_SECONDS:g} seconds")


def _issuer_of(process: "subprocess.Popen[str]") -> str | None:
    """What the provider says when it serves; None if it has said nothing in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    if not ready:
        return None
    said = process.stdout.readline()
    return str(json.loads(said)["issuer"]) if said else None


@cache
def _key() -> dict[str, Any]:
    """The provider's, made once for all of them."""
    key = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"}, private=True)
    return dict(key.as_dict(private=True))


@contextmanager
def running_town(node: str, directory: Path, rules: Sequence[str]) -> Iterator[Town]:
    """Run a server with a provider and rules (tables of collabd.toml) for the length of a block."""
    server = RunningServer(directory)
    # Both have to know the other's address before they start.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
    with running_provider(node, server.url) as issuer:
        configuration = CONFIGURATION.format(
            name=json.dumps(NAME),
            issuer=json.dumps(issuer),
            secret=json.dumps(SECRET),
            label=json.dumps(LABEL),
        )
        tables = [configuration, *(f"[[rules]]\n{rule}\n" for rule in rules)]
        (directory / "collabd.toml").write_text("\n".join(tables), encoding="utf-8")
        server.start()
        try:
            yield Town(server, issuer)
        finally:
            server.kill()
