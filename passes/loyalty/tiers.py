"""Levels that members reach, keep and lose.

A level is earned within a window: a period such as a calendar year, or the
last so many days. Days and periods begin at midnight where the programme is.
A period is named by the year in which it began, and by 0 where there is only
one. A level is kept until the end of its validity at least; then a review
looks at what the member did meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from passes.loyalty.dates import day_start, local_date, next_day_start, on_date
from passes.loyalty.text import Text


class TierWindow(StrEnum):
    """Over what time a level is earned."""

    CALENDAR_YEAR = "calendar_year"
    ROLLING = "rolling"
    MEMBERSHIP_YEAR = "membership_year"
    LIFETIME = "lifetime"


class TierMetric(StrEnum):
    """What counts towards a level."""

    SPEND = "spend"
    POINTS = "points"
    VISITS = "visits"


class Review(StrEnum):
    """What happens at the end of a level's validity."""

    FULL = "full"  # the level that the last complete window gives
    ONE_DOWN = "one_down"
    NEVER = "never"


class OnReturn(StrEnum):
    """When a return that breaks a threshold costs the level."""

    AT_REVIEW = "at_review"
    IMMEDIATE = "immediate"


@dataclass(frozen=True, slots=True)
class TierRule:
    """How levels are reached, kept and lost.

    `days` is the length of a ROLLING window. An upgrade is held back
    `delay_days` and then checked again. After the end of its validity a level
    stays `grace_days`, in which purchases count for the old and the new window.
    """

    window: TierWindow = TierWindow.CALENDAR_YEAR
    days: int = 365
    metric: TierMetric = TierMetric.SPEND
    delay_days: int = 0
    review: Review = Review.FULL
    grace_days: int = 0
    on_return: OnReturn = OnReturn.AT_REVIEW


@dataclass(frozen=True, slots=True)
class Tier:
    """A level reached at `threshold`: minor units, points or visits, as the rule's metric says.

    `multiplier` applies to what purchases earn; `perk` is a benefit in words.
    `early_access_hours` open offers sooner; `points_last` suspends expiry.
    `grants` are rewards issued free, once per member and qualification period.
    """

    key: str
    name: Text
    threshold: int
    multiplier: Fraction = Fraction(1)
    perk: Text | None = None
    early_access_hours: int = 0
    points_last: bool = False
    grants: tuple[str, ...] = ()
    free_shipping: bool = False


def tier_for(tiers: Sequence[Tier], metric: int) -> Tier | None:
    """The level for a metric; None when the programme has no levels.

    A threshold counts from the exact amount on. A metric may be negative after
    returns and still gives the lowest level.
    """
    reached = None
    for tier in sorted(tiers, key=lambda tier: tier.threshold):
        if reached is None or tier.threshold <= metric:
            reached = tier
    return reached


def next_tier(tiers: Sequence[Tier], metric: int) -> Tier | None:
    """The level above the present one; None at the top."""
    above = [tier for tier in tiers if tier.threshold > max(metric, 0)]
    return min(above, key=lambda tier: tier.threshold, default=None)


# Windows and validity ---------------------------------------------------------


def period_of(rule: TierRule, at: datetime, zone: str, joined_at: datetime) -> int:
    """The year in which the period of this instant began; 0 where there is but one."""
    day = local_date(at, zone)
    match rule.window:
        case TierWindow.CALENDAR_YEAR:
            return day.year
        case TierWindow.MEMBERSHIP_YEAR:
            return day.year - (day < _anniversary(joined_at, day.year, zone))
        case _:
            return 0


def window_of(
    rule: TierRule, at: datetime, zone: str, joined_at: datetime
) -> tuple[datetime | None, datetime | None]:
    """The window in which an instant counts, as `start <= t < end`; None is open.

    A rolling window is the local day of `at` and the days before it,
    `rule.days` altogether.
    """
    match rule.window:
        case TierWindow.LIFETIME:
            return None, None
        case TierWindow.ROLLING:
            return next_day_start(at, zone, 1 - rule.days), next_day_start(at, zone)
        case _:
            period = period_of(rule, at, zone, joined_at)
            return period_start(rule, period, zone, joined_at), period_start(
                rule, period + 1, zone, joined_at
            )


def period_start(rule: TierRule, period: int, zone: str, joined_at: datetime) -> datetime:
    """When a calendar or membership year begins."""
    if rule.window is TierWindow.MEMBERSHIP_YEAR:
        return day_start(_anniversary(joined_at, period, zone), zone)
    return day_start(date(period, 1, 1), zone)


