"""Accounts of sources: sums, bounded examples, and what another reading replaces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fld_engine.engine.data.source_account import (
    MAX_EXAMPLES,
    Counting,
    Example,
    SourceAccount,
    reasons_of,
    rows_of,
    standing,
    total,
    without_images,
)

REASONS = st.lists(st.tuples(st.sampled_from(["corrupt", "empty", "crowd"]), st.integers(1, 5)), max_size=8)


def account_of(refused: list[tuple[str, int]], read: int, revision: str = "r") -> SourceAccount:
    counting = Counting()
    counting.add_read("images", read)
    for reason, number in refused:
        counting.add("images", "refused", reason, number, Example(uri=f"x/{reason}", detail="…"))
    return counting.account(revision=revision)


@given(first=REASONS, second=REASONS)
def test_accounts_of_one_reading_add_up_to_that_of_all(
    first: list[tuple[str, int]], second: list[tuple[str, int]]
) -> None:
    """A dataset that grows tells of all that it holds, in whatever pieces it came; examples stay few."""
    (summed,) = standing([{"x": {"a": account_of(first, 1)}}, {"x": {"b": account_of(second, 2)}}]).values()
    whole = account_of([*first, *second], 3)
    assert {r: c.number for r, c in summed.images.refused.items()} == {
        r: c.number for r, c in whole.images.refused.items()
    }
    assert summed.images.seen == 3 + sum(number for _, number in [*first, *second])
    assert all(len(counted.examples) <= MAX_EXAMPLES for counted in summed.images.refused.values())


def test_another_reading_replaces_what_was_counted_before() -> None:
    """A source that was read wrongly and then with the right setting must not be blamed for ever."""
    before, after = account_of([("corrupt", 9)], 1, "old"), account_of([], 10, "new")
    found = standing([{"x": {"a": before, "b": before}, "y": {"a": before}}, {"x": {"a": after}}])
    assert found == {"x": after, "y": before}


def test_a_chunk_that_is_read_again_counts_once() -> None:
    """A picture that was mended in place is not refused any more, and its neighbours are not there twice."""
    refused, mended, other = account_of([("corrupt", 1)], 2, "r"), account_of([], 3, "r"), account_of([], 5, "r")
    (account,) = standing([{"x": {"a": refused, "b": other}}, {"x": {"a": mended}}]).values()
    assert (account.images.read, account.images.refused) == (8, {})


def test_files_that_listing_passed_over_are_those_of_the_last_listing() -> None:
    counting = Counting()
    counting.add("images", "passed_over", "hidden", 2, Example(uri="x/.a"))
    listed = counting.account().images.passed_over
    one = SourceAccount(revision="r", listed=listed)
    (row,) = rows_of({"x": total([one, one])})
    assert (row.seen, row.read, row.refused, row.passed_over) == (2, 0, 0, 2)
    assert row.why == "passed over: hidden 2 (x/.a, …)"


def test_a_removed_image_is_named_by_no_example_and_the_numbers_stay() -> None:
    counting = Counting()
    counting.add("human", "refused", "crowd", 1, Example(uri="x#annotation/1", of_image="x#a.jpg"))
    counting.add("human", "refused", "crowd", 1, Example(uri="x#annotation/2", of_image="x#b.jpg"))
    left = without_images(counting.account(), ["x#a.jpg"]).human.refused["crowd"]
    assert (left.number, [one.uri for one in left.examples]) == (2, ["x#annotation/2"])


def test_reasons_read_most_frequent_first_with_their_examples() -> None:
    account = account_of([("corrupt", 1), ("empty", 5)], 0)
    assert reasons_of(account.images.refused) == "empty 5 (x/empty, …); corrupt 1 (x/corrupt)"
    assert reasons_of(account.images.refused, details=True) == "empty 5 (x/empty: …, …); corrupt 1 (x/corrupt: …)"
