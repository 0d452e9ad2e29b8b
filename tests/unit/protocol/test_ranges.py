from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collabd.protocol.ranges import IdRanges

RUN = st.tuples(st.integers(1, 3), st.integers(0, 40), st.integers(0, 40))
RUNS = st.lists(RUN, max_size=25)


def ids(runs: list[tuple[int, int, int]]) -> set[tuple[int, int]]:
    return {(client, clock) for client, start, end in runs for clock in range(start, end)}


def contents(ranges: IdRanges) -> set[tuple[int, int]]:
    return ids([(client, *interval) for client in ranges.clients() for interval in ranges.intervals(client)])


@given(RUNS)
def test_it_holds_what_was_added(runs: list[tuple[int, int, int]]) -> None:
    assert contents(IdRanges(runs)) == ids(runs)


@given(RUNS, RUN)
def test_it_covers_a_run_if_it_holds_all_of_it(
    runs: list[tuple[int, int, int]], run: tuple[int, int, int]
) -> None:
    assert IdRanges(runs).covers(*run) == (ids([run]) <= ids(runs))


@given(RUNS)
def test_intervals_are_sorted_and_never_touch(runs: list[tuple[int, int, int]]) -> None:
    ranges = IdRanges(runs)
    for client in ranges.clients():
        intervals = ranges.intervals(client)
        assert intervals
        assert all(start < end for start, end in intervals)
        assert all(before[1] < after[0] for before, after in pairwise(intervals))


@given(RUNS, st.randoms())
def test_the_order_of_adding_changes_nothing(runs: list[tuple[int, int, int]], random: object) -> None:
    shuffled = runs.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert IdRanges(runs) == IdRanges(shuffled)


@given(RUNS, RUNS)
def test_merging_is_adding_and_merging_twice_changes_nothing(
    one: list[tuple[int, int, int]], other: list[tuple[int, int, int]]
) -> None:
    merged = IdRanges(one)
    merged.update(IdRanges(other))
    assert merged == IdRanges(one + other)
    merged.update(IdRanges(other))
    assert merged == IdRanges(one + other)


def test_what_is_empty_is_false_and_nothing_else_equals_it() -> None:
    assert not IdRanges([(1, 3, 3)])
    assert IdRanges([(1, 3, 4)])
    assert IdRanges() != {}
    assert repr(IdRanges([(1, 0, 2), (1, 2, 3)])) == "IdRanges([(1, 0, 3)])"
    assert IdRanges().intervals(1) == []


def test_a_set_contains_what_is_in_it() -> None:
    some = IdRanges([(1, 0, 10), (2, 5, 6)])
    assert some.contains(IdRanges())
    assert some.contains(IdRanges([(1, 3, 4), (1, 6, 10), (2, 5, 6)]))
    assert not some.contains(IdRanges([(1, 9, 11)]))
    assert not some.contains(IdRanges([(3, 0, 1)]))
