"""One transaction of group commit to PostgreSQL: numbers are taken and rows written for many batches at once.

Mostly that is a single statement. Numbers are taken under the row locks of the documents, which everybody
locks in the order of their ids, so that nodes cannot deadlock.

When a commit fails, nobody can say whether it happened: the answer may be all that was lost. So each batch
has a random id, and before it is tried again it is looked for under the locks, which whoever is still busy
with the first try holds. If it would have been found for certain only some time ago, it is given up: those
who sent it are told to come back, and bring what is missing.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from collabd.errors import DocumentDeleted, DocumentExists, StoreUnavailable

from . import rows
from .base import Appended, Author
from .postgres_authors import Authors
from .postgres_connection import QUERIES, pairs

if TYPE_CHECKING:
    from .postgres_connection import Connection


BATCHES_REMEMBERED: Final = 900.0
"""Seconds after a batch was committed for which it stays known that compaction moved it."""
CLOCKS_DIFFER: Final = 300.0
"""Seconds by which the clocks of two nodes may differ."""


@dataclass(slots=True, eq=False)
class Append:
    """A batch to be committed."""

    future: "asyncio.Future[Appended]"
    name: str
    document_id: int | None
    count: int
    payload: bytes
    authors: Sequence[tuple[Author, int]]
    revive: bool
    first: bool
    batch: int = field(default_factory=lambda: secrets.randbits(63))
    number: int = 0
    """Counts what was handed over."""
    tried_at: float | None = None
    """When a commit that held it failed for the first time, perhaps only in its answer, in seconds of the
    monotonic clock."""


_Outcome = Appended | Exception


class _NamesChanged(Exception):
    """A name was taken or given up between looking it up and locking its document."""


async def commit(
    connection: "Connection", authors: Authors, group: Sequence[Append], *, avoid_locked: bool
) -> dict[Append, _Outcome | None]:
    """Commit a group; None for those whose document somebody else has locked."""
    now = time.time()
    # On their own: a number without a batch does no harm, and locks of theirs are held for no time.
    packed = await authors.pack(connection, [append.authors for append in group], now)
    plain = not avoid_locked and not any(
        append.tried_at is not None or append.first or append.document_id is None for append in group
    )
    if plain:
        ids = {append: append.document_id or 0 for append in group}
        outcomes = await _append(connection, ids, packed, group, now)
        return {append: outcomes.get(append, _deleted(append)) for append in group}
    while True:
        with contextlib.suppress(_NamesChanged):
            async with connection.transaction():
                return await _commit_carefully(connection, group, packed, now, avoid_locked)


async def _commit_carefully(
    connection: "Connection",
    group: Sequence[Append],
    packed: Sequence[bytes],
    now: float,
    avoid_locked: bool,
) -> dict[Append, _Outcome | None]:
    """The same for batches some of which may be there already, make a document, or have conditions."""
    outcomes: dict[Append, _Outcome | None] = {}
    ids, created = await _resolve(connection, group, now)
    lock = QUERIES["lock_free_documents" if avoid_locked else "lock_documents"]
    wanted = sorted(set(ids.values()))
    heads: dict[int, int] = pairs(await connection.fetch(lock, wanted))
    held_by_others: set[int] = set()
    if avoid_locked and len(heads) < len(wanted):
        live = await connection.fetch(QUERIES["live_documents"], wanted)
        held_by_others = {document_id for (document_id,) in live} - heads.keys()
    tried = [append for append in group if append.tried_at is not None]
    found = await _find(connection, tried)
    unknown = await _unknown(connection, [append for append in tried if append not in found], ids, now)
    refused = await _rejected(connection, [ids[append] for append in group if append.first and append in ids])
    for append in group:
        document_id = ids.get(append)
        if append in found:
            outcomes[append] = found[append]
        elif append in unknown:
            outcomes[append] = StoreUnavailable(f"nobody can tell whether {append.name} has this")
        elif document_id is None:
            outcomes[append] = _deleted(append)
        elif document_id in held_by_others:
            outcomes[append] = None
        elif document_id not in heads:
            if append.document_id is None and append.revive:
                raise _NamesChanged
            outcomes[append] = _deleted(append)
        elif append.first and heads[document_id] > refused.get(document_id, 0):
            outcomes[append] = DocumentExists(f"{append.name} already has content")
        else:
            heads[document_id] += append.count
    due = {append: ids[append] for append in group if append not in outcomes}
    if due:
        outcomes.update(await _append(connection, due, packed, group, now))
    if created:
        await connection.execute(QUERIES["remove_empty_documents"], created)
    return outcomes


def _deleted(append: Append) -> DocumentDeleted:
    return DocumentDeleted(f"{append.name} was deleted")


async def _append(
    connection: "Connection",
    ids: dict[Append, int],
    packed: Sequence[bytes],
    group: Iterable[Append],
    now: float,
) -> dict[Append, Appended]:
    """Write the batches that have an id; those of documents that were deleted are missing in the answer."""
    due = [(append, authors) for append, authors in zip(group, packed, strict=True) if append in ids]
    behind: list[int] = []
    follow: dict[int, int] = {}
    for append, _ in reversed(due):
        document_id = ids[append]
        behind.append(follow.get(document_id, 0))
        follow[document_id] = behind[-1] + append.count
    behind.reverse()
    numbered = await connection.fetch(
        QUERIES["append"],
        [ids[append] for append, _ in due],
        [append.count for append, _ in due],
        behind,
        [authors for _, authors in due],
        [append.payload for append, _ in due],
        [rows.checksum(append.payload, authors) for append, authors in due],
        [append.batch for append, _ in due],
        list(follow),
        now,
    )
    heads: dict[int, int] = pairs(numbered)
    return {
        append: Appended(ids[append], heads[ids[append]] - after)
        for (append, _), after in zip(due, behind, strict=True)
        if ids[append] in heads
    }


async def _resolve(
    connection: "Connection", group: Sequence[Append], now: float
) -> tuple[dict[Append, int], list[int]]:
    """The document of each batch, made if need be, and which were made. None for names that were deleted.

    Raises:
        _NamesChanged: somebody else made one of them, and it was deleted already.
    """
    ids = {append: append.document_id for append in group if append.document_id is not None}
    nameless = [append for append in group if append.document_id is None]
    if not nameless:
        return ids, []
    newest = await _newest(connection, {append.name for append in nameless})
    wanted: set[str] = set()
    for append in nameless:
        known = newest.get(append.name)
        if known is None or (known[1] and append.revive):
            wanted.add(append.name)
    created: dict[str, int] = {}
    if wanted:
        made = await connection.fetch(QUERIES["create_documents"], sorted(wanted), now)
        created = pairs(made)
        taken = wanted - created.keys()
        if taken:
            others = await _newest(connection, taken)
            if len(others) < len(taken) or any(deleted for _, deleted in others.values()):
                raise _NamesChanged
            created |= {name: document_id for name, (document_id, _) in others.items()}
    new: set[str] = set()
    for append in nameless:
        known = newest.get(append.name)
        if append.name in wanted and (known is None or append.revive):
            new.add(append.name)
        if append.name in new:
            ids[append] = created[append.name]
        elif known is not None and not known[1]:
            ids[append] = known[0]
    return ids, list(created.values())


async def _newest(connection: "Connection", names: Collection[str]) -> dict[str, tuple[int, bool]]:
    """By name, the document that had it last, and whether that was deleted."""
    found = await connection.fetch(QUERIES["newest_under_names"], list(names))
    return {name: (document_id, deleted) for name, document_id, deleted in found}


async def _find(connection: "Connection", tried: Sequence[Append]) -> dict[Append, Appended]:
    """Those of the batches that were committed when it seemed that they were not."""
    if not tried:
        return {}
    found = await connection.fetch(
        QUERIES["find_batches"],
        [append.batch for append in tried],
        [append.document_id for append in tried if append.document_id is not None],
        [append.name for append in tried if append.document_id is None],
    )
    there = {batch: Appended(document_id, seq) for batch, document_id, seq in found}
    return {append: there[append.batch] for append in tried if append.batch in there}


async def _unknown(
    connection: "Connection", lost: Sequence[Append], ids: dict[Append, int], now: float
) -> set[Append]:
    """Those of the batches, none of which was found, that may have been committed all the same: compaction
    moved rows of their document since, and they were tried so long ago that it is forgotten which."""
    tried_at = {
        append: now - (time.monotonic() - append.tried_at) - CLOCKS_DIFFER
        for append in lost
        if append.tried_at is not None and append in ids
    }
    old = [append for append, at in tried_at.items() if at < now - BATCHES_REMEMBERED]
    if not old:
        return set()
    compacted = pairs(await connection.fetch(QUERIES["compacted_at"], [ids[append] for append in old]))
    return {append for append in old if compacted.get(ids[append], 0.0) >= tried_at[append]}


async def _rejected(connection: "Connection", documents: Sequence[int]) -> dict[int, int]:
    """By document, how many updates were rejected."""
    if not documents:
        return {}
    return pairs(await connection.fetch(QUERIES["rejected_counts"], list(documents)))
