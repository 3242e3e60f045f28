"""Windows as instants, periods by number, and what the rows of a report are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from fractions import Fraction
from typing import TypeVar

from passes.loyalty.dates import add_months, day_start
from passes.loyalty.metrics import (
    to_minor,
)
from passes.store.insights import (
    Bucketed,
    By,
    Cut,
    Window,
    month_number,
    month_start,
    week_number,
    week_start,
)

Found = TypeVar("Found")


def instants(window: Window, zone: str) -> tuple[datetime, datetime]:
    return day_start(window.start, zone), day_start(window.end, zone)


def narrowed(cut: Cut, window: Window) -> Cut:
    return Cut(window, cut.channel, cut.location, cut.basis)


def _whole_months(window: Window) -> int | None:
    if window.start.day == window.end.day == 1:
        return month_number(window.end) - month_number(window.start)
    return None


def start_before(window: Window) -> date:
    """The start of the equally long window before: as many months, or else as many days."""
    months = _whole_months(window)
    return add_months(window.start, -months) if months else window.start - (window.end - window.start)


def middle_of(window: Window) -> date:
    months = _whole_months(window)
    if months and months % 2 == 0:
        return add_months(window.start, months // 2)
    return window.start + (window.end - window.start) // 2


def numbering(by: By | None) -> tuple[Callable[[date], int], Callable[[int], date]]:
    if by is By.MONTH:
        return month_number, month_start
    if by is By.WEEK:
        return week_number, week_start
    raise ValueError("only months and weeks follow each other")


def label(by: By | None, bucket: Bucketed) -> str | None:
    """2026-03 for a month, the Monday for a week, else the name itself."""
    if bucket is None or by is None:
        return None
    if by is By.MONTH:
        return f"{month_start(int(bucket)):%Y-%m}"
    if by is By.WEEK:
        return str(week_start(int(bucket)))
    return str(bucket)


def in_order(found: Iterable[Found], bucket_of: Callable[[Found], Bucketed]) -> list[Found]:
    """By bucket; what has none comes last."""
    rows = [(bucket_of(one), one) for one in found]
    known = [pair for pair in rows if pair[0] is not None]
    # Numbers sort as numbers, names as names: one report has only one of them.
    known.sort(key=lambda pair: (pair[0] if isinstance(pair[0], int) else 0, str(pair[0])))
    return [one for _, one in known] + [one for bucket, one in rows if bucket is None]


def minor_or_none(amount: Fraction | None) -> int | None:
    return None if amount is None else to_minor(amount)
