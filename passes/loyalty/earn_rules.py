"""What a programme says about earning: rates, multipliers, bonuses, minimums and caps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from passes.loyalty.conditions import Condition
from passes.loyalty.text import Text


class Rounding(StrEnum):
    """What becomes of part-points."""

    FLOOR = "floor"
    HALF_UP = "half_up"
    CEIL = "ceil"
    PER_LINE_FLOOR = "per_line_floor"  # each line by itself, instead of once per purchase
    BLOCK = "block"  # only full blocks of the amount count at all
    CARRY = "carry"  # part-points wait for the member's next purchase


class Combine(StrEnum):
    """How several multipliers that apply to one line become one."""

    BEST = "best"
    SUM_BONUS = "sum_bonus"  # 1 + what each adds
    PRODUCT = "product"


class CapMode(StrEnum):
    """What happens above a cap."""

    CLAMP = "clamp"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Rate:
    """Another rate for chosen lines, in the place of the programme's own; a higher `priority` wins."""

    key: str
    points: int
    per_minor: int
    when: Condition
    priority: int = 0

    @property
    def rate(self) -> Fraction:
        """Points per minor unit, exactly."""
        return Fraction(self.points, self.per_minor)


@dataclass(frozen=True, slots=True)
class Multiplier:
    """Chosen lines earn `factor` times as much.

    `budget_points` bounds what it may add for everybody together,
    `member_points` what it may add for one member, both over its whole life.
    """

    key: str
    name: Text
    factor: Fraction
    when: Condition
    budget_points: int | None = None
    member_points: int | None = None


@dataclass(frozen=True, slots=True)
class Bonus:
    """Fixed points, once per purchase that has what it asks for.

    Of several in one `group` only that with the highest `priority` counts.
    """

    key: str
    name: Text
    points: int
    when: Condition
    group: str | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Caps:
    """At most so many points per purchase and per member and local day."""

    purchase_points: int | None = None
    day_points: int | None = None
    mode: CapMode = CapMode.CLAMP


@dataclass(frozen=True, slots=True)
class EarnRule:
    """`points` for every `per_minor` minor units spent, and everything that changes that.

    Purchases whose eligible part is below `minimum_minor` earn nothing; those
    above `limit_minor` are refused as typing mistakes. `carries` keeps the
    rest of the spend below a full block for next time. `welcome_points` come
    with joining, or with the first purchase that earns when `welcome_waits`.
    A sale without a member can be claimed for `claim_days`.
    """

    points: int
    per_minor: int
    rounding: Rounding = Rounding.FLOOR
    minimum_minor: int = 0
    limit_minor: int = 1_000_000
    welcome_points: int = 0
    welcome_waits: bool = False
    claim_days: int = 14
    carries: bool = False
    tax_earns: bool = False
    excluded: tuple[Condition, ...] = ()
    rates: tuple[Rate, ...] = ()
    multipliers: tuple[Multiplier, ...] = ()
    combine: Combine = Combine.BEST
    bonuses: tuple[Bonus, ...] = ()
    minimum_points: int = 0
    caps: Caps = Caps()

    def most(self, tier_factor: Fraction) -> Fraction:
        """More points than this no purchase earns, if a level multiplies by `tier_factor` at most."""
        factors = [max(one, Fraction(1)) for one in (tier_factor, *(row.factor for row in self.multipliers))]
        factor = {
            Combine.BEST: max(factors),
            Combine.SUM_BONUS: 1 + sum(one - 1 for one in factors),
            Combine.PRODUCT: math.prod(factors),
        }[self.combine]
        rate = max(self.rate, *(one.rate for one in self.rates), Fraction(0))
        return self.limit_minor * rate * factor + sum(bonus.points for bonus in self.bonuses)

    @property
    def asks_consent(self) -> bool:
        """Whether what a purchase earns can depend on a consent of its member."""
        ruled: tuple[Rate | Multiplier | Bonus, ...] = (*self.rates, *self.multipliers, *self.bonuses)
        conditions = (*self.excluded, *(one.when for one in ruled))
        return any(one.segment is not None and one.segment.consent is not None for one in conditions)

    @property
    def rate(self) -> Fraction:
        """Points per minor unit, exactly."""
        return Fraction(self.points, self.per_minor)