def valid_until(rule: TierRule, reached_at: datetime, zone: str, joined_at: datetime) -> datetime | None:
    """How long a level reached at an instant is kept whatever happens; None is for ever.

    Years: the rest of the present one and the whole next. Rolling: `rule.days`
    from the day of the purchase.
    """
    if rule.review is Review.NEVER:
        return None
    match rule.window:
        case TierWindow.LIFETIME:
            return None
        case TierWindow.ROLLING:
            return next_day_start(reached_at, zone, rule.days)
        case _:
            period = period_of(rule, reached_at, zone, joined_at)
            return period_start(rule, period + 2, zone, joined_at)


def review_at(rule: TierRule, until: datetime | None, zone: str) -> datetime | None:
    """When a level that is valid `until` is looked at: after the days of grace."""
    if until is None or not rule.grace_days:
        return until
    return next_day_start(until, zone, rule.grace_days)


def recheck_at(rule: TierRule, reached_at: datetime, zone: str) -> datetime:
    """When an upgrade that is held back is looked at again."""
    return next_day_start(reached_at, zone, rule.delay_days)


def review_window(
    rule: TierRule, until: datetime, now: datetime, zone: str, joined_at: datetime
) -> tuple[datetime | None, datetime | None]:
    """What a review looks at when a level was valid `until`.

    Years: the last complete one, with the days of grace behind it. Rolling:
    the window of the day of the review. For ever (a level given by hand): all.
    """
    if rule.window in (TierWindow.ROLLING, TierWindow.LIFETIME):
        return window_of(rule, now, zone, joined_at)
    completed = _completed(rule, until, zone, joined_at)
    start, end = (period_start(rule, period, zone, joined_at) for period in (completed, completed + 1))
    return start, review_at(rule, until, zone) if end == until else end


def _completed(rule: TierRule, until: datetime, zone: str, joined_at: datetime) -> int:
    """The last period that was complete when a level ended; levels given by hand may end within one."""
    return period_of(rule, until, zone, joined_at) - 1


def _anniversary(joined_at: datetime, year: int, zone: str) -> date:
    joined = local_date(joined_at, zone)
    return on_date(joined.month, joined.day, year)


# Reaching, keeping, losing ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TierStanding:
    """Where a member stands, as the member's row says.

    `tier` is kept until `tier_until`, for ever when None; `tier_due_at` is when
    it must be looked at next. `tier_waiting` was reached and is held back.
    `metric` counts for `metric_period`.
    """

    tier: str | None
    tier_until: datetime | None
    tier_due_at: datetime | None
    tier_waiting: str | None
    metric_period: int
    metric: int


@dataclass(frozen=True, slots=True)
class TierStep(TierStanding):
    """Where a member stands now, and what changed: `upgrade`, `kept` (for longer), `review`, `return`."""

    change: str | None = None


def starting(
    rule: TierRule, tiers: Sequence[Tier], at: datetime, zone: str, joined_at: datetime | None = None
) -> TierStanding:
    """Where a new member stands: on the lowest level, which nobody can lose."""
    lowest = tier_for(tiers, 0)
    return TierStanding(
        tier=lowest.key if lowest else None,
        tier_until=None,
        tier_due_at=None,
        tier_waiting=None,
        metric_period=period_of(rule, at, zone, joined_at or at),
        metric=0,
    )


def reached(tiers: Sequence[Tier], metric: int, current: Tier | None) -> Tier | None:
    """The level above the present one that a metric gives; None when it gives none. Levels may be skipped."""
    found = tier_for(tiers, metric)
    return found if _above(found, current) else None


def reviewed(rule: TierRule, tiers: Sequence[Tier], current: Tier | None, metric: int) -> Tier | None:
    """The level after a review, by the metric of the last complete window."""
    found = tier_for(tiers, metric)
    if current is None or not _above(current, found):
        return found
    match rule.review:
        case Review.NEVER:
            return current
        case Review.ONE_DOWN:
            below = [tier for tier in tiers if tier.threshold < current.threshold]
            return max(below, key=lambda tier: tier.threshold)
        case Review.FULL:
            return found


