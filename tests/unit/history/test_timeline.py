"""What people would call one change."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collabd.history import Part, begins_at, timeline
from collabd.history.timeline import LONGEST_SECONDS, QUIET_SECONDS
from collabd.persistence.base import UNKNOWN, Author, HistoryEntry, Version

PEOPLE = {name: Author(number, name, name.title()) for number, name in enumerate(("ada", "bob"), 1)}


def entries_of(*written: tuple[str, float]) -> list[HistoryEntry]:
    """Entries of one update each, of somebody at some time."""
    return [
        HistoryEntry(seq, 1, at, ((PEOPLE[name], 1),), []) for seq, (name, at) in enumerate(written, start=1)
    ]


def ranges(*written: tuple[str, float]) -> list[tuple[int, int]]:
    return [(change.first, change.seq) for change in timeline(entries_of(*written))]


def test_a_pause_ends_a_change() -> None:
    assert ranges(("ada", 0), ("ada", 299), ("ada", 599)) == [(3, 3), (1, 2)]


def test_somebody_else_begins_another() -> None:
    assert ranges(("ada", 0), ("ada", 1), ("bob", 2), ("bob", 3)) == [(3, 4), (1, 2)]


def test_those_who_write_at_the_same_time_share_one() -> None:
    written = [("ada", 0), ("ada", 1), ("bob", 2), ("ada", 3), ("bob", 4), ("ada", 5), ("ada", 6)]
    assert ranges(*written) == [(6, 7), (3, 5), (1, 2)]
    changes = timeline(entries_of(*written))
    assert changes[1].parts == (Part("bob", "Bob", 2), Part("ada", "Ada", 1))
    assert (changes[1].started_at, changes[1].ended_at) == (2, 4)


def test_who_goes_on_and_on_makes_one_each_half_hour() -> None:
    assert ranges(*(("ada", 60.0 * minute) for minute in range(61))) == [(61, 61), (31, 60), (1, 30)]


def test_connections_do_not_matter_and_unknown_authors_are_one() -> None:
    again = Author(77, "ada", "Ada", "10.0.0.1")
    entries = [
        HistoryEntry(1, 1, 0.0, ((PEOPLE["ada"], 1),), []),
        HistoryEntry(3, 2, 1.0, ((again, 2),), []),
        HistoryEntry(4, 1, 2.0, (), []),
        HistoryEntry(5, 1, 3.0, ((UNKNOWN, 1),), []),
    ]
    assert [change.parts for change in timeline(entries)] == [
        (Part("", "", 1),),
        (),
        (Part("ada", "Ada", 3),),
    ]


def test_named_versions_stand_in_their_change() -> None:
    versions = [Version(seq, f"v{seq}", 0.0, UNKNOWN) for seq in (1, 2, 4)]
    changes = timeline(entries_of(("ada", 0), ("ada", 1), ("bob", 2), ("bob", 3)), versions)
    assert [[version.name for version in change.versions] for change in changes] == [["v4"], ["v1", "v2"]]


histories = st.lists(st.tuples(st.sampled_from(sorted(PEOPLE)), st.floats(0, 900)), max_size=30).map(
    lambda steps: entries_of(
        *((name, sum(step for _, step in steps[: number + 1])) for number, (name, _) in enumerate(steps))
    )
)


@given(histories)
def test_changes_cover_all_of_history_and_keep_their_bounds(entries: list[HistoryEntry]) -> None:
    changes = timeline(entries)[::-1]
    assert [seq for change in changes for seq in range(change.first, change.seq + 1)] == [
        entry.seq for entry in entries
    ]
    assert all(change.ended_at - change.started_at < LONGEST_SECONDS for change in changes)
    for before, after in pairwise(changes):
        assert (
            {part.name for part in before.parts} != {part.name for part in after.parts}
            or after.started_at - before.ended_at >= QUIET_SECONDS
            or after.ended_at - before.started_at >= LONGEST_SECONDS
            or before.parts != after.parts
        )


@given(histories)
def test_an_end_of_history_makes_the_same_changes_as_all_of_it(entries: list[HistoryEntry]) -> None:
    for start in range(len(entries)):
        begin = begins_at(entries[start:])
        if begin is not None:
            rest = entries[start:][begin:]
            assert timeline(rest) == [change for change in timeline(entries) if change.first >= rest[0].first]
