from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from passes.loyalty.basket import Line
from passes.loyalty.conditions import Condition, Hours, MemberFacts, Place, Segment, Window

ISTANBUL, NEW_YORK = "Europe/Istanbul", "America/New_York"
SECOND = timedelta(seconds=1)


def local(zone: str, year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.check("L-27")
def test_a_window_begins_and_ends_to_the_second() -> None:
    starts, ends = local(ISTANBUL, 2026, 5, 1), local(ISTANBUL, 2026, 5, 4)
    window = Window(ISTANBUL, starts_at=starts, ends_at=ends)
    moments = (starts - SECOND, starts, ends - SECOND, ends)
    assert [window.contains(at) for at in moments] == [False, True, True, False]


def test_a_window_without_limits_is_always_open() -> None:
    assert Window(ISTANBUL).contains(local(ISTANBUL, 1999, 12, 31))


def test_hours_past_midnight_belong_to_the_weekday_on_which_they_began() -> None:
    friday_night = Window(
        NEW_YORK, weekdays=frozenset({4}), hours=(Hours(time(22), time(2)), Hours(time(8), time(9)))
    )
    friday, saturday = (2026, 6, 12), (2026, 6, 13)
    opens = {
        (*friday, 1, 59): False,
        (*friday, 8, 30): True,
        (*friday, 21, 59): False,
        (*friday, 22, 0): True,
        (*saturday, 1, 59): True,
        (*saturday, 2, 0): False,
        (*saturday, 8, 30): False,
        (*saturday, 22, 0): False,
    }
    assert {moment: friday_night.contains(local(NEW_YORK, *moment)) for moment in opens} == opens


def test_equal_hours_are_a_whole_day() -> None:
    assert all(Hours(time(6), time(6)).contain(time(hour)) for hour in range(24))


@pytest.mark.check("L-06")
@pytest.mark.parametrize(("day", "hours"), [((2026, 11, 1), 25), ((2026, 3, 8), 23)])
def test_a_day_is_as_long_as_the_clocks_make_it(day: tuple[int, int, int], hours: int) -> None:
    sunday = Window(NEW_YORK, weekdays=frozenset({6}))
    begins = local(NEW_YORK, *day)
    ends = begins + timedelta(hours=hours)
    moments = (begins - SECOND, begins, ends - SECOND, ends)
    assert [sunday.contains(at) for at in moments] == [False, True, True, False]


NOW = local(NEW_YORK, 2026, 6, 10, 12)
ANA = MemberFacts(
    tier="copper",
    joined_at=local(NEW_YORK, 2026, 6, 3, 23),
    last_purchase_at=local(NEW_YORK, 2026, 6, 8, 23, 59),
    purchases=3,
    balance=120,
    language="en",
    consents=frozenset({"offers"}),
)
NOBODY = MemberFacts()


@pytest.mark.parametrize(
    ("segment", "includes_ana", "includes_nobody"),
    [
        (Segment(), True, True),
        (Segment(tiers=frozenset({"copper", "flight"})), True, False),
        (Segment(tiers=frozenset({"flight"})), False, False),
        (Segment(languages=frozenset({"en"})), True, False),
        (Segment(languages=frozenset({"tr"})), False, False),
        (Segment(consent="offers"), True, False),
        (Segment(consent="news"), False, False),
        (Segment(joined_within_days=7), True, False),
        (Segment(joined_within_days=6), False, False),
        (Segment(purchases_least=3), True, False),
        (Segment(purchases_least=4), False, False),
        (Segment(purchases_most=3), True, True),
        (Segment(purchases_most=2), False, True),
        (Segment(idle_days_least=2), True, False),
        (Segment(idle_days_least=3), False, False),
        (Segment(idle_days_most=2), True, False),
        (Segment(idle_days_most=1), False, False),
        (Segment(balance_least=120), True, False),
        (Segment(balance_least=121), False, False),
        (Segment(balance_least=0), True, True),
        (Segment(tiers=frozenset({"copper"}), purchases_least=4), False, False),
    ],
)
def test_a_segment_includes_who_meets_all_of_it(
    segment: Segment, includes_ana: bool, includes_nobody: bool
) -> None:
    included = [segment.includes(member, at=NOW, zone=NEW_YORK) for member in (ANA, NOBODY)]
    assert included == [includes_ana, includes_nobody]


def test_the_days_of_a_segment_are_those_of_its_zone() -> None:
    # In Istanbul the purchase was on the ninth already.
    assert Segment(idle_days_most=1).includes(ANA, at=NOW, zone=ISTANBUL)


@pytest.mark.parametrize(
    ("condition", "line", "fits"),
    [
        (Condition(), Line(1, 1), True),
        (Condition(categories=frozenset({"coffee"})), Line(1, 1, category="coffee"), True),
        (Condition(categories=frozenset({"coffee"})), Line(1, 1), False),
        (Condition(skus=frozenset({"a", "b"})), Line(1, 1, sku="b"), True),
        (Condition(brands=frozenset({"finch"}), skus=frozenset({"a"})), Line(1, 1, sku="a"), False),
        (
            Condition(brands=frozenset({"finch"}), skus=frozenset({"a"})),
            Line(1, 1, sku="a", brand="finch"),
            True,
        ),
    ],
)
def test_a_condition_chooses_lines_by_all_that_it_names(condition: Condition, line: Line, fits: bool) -> None:
    assert condition.fits_line(line) is fits
    assert condition.chooses_lines is (condition != Condition())


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        (Condition(categories=frozenset({"coffee"}), minimum_minor=10**6), True),
        (Condition(channels=frozenset({"in_store"}), locations=frozenset({"loop"})), True),
        (Condition(channels=frozenset({"online"}), locations=frozenset({"loop"})), False),
        (Condition(locations=frozenset({"lakeview"})), False),
        (Condition(tiers=frozenset({"copper"})), True),
        (Condition(tiers=frozenset({"perch"})), False),
        (Condition(window=Window(NEW_YORK, ends_at=NOW + SECOND)), True),
        (Condition(window=Window(NEW_YORK, ends_at=NOW)), False),
        (Condition(segment=Segment(balance_least=100)), True),
        (Condition(segment=Segment(balance_least=200)), False),
    ],
)
def test_an_occasion_is_when_where_and_for_whom(condition: Condition, fits: bool) -> None:
    assert condition.fits_occasion(at=NOW, zone=NEW_YORK, place=Place("loop"), member=ANA) is fits
