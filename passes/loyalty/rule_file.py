"""Reads the rules of a programme file: earning, lasting, rewards, tiers, stamps, occasions, actions."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

from passes.loyalty.actions import Action, AdjustmentRule
from passes.loyalty.condition_file import COUNT_MAX, DAYS_MAX, condition, condition_of, window
from passes.loyalty.conditions import Condition
from passes.loyalty.earning import (
    Bonus,
    CapMode,
    Caps,
    Combine,
    EarnRule,
    Multiplier,
    Rate,
    Rounding,
)
from passes.loyalty.lasting import (
    ClockStart,
    Expiry,
    ExpiryKind,
    MonthsTo,
    PointsRule,
    Shortfall,
)
from passes.loyalty.occasions import Birthday, BirthdaySpan, WinBack
from passes.loyalty.overlaps import overlap
from passes.loyalty.rewards import Reward, RewardKind
from passes.loyalty.stamps import STAMPS, StampFor, StampRule
from passes.loyalty.tiers import OnReturn, Review, Tier, TierMetric, TierRule, TierWindow
from passes.loyalty.toml_table import POINTS_MAX, Table, shown

STEPS_MAX = 20
"""More stamps cannot be drawn on a card."""

RULES_MAX = 50
MONTHS_MAX = 120
PENDING_DAYS_MAX = 90
HOLD_MINUTES_MAX = 7 * 24 * 60
HOURS_MAX = 24 * 90

_PER = re.compile(r"\s*([0-9]{1,7})\s+per\s+(\S+)\s*")
_Row = TypeVar("_Row")

_AMOUNT_NEEDED = {
    RewardKind.AMOUNT_OFF,
    RewardKind.STORE_CREDIT,
    RewardKind.DONATION,
    RewardKind.POINTS_AS_MONEY,
}
_AMOUNT_ALLOWED = _AMOUNT_NEEDED | {
    RewardKind.FREE_ITEM,
    RewardKind.PERCENT_OFF,
    RewardKind.PARTNER_VOUCHER,
}


def unique(rows: list[Table], read: Callable[[Table], _Row], *, key: str = "key") -> tuple[_Row, ...]:
    """Every row read; a key that an earlier row has is a mistake."""
    seen: set[object] = set()
    for row in rows:
        value = row.values.get(key)
        if isinstance(value, str) and value in seen:
            row.note(key, f"{shown(value)} appears twice")
        elif isinstance(value, str):
            seen.add(value)
    return tuple(read(row) for row in rows)


# Earning ----------------------------------------------------------------------


def earning(table: Table) -> EarnRule:
    """`[earning]`."""
    points, per_minor = _points_per(table)
    rate_rows = table.rows("rates", most=RULES_MAX)
    multiplier_rows = table.rows("multipliers", most=RULES_MAX)
    bonus_rows = table.rows("bonuses", most=RULES_MAX)
    rounding = table.choice("rounding", Rounding.FLOOR)
    rule = EarnRule(
        points=points,
        per_minor=per_minor,
        rounding=rounding,
        minimum_minor=table.amount("minimum", default=0),
        limit_minor=table.amount("limit", default=1_000_000, least=1),
        welcome_points=table.whole("welcome", least=0, most=POINTS_MAX, default=0),
        welcome_waits=table.flag("welcome_waits", default=False),
        claim_days=table.whole("claim_days", least=0, most=365, default=14),
        carries=table.belongs("carries", rounding is Rounding.BLOCK, 'rounding = "block"')
        and table.flag("carries", default=False),
        tax_earns=table.flag("tax_earns", default=False),
        excluded=tuple(_exclusion(row) for row in table.rows("excluded", most=RULES_MAX)),
        rates=unique(rate_rows, _rate),
        multipliers=unique(multiplier_rows, _multiplier),
        combine=table.choice("combine", Combine.BEST),
        bonuses=unique(bonus_rows, _bonus),
        minimum_points=table.whole("minimum_points", least=0, most=POINTS_MAX, default=0),
        caps=_caps(table.table("caps", required=False)),
    )
    if rule.minimum_minor > rule.limit_minor:
        table.note("minimum", "must not be above the limit of one purchase")
    if rule.welcome_waits and not rule.welcome_points:
        table.note("welcome_waits", "there are no welcome points that could wait")
    for key, cap in (("purchase", rule.caps.purchase_points), ("day", rule.caps.day_points)):
        if cap is not None and cap < rule.minimum_points:
            table.note("caps", f"{key} must not be below minimum_points, or nothing is ever earned")
    rules: tuple[Rate | Multiplier | Bonus, ...] = (*rule.rates, *rule.multipliers, *rule.bonuses)
    for row, one in zip((*rate_rows, *multiplier_rows, *bonus_rows), rules, strict=True):
        if one.when.minimum_minor > rule.limit_minor:
            row.note("when", "minimum is above the limit of one purchase, so this never applies")
    _refuse_ambiguous_rates(rate_rows, rule.rates)
    _refuse_ambiguous_bonuses(bonus_rows, rule.bonuses)
    return rule


def _points_per(table: Table) -> tuple[int, int]:
    given = table.take("points_per")
    if given is None:
        return 1, 1
    match = _PER.fullmatch(given) if isinstance(given, str) and len(given) <= 60 else None
    per_minor = table.minor(match[2]) if match else None
    if not match or not int(match[1]) or not per_minor:
        table.note("points_per", f'must be like "10 per 1.00", points for an amount, not {shown(given)}')
        return 1, 1
    return int(match[1]), per_minor


def _exclusion(row: Table) -> Condition:
    found = condition_of(row)
    if found == Condition():
        row.note(None, "must say what earns nothing, such as categories")
    return found


def _rate(row: Table) -> Rate:
    points, per_minor = _points_per(row)
    rate = Rate(
        key=row.key("key"),
        points=points,
        per_minor=per_minor,
        when=condition(row),
        priority=row.whole("priority", least=-1_000, most=1_000, default=0),
    )
    if rate.when == Condition():
        row.note("when", "must say when this rate applies; the one for everything is earning.points_per")
    return rate


def _multiplier(row: Table) -> Multiplier:
    return Multiplier(
        key=row.key("key"),
        name=row.promise("name", limit=60),
        factor=row.factor("factor"),
        when=condition(row),
        budget_points=row.whole_or_none("budget_points", least=1, most=POINTS_MAX),
        member_points=row.whole_or_none("member_points", least=1, most=POINTS_MAX),
    )


def _bonus(row: Table) -> Bonus:
    return Bonus(
        key=row.key("key"),
        name=row.promise("name", limit=60),
        points=row.whole("points", least=1, most=POINTS_MAX),
        when=condition(row),
        group=row.key("group") if row.has("group") else None,
        priority=row.whole("priority", least=-1_000, most=1_000, default=0),
    )


def _caps(table: Table) -> Caps:
    return Caps(
        purchase_points=table.whole_or_none("purchase", least=1, most=POINTS_MAX),
        day_points=table.whole_or_none("day", least=1, most=POINTS_MAX),
        mode=table.choice("mode", CapMode.CLAMP),
    )


def _refuse_ambiguous_rates(rows: Sequence[Table], rates: Sequence[Rate]) -> None:
    for place, (row, rate) in enumerate(zip(rows, rates, strict=True)):
        for earlier in rates[:place]:
            if rate.priority == earlier.priority and overlap(rate.when, earlier.when, on_one_line=True):
                row.note(
                    "priority",
                    f"one line could earn at this rate and at {shown(earlier.key)}; "
                    "give them different priorities, the higher one wins",
                )
                break


def _refuse_ambiguous_bonuses(rows: Sequence[Table], bonuses: Sequence[Bonus]) -> None:
    for place, (row, bonus) in enumerate(zip(rows, bonuses, strict=True)):
        for earlier in bonuses[:place]:
            is_rival = bonus.group is not None and bonus.group == earlier.group
            if (
                is_rival
                and bonus.priority == earlier.priority
                and overlap(bonus.when, earlier.when, on_one_line=False)
            ):
                row.note(
                    "priority",
                    f"one purchase could get this bonus or {shown(earlier.key)} of the same group; "
                    "give them different priorities, the higher one wins",
                )
                break


# What points last ---------------------------------------------------------------


def points(table: Table) -> PointsRule:
    """`[points]`."""
    standard = PointsRule()
    rule = PointsRule(
        expiry=_expiry(table.table("expiry", required=False)),
        pending_days=table.whole("pending_days", least=0, most=PENDING_DAYS_MAX, default=0),
        pending_by_category=table.wholes_by(
            "pending_by_category", "category", least=0, most=PENDING_DAYS_MAX
        ),
        notice_days=table.wholes("notice_days", least=1, most=365, default=standard.notice_days),
        hold_minutes=table.whole(
            "hold_minutes", least=1, most=HOLD_MINUTES_MAX, default=standard.hold_minutes
        ),
        restore_grace_days=table.whole(
            "restore_grace_days", least=0, most=DAYS_MAX, default=standard.restore_grace_days
        ),
        returns=table.choice("returns", standard.returns),
        shortfall=table.choice("shortfall", standard.shortfall),
        return_days=table.whole_or_none("return_days", least=0, most=DAYS_MAX),
        hundred_points_minor=table.amount_or_none("hundred_points_worth"),
    )
    if rule.shortfall is Shortfall.DEDUCT and rule.hundred_points_minor is None:
        table.note("hundred_points_worth", "is missing: it says what is kept back from a refund")
    longest = max((rule.pending_days, *(days for _, days in rule.pending_by_category)))
    lapses_early = (
        rule.expiry.kind is ExpiryKind.ROLLING
        and rule.expiry.starts is ClockStart.EARNING
        # The shortest months have 28 days.
        and rule.expiry.months * 28 <= longest
    )
    if lapses_early:
        table.note("pending_days", "points would lapse before they can be spent")
    return rule


def _expiry(table: Table) -> Expiry:
    kind = table.choice("kind", ExpiryKind.NONE)
    is_rolling, is_day = kind is ExpiryKind.ROLLING, kind is ExpiryKind.FIXED_DAY
    has_months = kind in (ExpiryKind.ROLLING, ExpiryKind.INACTIVITY)
    months = month = day = 0
    to, starts = MonthsTo.EXACT, ClockStart.EARNING
    if table.belongs("months", has_months, "the kinds rolling and inactivity"):
        months = table.whole("months", least=1, most=MONTHS_MAX)
    if table.belongs("to", is_rolling, "the kind rolling"):
        to = table.choice("to", MonthsTo.EXACT)
    if table.belongs("starts", is_rolling, "the kind rolling"):
        starts = table.choice("starts", ClockStart.EARNING)
    if table.belongs("month", is_day, "the kind fixed_day"):
        month = table.whole("month", least=1, most=12)
    if table.belongs("day", is_day, "the kind fixed_day"):
        day = table.whole("day", least=1, most=31)
        # In a leap year: 29 February is a day that falls on the 28th in other years.
        if day > monthrange(2000, month or 1)[1]:
            table.note("day", f"month {month} never has a day {day}")
    return Expiry(kind=kind, months=months, to=to, starts=starts, month=month, day=day)


# Rewards ------------------------------------------------------------------------


def rewards(rows: list[Table]) -> tuple[Reward, ...]:
    """`[[rewards]]`."""
    return unique(rows, _reward)


def _reward(row: Table) -> Reward:
    kind = row.choice("kind", RewardKind.FREE_ITEM)
    is_money, is_percent = kind is RewardKind.POINTS_AS_MONEY, kind is RewardKind.PERCENT_OFF
    amount_minor = percent = None
    if row.belongs("amount", kind in _AMOUNT_ALLOWED, f"a reward of {_kinds(_AMOUNT_ALLOWED)}"):
        amount_minor = (
            row.amount("amount", least=1) if kind in _AMOUNT_NEEDED else row.amount_or_none("amount")
        )
    if row.belongs("percent", is_percent, 'a reward of kind = "percent_off"'):
        percent = row.whole("percent", least=1, most=100)
    least_points, share_percent = 0, 100
    if row.belongs("least_points", is_money, 'a reward of kind = "points_as_money"'):
        least_points = row.whole("least_points", least=0, most=POINTS_MAX, default=0)
    if row.belongs("share_percent", is_money, 'a reward of kind = "points_as_money"'):
        share_percent = row.whole("share_percent", least=1, most=100, default=100)
    reward = Reward(
        key=row.key("key"),
        name=row.promise("name", limit=40),
        points=row.whole("points", least=1, most=POINTS_MAX),
        kind=kind,
        amount_minor=amount_minor,
        percent=percent,
        least_points=least_points,
        share_percent=share_percent,
        categories=frozenset(row.keys("categories", "category")),
        skus=frozenset(row.texts("skus", limit=64)),
        tiers=frozenset(row.keys("tiers", "tier")),
        tier_points=row.wholes_by("tier_points", "tier", least=1, most=POINTS_MAX),
        window=window(row),
        locations=frozenset(row.keys("shops", "shop")),
        stock=row.whole_or_none("stock", least=1, most=POINTS_MAX),
        member_limit=row.whole_or_none("member_limit", least=1, most=COUNT_MAX),
        member_days=_member_days(row),
        valid_days=row.whole_or_none("valid_days", least=1, most=DAYS_MAX),
        combinable=row.flag("combinable", default=True),
    )
    if reward.key == STAMPS:
        row.note("key", f"{shown(STAMPS)} is what a full punch card is redeemed as; choose another")
    for tier, price in reward.tier_points:
        if reward.tiers and tier not in reward.tiers:
            row.note("tier_points", f"this reward is not for the tier {shown(tier)}")
        if price > reward.points:
            row.warn("tier_points", f"{shown(tier)} pays {price}, more than the ordinary {reward.points}")
    return reward


def _kinds(kinds: set[RewardKind]) -> str:
    return "kind = " + " or ".join(f'"{kind}"' for kind in RewardKind if kind in kinds)


def _member_days(row: Table) -> int | None:
    if not row.belongs("member_days", "member_limit" in row, "a member_limit"):
        return None
    return row.whole_or_none("member_days", least=1, most=DAYS_MAX)


# Tiers --------------------------------------------------------------------------


def tiering(table: Table) -> TierRule:
    """`[tiering]`."""
    standard = TierRule()
    period = table.choice("window", standard.window)
    days = standard.days
    if table.belongs("days", period is TierWindow.ROLLING, 'window = "rolling"'):
        days = table.whole("days", least=1, most=DAYS_MAX, default=standard.days)
    rule = TierRule(
        window=period,
        days=days,
        metric=table.choice("metric", standard.metric),
        delay_days=table.whole("delay_days", least=0, most=365, default=0),
        review=table.choice("review", standard.review),
        grace_days=table.whole("grace_days", least=0, most=365, default=0),
        on_return=table.choice("on_return", standard.on_return),
    )
    never_ends = rule.review is Review.NEVER or rule.window is TierWindow.LIFETIME
    if rule.grace_days and never_ends:
        table.note("grace_days", "no tier ends here, so there is nothing that grace could follow")
    if rule.on_return is OnReturn.IMMEDIATE and rule.review is Review.NEVER:
        table.note("on_return", "a tier that is kept for ever cannot be lost by a return")
    return rule


def tiers(rows: list[Table], rule: TierRule) -> tuple[Tier, ...]:
    """`[[tiers]]`; their thresholds are what the rule's metric counts."""
    found = unique(rows, lambda row: _tier(row, rule.metric))
    for row, tier, below in zip(rows, found, (None, *found), strict=False):
        if below is None and tier.threshold != 0:
            row.note(rule.metric, "the first tier must begin at 0, so that every member has one")
        if below is not None and tier.threshold <= below.threshold:
            row.note(rule.metric, "must be above the tier before it")
        if below is not None and tier.multiplier < below.multiplier:
            row.warn("multiplier", "is lower than that of the tier before it")
    return found


