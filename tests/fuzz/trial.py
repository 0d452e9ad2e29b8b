"""One stretch of cases, in a process that may die of any of them: what ``python -m tests.fuzz`` starts."""

import json
import random
import re
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pycrdt

from collabd.errors import MalformedInput
from collabd.protocol import wire
from collabd.protocol.structure import RootShape, root_shapes, type_depth
from collabd.protocol.surrogates import tear, torn
from collabd.protocol.update import check_state_vector, check_update
from tests.fuzz.generate import Editors, Nonsense, full_states, mutant

STALLED = 10.0
"""Seconds one case may take; a process that takes longer is killed by SIGALRM."""

Doc = pycrdt.Doc[Any]

_NUMBER = re.compile(r"\d+")

_ROOT_TYPES: dict[RootShape, Any] = {
    RootShape(text=True): pycrdt.Text,
    RootShape(keys=True): pycrdt.Map,
    RootShape(values=True): pycrdt.Array,
    RootShape(xml=True): pycrdt.XmlFragment,
}


class Cases:
    """An endless, repeatable stream of updates that pass the check."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._genuine = Editors(self._rng).updates(60) + full_states(self._rng, 2)
        self._nonsense = Nonsense(self._rng)
        self.base = full_states(self._rng, 1)[0]
        self.tried = 0

    def next(self) -> bytes:
        while True:
            self.tried += 1
            case = self._candidate()
            try:
                check_update(case)
            except MalformedInput:
                continue
            return case

    def _candidate(self) -> bytes:
        rng = self._rng
        roll = rng.random()
        if roll < 0.35:
            return self._nonsense.update()
        first = rng.choice(self._genuine) if roll < 0.8 else self._nonsense.update()
        other = rng.choice(self._genuine) if rng.random() < 0.5 else self._nonsense.update()
        return mutant(rng, first, other)


def everything_deleted(state: dict[int, int]) -> bytes:
    """An update that deletes all that a document with this state vector holds."""
    clients = [wire.uint(client) + b"\1\0" + wire.uint(clock) for client, clock in state.items() if clock]
    return b"\0" + wire.uint(len(clients)) + b"".join(clients)


class Replica:
    """A document that is kept right as ``collabd.protocol.surrogates`` says."""

    def __init__(self, base: bytes) -> None:
        self.doc: Doc = Doc()
        self._pairs: set[tuple[int, int]] = set()
        self._cuts_to_come: set[tuple[int, int]] = set()
        self.apply(base)

    def apply(self, update: bytes) -> None:
        summary = check_update(update)
        clocks = check_state_vector(self.doc.get_state())
        cuts = {(client, clocks.get(client, 0)) for client, start, end in summary.structs}
        theirs = torn(self._pairs, summary)
        own_pairs = set(summary.pairs)
        own = torn(own_pairs, summary) | own_pairs & (cuts | self._cuts_to_come)
        if theirs:
            whole = tear(self.doc.get_update(), theirs)
            self.doc = Doc()
            self.doc.apply_update(whole)
        self._pairs |= own_pairs - own
        self._pairs -= theirs
        self._cuts_to_come |= set(summary.cuts)
        for client, start, end in summary.deletes:
            self._cuts_to_come |= {(client, start), (client, end)}
        self.doc.apply_update(tear(update, own) if own else update)


def try_on(base: bytes, update: bytes) -> str:
    """Applies the update and uses the document as a server would; what pycrdt said, "" for nothing.

    Raises PanicException if pycrdt panics and AssertionError if the document cannot be reloaded.
    """
    replica = Replica(base)
    try:
        replica.apply(update)
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {_NUMBER.sub('#', str(error))}"
    doc = replica.doc
    full = doc.get_update()
    clocks = check_state_vector(doc.get_state())
    check_update(full)
    reloaded: Doc = Doc()
    reloaded.apply_update(full)
    assert check_state_vector(reloaded.get_state()) == clocks, "the document lost something on reload"
    type_depth(full)
    for name, shape in root_shapes(full).items():
        if (kind := _ROOT_TYPES.get(shape)) is not None:
            _read(reloaded.get(name, type=kind))
    replica.apply(everything_deleted(clocks))
    replica.apply(update)
    check_update(replica.doc.get_update())
    return ""


def _read(root: Any) -> None:
    try:
        root.to_py() if isinstance(root, pycrdt.Map | pycrdt.Array) else str(root)
    except (KeyError, ValueError):
        """Nonsense that reads as an error harms nobody."""


def run(seed: int, first: int, count: int, current: Path) -> Counter[str]:
    """Tries the cases ``first`` to ``count``, leaving the one under way in the file ``current``."""
    cases = Cases(seed)
    outcomes: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with current.open("r+b", buffering=0) as file:
        for number in range(count):
            case = cases.next()
            if number < first:
                continue
            file.seek(0)
            file.truncate()
            file.write(number.to_bytes(8) + case)
            signal.setitimer(signal.ITIMER_REAL, STALLED)
            for base in (b"\0\0", cases.base):
                outcomes[try_on(base, case)] += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
    outcomes["tried"] = cases.tried
    return outcomes


if __name__ == "__main__":
    seed, first, count = map(int, sys.argv[1:4])
    sys.stdout.write(json.dumps(run(seed, first, count, Path(sys.argv[4]))))
