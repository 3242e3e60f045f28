"""Whether two rules can apply to the same thing, and whether a window ever opens."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from passes.loyalty.conditions import Condition, Segment, Window
from passes.loyalty.dates import local_date

_DAY = 24 * 60
_WEEK = 7 * _DAY


def overlap(one: Condition, other: Condition, *, on_one_line: bool) -> bool:
    """Whether something can meet both.

    Two conditions overlap unless some dimension that both ask about is
    disjoint: categories, article numbers, brands, shops, channels, tiers, the
    dates, the weekly hours, and of a segment its tiers, languages, numbers of
    purchases and idle days. What chooses lines only tells rules apart that are
    about one line (`on_one_line`): a purchase may have a line for each. Every
    dimension is judged by itself, so the answer may be yes for two rules that
    in truth never meet, and is never no for two that do.
    """
    pairs: list[tuple[frozenset[str], frozenset[str]]] = [
        (one.locations, other.locations),
        (one.channels, other.channels),
        (one.tiers, other.tiers),
    ]
    if on_one_line:
        pairs += [
            (one.categories, other.categories),
            (one.skus, other.skus),
            (one.brands, other.brands),
        ]
    if _some_disjoint(pairs):
        return False
    if one.window and other.window and not _windows_meet(one.window, other.window):
        return False
    return not (one.segment and other.segment) or _segments_meet(one.segment, other.segment)


def ever_opens(window: Window) -> bool:
    """Whether any minute lies within a window: a Friday rule for one Tuesday never applies."""
    if window.starts_at is None or window.ends_at is None:
        return True
    if window.ends_at <= window.starts_at:
        return False
    minutes = _week_minutes(window)
    if window.ends_at - window.starts_at >= timedelta(days=8):
        return minutes != 0
    return bool(minutes & _between(window.starts_at, window.ends_at, window.zone))


def _some_disjoint(pairs: Iterable[tuple[frozenset[str], frozenset[str]]]) -> bool:
    return any(one and other and one.isdisjoint(other) for one, other in pairs)


def _windows_meet(one: Window, other: Window) -> bool:
    if one.ends_at and other.starts_at and one.ends_at <= other.starts_at:
        return False
    if other.ends_at and one.starts_at and other.ends_at <= one.starts_at:
        return False
    return bool(_week_minutes(one) & _week_minutes(other))


def _week_minutes(window: Window) -> int:
    """The minutes of a week at which a window is open, one bit each, from Monday 00:00."""
    weekdays = window.weekdays or range(7)
    if not window.hours:
        return sum(_bits(weekday * _DAY, _DAY) for weekday in weekdays)
    minutes = 0
    for weekday in weekdays:
        for hours in window.hours:
            since = hours.since.hour * 60 + hours.since.minute
            until = hours.until.hour * 60 + hours.until.minute
            length = (until - since) % _DAY or _DAY
            minutes |= _bits(weekday * _DAY + since, length)
    # What began on Sunday may end on Monday.
    return (minutes | minutes >> _WEEK) & _bits(0, _WEEK)


def _between(starts_at: datetime, ends_at: datetime, zone: str) -> int:
    """The minutes of the week from one instant to another, less than two weeks apart.

    Whole days: an hour more or less when the clocks change must not lose one.
    """
    minutes = 0
    day, last = local_date(starts_at, zone), local_date(ends_at - timedelta(microseconds=1), zone)
    while day <= last:
        minutes |= _bits(day.weekday() * _DAY, _DAY)
        day += timedelta(days=1)
    return minutes


def _bits(start: int, length: int) -> int:
    return ((1 << length) - 1) << start


def _segments_meet(one: Segment, other: Segment) -> bool:
    if _some_disjoint([(one.tiers, other.tiers), (one.languages, other.languages)]):
        return False
    return _ranges_meet(
        (one.purchases_least, one.purchases_most), (other.purchases_least, other.purchases_most)
    ) and _ranges_meet(
        (one.idle_days_least, one.idle_days_most), (other.idle_days_least, other.idle_days_most)
    )


def _ranges_meet(one: tuple[int | None, int | None], other: tuple[int | None, int | None]) -> bool:
    least = max(one[0] or 0, other[0] or 0)
    most = [bound for bound in (one[1], other[1]) if bound is not None]
    return not most or least <= min(most)
