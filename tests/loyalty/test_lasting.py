from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.lasting import (
    ClockStart,
    Expiry,
    ExpiryKind,
    MonthsTo,
    PointsRule,
    available_at,
    expires_at,
    lapse_at,
    notices_due,
    restored_expiry,
)
from passes.loyalty.text import Text
from passes.loyalty.tiers import Tier

ZONE = "Europe/Istanbul"


def local(year: int, month: int, day: int, hour: int = 0, zone: str = ZONE) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def lapses(
    expiry: Expiry, earned_at: datetime, *, tier: Tier | None = None, zone: str = ZONE
) -> datetime | None:
    return expires_at(PointsRule(expiry), earned_at=earned_at, available_at=earned_at, zone=zone, tier=tier)


def rolling(months: int, to: MonthsTo = MonthsTo.EXACT) -> Expiry:
    return Expiry(ExpiryKind.ROLLING, months=months, to=to)


@pytest.mark.check("L-48")
def test_points_of_15_december_lapse_at_the_end_of_june() -> None:
    assert lapses(rolling(6, MonthsTo.MONTH), local(2020, 12, 15, 13)) == local(2021, 7, 1)


@pytest.mark.check("L-48")
def test_points_of_10_january_2026_lapse_on_1_february_2027() -> None:
    assert lapses(rolling(12, MonthsTo.MONTH), local(2026, 1, 10)) == local(2027, 2, 1)


@pytest.mark.check("L-48")
@pytest.mark.parametrize(("year", "last"), [(2027, 28), (2028, 29)])
def test_a_month_after_31_january_is_the_last_day_of_february(year: int, last: int) -> None:
    assert lapses(rolling(1), local(year, 1, 31, 9)) == local(year, 2, last, 9)


@pytest.mark.check("L-48")
@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (MonthsTo.QUARTER, local(2027, 7, 1)),
        (MonthsTo.YEAR, local(2028, 1, 1)),
        (MonthsTo.MONTH, local(2027, 6, 1)),
    ],
)
def test_an_expiry_may_be_rounded_up_to_quarters_and_years(to: MonthsTo, expected: datetime) -> None:
    assert lapses(rolling(12, to), local(2026, 5, 20)) == expected


def test_the_local_day_decides_in_which_month_points_were_earned() -> None:
    # 21:30 in UTC is already 1 February in Istanbul.
    at = datetime(2026, 1, 31, 21, 30, tzinfo=UTC)
    assert lapses(rolling(1, MonthsTo.MONTH), at) == local(2026, 4, 1)
    assert lapses(rolling(1, MonthsTo.MONTH), at, zone="UTC") == datetime(2026, 3, 1, tzinfo=UTC)


def test_an_exact_expiry_keeps_the_time_of_day_when_clocks_change() -> None:
    zone = "America/New_York"
    assert lapses(rolling(1), local(2026, 10, 15, 9, zone), zone=zone) == local(2026, 11, 15, 9, zone)


def test_a_yearly_day_is_the_next_one_after_earning() -> None:
    expiry = Expiry(ExpiryKind.FIXED_DAY, month=4, day=1)
    assert lapses(expiry, local(2026, 3, 31, 23)) == local(2026, 4, 1)
    assert lapses(expiry, local(2026, 4, 1)) == local(2027, 4, 1)
    leap = Expiry(ExpiryKind.FIXED_DAY, month=2, day=29)
    assert lapses(leap, local(2026, 5, 1)) == local(2027, 2, 28)


def test_months_may_count_from_activation() -> None:
    expiry = Expiry(ExpiryKind.ROLLING, months=12, to=MonthsTo.MONTH, starts=ClockStart.ACTIVATION)
    found = expires_at(
        PointsRule(expiry), earned_at=local(2026, 1, 25), available_at=local(2026, 2, 8), zone=ZONE, tier=None
    )
    assert found == local(2027, 3, 1)


