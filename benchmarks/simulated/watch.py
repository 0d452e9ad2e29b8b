"""How late edits are on other nodes, of those documents that are watched."""

from dataclasses import dataclass


@dataclass(slots=True)
class _Edit:
    node: int
    at: float
    missing: int
    """Copies that do not have it yet."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds from a commit until another node had it, or all others."""

    committed_at: float
    seconds: float


class Delays:
    """What was seen of all watched documents."""

    def __init__(self) -> None:
        self.each: list[Delay] = []
        self.all: list[Delay] = []


class Watched:
    """One document: told what is committed, and how far its copies are."""

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._edits: dict[int, _Edit] = {}
        self._heads: dict[int, int] = {}
        """Of each node that has a copy."""

    def follow(self, node: int, head: int) -> None:
        """A node has a copy now."""
        self._heads.setdefault(node, head)

    def committed(self, node: int, first: int, last: int, at: float) -> None:
        others = len(self._heads.keys() - {node})
        for seq in range(first, last + 1):
            if others:
                self._edits[seq] = _Edit(node, at, others)

    def reached(self, node: int, head: int, at: float) -> None:
        """A node's copy got so far."""
        before = self._heads.get(node)
        if before is None or head <= before:
            return
        self._heads[node] = head
        for seq in range(before + 1, head + 1):
            edit = self._edits.get(seq)
            if edit is None or edit.node == node:
                continue
            late = Delay(edit.at, at - edit.at)
            self._delays.each.append(late)
            edit.missing -= 1
            if not edit.missing:
                self._delays.all.append(late)
                del self._edits[seq]
