"""Predicted lifetime value: BG/NBD for how often, Gamma-Gamma for how much.

Fader, Hardie and Lee, "Counting your customers the easy way" (2005) and
"RFM and CLV" (2005). A customer buys at random while alive and may leave
after any purchase. Time is in any unit, the same throughout. Fitting is a
plain Nelder-Mead on the logarithms of the parameters: they are all positive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log, pow, sqrt
from typing import TypeVar

REPEATING_FEWEST = 200
"""Fewer customers with a repeat purchase say too little."""


@dataclass(frozen=True, slots=True)
class History:
    """What one customer did.

    `repeats` counts the periods with a purchase after the first one; `last`
    is the age at the newest purchase, `age` the age now.
    """

    repeats: int
    last: float
    age: float


@dataclass(frozen=True, slots=True)
class Buying:
    """The four parameters of BG/NBD: purchase rates are Gamma(r, α), drop-out is Beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float

    def log_likelihood(self, history: History) -> float:
        """How well the parameters explain one customer."""
        return self.log_likelihoods()(history)

    def log_likelihoods(self) -> Callable[[History], float]:
        """The same for many customers: what does not depend on them is computed once."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        fixed = r * log(alpha) + lgamma(a + b) - lgamma(r) - lgamma(b)
        log_a = log(a)

        def of_one(history: History) -> float:
            x = history.repeats
            common = fixed + lgamma(r + x) + lgamma(b + x) - lgamma(a + b + x)
            alive = -(r + x) * log(alpha + history.age)
            if x == 0:
                return common + alive
            gone = log_a - log(b + x - 1) - (r + x) * log(alpha + history.last)
            # The sum of two tiny numbers, in logarithms.
            high, low = (alive, gone) if alive > gone else (gone, alive)
            return common + high + log(1 + exp(low - high))

        return of_one

    def alive(self, history: History) -> float:
        """The probability that the customer has not left."""
        x = history.repeats
        if x == 0:
            return 1.0
        ratio = (self.alpha + history.age) / (self.alpha + history.last)
        return 1 / (1 + self.a / (self.b + x - 1) * pow(ratio, self.r + x))

    def purchases(self, history: History, ahead: float) -> float:
        """Expected repeat purchases in the next `ahead` units."""
        x, r, alpha, b = history.repeats, self.r, self.alpha, self.b
        # The formula divides by a − 1, its limit at 1 does not: step aside.
        a = self.a if abs(self.a - 1) > 1e-9 else 1 + 1e-6
        reached = (alpha + history.age) / (alpha + history.age + ahead)
        series = _hypergeometric(r + x, b + x, a + b + x - 1, ahead / (alpha + history.age + ahead))
        return (a + b + x - 1) / (a - 1) * (1 - pow(reached, r + x) * series) * self.alive(history)


def _hypergeometric(first: float, second: float, third: float, z: float) -> float:
    """₂F₁ by its series, which converges because 0 ≤ z < 1."""
    term = total = 1.0
    n = 0
    # Terms may grow before they shrink; once they shrink, they do so by about z.
    while abs(term) > 1e-15 * abs(total) or n < first + second:
        term *= (first + n) * (second + n) / ((third + n) * (n + 1)) * z
        total += term
        n += 1
        if term == 0:
            break
    return total


@dataclass(frozen=True, slots=True)
class Spending:
    """The three parameters of Gamma-Gamma: a purchase's value is Gamma(p, ν), ν is Gamma(q, v)."""

    p: float
    q: float
    v: float

    def log_likelihood(self, repeats: int, mean: float) -> float:
        """How well the parameters explain the mean value of a customer's repeat purchases (at least one)."""
        p, q, v, x = self.p, self.q, self.v, repeats
        return (
            lgamma(p * x + q)
            - lgamma(p * x)
            - lgamma(q)
            + q * log(v)
            + (p * x - 1) * log(mean)
            + p * x * log(x)
            - (p * x + q) * log(x * mean + v)
        )

    def value(self, repeats: int, mean: float) -> float:
        """The expected value of a purchase; with no repeats yet, that of anybody."""
        return self.p * (self.v + repeats * mean) / (self.p * repeats + self.q - 1)

    @property
    def population_mean(self) -> float:
        """The expected value of a purchase of a customer one knows nothing about."""
        return self.value(0, 0.0)


