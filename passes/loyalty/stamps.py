"""Punch cards: so many visits or items make one reward."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from passes.loyalty.basket import Basket, Line, allocate
from passes.loyalty.text import Text

STAMPS = "stamps"
"""The asset of a punch card."""


class StampFor(StrEnum):
    """What earns a stamp."""

    VISIT = "visit"
    ITEM = "item"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class StampRule:
    """`target` stamps make one reward called `name`.

    One stamp per visit, per item of `categories` (or `skus`), or per full
    `per_minor` spent: at most `day_limit` a local day and, for visits,
    `minutes_between` apart. What is over the target stays when `carries`. The
    reward is an item worth at most `reward_minor`; it comes by itself unless
    `on_request`. Stamps lapse after `months`, never when 0.
    """

    name: Text
    target: int
    earned_for: StampFor = StampFor.VISIT
    categories: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    per_minor: int = 0
    day_limit: int | None = None
    purchase_limit: int | None = None
    minutes_between: int = 0
    carries: bool = True
    on_request: bool = False
    reward_minor: int | None = None
    reward_valid_days: int | None = None
    months: int = 0


class FewerStamps(StrEnum):
    """Why a purchase brings fewer stamps than it could have, or none."""

    NOTHING_COUNTS = "nothing_counts"  # no item of those asked for, not enough spent, all of it free
    TOO_SOON = "too_soon"  # after the last visit
    PURCHASE_LIMIT = "purchase_limit"
    DAY_LIMIT = "day_limit"


@dataclass(frozen=True, slots=True)
class StampsEarned:
    """How many stamps a purchase brings, and what held back others."""

    count: int
    reason: FewerStamps | None = None


@dataclass(frozen=True, slots=True)
class Punched:
    """A card after new stamps: so many rewards are due, so many stamps are left."""

    rewards: int
    balance: int


@dataclass(frozen=True, slots=True)
class Unpunched:
    """A card after stamps were taken back: so many unused rewards are revoked, so many stamps are left."""

    revoked: int
    balance: int


def stamps_for(
    rule: StampRule,
    basket: Basket,
    *,
    at: datetime,
    last_stamp_at: datetime | None = None,
    day_stamps: int = 0,
) -> StampsEarned:
    """The stamps that a purchase brings.

    `last_stamp_at` is the member's, `day_stamps` what this local day brought so
    far. What costs nothing brings none, so that a free item never earns the next.
    """
    possible = _possible(rule, basket)
    if not possible:
        return StampsEarned(0, FewerStamps.NOTHING_COUNTS)
    # A till that was offline may tell of visits in another order.
    apart = timedelta(minutes=rule.minutes_between)
    if rule.earned_for is StampFor.VISIT and last_stamp_at and abs(at - last_stamp_at) < apart:
        return StampsEarned(0, FewerStamps.TOO_SOON)
    count, reason = possible, None
    if rule.purchase_limit is not None and count > rule.purchase_limit:
        count, reason = rule.purchase_limit, FewerStamps.PURCHASE_LIMIT
    if rule.day_limit is not None and count > max(rule.day_limit - day_stamps, 0):
        count, reason = max(rule.day_limit - day_stamps, 0), FewerStamps.DAY_LIMIT
    return StampsEarned(count, reason)


def _possible(rule: StampRule, basket: Basket) -> int:
    """Stamps before any limit."""
    paid = basket.paid_by_line()
    match rule.earned_for:
        case StampFor.VISIT:
            return int(basket.net_minor > 0)
        case StampFor.ITEM:
            return sum(
                line.quantity
                for line, minor in zip(basket.lines, paid, strict=True)
                if minor and _counts(rule, line)
            )
        case StampFor.AMOUNT:
            # As with points, what was paid with unearning tender brings nothing.
            tender = allocate(basket.unearning_minor, paid)
            spent = sum(
                minor - part
                for line, minor, part in zip(basket.lines, paid, tender, strict=True)
                if _counts(rule, line)
            )
            return spent // rule.per_minor if rule.per_minor else 0


def _counts(rule: StampRule, line: Line) -> bool:
    """Whether a line is of what the rule asks for: everything when it names nothing."""
    return not (rule.categories or rule.skus) or line.category in rule.categories or line.sku in rule.skus


def rewards_from(rule: StampRule, balance: int, added: int) -> Punched:
    """What new stamps make of a card: 9 and 3 more of 10 are a reward and 2 stamps.

    Rewards on request leave all stamps where they are.
    """
    balance += added
    if rule.on_request or balance < rule.target:
        return Punched(0, balance)
    rewards, surplus = divmod(balance, rule.target)
    return Punched(rewards, surplus if rule.carries else 0)


def take_stamps_back(rule: StampRule, balance: int, taken: int, *, unused_rewards: int) -> Unpunched:
    """What a card becomes when stamps go back.

    Where they are no longer there, rewards that they had made and that are
    `unused` are revoked for their stamps; after that the balance goes below
    zero and the next stamps fill the hole.
    """
    balance -= taken
    revoked = min(max(-(balance // rule.target), 0), unused_rewards)
    return Unpunched(revoked, balance + revoked * rule.target)
