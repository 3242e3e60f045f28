"""Did it work? Differences between those who got an offer and those who were held out.

Everybody assigned counts, whether or not anything reached them
(intention-to-treat). Intervals are two-sided and normal: honest from about
thirty people in each arm, and not given below. Statistics are floats;
money stays exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, erfc, sqrt
from statistics import NormalDist

from passes.loyalty.metrics import Number

CONFIDENCE = 0.95
POWER = 0.8
FEWEST = 30
"""Arms smaller than this get no interval: the normal curve would promise too much."""

_NORMAL = NormalDist()


def _quantile(probability: float) -> float:
    return _NORMAL.inv_cdf(probability)


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference (treated − control) with its standard error."""

    difference: float
    error: float
    control: float

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true difference lies with 95 % confidence."""
        reach = _quantile((1 + CONFIDENCE) / 2) * self.error
        return self.difference - reach, self.difference + reach

    @property
    def z(self) -> float | None:
        """The difference in standard errors; None when nothing varies."""
        return self.difference / self.error if self.error else None

    @property
    def p(self) -> float | None:
        """How often chance alone would show at least this much."""
        return None if self.z is None else erfc(abs(self.z) / sqrt(2))

    @property
    def lift(self) -> float | None:
        """The difference relative to the control's value."""
        return self.difference / self.control if self.control else None

    @property
    def shown(self) -> bool:
        """Whether the interval excludes zero. False means "not shown", never "no effect"."""
        low, high = self.interval
        return low > 0 or high < 0


@dataclass(frozen=True, slots=True)
class Proportion:
    """`successes` of `size` people."""

    successes: int
    size: int

    @property
    def rate(self) -> Fraction:
        """Successes / size. ZeroDivisionError for an empty arm."""
        return Fraction(self.successes, self.size)


def proportions(treated: Proportion, control: Proportion) -> Effect:
    """The difference of two proportions, each arm with its own variance. Neither may be empty."""
    variance = sum(float(arm.rate * (1 - arm.rate)) / arm.size for arm in (treated, control))
    return Effect(float(treated.rate - control.rate), sqrt(variance), float(control.rate))


@dataclass(frozen=True, slots=True)
class Sample:
    """A metric in one arm: how many people, their mean and sample variance (n − 1)."""

    size: int
    mean: float
    variance: float


def means(treated: Sample, control: Sample) -> Effect:
    """The difference of two means with unequal variances (Welch)."""
    error = sqrt(treated.variance / treated.size + control.variance / control.size)
    return Effect(treated.mean - control.mean, error, control.mean)


# Less noise from what was known before ------------------------------------------


@dataclass(frozen=True, slots=True)
class Sums:
    """What CUPED needs to know of one arm, so that a database can add it up.

    y is the metric, x the same one before the assignment.
    """

    size: int
    y: float
    x: float
    yy: float
    xx: float
    xy: float

    @property
    def sample(self) -> Sample:
        """The metric as measured."""
        return Sample(self.size, self.y / self.size, _covariance(self.size, self.y, self.y, self.yy))

    @property
    def correlation(self) -> float:
        """Between the metric and the same one before; 0 where one of them never varies."""
        spread = _covariance(self.size, self.x, self.x, self.xx) * _covariance(
            self.size, self.y, self.y, self.yy
        )
        return _covariance(self.size, self.x, self.y, self.xy) / sqrt(spread) if spread > 0 else 0.0

    def adjusted(self, theta: float, mean_x: float) -> Sample:
        """The metric y − θ (x − mean x)."""
        size = self.size
        variance = (
            _covariance(size, self.y, self.y, self.yy)
            - 2 * theta * _covariance(size, self.x, self.y, self.xy)
            + theta**2 * _covariance(size, self.x, self.x, self.xx)
        )
        return Sample(size, self.y / size - theta * (self.x / size - mean_x), max(variance, 0.0))


