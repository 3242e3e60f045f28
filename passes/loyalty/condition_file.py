"""Reads conditions from a programme file: to which lines, where, when and for whom a rule applies."""

from __future__ import annotations

import re
from datetime import time

from passes.loyalty.conditions import Condition, Hours, Segment, Window
from passes.loyalty.overlaps import ever_opens
from passes.loyalty.toml_table import POINTS_MAX, Table, did_you_mean, shown

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAYS_MAX = 36_500
COUNT_MAX = 1_000_000

_HOURS = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])\s?[-–]\s?([01][0-9]|2[0-4]):([0-5][0-9])")
_HOURS_MAX = 10


def condition(row: Table) -> Condition:
    """The condition in a rule's `when`; one that asks nothing when it is left out."""
    return condition_of(row.table("when", required=False))


def condition_of(table: Table) -> Condition:
    """The condition that a table is."""
    found = Condition(
        categories=frozenset(table.keys("categories", "category")),
        skus=frozenset(table.texts("skus", limit=64)),
        brands=frozenset(table.texts("brands", limit=64)),
        locations=frozenset(table.keys("shops", "shop")),
        channels=frozenset(table.texts("channels", limit=16)),
        tiers=frozenset(table.keys("tiers", "tier")),
        window=window_of(table),
        minimum_minor=table.amount("minimum", default=0),
        segment=_segment(table),
    )
    if found.segment and found.tiers and found.segment.tiers and found.tiers.isdisjoint(found.segment.tiers):
        table.note("tiers", "none of these is one of the segment's, so this never applies")
    return found


def window(row: Table) -> Window | None:
    """The time in which a row's `window` says it can be had; None for always."""
    return window_of(row.table("window", required=False))


def window_of(table: Table) -> Window | None:
    """The time that a table's keys say; None when they say nothing."""
    starts_at = table.instant("from")
    ends_at = table.instant("until")
    weekdays = _weekdays(table)
    hours = _hours(table)
    if not (starts_at or ends_at or weekdays or hours):
        return None
    found = Window(table.file.zone, starts_at, ends_at, weekdays, hours)
    if starts_at and ends_at and ends_at <= starts_at:
        table.note("until", "must be after from, or this never applies")
    elif not ever_opens(found):
        table.note("weekdays", "none of these days lies between from and until")
    return found


def _weekdays(table: Table) -> frozenset[int]:
    found = set()
    for name in table.texts("weekdays", limit=10):
        if name in WEEKDAYS:
            found.add(WEEKDAYS.index(name))
        else:
            hint = did_you_mean(name, WEEKDAYS)
            table.note("weekdays", f"must be of {', '.join(WEEKDAYS)}, not {shown(name)}{hint}")
    return frozenset(found)


def _hours(table: Table) -> tuple[Hours, ...]:
    found = []
    for text in table.texts("hours", limit=20)[:_HOURS_MAX]:
        match = _HOURS.fullmatch(text)
        since = _clock(match[1], match[2]) if match else None
        until = _clock(match[3], match[4]) if match else None
        if since is None or until is None or (match and match[1] == "24"):
            table.note("hours", f'must be like "08:00-11:00", not {shown(text)}')
        elif since == until:
            table.note("hours", f"{text} begins when it ends; for the whole day leave hours out")
        else:
            found.append(Hours(since, until))
    return tuple(found)


def _clock(hour: str, minute: str) -> time | None:
    """24:00, the end of a day, is the midnight at which the next one begins."""
    if hour == "24":
        return time() if minute == "00" else None
    return time(int(hour), int(minute))


def _segment(row: Table) -> Segment | None:
    table = row.table("segment", required=False)
    found = Segment(
        tiers=frozenset(table.keys("tiers", "tier")),
        languages=frozenset(table.texts("languages", limit=40)),
        consent=table.reference("consent", "consent"),
        joined_within_days=table.whole_or_none("joined_within_days", least=1, most=DAYS_MAX),
        purchases_least=table.whole_or_none("purchases_least", least=1, most=COUNT_MAX),
        purchases_most=table.whole_or_none("purchases_most", least=0, most=COUNT_MAX),
        idle_days_least=table.whole_or_none("idle_days_least", least=1, most=DAYS_MAX),
        idle_days_most=table.whole_or_none("idle_days_most", least=0, most=DAYS_MAX),
        balance_least=table.whole_or_none("balance_least", least=1, most=POINTS_MAX),
    )
    for language in sorted(found.languages - set(table.file.languages)):
        table.note("languages", f"{shown(language)} is none of the programme's languages")
    for subject, least, most in (
        ("purchases", found.purchases_least, found.purchases_most),
        ("idle_days", found.idle_days_least, found.idle_days_most),
    ):
        if least is not None and most is not None and most < least:
            table.note(f"{subject}_most", f"must not be below {subject}_least, or this never applies")
    return None if found == Segment() else found