def _tier(row: Table, metric: TierMetric) -> Tier:
    for other in TierMetric:
        row.belongs(other, other is metric, f'tiering.metric = "{other}"')
    return Tier(
        key=row.key("key"),
        name=row.words("name", limit=30),
        threshold=row.amount(metric)
        if metric is TierMetric.SPEND
        else row.whole(metric, least=0, most=POINTS_MAX),
        multiplier=row.factor("multiplier", default=Fraction(1)),
        perk=row.promise("perk", limit=120) if row.has("perk") else None,
        early_access_hours=row.whole("early_access_hours", least=0, most=HOURS_MAX, default=0),
        points_last=row.flag("points_last", default=False),
        grants=row.keys("grants", "reward"),
        free_shipping=row.flag("free_shipping", default=False),
    )


# Stamps, occasions, actions -----------------------------------------------------


def stamps(table: Table) -> StampRule:
    """`[stamps]`."""
    earned_for = table.choice("earned_for", StampFor.VISIT)
    per_minor = minutes_between = 0
    categories: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    if table.belongs("amount", earned_for is StampFor.AMOUNT, 'earned_for = "amount"'):
        per_minor = table.amount("amount", least=1)
    if table.belongs("categories", earned_for is StampFor.ITEM, 'earned_for = "item"'):
        categories = frozenset(table.keys("categories", "category"))
    if table.belongs("skus", earned_for is StampFor.ITEM, 'earned_for = "item"'):
        skus = frozenset(table.texts("skus", limit=64))
    if table.belongs("minutes_between", earned_for is StampFor.VISIT, 'earned_for = "visit"'):
        minutes_between = table.whole("minutes_between", least=0, most=7 * 24 * 60, default=0)
    rule = StampRule(
        name=table.promise("name", limit=30),
        target=table.whole("target", least=2, most=STEPS_MAX),
        earned_for=earned_for,
        categories=categories,
        skus=skus,
        per_minor=per_minor,
        day_limit=table.whole_or_none("day_limit", least=1, most=COUNT_MAX),
        purchase_limit=table.whole_or_none("purchase_limit", least=1, most=COUNT_MAX),
        minutes_between=minutes_between,
        carries=table.flag("carries", default=True),
        on_request=table.flag("on_request", default=False),
        reward_minor=table.amount_or_none("reward_amount"),
        reward_valid_days=table.whole_or_none("reward_valid_days", least=1, most=DAYS_MAX),
        months=table.whole("months", least=0, most=MONTHS_MAX, default=0),
    )
    day, purchase = rule.day_limit, rule.purchase_limit
    if day is not None and purchase is not None and purchase > day:
        table.note("purchase_limit", "must not be above day_limit")
    return rule


