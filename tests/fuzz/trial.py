"""One stretch of documents, in a process that may die of any of them: started by ``python -m tests.fuzz``."""

import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pycrdt

from collabd.errors import MalformedInput, UpdateRejected
from collabd.protocol import wire
from collabd.protocol.intake import Intake
from collabd.protocol.structure import RootShape, root_shapes, type_depth
from collabd.protocol.surrogates import tear
from collabd.protocol.update import check_state_vector, check_update
from tests.fuzz.generate import Editors, Nonsense, full_states, mutant

STALLED = 10.0
"""Seconds one document may take; a process that takes longer is killed by SIGALRM."""

Doc = pycrdt.Doc[Any]

_ROOT_TYPES: dict[RootShape, Any] = {
    RootShape(text=True): pycrdt.Text,
    RootShape(keys=True): pycrdt.Map,
    RootShape(values=True): pycrdt.Array,
    RootShape(xml=True): pycrdt.XmlFragment,
}


class Cases:
    """An endless, repeatable stream of documents: full states to begin with, and updates to offer them."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._nonsense = Nonsense(self._rng)
        self._genuine: list[bytes] = []
        self.tried = 0

    def document(self) -> tuple[bytes, list[bytes]]:
        """A base, half the time an empty one, and updates that pass the check."""
        rng = self._rng
        self._genuine = Editors(rng).updates(20)
        base = b"\0\0" if rng.random() < 0.5 else full_states(rng, 1)[0]
        updates = [self._next() for _ in range(rng.choice((1, 5, 20)))]
        return base, updates

    def _next(self) -> bytes:
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
        if roll < 0.1:
            return self._nonsense.deletion()
        if roll < 0.4:
            return self._nonsense.update()
        first = rng.choice(self._genuine) if roll < 0.8 else self._nonsense.update()
        other = rng.choice(self._genuine) if rng.random() < 0.5 else self._nonsense.update()
        return mutant(rng, first, other)


class Replica:
    """A document that is given only what ``collabd.protocol.intake`` says."""

    def __init__(self, base: bytes) -> None:
        self.doc: Doc = Doc()
        self.intake = Intake()
        self.apply(base)

    def clocks(self) -> dict[int, int]:
        return check_state_vector(self.doc.get_state())

    def apply(self, update: bytes) -> None:
        for step in self.intake.offer(update):
            if step.torn:
                whole = tear(self.doc.get_update(), step.torn)
                self.doc = Doc()
                self.doc.apply_update(whole)
            self.doc.apply_update(step.update)
        assert self.clocks() == self.intake.clocks, "what was ready was not integrated"


def try_on(base: bytes, updates: Iterable[bytes]) -> Iterator[str]:
    """Offers updates to a document and uses it as a server would. For each, why it was refused, or "".

    Raises PanicException if pycrdt panics and AssertionError if the document is not what it should be.
    """
    replica = Replica(base)
    for update in updates:
        try:
            replica.apply(update)
        except UpdateRejected as error:
            yield str(error)
        else:
            _examine(replica)
            yield ""
    everything = dict.fromkeys(replica.clocks(), 2**31 - 1)
    clients = [wire.uint(client) + b"\1\0" + wire.uint(end) for client, end in everything.items()]
    replica.apply(b"\0" + wire.uint(len(clients)) + b"".join(clients))
    _examine(replica)


def _examine(replica: Replica) -> None:
    full = replica.doc.get_update()
    check_update(full)
    reloaded: Doc = Doc()
    reloaded.apply_update(full)
    assert check_state_vector(reloaded.get_state()) == replica.clocks(), "it lost something on reload"
    assert Intake(full).clocks == replica.clocks(), "what it holds would be refused"
    type_depth(full)
    for name, shape in root_shapes(full).items():
        if (kind := _ROOT_TYPES.get(shape)) is not None:
            _read(replica.doc.get(name, type=kind))
            _read(reloaded.get(name, type=kind))


def _read(root: Any) -> None:
    try:
        root.to_py() if isinstance(root, pycrdt.Map | pycrdt.Array) else str(root)
    except (KeyError, ValueError):
        """Nonsense that reads as an error harms nobody."""


def run(seed: int, first: int, count: int, current: Path) -> Counter[str]:
    """Tries the documents ``first`` to ``count``, leaving the one under way in the file ``current``."""
    cases = Cases(seed)
    outcomes: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for number in range(count):
        base, updates = cases.document()
        if number < first:
            continue
        current.write_text(json.dumps([number, base.hex(), [update.hex() for update in updates]]))
        signal.setitimer(signal.ITIMER_REAL, STALLED)
        outcomes.update(try_on(base, updates))
        signal.setitimer(signal.ITIMER_REAL, 0)
    outcomes["tried"] = cases.tried
    return outcomes


if __name__ == "__main__":
    seed, first, count = map(int, sys.argv[1:4])
    sys.stdout.write(json.dumps(run(seed, first, count, Path(sys.argv[4]))))