def fit_buying(histories: Iterable[History]) -> Buying:
    """The parameters under which these customers are most likely. ValueError without any."""
    counted = Counter(histories)
    if not counted:
        raise ValueError("no customers")
    return Buying(*_fit(4, lambda values: _weighted(Buying(*values).log_likelihoods(), counted)))


def fit_spending(means: Iterable[tuple[int, float]]) -> Spending:
    """The parameters under which these (repeats, mean value) are most likely; both must be positive."""
    counted = Counter(means)
    if not counted:
        raise ValueError("no customers who came back")
    return Spending(
        *_fit(3, lambda values: _weighted(lambda seen: Spending(*values).log_likelihood(*seen), counted))
    )


_Seen = TypeVar("_Seen")


def _weighted(of_one: Callable[[_Seen], float], counted: Mapping[_Seen, int]) -> float:
    return sum(count * of_one(seen) for seen, count in counted.items())


def correlation(means: Sequence[tuple[int, float]]) -> float | None:
    """Between how often and how much. Gamma-Gamma takes it to be none: to be shown beside its figures."""
    size = len(means)
    if size < 2:
        return None
    middle_x = sum(x for x, _ in means) / size
    middle_y = sum(y for _, y in means) / size
    both = sum((x - middle_x) * (y - middle_y) for x, y in means)
    spread = sum((x - middle_x) ** 2 for x, _ in means) * sum((y - middle_y) ** 2 for _, y in means)
    return both / sqrt(spread) if spread else None


# Nelder and Mead, "A simplex method for function minimization" (1965) -------------

_Point = tuple[float, ...]


def _fit(size: int, log_likelihood: Callable[[_Point], float]) -> _Point:
    """The positive values with the highest likelihood, searched from all ones."""

    def cost(logarithms: _Point) -> float:
        # Beyond these bounds nothing is a customer, and exp or lgamma give up.
        if any(abs(value) > 12 for value in logarithms):
            return float("inf")
        return -log_likelihood(tuple(exp(value) for value in logarithms))

    return tuple(exp(value) for value in minimum(cost, (0.0,) * size, precision=1e-5))


def minimum(
    cost: Callable[[_Point], float], start: _Point, *, precision: float = 1e-7, steps_max: int = 4000
) -> _Point:
    """A local minimum near `start`: the best corner of a simplex that has shrunk to `precision`."""
    simplex = [start]
    for place in range(len(start)):
        corner = list(start)
        corner[place] += 0.5
        simplex.append(tuple(corner))
    valued = sorted((cost(corner), corner) for corner in simplex)
    for _ in range(steps_max):
        spread = max(abs(a - b) for _, corner in valued for a, b in zip(corner, valued[0][1], strict=True))
        if spread < precision:
            break
        *kept, (worst_cost, worst) = valued
        centre = tuple(
            sum(values) / len(kept) for values in zip(*(corner for _, corner in kept), strict=True)
        )

        def towards(factor: float, centre: _Point = centre, worst: _Point = worst) -> tuple[float, _Point]:
            corner = tuple(c + factor * (c - w) for c, w in zip(centre, worst, strict=True))
            return cost(corner), corner

        tried = towards(1.0)
        if tried[0] < kept[0][0]:
            tried = min(tried, towards(2.0))
        elif tried[0] >= kept[-1][0]:
            tried = towards(0.5) if tried[0] < worst_cost else towards(-0.5)
            if tried[0] >= worst_cost:
                best = kept[0][1]
                halved = [
                    tuple((b + c) / 2 for b, c in zip(best, corner, strict=True)) for _, corner in valued[1:]
                ]
                valued = sorted([valued[0], *((cost(corner), corner) for corner in halved)])
                continue
        valued = sorted([*kept, tried])
    return valued[0][1]