def sums(pairs: Iterable[tuple[float, float]]) -> Sums:
    """The sums over people, each (metric, the same metric before)."""
    rows = list(pairs)
    return Sums(
        len(rows),
        sum(y for y, _ in rows),
        sum(x for _, x in rows),
        sum(y * y for y, _ in rows),
        sum(x * x for _, x in rows),
        sum(x * y for y, x in rows),
    )


def _pooled(treated: Sums, control: Sums) -> Sums:
    return Sums(
        treated.size + control.size,
        treated.y + control.y,
        treated.x + control.x,
        treated.yy + control.yy,
        treated.xx + control.xx,
        treated.xy + control.xy,
    )


def _covariance(size: int, first: float, second: float, product: float) -> float:
    return (product - first * second / size) / (size - 1) if size > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A difference of means after CUPED.

    `variance_before` and `variance_after` are those of everybody's metric.
    """

    effect: Effect
    theta: float
    variance_before: float
    variance_after: float


def cuped(treated: Sums, control: Sums) -> Adjusted:
    """The difference of means with what was known before taken out.

    θ = cov(x, y) / var(x) over both arms together (Deng, Xu, Kohavi and Walker
    2013); the variance shrinks by the squared correlation. Where nothing was
    known before, θ is 0 and this is Welch's difference.
    """
    both = _pooled(treated, control)
    spread = _covariance(both.size, both.x, both.x, both.xx)
    theta = _covariance(both.size, both.x, both.y, both.xy) / spread if spread > 0 else 0.0
    mean_x = both.x / both.size
    return Adjusted(
        means(treated.adjusted(theta, mean_x), control.adjusted(theta, mean_x)),
        theta,
        both.sample.variance,
        both.adjusted(theta, mean_x).variance,
    )


# Before launch --------------------------------------------------------------


def people_for_proportions(base: float, wanted: float) -> int:
    """People in each of two equal arms, to find a change from `base` to `wanted` with 80 % power."""
    middle = (base + wanted) / 2
    spread = _quantile((1 + CONFIDENCE) / 2) * sqrt(2 * middle * (1 - middle)) + _quantile(POWER) * sqrt(
        base * (1 - base) + wanted * (1 - wanted)
    )
    return ceil((spread / (wanted - base)) ** 2)


def people_for_means(
    deviation: float, difference: float, *, correlation: float = 0.0, treated_per_control: float = 1.0
) -> tuple[int, int]:
    """People (treated, control), to find a `difference` of means with 80 % power.

    `deviation` is the metric's standard deviation, `correlation` that with the
    same metric before, which CUPED uses.
    """
    spread = (_quantile((1 + CONFIDENCE) / 2) + _quantile(POWER)) ** 2 * deviation**2 * (1 - correlation**2)
    control = (1 + 1 / treated_per_control) * spread / difference**2
    return ceil(control * treated_per_control), ceil(control)


def detectable_proportion(base: float, *, treated: int, control: int) -> float:
    """The least change of a proportion around `base` that these arms show with 80 % power."""
    return _detectable(sqrt(base * (1 - base)), treated=treated, control=control)


def detectable_mean(deviation: float, *, treated: int, control: int, correlation: float = 0.0) -> float:
    """The least difference of means that these arms show with 80 % power."""
    return _detectable(deviation * sqrt(1 - correlation**2), treated=treated, control=control)


def _detectable(deviation: float, *, treated: int, control: int) -> float:
    reach = _quantile((1 + CONFIDENCE) / 2) + _quantile(POWER)
    return reach * deviation * sqrt(1 / treated + 1 / control)


# Was it worth it? -------------------------------------------------------------


def incremental_margin_minor(
    people: int, difference: Number, *, value_minor: Number, margin: Number
) -> Fraction:
    """What an offer brought: people treated × difference per person × value of each × gross margin."""
    return people * Fraction(difference) * value_minor * margin


def return_on_investment(margin_minor: Number, cost_minor: int) -> Fraction | None:
    """(margin − cost) / cost; None for an offer that cost nothing."""
    return (Fraction(margin_minor) - cost_minor) / cost_minor if cost_minor else None
