"""What a marketer's figures mean, as arithmetic on counts and sums.

Shares and averages are exact fractions, None where there is nothing to divide
by: an empty shop has no retention, not one of zero. Money comes in as minor
units; `to_minor` rounds half up where an exact average becomes an amount.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

Number = int | Fraction


def share(part: Number, whole: Number) -> Fraction | None:
    """`part / whole`; None when the whole is zero."""
    return Fraction(part) / whole if whole else None


def to_minor(amount: Number) -> int:
    """Whole minor units, half up (away from minus infinity): 49.375 USD in cents → 4938."""
    return floor(Fraction(amount) + Fraction(1, 2))


# Who comes back --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retention:
    """Customers of one window seen again in another.

    `start` bought in the first window, `active` in the second, `new` of them
    not in the first.
    """

    start: int
    active: int
    new: int

    @property
    def kept(self) -> int:
        """Who bought in both windows."""
        return self.active - self.new

    @property
    def rate(self) -> Fraction | None:
        """(active − new) / start."""
        return share(self.kept, self.start)

    @property
    def churn(self) -> Fraction | None:
        """1 − retention rate."""
        return None if self.rate is None else 1 - self.rate

    @property
    def lifespan(self) -> Fraction | None:
        """Expected windows that a customer stays: 1 / churn; None when nobody left."""
        return None if not self.churn else 1 / self.churn


@dataclass(frozen=True, slots=True)
class RevenueRetention:
    """What one cohort spent in a window (`start_minor`) and in a later one (`end_minor`)."""

    start_minor: int
    end_minor: int

    @property
    def rate(self) -> Fraction | None:
        """Net revenue retention."""
        return share(self.end_minor, self.start_minor)

    @property
    def net_churn(self) -> Fraction | None:
        """1 − net revenue retention; negative when those who stayed spend more than all did before."""
        return None if self.rate is None else 1 - self.rate

    @property
    def churn_is_negative(self) -> bool:
        """Whether the cohort grew although people left."""
        return self.net_churn is not None and self.net_churn < 0


def revenue_movements(start_minor: int, *, lost: int, less: int, more: int) -> RevenueRetention:
    """Net revenue retention told by its movements, each in minor units and not negative.

    `lost` is what those spent who left, `less` and `more` by how much others changed.
    """
    return RevenueRetention(start_minor, start_minor - lost - less + more)


# What a customer is worth ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Worth:
    """Orders and spend of identified customers in one window.

    `repeating` of the `customers` placed two orders or more.
    """

    customers: int
    repeating: int
    orders: int
    net_minor: int

    @property
    def repeat_rate(self) -> Fraction | None:
        """Customers with at least two orders / customers."""
        return share(self.repeating, self.customers)

    @property
    def frequency(self) -> Fraction | None:
        """Orders / customers."""
        return share(self.orders, self.customers)

    @property
    def average_order(self) -> Fraction | None:
        """Net / orders, in minor units."""
        return share(self.net_minor, self.orders)

    @property
    def customer_value(self) -> Fraction | None:
        """Average order × frequency: net per customer and window, in minor units."""
        return share(self.net_minor, self.customers)


def lifetime_value(customer_value: Number, lifespan: Number, margin: Number = 1) -> Fraction:
    """Customer value × lifespan × gross margin; value and lifespan in the same windows.

    Revenue, not profit, with the default margin of 1.
    """
    return Fraction(customer_value) * lifespan * margin


def discounted_lifetime_value(margin_minor: Number, retention: Number, discount: Number) -> Fraction:
    """m · (1 + d) / (1 + d − r): the first margin now, each next one with probability `retention`.

    `retention` and `discount` belong to the same window as the margin.
    ValueError when they never come to an end (r ≥ 1 + d).
    """
    remaining = 1 + Fraction(discount) - retention
    if remaining <= 0:
        raise ValueError("customers that never leave are worth infinitely much")
    return Fraction(margin_minor) * (1 + Fraction(discount)) / remaining


# Points ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PointsFlow:
    """Points that moved in a window.

    `earned` is net of claw-backs and undone purchases, `bonus` was given
    without a purchase, `burned` is net of what was put back.
    """

    earned: int
    bonus: int
    burned: int
    expired: int

    @property
    def issued(self) -> int:
        """Earned and given."""
        return self.earned + self.bonus

    @property
    def redemption_rate(self) -> Fraction | None:
        """Of the flow: burned / issued in the same window, whichever points they were."""
        return share(self.burned, self.issued)

    @property
    def burn_ratio(self) -> Fraction | None:
        """Burned / (burned + expired): of the points that left, those that bought something."""
        return share(self.burned, self.burned + self.expired)

    @property
    def earn_to_burn(self) -> Fraction | None:
        """Issued / burned."""
        return share(self.issued, self.burned)


@dataclass(frozen=True, slots=True)
class IssueCohort:
    """The lots of one window and what became of them so far.

    issued = used + expired + `taken_back` + remaining.
    """

    issued: int
    used: int
    expired: int
    taken_back: int
    remaining: int

    @property
    def redemption_rate(self) -> Fraction | None:
        """Of the cohort: used so far / issued."""
        return share(self.used, self.issued)

    @property
    def breakage(self) -> Fraction | None:
        """Expired / issued, once all of its points are gone; None before."""
        return None if self.remaining else share(self.expired, self.issued)


# Cohorts ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cohort:
    """Customers by the month of their first order.

    `month` counts months since year 0 (12 · year + month − 1). `active[k]`
    bought k months later; None while that month is not over.
    """

    month: int
    size: int
    active: tuple[int | None, ...]

    @property
    def rates(self) -> tuple[Fraction | None, ...]:
        """Active / size."""
        return tuple(None if count is None else Fraction(count, self.size) for count in self.active)


def cohorts(cells: Mapping[tuple[int, int], int], sizes: Mapping[int, int], *, present: int) -> list[Cohort]:
    """The cohort matrix, oldest first, up to the `present` month, which is not over.

    `cells` maps (month of the first order, month) to distinct customers. A
    month that is over and has no cell counts 0; one that is not is None.
    """
    last = max([present, *(month for _, month in cells)])
    return [
        Cohort(
            first,
            sizes[first],
            tuple(
                cells.get((first, month), 0) if month < present else None for month in range(first, last + 1)
            ),
        )
        for first in sorted(sizes)
    ]


# Recency, frequency, money ---------------------------------------------------


def scores(values: Sequence[Number], *, descending: bool = False) -> list[int]:
    """1 to 5 for each value: min(5, 1 + ⌊5 · percent rank⌋); equal values score equally.

    The percent rank is (values before) / (n − 1), and 0 for a single value.
    `descending` gives the smallest value the highest score.
    """
    ordered = sorted(values, reverse=descending)
    rank: dict[Number, int] = {}
    for before, value in enumerate(ordered):
        rank.setdefault(value, before)
    steps = max(len(values) - 1, 1)
    return [min(5, 1 + 5 * rank[value] // steps) for value in values]


CHAMPIONS, LOYAL, NEW, PROMISING = "champions", "loyal", "new", "promising"
NEED_ATTENTION, AT_RISK, HIBERNATING, POTENTIAL = "need_attention", "at_risk", "hibernating", "potential"
SEGMENTS = (CHAMPIONS, LOYAL, NEW, PROMISING, NEED_ATTENTION, AT_RISK, HIBERNATING, POTENTIAL)


def segment(recency: int, frequency: int) -> str:
    """The name of a cell of the grid of recency and frequency scores."""
    if recency <= 2:
        return AT_RISK if frequency >= 3 else HIBERNATING
    if frequency >= 4:
        return CHAMPIONS if recency == 5 else LOYAL
    if frequency == 1 and recency >= 4:
        return NEW if recency == 5 else PROMISING
    return NEED_ATTENTION if (recency, frequency) == (3, 3) else POTENTIAL


# Tiers -----------------------------------------------------------------------

JOINED, CLOSED = "(joined)", "(closed)"
"""The row of those who were not yet members, the column of those who no longer are."""


def migration(moves: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    """The matrix of (tier before, tier after, members); equal pairs add up, empty cells are absent."""
    matrix: dict[str, dict[str, int]] = {}
    for before, after, members in moves:
        row = matrix.setdefault(before, {})
        row[after] = row.get(after, 0) + members
    return matrix
