"""Everything in one store into another one."""

from collections.abc import AsyncIterator
from typing import Final

from collabd.errors import DocumentDamaged, StoreError
from collabd.persistence.base import Store, StoredDocument
from collabd.persistence.records import DocumentRecord, EntryRecord, Record, SnapshotRecord

from .base import Event, every, progress, result

BATCH_RECORDS: Final = 1_000
BATCH_BYTES: Final = 8 * 1024 * 1024
"""How much is put in in one transaction, about."""


async def migrate(source: Store, target: Store) -> AsyncIterator[Event]:
    """Copy all of a store into one that holds nothing yet, and compare them afterwards. Nobody else may use
    either meanwhile.

    Raises:
        StoreError: the target holds something, or the copy is not the same.
        DocumentDamaged: something cannot be read; nothing was copied.
    """
    async for records in target.dump():
        if records:
            raise StoreError("the store to copy to is not empty")
    documents: list[DocumentRecord] = []
    try:
        async for records in source.dump():
            documents += [record for record in records if isinstance(record, DocumentRecord)]
            yield progress("reading", len(documents))
    except DocumentDamaged as error:
        name = documents[-1].name if documents else "the first document"
        raise DocumentDamaged(f"{name} must be repaired first; nothing was copied: {error}") from error
    copied = updates = 0
    async for batch in _batches(source):
        await target.take_in(batch)
        copied += sum(isinstance(record, DocumentRecord) for record in batch)
        updates += sum(record.entry.count for record in batch if isinstance(record, EntryRecord))
        yield progress("copying", copied, len(documents))
    async for event in _compare(source, target, len(documents)):
        yield event
    yield result(
        documents=sum(document.deleted_at is None for document in documents),
        deleted=sum(document.deleted_at is not None for document in documents),
        quarantined=sum(bool(document.quarantine) for document in documents),
        updates=updates,
    )


async def _compare(source: Store, target: Store, total: int) -> AsyncIterator[Event]:
    """Raise StoreError unless both hold the same records, and give out the same documents."""
    ours, theirs = _records(source), _records(target)
    done = 0
    while True:
        one, other = await anext(ours, None), await anext(theirs, None)
        if one != other:
            raise StoreError("the copy is not the same as what was copied; do not use it")
        if one is None:
            break
        if isinstance(one, DocumentRecord):
            yield progress("comparing", done, total)
            done += 1
    async for info in every(source):
        copy = await target.find(info.name)
        # When a document changed last is not known to all stores as exactly.
        if (
            copy is None
            or copy._replace(updated_at=info.updated_at) != info
            or (await _loaded(source, info.name) != await _loaded(target, info.name))
        ):
            raise StoreError(f"the copy of {info.name} has another state; do not use it")


async def _loaded(store: Store, name: str) -> StoredDocument | str | None:
    try:
        return await store.load(name)
    except DocumentDamaged as error:
        return str(error)


async def _records(store: Store) -> AsyncIterator[Record]:
    async for records in store.dump():
        for record in records:
            if isinstance(record, EntryRecord) and not record.in_log:
                # Of history every store keeps milliseconds.
                yield record._replace(entry=record.entry._replace(at=round(record.entry.at, 3)))
            else:
                yield record


async def _batches(source: Store) -> AsyncIterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    async for records in source.dump():
        for record in records:
            batch.append(record)
            size += _size(record)
            if len(batch) >= BATCH_RECORDS or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _size(record: Record) -> int:
    if isinstance(record, EntryRecord):
        return sum(map(len, record.entry.updates))
    return len(record.state) if isinstance(record, SnapshotRecord) else 0
