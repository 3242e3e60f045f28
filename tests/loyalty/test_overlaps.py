from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.loyalty.conditions import Condition, Hours, Segment, Window
from passes.loyalty.overlaps import ever_opens, overlap

ZONE = "America/Chicago"
MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)  # midnight in Chicago


def of(**values: list[str]) -> Condition:
    return Condition(**{name: frozenset(given) for name, given in values.items()})  # type: ignore[arg-type]


def at(weekdays: str = "", *hours: tuple[int, int], days: tuple[int, int] | None = None) -> Condition:
    """On weekdays such as "01", at hours such as (22, 2), from one day of March to another."""
    return Condition(
        window=Window(
            ZONE,
            MONDAY + timedelta(days=days[0]) if days else None,
            MONDAY + timedelta(days=days[1]) if days else None,
            frozenset(map(int, weekdays)),
            tuple(Hours(time(since), time(until)) for since, until in hours),
        )
    )


@pytest.mark.parametrize(
    ("one", "other", "on_one_line", "on_one_purchase"),
    [
        (of(), of(), True, True),
        (of(categories=["tea"]), of(categories=["beans"]), False, True),
        (of(categories=["tea", "beans"]), of(categories=["beans"]), True, True),
        (of(categories=["tea"]), of(skus=["A"]), True, True),
        (of(skus=["A"]), of(skus=["B"]), False, True),
        (of(brands=["A"]), of(brands=["B"]), False, True),
        (of(locations=["west"]), of(locations=["east"]), False, False),
        (of(channels=["online"]), of(channels=["in_store"]), False, False),
        (of(tiers=["gold"]), of(tiers=["basic"]), False, False),
        (of(tiers=["gold"]), of(locations=["east"]), True, True),
        (at("0"), at("1"), False, False),
        (at("01"), at("1"), True, True),
        (at("", (8, 11)), at("", (11, 12)), False, False),
        (at("", (8, 11)), at("", (10, 12)), True, True),
        # Monday's night reaches into Tuesday.
        (at("0", (22, 2)), at("1", (1, 3)), True, True),
        (at("0", (22, 2)), at("1", (2, 3)), False, False),
        (at("6", (22, 2)), at("0", (1, 3)), True, True),
        (at(days=(0, 7)), at(days=(7, 9)), False, False),
        (at(days=(0, 8)), at(days=(7, 9)), True, True),
        (at("0"), of(categories=["tea"]), True, True),
        (
            Condition(segment=Segment(purchases_most=1)),
            Condition(segment=Segment(purchases_least=2)),
            False,
            False,
        ),
        (
            Condition(segment=Segment(idle_days_least=30)),
            Condition(segment=Segment(idle_days_most=30)),
            True,
            True,
        ),
        (
            Condition(segment=Segment(languages=frozenset({"tr"}))),
            Condition(segment=Segment(languages=frozenset({"en"}))),
            False,
            False,
        ),
        (Condition(minimum_minor=100), Condition(minimum_minor=900), True, True),
    ],
)
def test_conditions_overlap_unless_something_they_both_ask_for_is_disjoint(
    one: Condition, other: Condition, on_one_line: bool, on_one_purchase: bool
) -> None:
    assert overlap(one, other, on_one_line=True) is overlap(other, one, on_one_line=True) is on_one_line
    assert overlap(one, other, on_one_line=False) is on_one_purchase


@pytest.mark.parametrize(
    ("condition", "opens"),
    [
        (at("4", days=(0, 4)), False),
        (at("4", days=(0, 5)), True),
        (at("4", (23, 1), days=(5, 6)), True),  # Friday's night reaches into Saturday
        (at("4", days=(0, 300)), True),
        (at("", (8, 9), days=(0, 1)), True),
        (at("", (8, 9)), True),
        (at(days=(3, 3)), False),
    ],
)
def test_a_window_that_never_opens_is_seen(condition: Condition, opens: bool) -> None:
    assert condition.window is not None
    assert ever_opens(condition.window) is opens


windows = st.builds(
    lambda weekdays, hours, start, length: at(weekdays, *hours, days=(start, start + length)),
    st.text("0123456", max_size=3),
    st.lists(
        st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda pair: pair[0] != pair[1]), max_size=2
    ),
    st.integers(0, 12),
    st.integers(1, 9),
)


@settings(max_examples=100)
@given(windows, windows)
def test_what_is_called_apart_never_meets(one: Condition, other: Condition) -> None:
    """Tried out, half an hour by half an hour, with the rules' own windows."""
    assert one.window is not None
    assert other.window is not None
    instants = [MONDAY + timedelta(minutes=30 * step) for step in range(-48, 48 * 25)]
    in_one = [instant for instant in instants if one.window.contains(instant)]
    if not ever_opens(one.window):
        assert not in_one
    if not overlap(one, other, on_one_line=True):
        assert not any(other.window.contains(instant) for instant in in_one)
