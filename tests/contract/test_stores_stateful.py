"""Whatever is done to a store, in whatever order, it holds what the memory store holds, also after it was
closed and opened again."""

import asyncio
import tempfile
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collabd.errors import CollabdError
from collabd.persistence.base import Appended, Compaction, DocumentInfo, HistoryEntry, Store, StoredDocument
from collabd.persistence.memory import MemoryStore
from collabd.persistence.postgres import PostgresStore
from collabd.persistence.sqlite import SQLiteStore
from tests.support.postgres import new_database
from tests.support.served import ServedStore

T = TypeVar("T")

NAMES = st.sampled_from(["a", "a/b", "é", "🙂"])
UPDATES = st.lists(st.binary(max_size=4), min_size=1, max_size=4)


class Comparison(RuleBasedStateMachine):
    """Does the same to a store and to its model."""

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.place = self.new_place()
        self.model = MemoryStore()
        self.run(self.model.start())
        self.store = self.opened()
        self.ids: dict[int, int] = {}
        """The store's id of a document by the model's."""

    def new_place(self) -> str:
        """Where the store is kept."""
        raise NotImplementedError

    def store_in(self, place: str) -> Store:
        """The store that is kept there."""
        raise NotImplementedError

    def opened(self) -> Store:
        store = self.store_in(self.place)
        self.run(store.start())
        return store

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def outcome(self, work: Awaitable[T]) -> T | type[CollabdError]:
        async def finish() -> T | type[CollabdError]:
            try:
                return await work
            except CollabdError as error:
                return type(error)

        return self.run(finish())

    def known(self, document: int | None) -> int | None:
        return None if document is None else self.ids[document]

    async def append_everywhere(
        self, batches: list[tuple[str, int | None, list[bytes]]], *, revive: bool = False
    ) -> None:
        expected = [
            self.model.append(name, document, updates, revive=revive) for name, document, updates in batches
        ]
        actual = [
            self.store.append(name, self.known(document), updates, revive=revive)
            for name, document, updates in batches
        ]
        for model, store in zip(expected, actual, strict=True):
            outcome, other = await asyncio.gather(model, store, return_exceptions=True)
            if isinstance(outcome, Appended):
                assert isinstance(other, Appended)
                assert self.ids.setdefault(outcome.document_id, other.document_id) == other.document_id
                assert outcome.last_seq == other.last_seq
            else:
                assert type(outcome) is type(other)

    @rule(name=NAMES, updates=UPDATES, revive=st.booleans())
    def append(self, name: str, updates: list[bytes], revive: bool) -> None:
        self.run(self.append_everywhere([(name, None, updates)], revive=revive))

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), batches=st.lists(st.tuples(NAMES, UPDATES), min_size=1, max_size=4))
    def append_to_known(self, data: st.DataObject, batches: list[tuple[str, list[bytes]]]) -> None:
        documents = st.sampled_from(sorted(self.ids))
        self.run(self.append_everywhere([(name, data.draw(documents), updates) for name, updates in batches]))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        assert self.outcome(self.store.delete(name)) == self.outcome(self.model.delete(name))

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        document = data.draw(st.sampled_from(sorted(self.ids)))
        seqs = data.draw(st.lists(st.integers(1, 12), max_size=3))
        self.run(self.model.reject(document, seqs))
        self.run(self.store.reject(self.ids[document], seqs))

    @rule(name=NAMES, data=st.data(), state=st.binary(max_size=4), keep_history=st.booleans())
    def compact(self, name: str, data: st.DataObject, state: bytes, keep_history: bool) -> None:
        stored = self.outcome(self.model.load(name))
        if not isinstance(stored, StoredDocument):
            return
        seq = data.draw(st.integers(stored.snapshot_seq, stored.head))
        early = sorted(data.draw(st.sets(st.integers(1, max(seq, 1)), max_size=4)))
        replaces = stored.snapshot_seq - data.draw(st.integers(0, 1))
        compaction = Compaction(replaces, seq, state, early, keep_history)
        expected = self.run(self.model.compact(stored.id, compaction))
        assert self.run(self.store.compact(self.ids[stored.id], compaction)) is expected

    @rule()
    def reopen(self) -> None:
        self.run(self.store.close())
        self.store = self.opened()

    @rule(prefix=st.sampled_from(["", "a", "a/", "é"]), after=st.one_of(st.just(""), NAMES))
    def page(self, prefix: str, after: str) -> None:
        expected = self.run(self.model.documents(prefix=prefix, after=after, limit=2))
        actual = self.run(self.store.documents(prefix=prefix, after=after, limit=2))
        assert list(map(self.essence, expected)) == list(map(self.essence, actual))

    @invariant()
    def they_hold_the_same(self) -> None:
        if not hasattr(self, "store"):
            return
        for name in ("a", "a/b", "é", "🙂"):
            expected, actual = self.outcome(self.model.load(name)), self.outcome(self.store.load(name))
            if isinstance(expected, StoredDocument):
                assert isinstance(actual, StoredDocument)
                assert actual == expected._replace(id=self.ids[expected.id])
                history = self.run(self.history(self.model, expected.id))
                assert self.run(self.history(self.store, actual.id)) == history
                whole = self.outcome(self.model.load(name, whole=True))
                assert self.essence(self.outcome(self.store.load(name, whole=True))) == self.essence(whole)
            else:
                assert expected == actual
            found, other = self.outcome(self.model.find(name)), self.outcome(self.store.find(name))
            assert self.essence(found) == self.essence(other)

    async def history(self, store: Store, document: int) -> list[HistoryEntry]:
        return [entry._replace(at=0.0) async for entries in store.history(document) for entry in entries]

    def essence(self, found: object) -> object:
        if isinstance(found, StoredDocument):
            return found._replace(id=0)
        return (found.name, found.head) if isinstance(found, DocumentInfo) else found


class SQLiteComparison(Comparison):
    """With SQLite."""

    def new_place(self) -> str:
        self.directory = tempfile.TemporaryDirectory()
        return self.directory.name

    def store_in(self, place: str) -> Store:
        return SQLiteStore(Path(place, "documents.db"))

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


class PostgresComparison(Comparison):
    """With PostgreSQL."""

    def new_place(self) -> str:
        return new_database()

    def store_in(self, place: str) -> Store:
        return PostgresStore(place)


class RemoteComparison(SQLiteComparison):
    """With SQLite, owned by another event loop."""

    def store_in(self, place: str) -> Store:
        return ServedStore(Path(place))


SQLiteComparison.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
PostgresComparison.TestCase.settings = settings(max_examples=10, stateful_step_count=25)
RemoteComparison.TestCase.settings = settings(max_examples=10, stateful_step_count=25)
TestSQLiteAgrees = SQLiteComparison.TestCase
TestPostgresAgrees = PostgresComparison.TestCase
TestRemoteAgrees = RemoteComparison.TestCase