def after_purchase(
    rule: TierRule,
    tiers: Sequence[Tier],
    standing: TierStanding,
    *,
    added: int,
    at: datetime,
    zone: str,
    joined_at: datetime,
) -> TierStep:
    """Where a purchase at `at` leaves its member: `added` is what it counts.

    Where the window is rolling, `standing.metric` is what the caller found in
    the window of `at` before this purchase. A purchase of an older period
    changes nothing: the review counts it from the purchases themselves.
    """
    period = period_of(rule, at, zone, joined_at)
    if period < standing.metric_period:
        return _step(standing, None)
    metric = added + (standing.metric if period == standing.metric_period else 0)
    current = _tier(tiers, standing.tier) or tier_for(tiers, 0)
    standing = TierStanding(
        current.key if current else standing.tier,
        standing.tier_until,
        standing.tier_due_at,
        standing.tier_waiting,
        period,
        metric,
    )
    if current is None:
        return _step(standing, None)
    higher = reached(tiers, metric, current)
    if higher is None or rule.delay_days:
        step = _kept(rule, standing, current, at=at, zone=zone, joined_at=joined_at)
        if higher is None:
            return step
        recheck = recheck_at(rule, at, zone)
        due = min(step.tier_due_at, recheck) if step.tier_due_at else recheck
        return replace(step, tier_waiting=higher.key, tier_due_at=due)
    return _step(_on(rule, standing, higher, at=at, zone=zone, joined_at=joined_at), "upgrade")


def after_return(
    rule: TierRule,
    tiers: Sequence[Tier],
    standing: TierStanding,
    *,
    metric: int,
    earlier: int,
    at: datetime,
    zone: str,
    joined_at: datetime,
) -> TierStep:
    """Where a return leaves its member, for a rule that is IMMEDIATE; AT_REVIEW changes the metric alone.

    `metric` is what is left for the present period or window, `earlier` for
    the period before it, whose level still holds (0 where the window is
    rolling or for ever). Never lifts anybody.
    """
    standing = replace(_plain(standing), metric=metric)
    current = _tier(tiers, standing.tier)
    if rule.on_return is not OnReturn.IMMEDIATE or current is None:
        return _step(standing, None)
    now_gives, before_gave = tier_for(tiers, metric), tier_for(tiers, earlier)
    best = before_gave if _above(before_gave, now_gives) else now_gives
    if best is None or not _above(current, best):
        return _step(standing, None)
    qualified_at = at
    if best is not now_gives:
        start, _ = window_of(rule, at, zone, joined_at)
        qualified_at = (start or at) - timedelta(microseconds=1)
    return _step(_on(rule, standing, best, at=qualified_at, zone=zone, joined_at=joined_at), "return")


def after_review(
    rule: TierRule,
    tiers: Sequence[Tier],
    standing: TierStanding,
    *,
    metric: int,
    last_purchase_at: datetime | None,
    now: datetime,
    zone: str,
    joined_at: datetime,
) -> TierStep:
    """Where the review of a level leaves its member; `tier_until` must be over.

    `metric` is that of `review_window`, with its last purchase. What was
    reached in the present year already counts too, so that a review that runs
    late takes nothing away that was earned meanwhile.
    """
    assert standing.tier_until is not None
    until = standing.tier_until
    standing = _plain(standing)
    current = _tier(tiers, standing.tier)
    found = reviewed(rule, tiers, current, metric)
    if found is None:
        return _step(replace(standing, tier=None, tier_until=None, tier_due_at=None), "review")
    if rule.delay_days and current and _above(found, current):
        found = current
    yearly = rule.window in (TierWindow.CALENDAR_YEAR, TierWindow.MEMBERSHIP_YEAR)
    completed = _completed(rule, until, zone, joined_at)
    if yearly:
        qualified_at = period_start(rule, completed, zone, joined_at)
    else:
        # One level down without having earned even that lasts another window.
        qualified_at = last_purchase_at if last_purchase_at and metric >= found.threshold else now
    after = _on(rule, standing, found, at=qualified_at, zone=zone, joined_at=joined_at)
    if yearly and standing.metric_period > completed and not rule.delay_days:
        present = tier_for(tiers, standing.metric)
        if present and not _above(found, present):
            began_at = period_start(rule, standing.metric_period, zone, joined_at)
            after = _on(rule, standing, present, at=began_at, zone=zone, joined_at=joined_at)
    after = replace(after, tier_waiting=standing.tier_waiting)
    coming = max(metric, standing.metric) if rule.window is not TierWindow.ROLLING else metric
    after = _waiting_still(after, tiers, coming, now, zone)
    return _step(after, "kept" if after.tier == standing.tier else "review")


