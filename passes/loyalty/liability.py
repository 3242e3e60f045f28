"""What points still owed are worth in the books (IFRS 15 B39-B43, ASC 606-10-55-41…45).

Points given on a sale are a material right: part of the price is deferred and
becomes revenue as they are used. Amounts are minor units, rounded half up;
rates are exact. Not accounting advice.
"""

from __future__ import annotations

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
    used = Fraction(redeemed) / expected if expected else Fraction(1)
    return to_minor(deferred_total_minor * min(used, Fraction(1))) - before_minor


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
