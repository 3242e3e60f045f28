"""How long points wait, last and are held.

Points wait until a local midnight and lapse at an instant: they count while
`now < expires_at`. Months clamp to shorter ones and keep the time of day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from passes.loyalty.dates import add_months, day_start, local_date, next_day_start, on_date
from passes.loyalty.tiers import Tier


class ExpiryKind(StrEnum):
    """When points lapse."""

    NONE = "none"
    ROLLING = "rolling"  # so many months after they were earned
    FIXED_DAY = "fixed_day"  # on a day of the year
    INACTIVITY = "inactivity"  # all of them, so many months after the last purchase or redemption


class MonthsTo(StrEnum):
    """To where a rolling expiry is rounded up."""

    EXACT = "exact"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class ClockStart(StrEnum):
    """From when the months of a rolling expiry count."""

    EARNING = "earning"
    ACTIVATION = "activation"


class Shortfall(StrEnum):
    """What happens when a return takes back more points than there are."""

    NEGATIVE = "negative"  # the balance goes below zero; new points fill the hole first
    FORGIVE = "forgive"
    DEDUCT = "deduct_from_refund"  # their worth is kept back from the money refunded


class ReturnPolicy(StrEnum):
    """How many points a partial return takes back."""

    RECOMPUTE = "recompute"  # the original rules on what remains
    PROPORTIONAL = "proportional"  # the share of the amount returned


@dataclass(frozen=True, slots=True)
class Expiry:
    """When points lapse. `months` for ROLLING and INACTIVITY, `month` and `day` for FIXED_DAY."""

    kind: ExpiryKind = ExpiryKind.NONE
    months: int = 0
    to: MonthsTo = MonthsTo.EXACT
    starts: ClockStart = ClockStart.EARNING
    month: int = 0
    day: int = 0


@dataclass(frozen=True, slots=True)
class PointsRule:
    """What becomes of points once they were earned.

    They wait `pending_days` before they can be spent (`pending_by_category`
    where a line says otherwise: the longest of a purchase counts). Members are
    told `notice_days` before points lapse. A hold lasts `hold_minutes`. Points
    given back after their expiry last `restore_grace_days` more. A return is
    taken within `return_days`, None for ever. `hundred_points_minor` is what
    100 points are worth in money, for DEDUCT and for liability.
    """

    expiry: Expiry = Expiry()
    pending_days: int = 0
    pending_by_category: tuple[tuple[str, int], ...] = ()
    notice_days: tuple[int, ...] = (30, 7, 1)
    hold_minutes: int = 15
    restore_grace_days: int = 30
    returns: ReturnPolicy = ReturnPolicy.RECOMPUTE
    shortfall: Shortfall = Shortfall.NEGATIVE
    return_days: int | None = None
    hundred_points_minor: int | None = None


def expires_at(
    rule: PointsRule, *, earned_at: datetime, available_at: datetime, zone: str, tier: Tier | None
) -> datetime | None:
    """When points earned now lapse; None for never, or not by a date of their own.

    A level with `points_last` suspends expiry. Points that lapse by inactivity
    have no date of their own: `lapse_at` is the member's.
    """
    expiry = rule.expiry
    if tier and tier.points_last:
        return None
    starts_at = available_at if expiry.starts is ClockStart.ACTIVATION else earned_at
    match expiry.kind:
        case ExpiryKind.ROLLING:
            return _months_later(starts_at, expiry, zone)
        case ExpiryKind.FIXED_DAY:
            return _next_yearly(local_date(starts_at, zone), expiry, zone)
        case _:
            return None


def available_at(
    rule: PointsRule, *, occurred_at: datetime, categories: Iterable[str | None], zone: str
) -> datetime:
    """When the points of a purchase can be spent: at once, or at a local midnight.

    `categories` are those of its lines, none where it has no lines. The
    longest wait of its lines counts; a line without a wait of its own has the
    programme's.
    """
    waits = dict(rule.pending_by_category)
    days = max(
        (waits.get(category or "", rule.pending_days) for category in categories), default=rule.pending_days
    )
    return next_day_start(occurred_at, zone, days) if days > 0 else occurred_at


def lapse_at(
    rule: PointsRule, last_activity: datetime, zone: str, tier: Tier | None = None
) -> datetime | None:
    """When all of a member's points lapse for inactivity; None where they do not.

    Any earning and any redemption is activity, a correction by hand is not.
    """
    if rule.expiry.kind is not ExpiryKind.INACTIVITY or (tier and tier.points_last):
        return None
    return _months_later(last_activity, rule.expiry, zone)


def restored_expiry(
    expires_at: datetime | None, *, now: datetime, grace_days: int, zone: str
) -> datetime | None:
    """When points given back lapse: as before, or `grace_days` from now if that has passed."""
    if expires_at is None or now < expires_at:
        return expires_at
    return _on_day(now, local_date(now, zone) + timedelta(days=grace_days), zone)


def notices_due(notice_days: Iterable[int], days: Sequence[date]) -> Mapping[date, int]:
    """Of which days of expiry members are to be told on these days, and how many days ahead.

    `days` are today and the days before it that were missed, in order. A day
    that has come needs no notice any more, and of two for one day only the
    last is due.
    """
    due: dict[date, int] = {}
    for day in days:
        for ahead in notice_days:
            if ahead > 0 and (lapsing := day + timedelta(days=ahead)) > days[-1]:
                due[lapsing] = min(ahead, due.get(lapsing, ahead))
    return due


def _months_later(at: datetime, expiry: Expiry, zone: str) -> datetime:
    if expiry.to is MonthsTo.EXACT:
        return _on_day(at, add_months(local_date(at, zone), expiry.months), zone)
    return _period_end(add_months(local_date(at, zone), expiry.months), expiry.to, zone)


@lru_cache(maxsize=1_024)
def _period_end(day: date, to: MonthsTo, zone: str) -> datetime:
    """The end of the month, quarter or year of that day."""
    match to:
        case MonthsTo.MONTH:
            return day_start(add_months(day.replace(day=1), 1), zone)
        case MonthsTo.QUARTER:
            return day_start(add_months(day.replace(day=1), 3 - (day.month - 1) % 3), zone)
        case _:
            return day_start(date(day.year + 1, 1, 1), zone)


def _next_yearly(day: date, expiry: Expiry, zone: str) -> datetime:
    """The beginning of the yearly day; points earned on it last until the next one."""
    this_year = on_date(expiry.month, expiry.day, day.year)
    return day_start(this_year if day < this_year else on_date(expiry.month, expiry.day, day.year + 1), zone)


def _on_day(at: datetime, day: date, zone: str) -> datetime:
    """The same local time of day on another day."""
    local = at.astimezone(ZoneInfo(zone))
    return datetime.combine(day, local.timetz()).astimezone(UTC)
