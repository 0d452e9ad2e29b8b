"""Looking after what is stored: compacting, checking, repairing, erasing."""

from collections.abc import AsyncIterator

from collabd.compaction import compacted
from collabd.errors import CollabdError, DocumentDamaged, MalformedInput, WorkEnded, WorkFailed
from collabd.persistence.base import DocumentInfo, Problem
from collabd.rooms.peer import author_of

from .base import OPERATOR, Event, Host, chosen, failure, info_of, progress, result, row


async def compact(host: Host, *, names: list[str] | None = None) -> AsyncIterator[Event]:
    """Compact documents, or all of them, a row each with the size of its snapshot (bytes)."""
    wanted = await chosen(host, names)
    failed = 0
    for done, name in enumerate(wanted):
        yield progress("compacting", done, len(wanted))
        try:
            await info_of(host, name)
            yield row(name=name, bytes=await host.compactor.compact(name))
        except CollabdError as error:
            failed += 1
            yield failure(name, error)
    yield result(count=len(wanted), failed=failed)


async def check(host: Host, *, names: list[str] | None = None) -> AsyncIterator[Event]:
    """Read all that is stored of documents, or of all of them, and try whether they load; a row each."""
    wanted = await chosen(host, names)
    failed = 0
    for done, name in enumerate(wanted):
        yield progress("checking", done, len(wanted))
        try:
            info = await info_of(host, name)
            problems = await host.store.examine(info.id)
            waiting = rejected = 0
            if info.quarantine:
                problems.append(Problem("document", info.head, f"is in quarantine: {info.quarantine}"))
            else:
                try:
                    waiting, rejected = await _try(host, name)
                except (DocumentDamaged, WorkEnded, WorkFailed) as error:
                    problems.append(Problem("document", info.head, f"does not load: {error}"))
        except CollabdError as error:
            failed += 1
            yield failure(name, error)
            continue
        failed += bool(problems)
        found = [problem._asdict() for problem in problems]
        yield row(
            name=name,
            ok=not problems,
            updates=info.head,
            waiting=waiting,
            rejected=rejected,
            problems=found,
        )
    yield result(count=len(wanted), failed=failed)


async def repair(host: Host, *, names: list[str]) -> AsyncIterator[Event]:
    """Set aside what cannot be read of documents and make the rest open again; a row each.

    What a document that is open holds in memory is put in again where the log lost it.
    """
    failed = 0
    for done, name in enumerate(names):
        yield progress("repairing", done, len(names))
        try:
            yield await _repair(host, await info_of(host, name))
        except CollabdError as error:
            failed += 1
            yield failure(name, error)
    yield result(count=len(names), failed=failed)


async def _repair(host: Host, info: DocumentInfo) -> Event:
    name = info.name
    async with host.registry.held(name) as in_memory:
        aside = await host.store.set_aside(info.id)
        await host.store.quarantine(info.id, "")
        try:
            waiting, rejected = await _try(host, name)
            size = await host.compactor.compact(name)
        except CollabdError as error:
            reason = info.quarantine or f"it could not be repaired: {error}"
            await host.store.quarantine(info.id, reason)
            raise
    room = await host.registry.open(name)
    head = room.head
    if in_memory is not None:
        await room.submit(in_memory, author_of(OPERATOR))
    return row(
        name=name,
        set_aside=[problem._asdict() for problem in aside],
        updates=info.head,
        bytes=size,
        waiting=waiting,
        rejected=rejected,
        from_memory=room.head > head,
        released=info.quarantine,
    )


async def _try(host: Host, name: str) -> tuple[int, int]:
    """Load a document as compaction would, where it can do no harm.

    Returns:
        how many of its updates wait for others, and how many cannot be applied.

    Raises:
        DocumentDamaged, WorkEnded, WorkFailed: it cannot be loaded.
    """
    stored = await host.store.load(name)
    if stored is None:
        return 0, 0
    made = await host.compacter.run(compacted, stored.snapshot, stored.tail)
    return len(made.early), len(made.rejected)


async def erase_authors(
    host: Host, *, principal: str | None = None, before: float | None = None
) -> AsyncIterator[Event]:
    """Erase who authors were; see ``Store.erase_authors``."""
    if principal is None and before is None:
        raise MalformedInput("say whom to erase")
    yield result(connections=await host.store.erase_authors(principal=principal, before=before))


async def erase_content(host: Host, *, name: str) -> AsyncIterator[Event]:
    """Compact a document and keep no history, so that of what was deleted in it nothing is left."""
    info = await info_of(host, name)
    yield progress("erasing", 0, 1)
    size = await host.compactor.compact(name, keep_history=False)
    yield result(name=name, updates=info.head, bytes=size)
