"""What points buy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from passes.loyalty.conditions import Window
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
