"""Any version of a long recorded session is what its author had written by then."""

from typing import Any

import pytest
from pycrdt import Doc, Text, TransactionEvent

from collabd.history import restoring, state_at
from collabd.persistence.base import UNKNOWN, HistoryEntry
from tests.support.traces import load

ENOUGH = 100_000
"""Turns: each takes longer to make than the one before, and the rest of the longest session is like these."""


@pytest.mark.parametrize("trace", ["rustcode", "automerge-paper"])
def test_versions_are_what_was_written_by_then(trace: str) -> None:
    turns = load(trace).agents[0][:ENOUGH]
    entries: list[HistoryEntry] = []
    doc: Doc[Any] = Doc()
    text = doc.get("content", type=Text)

    def log(event: TransactionEvent) -> None:
        entries.append(HistoryEntry(len(entries) + 1, 1, 0.0, ((UNKNOWN, 1),), [event.update]))

    subscription = doc.observe(log)
    wanted = {len(turns) * tenth // 10 for tenth in (1, 5, 9, 10)}
    plain = ""
    expected: dict[int, str] = {}
    for number, turn in enumerate(turns, 1):
        with doc.transaction():
            for position, gone, new in turn.patches:
                start, end = (
                    (len(plain[:at].encode()) for at in (position, position + gone))
                    if not (plain.isascii())
                    else (position, position + gone)
                )
                if gone:
                    del text[start:end]
                if new:
                    text.insert(start, new)
                plain = plain[:position] + new + plain[position + gone :]
        if number in wanted:
            expected[len(entries)] = plain
    doc.unobserve(subscription)
    now = state_at(entries, len(entries))
    for seq, words in expected.items():
        then = state_at(entries, seq)
        for states in ([then], [now, restoring(then, now)]):
            seen: Doc[Any] = Doc()
            for state in states:
                seen.apply_update(state)
            assert str(seen.get("content", type=Text)) == words
