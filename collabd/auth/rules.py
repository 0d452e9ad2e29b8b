"""Rules of the configuration: who may do what with which documents.

    [[rules]]
    documents = ["handbook/**"]
    anyone = true
    access = "read"

    [[rules]]
    documents = ["team/*", "plans/**"]
    groups = ["staff"]
    access = "write"

A rule holds for those who fulfil any of its conditions. Where several rules hold, the largest right counts;
where none does, there is none. With the access ``create`` a rule gives no right on what is there, but lets
people make new documents, each of which is its maker's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from collabd.errors import MalformedInput

from .base import ANONYMOUS, Access, Pattern, Principal

CREATE: Final = "create"
CONDITIONS: Final = ("anyone", "signed_in", "users", "groups", "claims")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    documents: tuple[Pattern, ...]
    access: Access
    anyone: bool = False
    signed_in: bool = False
    users: frozenset[str] = frozenset()
    """Ids."""
    groups: frozenset[str] = frozenset()
    creates: bool = False
    """Whether it lets people make new documents."""
    claims: Mapping[str, Any] | None = None
    """All of these, with these values (or with a list that holds the value)."""

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Self:
        """Read a rule from a table of the configuration.

        Raises:
            MalformedInput: it is none.
        """
        unknown = table.keys() - {"documents", "access", *CONDITIONS}
        if unknown:
            raise MalformedInput(f"a rule has no {min(unknown)!r}")
        if not any(table.get(condition) for condition in CONDITIONS):
            raise MalformedInput(f"a rule says for whom it is: {', '.join(CONDITIONS)}")
        claims = table.get("claims")
        if claims is not None and not isinstance(claims, Mapping):
            raise MalformedInput("claims are a table of names and values")
        creates = table.get("access") == CREATE
        if creates and table.get("anyone"):
            raise MalformedInput("who creates documents is somebody who has signed in, not anyone")
        return cls(
            tuple(map(Pattern, _texts(table, "documents"))),
            Access.NONE if creates else Access.named(table.get("access")),
            creates=creates,
            anyone=_flag(table, "anyone"),
            signed_in=_flag(table, "signed_in"),
            users=frozenset(_texts(table, "users")),
            groups=frozenset(_texts(table, "groups")),
            claims=claims or None,
        )

    def is_about(self, document: str) -> bool:
        """Whether it says something of a document."""
        return any(pattern.matches(document) for pattern in self.documents)

    def holds_for(self, principal: Principal) -> bool:
        """Whether somebody fulfils any of its conditions."""
        if self.anyone:
            return True
        if principal == ANONYMOUS:
            return False
        if self.signed_in or principal.id in self.users or not self.groups.isdisjoint(principal.groups):
            return True
        return self.claims is not None and all(
            _has(principal.claims.get(name), value) for name, value in self.claims.items()
        )


class Rules:
    """All rules; :meth:`authorize` is what decides.

    Raises:
        MalformedInput: a table is no rule.
    """

    def __init__(self, tables: Sequence[Mapping[str, Any]]) -> None:
        self._rules = tuple(map(Rule.parse, tables))

    async def authorize(self, principal: Principal, document: str) -> Access:
        """What somebody may do with a document."""
        found = Access.NONE
        for rule in self._rules:
            if rule.access > found and rule.is_about(document) and rule.holds_for(principal):
                found = rule.access
        return found

    def may_create(self, principal: Principal, document: str) -> bool:
        """Whether somebody may make new documents of that name."""
        return any(
            rule.creates and rule.is_about(document) and rule.holds_for(principal) for rule in self._rules
        )


def _has(told: Any, wanted: Any) -> bool:
    return wanted in told if isinstance(told, list) else bool(told == wanted)


def _flag(table: Mapping[str, Any], name: str) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise MalformedInput(f"{name} is true or false")
    return value


def _texts(table: Mapping[str, Any], name: str) -> list[str]:
    value = table.get(name, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise MalformedInput(f"{name} is a list of texts")
    if name == "documents" and not texts:
        raise MalformedInput("a rule says for which documents it is")
    return texts
