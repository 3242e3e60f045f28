from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from passes.loyalty.occasions import Birthday, BirthdaySpan, birthday_span, birthday_year, birthdays_due

ZONE = "Europe/Istanbul"
DAY = Birthday(points=100)
WEEK = Birthday(points=100, span=BirthdaySpan.DAYS, days=3, tier_days=(("gold", 7),))
MONTH = Birthday(points=100, span=BirthdaySpan.MONTH)


def local(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


def due(
    rule: Birthday,
    today: date,
    *,
    born: tuple[int, int] = (3, 20),
    since: date | None = None,
    tier: str | None = None,
    joined_at: datetime | None = None,
    changed_at: datetime | None = None,
) -> int | None:
    return birthday_year(
        rule,
        month=born[0],
        day=born[1],
        tier=tier,
        joined_at=joined_at or local(2020, 1, 1),
        changed_at=changed_at,
        since=since or today,
        today=today,
        zone=ZONE,
    )


@pytest.mark.check("L-30")
def test_a_birthday_of_29_february_is_the_28th_in_common_years() -> None:
    assert birthday_span(DAY, 2, 29, 2027, None) == (date(2027, 2, 28), date(2027, 2, 28))
    assert birthday_span(DAY, 2, 29, 2028, None) == (date(2028, 2, 29), date(2028, 2, 29))
    assert due(DAY, date(2027, 2, 28), born=(2, 29)) == 2027
    assert due(DAY, date(2028, 2, 28), born=(2, 29)) is None
    assert (2, 29) in set(birthdays_due(DAY, date(2027, 2, 28), date(2027, 2, 28)))


def test_a_gift_is_due_on_the_days_around_a_birthday() -> None:
    assert due(DAY, date(2026, 3, 19)) is None
    assert due(DAY, date(2026, 3, 20)) == 2026
    assert due(WEEK, date(2026, 3, 17)) == due(WEEK, date(2026, 3, 23)) == 2026
    assert due(WEEK, date(2026, 3, 16)) is None
    assert due(WEEK, date(2026, 3, 13), tier="gold") == 2026
    assert due(MONTH, date(2026, 3, 1)) == due(MONTH, date(2026, 3, 31)) == 2026
    assert due(MONTH, date(2026, 4, 1)) is None


def test_days_around_new_year_belong_to_the_year_of_the_birthday() -> None:
    assert due(WEEK, date(2026, 12, 30), born=(1, 1)) == 2027
    assert due(WEEK, date(2027, 1, 2), born=(12, 31)) == 2026


def test_a_missed_day_is_caught_up() -> None:
    assert due(DAY, date(2026, 3, 24), since=date(2026, 3, 20)) == 2026
    assert due(DAY, date(2026, 3, 24), since=date(2026, 3, 21)) is None


@pytest.mark.check("L-30")
def test_a_birthday_changed_within_thirty_days_before_brings_nothing_this_year() -> None:
    today = date(2026, 3, 20)
    assert due(DAY, today, changed_at=local(2026, 2, 18, 12)) == 2026
    assert due(DAY, today, changed_at=local(2026, 2, 19)) is None
    assert due(MONTH, date(2026, 3, 25), changed_at=local(2026, 3, 24)) is None
    assert due(DAY, date(2027, 3, 20), changed_at=local(2026, 2, 19)) == 2027


def test_who_joins_on_the_birthday_waits_for_the_next() -> None:
    assert due(DAY, date(2026, 3, 20), joined_at=local(2026, 3, 20)) is None
    assert due(DAY, date(2026, 3, 20), joined_at=local(2026, 3, 19, 23)) == 2026
    assert due(MONTH, date(2026, 3, 9), joined_at=local(2026, 3, 8, 9)) == 2026


def test_a_gift_may_belong_to_some_levels_only() -> None:
    rule = Birthday(points=1, tiers=frozenset({"gold"}))
    assert due(rule, date(2026, 3, 20), tier="silver") is None
    assert due(rule, date(2026, 3, 20), tier="gold") == 2026


@pytest.mark.parametrize("rule", [DAY, WEEK, MONTH])
def test_no_birthday_that_is_due_is_left_out_of_the_search(rule: Birthday) -> None:
    for today in (date(2026, 3, 1), date(2027, 2, 28), date(2028, 2, 29), date(2026, 12, 31)):
        candidates = set(birthdays_due(rule, today, today))
        everyone = [(month, day) for month in range(1, 13) for day in range(1, 30)]
        assert {born for born in everyone if due(rule, today, born=born, tier="gold")} <= candidates
