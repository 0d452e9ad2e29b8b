"""A network namespace, with cables into it that can be pulled out.

Packets into a cable that is pulled out are lost, and nobody is told: that is what a broken switch or a
firewall does, and no proxy can do it as well. It takes Linux, ``ip`` and the right to make namespaces.
"""

import contextlib
import os
import subprocess
from collections.abc import Generator


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Cable:
    """From this machine's network into a namespace.

    Args:
        number: which one it is, from 0.
    """

    def __init__(self, namespace: str, number: int) -> None:
        self.address = f"10.213.{number}.2"
        """Of the other end."""
        self._namespace = namespace
        self._near, self._far = (f"cd{os.getpid() % 100_000}{end}{number}" for end in "ab")
        _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", namespace)
        _ip("address", "add", f"10.213.{number}.1/24", "dev", self._near)
        _ip("link", "set", self._near, "up")
        _ip("-n", namespace, "address", "add", f"{self.address}/24", "dev", self._far)
        self.plug_in()

    def pull_out(self) -> None:
        """Lose whatever is sent, in both directions."""
        _ip("-n", self._namespace, "link", "set", self._far, "down")

    def plug_in(self) -> None:
        """Undo it."""
        _ip("-n", self._namespace, "link", "set", self._far, "up")


@contextlib.contextmanager
def namespace(cables: int) -> Generator[tuple[str, list[Cable]]]:
    """A namespace for the block, and cables into it."""
    name = f"collabd-{os.getpid()}"
    _ip("netns", "add", name)
    try:
        yield name, [Cable(name, number) for number in range(cables)]
    finally:
        _ip("netns", "delete", name)  # with the cables