def after_delay(
    rule: TierRule,
    tiers: Sequence[Tier],
    standing: TierStanding,
    *,
    metric: int,
    coming: int,
    at: datetime,
    zone: str,
    joined_at: datetime,
) -> TierStep:
    """Where the second look at an upgrade leaves its member, at the instant `at` for which it was due.

    `metric` counts the purchases that are old enough (`ripe_window`), less
    what came back; `coming` those that are too young as well. What they give
    waits on, a day at a time.
    """
    standing = _plain(standing)
    current = _tier(tiers, standing.tier) or tier_for(tiers, 0)
    higher = reached(tiers, metric, current)
    change = None
    if higher:
        ripe_at = next_day_start(at, zone, -rule.delay_days)
        standing = replace(
            _on(rule, standing, higher, at=ripe_at, zone=zone, joined_at=joined_at),
            tier_waiting=standing.tier_waiting,
        )
        change = "upgrade"
    standing = replace(standing, tier_due_at=review_at(rule, standing.tier_until, zone))
    present = standing.metric if rule.window is not TierWindow.ROLLING else coming
    return _step(_waiting_still(standing, tiers, max(coming, present), at, zone), change)


def ripe_window(
    rule: TierRule, at: datetime, zone: str, joined_at: datetime
) -> tuple[datetime | None, datetime, datetime | None]:
    """The window of the day `delay_days` ago: from when, up to the end of that day, and its own end."""
    ripe_at = next_day_start(at, zone, -rule.delay_days)
    start, end = window_of(rule, ripe_at, zone, joined_at)
    if rule.window is TierWindow.ROLLING:
        end = None
    return start, next_day_start(ripe_at, zone), end


def grant_name(tier: str, period: int) -> str:
    """The allowance under which a level's free rewards are given once per qualification period."""
    return f"tier:{tier}:{period}"


def _above(tier: Tier | None, other: Tier | None) -> bool:
    if tier is None or other is None:
        return tier is not None
    return tier.threshold > other.threshold


def _tier(tiers: Sequence[Tier], key: str | None) -> Tier | None:
    return next((tier for tier in tiers if tier.key == key), None)


def _plain(standing: TierStanding) -> TierStanding:
    """Without what changed last."""
    return TierStanding(
        standing.tier,
        standing.tier_until,
        standing.tier_due_at,
        standing.tier_waiting,
        standing.metric_period,
        standing.metric,
    )


def _step(standing: TierStanding, change: str | None) -> TierStep:
    return TierStep(
        standing.tier,
        standing.tier_until,
        standing.tier_due_at,
        standing.tier_waiting,
        standing.metric_period,
        standing.metric,
        change,
    )


def _on(
    rule: TierRule, standing: TierStanding, tier: Tier, *, at: datetime, zone: str, joined_at: datetime
) -> TierStanding:
    """On a level that was earned at an instant, with nothing held back."""
    until = valid_until(rule, at, zone, joined_at) if tier.threshold > 0 else None
    return replace(
        standing,
        tier=tier.key,
        tier_until=until,
        tier_due_at=review_at(rule, until, zone),
        tier_waiting=None,
    )


def _kept(
    rule: TierRule, standing: TierStanding, current: Tier, *, at: datetime, zone: str, joined_at: datetime
) -> TierStep:
    """The present level earned again lasts longer; one that lasts for ever needs nothing."""
    until = valid_until(rule, at, zone, joined_at)
    if (
        standing.metric < current.threshold
        or standing.tier_until is None
        or until is None
        or until <= standing.tier_until
    ):
        return _step(standing, None)
    due = review_at(rule, until, zone)
    if standing.tier_waiting and standing.tier_due_at and due:
        due = min(due, standing.tier_due_at)
    return _step(replace(standing, tier_until=until, tier_due_at=due), "kept")


def _waiting_still(
    standing: TierStanding, tiers: Sequence[Tier], metric: int, at: datetime, zone: str
) -> TierStanding:
    """Forget an upgrade that is no longer earned; look at any other again on the next day."""
    if standing.tier_waiting is None:
        return standing
    higher = reached(tiers, metric, _tier(tiers, standing.tier))
    if higher is None:
        return replace(standing, tier_waiting=None)
    tomorrow = next_day_start(at, zone)
    due = min(standing.tier_due_at, tomorrow) if standing.tier_due_at else tomorrow
    return replace(standing, tier_waiting=higher.key, tier_due_at=due)
