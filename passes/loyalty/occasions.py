"""Points that come with a day: birthdays, and coming back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from passes.loyalty.dates import day_start, local_date, on_date

CHANGE_DAYS = 30
"""A birthday changed within so many days before the new date brings nothing this year."""


class BirthdaySpan(StrEnum):
    """How long a birthday lasts."""

    DAY = "day"
    DAYS = "days"  # so many days before and after
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Birthday:
    """A gift at the local beginning of a member's birthday, or of the days around it.

    `tier_days` gives tiers a longer span. `reward_key` names a reward that is
    issued free; `points` may come with it or instead.
    """

    points: int = 0
    reward_key: str | None = None
    span: BirthdaySpan = BirthdaySpan.DAY
    days: int = 0
    tiers: frozenset[str] = frozenset()
    tier_days: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class WinBack:
    """Points for returning after `idle_days`, when told so, at most once in `every_days`.

    The promise holds `valid_days`. Members in the holdout get none.
    """

    points: int
    idle_days: int = 90
    every_days: int = 180
    valid_days: int = 30


def birthday_span(rule: Birthday, month: int, day: int, year: int, tier: str | None) -> tuple[date, date]:
    """The first day and the last of a year's birthday; 29 February is the 28th in common years."""
    birthday = on_date(month, day, year)
    match rule.span:
        case BirthdaySpan.DAY:
            return birthday, birthday
        case BirthdaySpan.MONTH:
            following = (birthday.replace(day=1) + timedelta(days=31)).replace(day=1)
            return birthday.replace(day=1), following - timedelta(days=1)
        case BirthdaySpan.DAYS:
            around = timedelta(days=dict(rule.tier_days).get(tier or "", rule.days))
            return birthday - around, birthday + around


def birthday_year(
    rule: Birthday,
    *,
    month: int,
    day: int,
    tier: str | None,
    joined_at: datetime,
    changed_at: datetime | None,
    since: date,
    today: date,
    zone: str,
) -> int | None:
    """The year whose birthday gift is due today, or was on a day from `since` on; None when none is.

    Who joined on the birthday or later, or changed it less than 30 days
    before, waits for the next year.
    """
    if rule.tiers and tier not in rule.tiers:
        return None
    for year in (today.year, today.year + 1, today.year - 1):
        first, last = birthday_span(rule, month, day, year, tier)
        if not (first <= today and last >= since):
            continue
        birthday = on_date(month, day, year)
        if joined_at >= day_start(birthday, zone):
            continue
        if changed_at is None or (birthday - local_date(changed_at, zone)).days >= CHANGE_DAYS:
            return year
    return None


def birthdays_due(rule: Birthday, since: date, today: date) -> Iterator[tuple[int, int]]:
    """Month and day of every birthday whose gift may be due on a day from `since` to today.

    A little too many: `birthday_year` decides for each member.
    """
    around = max((rule.days, *(days for _, days in rule.tier_days)))
    reach = {BirthdaySpan.DAY: 0, BirthdaySpan.DAYS: around, BirthdaySpan.MONTH: 31}[rule.span]
    day, last, seen = since - timedelta(days=reach), today + timedelta(days=reach), set[tuple[int, int]]()
    while day <= last and len(seen) < 366:
        seen.add((day.month, day.day))
        if (day.month, day.day) == (2, 28):
            seen.add((2, 29))
        day += timedelta(days=1)
    yield from sorted(seen)


def birthday_name(year: int) -> str:
    """The allowance under which a member gets one birthday gift a calendar year."""
    return f"birthday:{year}"
