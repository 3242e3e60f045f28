"""Differences, intervals, sample sizes and returns, with the worked numbers they were specified by."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given

from passes.loyalty.experiments import (
    Proportion,
    Sample,
    cuped,
    detectable_mean,
    detectable_proportion,
    incremental_margin_minor,
    means,
    people_for_means,
    people_for_proportions,
    proportions,
    return_on_investment,
    sums,
)

TREATED = [(12.0, 10.0), (0.0, 2.0), (30.0, 24.0), (8.0, 6.0)]
CONTROL = [(20.0, 15.0), (5.0, 4.0), (0.0, 1.0), (25.0, 18.0)]


@pytest.mark.check("L-70")
def test_eleven_against_nine_point_two_percent_of_a_large_group_is_shown() -> None:
    effect = proportions(Proportion(1_980, 18_000), Proportion(184, 2_000))
    low, high = effect.interval
    assert round(effect.difference * 100, 2) == 1.80
    assert round(effect.error * 100, 3) == 0.687
    assert (round(low * 100, 2), round(high * 100, 2)) == (0.45, 3.15)
    assert effect.z is not None
    assert effect.p is not None
    assert effect.lift is not None
    assert (round(effect.z, 2), round(effect.p, 4), round(effect.lift * 100, 1)) == (2.62, 0.0088, 19.6)
    assert effect.shown


@pytest.mark.check("L-70")
def test_the_same_rates_in_a_smaller_group_are_not_shown() -> None:
    effect = proportions(Proportion(990, 9_000), Proportion(92, 1_000))
    low, high = effect.interval
    assert (round(low * 100, 2), round(high * 100, 2)) == (-0.10, 3.70)
    assert effect.p is not None
    assert round(effect.p, 3) == 0.064
    assert not effect.shown


@pytest.mark.check("L-70")
def test_means_with_unequal_spread_are_compared_as_welch_does() -> None:
    effect = means(Sample(9_000, 42.10, 55.0**2), Sample(1_000, 39.40, 53.0**2))
    low, high = effect.interval
    assert (round(effect.difference, 2), round(effect.error, 3)) == (2.70, 1.773)
    assert (round(low, 2), round(high, 2)) == (-0.78, 6.18)


@pytest.mark.check("L-70")
def test_without_any_variation_there_is_no_z() -> None:
    effect = proportions(Proportion(0, 50), Proportion(0, 50))
    assert (effect.z, effect.p, effect.lift, effect.shown) == (None, None, None, False)


@pytest.mark.check("L-70")
def test_what_was_known_before_takes_the_noise_out() -> None:
    adjusted = cuped(sums(TREATED), sums(CONTROL))
    raw = means(sums(TREATED).sample, sums(CONTROL).sample)
    assert raw.difference == 0
    assert round(adjusted.theta, 6) == 1.365145
    assert round(adjusted.effect.difference, 6) == -1.365145
    assert round(adjusted.variance_before, 3) == 129.714
    assert round(adjusted.variance_after, 6) == 1.390634


@pytest.mark.check("L-70")
def test_a_correlation_of_point_six_leaves_four_fifths_of_the_error() -> None:
    # 1.773 · √(1 − 0.6²) = 1.419: people whose past says as much about them as that.
    error = means(Sample(9_000, 42.10, 55.0**2 * 0.64), Sample(1_000, 39.40, 53.0**2 * 0.64)).error
    assert round(error, 3) == 1.419


@pytest.mark.check("L-70")
def test_the_past_explains_the_squared_correlation_of_the_variance() -> None:
    everybody = sums(TREATED + CONTROL)
    adjusted = cuped(sums(TREATED), sums(CONTROL))
    left = 1 - everybody.correlation**2
    assert adjusted.variance_after == pytest.approx(adjusted.variance_before * left)
    assert sums([(1.0, 5.0), (2.0, 5.0)]).correlation == 0


@pytest.mark.check("L-70")
def test_nothing_known_before_leaves_the_plain_difference() -> None:
    treated, control = sums([(1.0, 0.0), (4.0, 0.0)]), sums([(2.0, 0.0), (2.0, 0.0)])
    adjusted = cuped(treated, control)
    assert adjusted.theta == 0
    assert adjusted.effect == means(treated.sample, control.sample)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=30),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=30),
)
@pytest.mark.check("L-70")
def test_cuped_from_sums_is_cuped_person_by_person(
    treated: list[tuple[int, int]], control: list[tuple[int, int]]
) -> None:
    adjusted = cuped(sums(treated), sums(control))
    everybody = treated + control
    mean_x = sum(x for _, x in everybody) / len(everybody)

    def slow(arm: list[tuple[int, int]]) -> Sample:
        values = [y - adjusted.theta * (x - mean_x) for y, x in arm]
        mean = sum(values) / len(values)
        return Sample(len(arm), mean, sum((value - mean) ** 2 for value in values) / (len(arm) - 1))

    expected = means(slow(treated), slow(control))
    assert adjusted.effect.difference == pytest.approx(expected.difference, abs=1e-6)
    assert adjusted.effect.error == pytest.approx(expected.error, abs=1e-4)
    assert adjusted.variance_after <= adjusted.variance_before + 1e-6


@pytest.mark.parametrize(("wanted", "people"), [(0.11, 14_751), (0.12, 3_841)])
@pytest.mark.check("L-70")
def test_people_needed_to_see_a_change_from_ten_percent(wanted: float, people: int) -> None:
    assert people_for_proportions(0.10, wanted) == people


@pytest.mark.check("L-70")
def test_people_needed_to_see_a_difference_of_two_in_spend() -> None:
    assert people_for_means(55, 2) == (11_872, 11_872)
    assert people_for_means(55, 2, correlation=0.6) == (7_598, 7_598)
    assert people_for_means(55, 2, treated_per_control=9) == (59_358, 6_596)


@pytest.mark.check("L-70")
def test_the_detectable_effect_answers_the_sample_size_the_other_way_round() -> None:
    assert detectable_mean(55, treated=11_872, control=11_872) == pytest.approx(2, abs=1e-4)
    assert detectable_mean(55, treated=59_358, control=6_596) == pytest.approx(2, abs=2e-4)
    assert detectable_mean(55, treated=7_598, control=7_598, correlation=0.6) == pytest.approx(2, abs=1e-4)
    # The sample size lets the other arm have its own variance, so the two differ a little.
    assert detectable_proportion(0.10, treated=14_751, control=14_751) == pytest.approx(0.01, abs=3e-4)


@pytest.mark.check("L-70")
def test_what_an_offer_brought_and_what_it_returned() -> None:
    difference = Fraction(1_980, 18_000) - Fraction(184, 2_000)
    margin = incremental_margin_minor(18_000, difference, value_minor=42_00, margin=Fraction(4, 10))
    assert margin == 5_443_20
    returned = return_on_investment(margin, 2_340_00)
    assert returned is not None
    assert round(float(returned) * 100, 1) == 132.6


@pytest.mark.check("L-70")
def test_the_return_carries_the_uncertainty_of_the_difference() -> None:
    effect = proportions(Proportion(1_980, 18_000), Proportion(184, 2_000))
    ends = [
        return_on_investment(
            incremental_margin_minor(18_000, Fraction(end), value_minor=42_00, margin=Fraction(4, 10)),
            2_340_00,
        )
        for end in effect.interval
    ]
    assert [round(float(end or 0) * 100) for end in ends] == [-41, 307]


@pytest.mark.check("L-70")
def test_an_offer_without_cost_has_no_return_on_it() -> None:
    assert return_on_investment(100, 0) is None
