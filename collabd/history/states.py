"""States of a document at any number, and history with less of them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

from collabd.errors import MalformedInput, NoSuchVersion
from collabd.persistence.base import Author, HistoryEntry
from collabd.protocol.squash import squash
from collabd.protocol.update import UpdateSummary, check_update
from collabd.rooms.replica import EMPTY_UPDATE, MERGE_AT_ONCE, Replica, ReplicaBroken, merge
from collabd.rooms.state import Early

from .differences import difference


def state_at(entries: Iterable[HistoryEntry], seq: int) -> bytes:
    """All that was integrated after update ``seq``, as one update (Yjs v1).

    Args:
        entries: the document's history from its beginning, at least up to ``seq``.

    Raises:
        NoSuchVersion: there is no such number, or it is not kept by itself, or not all before it is kept.
    """
    return _replay(chain.from_iterable(entry.updates for entry in _upto(entries, seq))).state()


def _upto(entries: Iterable[HistoryEntry], seq: int) -> Iterator[HistoryEntry]:
    """The entries, the last one cut so that it ends with the number."""
    if seq < 1:
        raise NoSuchVersion("versions count from 1")
    head = 0
    for entry in entries:
        if entry.first > seq:
            break
        if entry.first != head + 1:
            raise NoSuchVersion(f"of the history before version {seq} not all is kept")
        head = entry.seq
        if entry.seq > seq:
            yield split(entry, seq)[0]
            return
        yield entry
    if head < seq:
        raise NoSuchVersion(f"the document has no version {seq}: its last is {head}")


def split(entry: HistoryEntry, seq: int) -> tuple[HistoryEntry, HistoryEntry]:
    """An entry as two, of which the first ends with ``seq``.

    Raises:
        NoSuchVersion: what its updates were, one by one, is not known any more.
    """
    if len(entry.updates) != entry.count:
        raise NoSuchVersion(f"version {seq} is not kept by itself; version {entry.seq} is")
    count = seq - entry.first + 1
    authors = [author for author, times in entry.authors for _ in range(times)]
    return (
        HistoryEntry(seq, count, entry.at, _counted(authors[:count]), entry.updates[:count]),
        HistoryEntry(
            entry.seq, entry.count - count, entry.at, _counted(authors[count:]), entry.updates[count:]
        ),
    )


def thin(entries: Sequence[HistoryEntry], boundaries: Collection[int]) -> list[HistoryEntry]:
    """History in which every stretch up to one of ``boundaries`` is one entry, and the rest as it was.

    The states at the boundaries stay the same, but content that came and went within a stretch is gone.

    Args:
        entries: the document's history from its beginning.
        boundaries: numbers of updates. Those that cannot be seen any more are passed over.
    """
    wanted = set(boundaries)
    stretches: list[list[HistoryEntry]] = []
    stretch: list[HistoryEntry] = []
    for entry in entries:
        inside = sorted(seq for seq in wanted if entry.first <= seq < entry.seq)
        for seq in inside if len(entry.updates) == entry.count else ():
            before, entry = split(entry, seq)
            stretches.append([*stretch, before])
            stretch = []
        stretch.append(entry)
        if entry.seq in wanted:
            stretches.append(stretch)
            stretch = []
    replay = _Replay()
    thinned: list[HistoryEntry] = []
    for merged in stretches:
        update = replay.difference(chain.from_iterable(entry.updates for entry in merged))
        thinned.append(merged[0] if len(merged) == 1 else _joined(merged, update))
    return thinned + stretch


def _joined(entries: Sequence[HistoryEntry], update: bytes) -> HistoryEntry:
    by_author: dict[Author, int] = {}
    for entry in entries:
        for author, times in entry.authors:
            by_author[author] = by_author.get(author, 0) + times
    last = entries[-1]
    return HistoryEntry(
        last.seq, last.seq - entries[0].first + 1, last.at, tuple(by_author.items()), [update]
    )


def _counted(authors: Iterable[Author]) -> tuple[tuple[Author, int], ...]:
    counted: list[tuple[Author, int]] = []
    for author in authors:
        if counted and counted[-1][0] == author:
            counted[-1] = (author, counted[-1][1] + 1)
        else:
            counted.append((author, 1))
    return tuple(counted)


class _Replay:
    """A document that is taken through its history, always in steps that do it no harm."""

    def __init__(self) -> None:
        self._replica = Replica()
        self._taken: list[bytes] = []
        """All that was taken in so far, in case pycrdt fails."""

    def take(self, updates: Iterable[bytes]) -> None:
        some: list[bytes] = []
        summaries: list[UpdateSummary] = []
        for update in squash(updates):
            try:
                summaries.append(check_update(update))
            except MalformedInput:  # refused today, though not when it came
                continue
            some.append(update)
            if len(some) == MERGE_AT_ONCE:
                self._apply(some, summaries)
                some, summaries = [], []
        if some:
            self._apply(some, summaries)

    def _apply(self, updates: list[bytes], summaries: list[UpdateSummary]) -> None:
        self._taken += updates
        try:
            self._replica.apply(updates, summaries)
        except ReplicaBroken:
            self._rebuild()

    def _rebuild(self) -> None:
        """Begin anew, and leave out the updates by which pycrdt fails."""
        early = [
            Early(number, update, check_update(update)) for number, update in enumerate(self._taken, start=1)
        ]
        self._replica = Replica.build(EMPTY_UPDATE, early)

    def state(self) -> bytes:
        return self._replica.state()

    def difference(self, updates: Iterable[bytes]) -> bytes:
        """Take in a stretch of history; what it brought, as one update, with what still waits at its end."""
        before = self._replica.state_vector()
        deletes = self._replica.known.deletes.copy()
        waited = set(self._replica.early)
        self.take(updates)
        update = difference(self._replica.state(before), deletes)
        waits = [early for early in self._replica.early if early not in waited]
        return merge([update, *waits]) if waits else update


def _replay(updates: Iterable[bytes]) -> _Replay:
    replay = _Replay()
    replay.take(updates)
    return replay
