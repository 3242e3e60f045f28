"""What points still owed are worth, with the worked numbers of the standards."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given

from passes.loyalty.liability import Outstanding, deferred_minor, recognised_minor


def test_of_a_sale_of_50_with_500_points_3_70_are_deferred() -> None:
    points_minor = 500 * Fraction(8, 10)  # worth a cent each, 80 % will be used
    assert deferred_minor(50_00, goods_minor=50_00, points_minor=points_minor) == 3_70


@pytest.mark.parametrize("unit", [1, 100], ids=["in whole units", "in hundredths"])
def test_revenue_of_two_years_is_4110_and_3493_and_1073_are_left(unit: int) -> None:
    price = 100_000 * unit
    deferred = deferred_minor(price, goods_minor=price, points_minor=9_500 * unit)
    first = recognised_minor(deferred, redeemed=4_500, expected=9_500, before_minor=0)
    second = recognised_minor(deferred, redeemed=8_500, expected=9_700, before_minor=first)
    left = deferred - first - second
    assert [round(amount / unit) for amount in (price - deferred, deferred, first, second, left)] == [
        91_324, 8_676, 4_110, 3_493, 1_073,
    ]  # fmt: skip


@given(
    deferred=st.integers(0, 10**9),
    used=st.lists(st.integers(0, 1000), max_size=12),
    expected=st.integers(1, 5000),
)
def test_what_is_recognised_never_exceeds_what_was_deferred(
    deferred: int, used: list[int], expected: int
) -> None:
    recognised = redeemed = 0
    for points in used:
        redeemed += points
        recognised += recognised_minor(
            deferred, redeemed=redeemed, expected=expected, before_minor=recognised
        )
        assert 0 <= recognised <= deferred
    if redeemed >= expected:
        assert recognised == deferred


def test_a_raised_expectation_takes_revenue_back() -> None:
    assert recognised_minor(100, redeemed=50, expected=200, before_minor=50) == -25


def test_nothing_is_deferred_for_a_sale_that_costs_and_gives_nothing() -> None:
    assert deferred_minor(0, goods_minor=0, points_minor=0) == 0
    assert deferred_minor(100, goods_minor=100, points_minor=0) == 0


def test_the_liability_counts_pending_available_and_held_but_no_account_below_zero() -> None:
    owed = Outstanding(pending=60, available=90, held=50, deficit=40)
    assert owed.points == 200
    assert owed.liability_minor(cost_minor=Fraction(1, 2), redemption_rate=Fraction(8, 10)) == 80
