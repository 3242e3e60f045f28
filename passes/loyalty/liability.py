"""What points still owed are worth in the books (IFRS 15 B39-B43, ASC 606-10-55-41…45).

Points given on a sale are a material right: part of the price is deferred and
becomes revenue as they are used. Amounts are minor units, rounded half up;
rates are exact. Not accounting advice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from passes.loyalty.metrics import Number, to_minor


def deferred_minor(price_minor: int, *, goods_minor: Number, points_minor: Number) -> int:
    """The part of a price that belongs to the points given with it.

    By relative stand-alone selling price: `goods_minor` is that of the goods,
    `points_minor` the points' (number × value × expected redemption).
    """
    whole = Fraction(goods_minor) + points_minor
    return to_minor(price_minor * Fraction(points_minor) / whole) if whole else 0


def recognised_minor(
    deferred_total_minor: int, *, redeemed: Number, expected: Number, before_minor: int
) -> int:
    """Revenue of a period: the used share of what was deferred, less what was recognised before.

    `redeemed` points are cumulative; `expected` is how many of all will ever
    be used, as believed at the end of this period. Never more than was
    deferred; negative when a raised expectation takes revenue back.
    """
    used = Fraction(redeemed) / expected if expected > 0 else Fraction(1)
    return to_minor(deferred_total_minor * max(min(used, Fraction(1)), Fraction(0))) - before_minor


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Points that members could still use: `pending` wait, `available` are free, `held` are reserved.

    Accounts below zero count nothing here; `deficit` is what they lack.
    """

    pending: int
    available: int
    held: int
    deficit: int

    @property
    def points(self) -> int:
        """All that could be used."""
        return self.pending + self.available + self.held

    def liability_minor(self, *, cost_minor: Number, redemption_rate: Number) -> int:
        """Points × what one costs × the share that will ever be used (1 − breakage)."""
        return to_minor(self.points * Fraction(cost_minor) * redemption_rate)


# Month by month --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PointsMonth:
    """What one month sold to members (net) and what it did with points.

    `redemption_rate` is the share of all points that will ever be used, as
    believed at the end of this month.
    """

    month: int
    net_minor: int
    earned: int
    bonus: int
    burned: int
    redemption_rate: Fraction


@dataclass(frozen=True, slots=True)
class JournalMonth:
    """One month's bookings: sales to the liability, and from the liability to revenue."""

    month: int
    opening_minor: int
    deferred_minor: int
    recognised_minor: int

    @property
    def closing_minor(self) -> int:
        """What is still owed at the end: the next month's opening."""
        return self.opening_minor + self.deferred_minor - self.recognised_minor


def journal(months: Iterable[PointsMonth], *, point_minor: Number) -> list[JournalMonth]:
    """The bookings of every month, which must come in order and from the first one on.

    A month defers the part of its sales that belongs to the points earned with
    them; what was deferred before is not allocated anew when the expectation
    changes, but recognised faster or slower. Points given without a sale defer
    nothing, and count among those that will be used.
    """
    booked: list[JournalMonth] = []
    deferred = recognised = issued = burned = 0
    for month in months:
        now_deferred = _deferral(month, point_minor)
        deferred += now_deferred
        issued += month.earned + month.bonus
        burned += month.burned
        revenue = recognised_minor(
            deferred, redeemed=burned, expected=issued * month.redemption_rate, before_minor=recognised
        )
        opening = deferred - now_deferred - recognised
        recognised += revenue
        booked.append(JournalMonth(month.month, opening, now_deferred, revenue))
    return booked


def _deferral(month: PointsMonth, point_minor: Number) -> int:
    points_minor = month.earned * Fraction(point_minor) * month.redemption_rate
    if month.net_minor <= 0 or points_minor <= 0:
        # More came back than was sold, or fewer points were earned than taken
        # back: there is no price to divide, so the points count at their worth.
        return to_minor(points_minor)
    return deferred_minor(month.net_minor, goods_minor=month.net_minor, points_minor=points_minor)