def birthday(table: Table) -> Birthday:
    """`[birthday]`."""
    span = table.choice("span", BirthdaySpan.DAY)
    days = 0
    if table.belongs("days", span is BirthdaySpan.DAYS, 'span = "days"'):
        days = table.whole("days", least=1, most=30)
    tier_days: tuple[tuple[str, int], ...] = ()
    if table.belongs("tier_days", span is BirthdaySpan.DAYS, 'span = "days"'):
        tier_days = table.wholes_by("tier_days", "tier", least=1, most=30)
    rule = Birthday(
        points=table.whole("points", least=0, most=POINTS_MAX, default=0),
        reward_key=table.reference("reward", "reward"),
        span=span,
        days=days,
        tiers=frozenset(table.keys("tiers", "tier")),
        tier_days=tier_days,
    )
    if not rule.points and rule.reward_key is None:
        table.note(None, "must have points or a reward")
    for tier, longer in rule.tier_days:
        if rule.tiers and tier not in rule.tiers:
            table.note("tier_days", f"the tier {shown(tier)} gets no birthday gift")
        elif longer <= rule.days:
            table.note("tier_days", f"must be more than the {rule.days} days of everybody")
    return rule


def win_back(table: Table) -> WinBack:
    """`[win_back]`."""
    standard = WinBack(points=0)
    return WinBack(
        points=table.whole("points", least=1, most=POINTS_MAX),
        idle_days=table.whole("idle_days", least=1, most=DAYS_MAX, default=standard.idle_days),
        every_days=table.whole("every_days", least=1, most=DAYS_MAX, default=standard.every_days),
        valid_days=table.whole("valid_days", least=1, most=DAYS_MAX, default=standard.valid_days),
    )


def action(row: Table) -> Action:
    """One of `[[actions]]`."""
    found = Action(
        key=row.key("key"),
        name=row.promise("name", limit=60),
        points=row.whole("points", least=1, most=POINTS_MAX),
        moderated=row.flag("moderated", default=True),
        member_limit=row.whole_or_none("member_limit", least=1, most=COUNT_MAX),
        member_days=_member_days(row),
        day_limit=row.whole_or_none("day_limit", least=1, most=COUNT_MAX),
    )
    if found.member_limit is None and found.day_limit is None:
        row.warn(None, "has neither member_limit nor day_limit: anybody may collect its points without end")
    return found


def adjustments(table: Table) -> AdjustmentRule:
    """`[adjustments]`."""
    standard = AdjustmentRule()
    rule = AdjustmentRule(
        reasons=table.keys("reasons") or standard.reasons,
        approval_points=table.whole(
            "approval_points", least=0, most=POINTS_MAX, default=standard.approval_points
        ),
        person_day_points=table.whole(
            "person_day_points", least=1, most=POINTS_MAX, default=standard.person_day_points
        ),
    )
    if rule.approval_points > rule.person_day_points:
        table.warn("approval_points", "is above person_day_points, so nobody is ever asked to approve")
    return rule
