"""Who a connection speaks for, and what they may do with a document."""

import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Self

from collabd.errors import MalformedInput


class Access(IntEnum):
    """Rights on one document, each containing those before it."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3

    @classmethod
    def named(cls, name: object) -> Self:
        """The right of that name, in small letters.

        Raises:
            MalformedInput: there is none.
        """
        for access in cls:
            if access.name.lower() == name:
                return access
        raise MalformedInput(f"access is none, read, write or admin, not {name!r}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who connects. ``id`` is stable and meant for programs, ``name`` is shown to people."""

    id: str
    name: str
    color: str = ""
    """What others see their cursor in, as ``#rrggbb``; empty if they choose themselves."""
    groups: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What the provider says of them beside."""


ANONYMOUS = Principal("anonymous", "Anonymous")

Authorize = Callable[[Principal, str], Awaitable[Access]]
"""Decides what a principal may do with the document of that name."""


async def allow_everyone(principal: Principal, document: str) -> Access:
    """The rule of a server that asks nobody to sign in."""
    return Access.ADMIN


MAX_SCOPE: Final = 100
"""Parts that a scope may have."""


class Pattern:
    """Document names, described: ``*`` stands for anything within a segment, ``**`` for any number of whole
    segments; everything else for itself. ``notes`` is not matched by ``notes/**``.

    Raises:
        MalformedInput: there is more to a segment than ``**``.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        segments = text.split("/")
        if not all(segment == "**" or (segment and "**" not in segment) for segment in segments):
            raise MalformedInput(f"{text!r} is no pattern: ** stands alone between slashes")
        written = "/".join(map(_segment, segments))
        # A ** takes at least one segment, so that what it follows is not matched itself.
        self._expression = re.compile(written, re.DOTALL)

    def matches(self, name: str) -> bool:
        """Whether the pattern describes all of a name."""
        return self._expression.fullmatch(name) is not None

    def covers(self, other: "Pattern") -> bool:
        """Whether it surely matches all that the other one does."""
        if self.text in ("**", other.text):
            return True
        folder = self.text.removesuffix("**")
        return folder != self.text and "*" not in folder and other.text.startswith(folder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def _segment(segment: str) -> str:
    if segment == "**":
        return "[^/]+(?:/[^/]+)*"
    return "[^/]*".join(map(re.escape, segment.split("*")))


@dataclass(frozen=True, slots=True)
class Scope:
    """The documents that a credential is good for, and for what."""

    names: Mapping[str, Access]
    patterns: Sequence[tuple[Pattern, Access]] = ()

    def access(self, document: str) -> Access:
        """What may be done with a document."""
        found = [self.names.get(document, Access.NONE)]
        found += [access for pattern, access in self.patterns if pattern.matches(document)]
        return max(found)

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a scope from JSON: a list of ``{"document": name, "access": …}`` and ``{"pattern": …,
        "access": …}``.

        Raises:
            MalformedInput: it is something else.
        """
        if not isinstance(value, list) or not value or len(value) > MAX_SCOPE:
            raise MalformedInput(f"a scope is a list of 1 to {MAX_SCOPE} documents or patterns")
        names: dict[str, Access] = {}
        patterns: list[tuple[Pattern, Access]] = []
        for item in value:
            if not isinstance(item, dict) or len(item) != 2 or "access" not in item:
                raise MalformedInput("each part of a scope has an access, and a document or a pattern")
            access = Access.named(item["access"])
            document, pattern = item.get("document"), item.get("pattern")
            if isinstance(document, str) and document:
                names[document] = max(access, names.get(document, Access.NONE))
            elif isinstance(pattern, str):
                patterns.append((Pattern(pattern), access))
            else:
                raise MalformedInput("a document or a pattern is text")
        return cls(names, tuple(patterns))

    def written(self) -> list[dict[str, str]]:
        """What :meth:`parse` reads."""
        parts = [{"document": name, "access": access.name.lower()} for name, access in self.names.items()]
        parts += [
            {"pattern": pattern.text, "access": access.name.lower()} for pattern, access in self.patterns
        ]
        return parts

    def covers(self, other: "Scope") -> bool:
        """Whether this allows all that the other one does, as far as that is plain to see: a pattern is
        covered by itself, and by ``**`` and ``folder/**`` if it begins so."""
        return all(self.access(name) >= access for name, access in other.names.items()) and all(
            any(own.covers(pattern) and allowed >= access for own, allowed in self.patterns)
            for pattern, access in other.patterns
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, by which credential, and how long that holds."""

    principal: Principal
    credential: str = ""
    """What can be revoked: ``session:…``, ``key:…``, ``token:…``; empty for who did not sign in."""
    scope: Scope | None = None
    """What the credential is good for, where that does not follow from who it is."""
    expires_at: float = math.inf
    """When connections end that were opened by it, in seconds since the epoch."""
    issued_at: float = 0.0
    mints: bool = False
    """Whether document tokens can be made with it."""
    link: str = ""
    """The secret of the link by which somebody comes to a document."""

    @property
    def is_signed_in(self) -> bool:
        """Whether it is known who it is."""
        return bool(self.credential)

    @property
    def credential_id(self) -> str:
        """What a credential is called among those of its kind."""
        return self.credential.partition(":")[2]


NOBODY_SIGNED_IN = Identity(ANONYMOUS)
