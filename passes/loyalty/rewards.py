"""What points buy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from passes.loyalty.conditions import Window
from passes.loyalty.refusals import Refused, RewardNotForTier, RewardNotHere, RewardNotNow
from passes.loyalty.text import Text


class RewardKind(StrEnum):
    """What a reward is worth at the till."""

    FREE_ITEM = "free_item"
    AMOUNT_OFF = "amount_off"
    PERCENT_OFF = "percent_off"
    PRODUCT = "product"
    STORE_CREDIT = "store_credit"
    SHIPPING = "shipping"
    EVENT_SEAT = "event_seat"
    PARTNER_VOUCHER = "partner_voucher"
    DONATION = "donation"
    ENTITLEMENT = "entitlement"
    POINTS_AS_MONEY = "points_as_money"


@dataclass(frozen=True, slots=True)
class Reward:
    """Something bought with points.

    `points` is its price, or for POINTS_AS_MONEY the step: the customer
    chooses how many steps, each worth `amount_minor`. `amount_minor` is what
    AMOUNT_OFF takes off, what STORE_CREDIT or a DONATION is worth, the most
    that a FREE_ITEM may cost or a PERCENT_OFF may take. `percent` belongs to
    PERCENT_OFF. POINTS_AS_MONEY takes at least `least_points` and pays at most
    `share_percent` of a basket. `stock` bounds all redemptions together,
    `member_limit` those of one member, within `member_days` or ever. It can be
    used for `valid_days` after it was issued, for ever when None.
    """

    key: str
    name: Text
    points: int
    kind: RewardKind = RewardKind.FREE_ITEM
    amount_minor: int | None = None
    percent: int | None = None
    least_points: int = 0
    share_percent: int = 100
    categories: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    tier_points: tuple[tuple[str, int], ...] = ()
    window: Window | None = None
    locations: frozenset[str] = frozenset()
    stock: int | None = None
    member_limit: int | None = None
    member_days: int | None = None
    valid_days: int | None = None
    combinable: bool = True

    def price(self, tier: str | None) -> int:
        """Its points for a member of this tier."""
        return dict(self.tier_points).get(tier or "", self.points)


def in_the_way(reward: Reward, *, tier: str | None, location: str | None, now: datetime) -> Refused | None:
    """Why a member of this tier cannot have the reward here and now, limits and points aside; None if so."""
    if reward.window is not None and not reward.window.contains(now):
        return RewardNotNow()
    if reward.locations and location not in reward.locations:
        return RewardNotHere()
    if reward.tiers and tier not in reward.tiers:
        return RewardNotForTier()
    return None


@dataclass(frozen=True, slots=True)
class Choice:
    """From how many points to how many, in which steps, a customer may pay as money. `most` 0: not at all."""

    least: int
    most: int
    step: int


def choice(reward: Reward, *, balance: int, basket_minor: int) -> Choice:
    """What POINTS_AS_MONEY lets a customer choose from, whose basket may be paid for with points.

    The cashier may always take less than the most. Reference: loyalty A7.
    """
    assert reward.kind is RewardKind.POINTS_AS_MONEY
    assert reward.amount_minor
    step = reward.points
    payable_minor = basket_minor * reward.share_percent // 100
    most = min(max(balance, 0) // step, payable_minor // reward.amount_minor) * step
    least = -(-max(reward.least_points, step) // step) * step
    return Choice(least, most if most >= least else 0, step)


def worth(reward: Reward, *, points: int, basket_minor: int | None) -> int | None:
    """What a reward takes off, in minor units; None where that depends on the item or is not money.

    `points` matter for POINTS_AS_MONEY, `basket_minor` for PERCENT_OFF.
    """
    match reward.kind:
        case RewardKind.POINTS_AS_MONEY:
            return points // reward.points * (reward.amount_minor or 0)
        case RewardKind.PERCENT_OFF if basket_minor is not None:
            off = (basket_minor * (reward.percent or 0) + 50) // 100
            return off if reward.amount_minor is None else min(off, reward.amount_minor)
        case RewardKind.AMOUNT_OFF:
            return (
                reward.amount_minor if basket_minor is None else min(reward.amount_minor or 0, basket_minor)
            )
        case RewardKind.STORE_CREDIT | RewardKind.DONATION:
            return reward.amount_minor
        case _:
            return None
