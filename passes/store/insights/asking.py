"""What a report may be asked: which days, which purchases, a row for what; and how SQL is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    bindparam,
    or_,
)

from passes.loyalty.dates import day_number


class By(StrEnum):
    """What a report has one row for."""

    MONTH = "month"
    WEEK = "week"
    CHANNEL = "channel"
    LOCATION = "location"
    TILL = "till"
    PERSON = "person"
    SOURCE = "source"
    TIER = "tier"


class Basis(StrEnum):
    """To which day a return is booked."""

    ORDER_DATE = "order_date"
    EVENT_DATE = "event_date"


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the programme's zone, `[start, end)`."""

    start: date
    end: date


@dataclass(frozen=True, slots=True)
class Cut:
    """Which purchases are looked at: those of a window, perhaps of one channel or location."""

    window: Window
    channel: str | None = None
    location: str | None = None
    basis: Basis = Basis.ORDER_DATE


Bucketed = str | int | None
"""What a row is for: a month or week number, a channel, …; None where that is unknown, or for the whole."""

PROGRAMME: ColumnElement[int] = bindparam("programme_id", type_=BigInteger)
FIRST_DAY: ColumnElement[int] = bindparam("first_day", type_=Integer)
END_DAY: ColumnElement[int] = bindparam("end_day", type_=Integer)
FROM: ColumnElement[int] = bindparam("from_at", type_=BigInteger)
UNTIL: ColumnElement[int] = bindparam("until_at", type_=BigInteger)
AT: ColumnElement[int] = bindparam("at", type_=BigInteger)


def one_of(column: ColumnElement[Any], kinds: Iterable[StrEnum]) -> ColumnElement[bool]:
    return or_(*(column == kind.value for kind in kinds))


def month_number(day: date) -> int:
    """Months since year 0."""
    return 12 * day.year + day.month - 1


def month_start(month: int) -> date:
    """The first day of a month by its number."""
    return date(month // 12, month % 12 + 1, 1)


_JULIAN_DAY_BEFORE_YEAR_1 = 1_721_425


def week_number(day: date) -> int:
    """Weeks since the Julian day 0, which was a Monday."""
    return (day.toordinal() + _JULIAN_DAY_BEFORE_YEAR_1) // 7


def week_start(week: int) -> date:
    """The Monday of a week by its number."""
    return date.fromordinal(7 * week - _JULIAN_DAY_BEFORE_YEAR_1)


def month_of(day: ColumnElement[int]) -> ColumnElement[int]:
    return day // 10_000 * 12 + day // 100 % 100 - 1


def week_of(day: ColumnElement[int]) -> ColumnElement[int]:
    """The week of a `yyyymmdd`, by way of the Julian day number and in whole numbers only."""
    year, month = day // 10_000, day // 100 % 100
    before_march = (14 - month) // 12
    years, months = year + 4_800 - before_march, month + 12 * before_march - 3
    days = day % 100 + (153 * months + 2) // 5 + 365 * years + years // 4 - years // 100 + years // 400
    return (days - 32_045) // 7


def asked(cut: Cut) -> dict[str, Any]:
    values: dict[str, Any] = days_of(cut.window)
    if cut.channel is not None:
        values["channel"] = cut.channel
    if cut.location is not None:
        values["location"] = cut.location
    return values


def days_of(window: Window) -> dict[str, Any]:
    return {"first_day": day_number(window.start), "end_day": day_number(window.end)}
