"""Days and months where the programme is.

Instants are UTC; a day is the time between two midnights of a zone, which is
23 or 25 hours when the clocks change. Nothing here ever adds 24 hours.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

QUIET_FROM_HOUR, QUIET_UNTIL_HOUR = 21, 9
"""Nobody is told at night what they did not ask for (reference: loyalty C, scheduling)."""


def local_date(at: datetime, zone: str) -> date:
    """The day it is in a zone at this instant."""
    return at.astimezone(ZoneInfo(zone)).date()


def day_number(day: date) -> int:
    """yyyymmdd, as tables keep days."""
    return day.year * 10_000 + day.month * 100 + day.day


@lru_cache(maxsize=4_096)
def day_start(day: date, zone: str) -> datetime:
    """The instant at which a day begins in a zone.

    Where the clocks skip midnight, the first instant that exists.
    """
    local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    return local.astimezone(UTC)


def add_months(day: date, months: int) -> date:
    """The same day months later, or the last one of a shorter month: 31 January + 1 = 28 or 29 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def next_day_start(at: datetime, zone: str, days: int = 1) -> datetime:
    """The beginning of the day that is `days` after the present one in a zone."""
    return day_start(local_date(at, zone) + timedelta(days=days), zone)


def by_day(at: datetime, zone: str) -> datetime:
    """This instant, or the next nine in the morning of a zone when it falls into the quiet hours before."""
    local = at.astimezone(ZoneInfo(zone))
    if QUIET_UNTIL_HOUR <= local.hour < QUIET_FROM_HOUR:
        return at
    day = local.date() + timedelta(days=local.hour >= QUIET_FROM_HOUR)
    return datetime(day.year, day.month, day.day, QUIET_UNTIL_HOUR, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def is_quiet(at: datetime, zone: str) -> bool:
    """Whether this instant lies in the quiet hours of a zone."""
    return by_day(at, zone) != at


def on_date(month: int, day: int, year: int) -> date:
    """A yearly day in a year; 29 February falls on the 28th in common years."""
    return date(year, month, min(day, monthrange(year, month)[1]))


def near_yearly(month: int, day: int, today: date, *, days: int) -> bool:
    """Whether a yearly day is at most so many days before or after this one."""
    near = (on_date(month, day, today.year + years) for years in (-1, 0, 1) if 1 < today.year + years < 9999)
    return any(abs((one - today).days) <= days for one in near)
