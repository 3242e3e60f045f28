"""The marketer's figures as arithmetic, each with the worked number it was specified by."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given

from passes.loyalty.metrics import (
    CLOSED,
    JOINED,
    Cohort,
    IssueCohort,
    PointsFlow,
    Retention,
    RevenueRetention,
    Worth,
    cohorts,
    discounted_lifetime_value,
    lifetime_value,
    migration,
    revenue_movements,
    scores,
    segment,
    share,
    to_minor,
)

JANUARY_2026 = 12 * 2026


def test_nothing_to_divide_by_is_no_share_rather_than_none_of_it() -> None:
    assert share(1, 0) is None
    assert Retention(0, 3, 3).rate is None
    assert RevenueRetention(0, 100).net_churn is None
    assert Worth(0, 0, 0, 0).average_order is None
    assert PointsFlow(0, 0, 0, 0).redemption_rate is None


@pytest.mark.parametrize(("exact", "minor"), [("49.5", 50), ("49.49", 49), ("-0.5", 0), ("-0.51", -1)])
def test_an_exact_average_becomes_an_amount_half_up(exact: str, minor: int) -> None:
    assert to_minor(Fraction(exact)) == minor


def test_five_at_the_start_six_at_the_end_two_of_them_new_is_80_percent() -> None:
    retention = Retention(start=5, active=6, new=2)
    assert (retention.rate, retention.churn, retention.lifespan) == (
        Fraction(4, 5),
        Fraction(1, 5),
        Fraction(5),
    )


def test_where_nobody_leaves_no_lifespan_can_be_told() -> None:
    assert Retention(5, 5, 0).lifespan is None


def test_net_revenue_retention_of_the_fixture_is_68_75_percent() -> None:
    revenue = RevenueRetention(40_000, 27_500)
    assert (revenue.rate, revenue.net_churn) == (Fraction(6875, 10000), Fraction(3125, 10000))
    assert not revenue.churn_is_negative


def test_churn_is_negative_when_those_who_stay_spend_more_than_all_did() -> None:
    revenue = revenue_movements(1_000_000, lost=80_000, less=40_000, more=190_000)
    assert revenue.net_churn == Fraction(-7, 100)
    assert revenue.churn_is_negative


def test_what_the_customers_of_the_fixture_are_worth() -> None:
    worth = Worth(customers=7, repeating=5, orders=16, net_minor=79_000)
    assert round(float(worth.repeat_rate or 0) * 100, 2) == 71.43
    assert round(float(worth.frequency or 0), 3) == 2.286
    assert worth.average_order == Fraction("4937.5")
    assert round(float(worth.customer_value or 0) / 100, 3) == 112.857


def test_a_customer_who_stays_two_and_a_half_half_years_is_worth_282_14() -> None:
    value = Worth(7, 5, 16, 79_000).customer_value
    assert value is not None
    assert to_minor(lifetime_value(value, Fraction(5, 2))) == 282_14
    assert to_minor(lifetime_value(value, Fraction(5, 2), Fraction(2, 5))) == 112_86


def test_the_discounted_lifetime_value_is_339_43() -> None:
    value = discounted_lifetime_value(108_00, Fraction("0.75"), Fraction("0.10"))
    assert to_minor(value) == 339_43


def test_customers_who_never_leave_have_no_finite_value() -> None:
    with pytest.raises(ValueError, match="infinitely"):
        discounted_lifetime_value(100, 1, 0)


def test_points_earned_burned_and_expired_give_62_and_88_6_percent() -> None:
    flow = PointsFlow(earned=10_000, bonus=0, burned=6_200, expired=800)
    assert flow.redemption_rate == Fraction(62, 100)
    assert round(float(flow.burn_ratio or 0) * 100, 1) == 88.6
    assert flow.earn_to_burn == Fraction(10_000, 6_200)


def test_breakage_is_known_when_every_point_of_the_cohort_is_gone() -> None:
    assert IssueCohort(issued=100, used=70, expired=20, taken_back=0, remaining=10).breakage is None
    closed = IssueCohort(issued=100, used=70, expired=20, taken_back=10, remaining=0)
    assert (closed.redemption_rate, closed.breakage) == (Fraction(7, 10), Fraction(1, 5))


@pytest.mark.check("L-68")
def test_months_that_are_not_over_are_blank_and_months_without_orders_are_zero() -> None:
    january, february = JANUARY_2026, JANUARY_2026 + 1
    cells = {(january, january): 3, (january, january + 2): 2, (february, february): 1}
    matrix = cohorts(cells, {january: 3, february: 1}, present=january + 3)
    assert matrix == [
        Cohort(january, 3, (3, 0, 2, None)),
        Cohort(february, 1, (1, 0, None)),
    ]
    assert matrix[0].rates == (Fraction(1), Fraction(0), Fraction(2, 3), None)


@pytest.mark.check("L-68")
def test_the_cohort_of_the_present_month_has_a_size_and_a_blank_row() -> None:
    assert cohorts({(5, 5): 4}, {5: 4}, present=5) == [Cohort(5, 4, (None,))]


def test_recency_frequency_and_money_of_the_fixture() -> None:
    seen = {
        "A": (42, 5, 200), "B": (121, 2, 45), "C": (15, 3, 175), "D": (73, 2, 170),
        "E": (56, 2, 85), "F": (81, 1, 50), "G": (29, 1, 65),
    }  # fmt: skip
    days, orders, net = zip(*seen.values(), strict=True)
    columns = scores(days, descending=True), scores(orders), scores(net)
    found = {
        name: ("".join(map(str, cell)), segment(cell[0], cell[1]))
        for name, cell in zip(seen, zip(*columns, strict=True), strict=True)
    }
    assert found == {
        "A": ("455", "loyal"),
        "B": ("121", "hibernating"),
        "C": ("555", "champions"),
        "D": ("224", "hibernating"),
        "E": ("323", "potential"),
        "F": ("111", "hibernating"),
        "G": ("512", "new"),
    }


@pytest.mark.parametrize(
    ("cell", "name"),
    [((5, 4), "champions"), ((5, 5), "champions"), ((3, 4), "loyal"), ((4, 5), "loyal"), ((5, 1), "new"),
     ((4, 1), "promising"), ((3, 3), "need_attention"), ((1, 3), "at_risk"), ((2, 5), "at_risk"),
     ((2, 2), "hibernating"), ((1, 1), "hibernating"), ((3, 1), "potential"), ((5, 2), "potential"),
     ((4, 3), "potential")],
)  # fmt: skip
def test_a_cell_of_the_grid_has_its_name(cell: tuple[int, int], name: str) -> None:
    assert segment(*cell) == name


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_scores_keep_the_order_and_equal_values_score_equally(values: list[int]) -> None:
    found = scores(values)
    assert all(1 <= score <= 5 for score in found)
    for value, score in zip(values, found, strict=True):
        # The definition itself: percent rank, then five steps.
        rank = Fraction(sum(other < value for other in values), max(len(values) - 1, 1))
        assert score == min(5, 1 + int(5 * rank))


def test_moves_between_tiers_become_a_matrix() -> None:
    moves = [("green", "gold", 2), ("green", CLOSED, 1), (JOINED, "green", 4), ("green", "gold", 1)]
    assert migration(moves) == {"green": {"gold": 3, CLOSED: 1}, JOINED: {"green": 4}}
