"""A document that ends the process that opens it is opened once more, elsewhere, and then no more."""

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from collabd.errors import DocumentDamaged
from collabd.rooms import loading, registry
from collabd.rooms.registry import Registry
from collabd.worker import Worker

from .kit import SAVED_AS, ScriptedStore, Writer

POISONOUS = b"poisonous"


def open_poison(snapshot: bytes | None, tail: list[tuple[int, bytes]]) -> None:
    """What a document that pycrdt cannot take does to the process."""
    if any(POISONOUS in update for _, update in tail):
        os.abort()


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    monkeypatch.setattr(registry, "try_out", open_poison)
    worker = Worker()
    yield worker
    await worker.close()


async def test_what_ended_the_process_is_put_in_quarantine(worker: Worker) -> None:
    store = ScriptedStore(holds=False)
    store.was_interrupted = True
    await store.append(SAVED_AS, None, [Writer(1).append("poisonous")])
    await store.append("sound", None, [Writer(1).append("sound")])
    rooms = Registry(store, reader=worker)
    for _ in range(2):
        with pytest.raises(DocumentDamaged, match="opening it ended the process"):
            await rooms.open(SAVED_AS)
    assert store.loads == 2
    assert str((await rooms.open("sound")).ydoc.get("content", type=type(Writer(2).text))) == "sound"
    (quarantined,) = [info for info in await store.documents() if info.quarantine]
    assert quarantined.name == SAVED_AS
    await store.quarantine(quarantined.id, "")
    store.was_interrupted = False
    await Registry(store, reader=worker).open(SAVED_AS)


async def test_after_a_clean_end_nothing_is_tried_out_and_after_another_everything_once() -> None:
    store = ScriptedStore(holds=False)
    await store.append(SAVED_AS, None, [Writer(1).append("x")])
    tried: list[Callable[..., Any]] = []

    class Watching:
        async def run(self, function: Callable[..., Any], *args: Any, seconds: float = 0) -> Any:
            tried.append(function)
            return function(*args)

    await Registry(store, reader=Watching()).open(SAVED_AS)
    assert tried == []
    store.was_interrupted = True
    rooms = Registry(store, reader=Watching(), idle_seconds=0)
    for now in (1e9, 2e9):
        await rooms.open(SAVED_AS)
        rooms.tick(now)
    assert tried == [loading.try_out]


async def test_what_is_damaged_otherwise_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ScriptedStore(holds=False)
    store.was_interrupted = True
    document_id, _ = await store.append(SAVED_AS, None, [b"1"])
    assert document_id

    def damaged(*_: object) -> None:
        raise DocumentDamaged("a snapshot went bad")

    monkeypatch.setattr(registry, "try_out", damaged)
    await Registry(store).open(SAVED_AS)
    (info,) = await store.documents()
    assert info.quarantine == ""