def test_a_level_may_suspend_expiry() -> None:
    gold = Tier("gold", Text.of({"en": "Gold"}), 0, points_last=True)
    silver = Tier("silver", Text.of({"en": "Silver"}), 0)
    assert lapses(rolling(6), local(2026, 1, 1), tier=gold) is None
    assert lapses(rolling(6), local(2026, 1, 1), tier=silver) is not None
    idle = PointsRule(Expiry(ExpiryKind.INACTIVITY, months=6))
    assert lapse_at(idle, local(2026, 1, 1), ZONE, gold) is None


@pytest.mark.check("L-49")
def test_inactivity_belongs_to_the_member_and_moves_with_each_movement() -> None:
    idle = Expiry(ExpiryKind.INACTIVITY, months=12)
    assert lapses(idle, local(2026, 1, 1)) is None
    assert lapse_at(PointsRule(idle), local(2026, 1, 31, 9), ZONE) == local(2027, 1, 31, 9)
    assert lapse_at(PointsRule(idle), local(2026, 8, 31, 9), ZONE) == local(2027, 8, 31, 9)
    assert lapse_at(PointsRule(), local(2026, 8, 31, 9), ZONE) is None


@pytest.mark.check("L-50")
def test_points_wait_until_a_local_midnight() -> None:
    rule = PointsRule(pending_days=14)
    assert available_at(rule, occurred_at=local(2026, 1, 10, 17), categories=(), zone=ZONE) == local(
        2026, 1, 24
    )
    now = local(2026, 1, 10, 17)
    assert available_at(PointsRule(), occurred_at=now, categories=("coffee",), zone=ZONE) == now


@pytest.mark.check("L-50")
def test_the_longest_wait_of_a_purchase_counts() -> None:
    rule = PointsRule(pending_days=3, pending_by_category=(("shoes", 30), ("coffee", 0)))

    def waits(*categories: str | None) -> datetime:
        return available_at(rule, occurred_at=local(2026, 1, 10, 17), categories=categories, zone=ZONE)

    assert waits("shoes", "coffee", None) == local(2026, 2, 9)
    assert waits("coffee", None) == local(2026, 1, 13)
    assert waits("coffee") == local(2026, 1, 10, 17)


def test_points_given_back_keep_their_expiry_or_get_thirty_days() -> None:
    now = local(2026, 3, 1, 15)

    def restored(at: datetime | None) -> datetime | None:
        return restored_expiry(at, now=now, grace_days=30, zone=ZONE)

    assert restored(None) is None
    assert restored(local(2026, 3, 2)) == local(2026, 3, 2)
    assert restored(now) == local(2026, 3, 31, 15)


def test_members_are_told_thirty_seven_and_one_day_ahead() -> None:
    assert notices_due((30, 7, 1), [date(2026, 3, 1)]) == {
        date(2026, 3, 31): 30,
        date(2026, 3, 8): 7,
        date(2026, 3, 2): 1,
    }


def test_notices_of_missed_days_are_sent_unless_the_day_has_come() -> None:
    missed = [date(2026, 3, day) for day in (1, 2, 3)]
    due = notices_due((7, 1), missed)
    assert due == {date(2026, 3, day): 7 for day in (8, 9, 10)} | {date(2026, 3, 4): 1}
    assert notices_due((2, 1), missed) == {date(2026, 3, 4): 1, date(2026, 3, 5): 2}


@given(
    st.integers(0, 8_000_000),
    st.integers(1, 60),
    st.sampled_from(list(MonthsTo)),
)
def test_points_never_lapse_before_they_were_earned(minutes: int, months: int, to: MonthsTo) -> None:
    earned_at = local(2020, 1, 1) + timedelta(minutes=minutes)
    exact, rounded = lapses(rolling(months), earned_at), lapses(rolling(months, to), earned_at)
    assert exact is not None
    assert rounded is not None
    assert earned_at < exact <= rounded
