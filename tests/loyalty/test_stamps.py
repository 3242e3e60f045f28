from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.basket import Basket, Line
from passes.loyalty.stamps import (
    FewerStamps,
    Punched,
    StampFor,
    StampRule,
    StampsEarned,
    Unpunched,
    rewards_from,
    stamps_for,
    take_stamps_back,
)
from passes.loyalty.text import Text

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
TEN = StampRule(Text.of({"en": "Free coffee"}), target=10)
CUPS = replace(TEN, earned_for=StampFor.ITEM, categories=frozenset({"coffee"}))


def cups(*lines: Line, **more: int) -> Basket:
    return Basket(tuple(replace(line, category="coffee") for line in lines), **more)


@pytest.mark.check("L-09")
def test_nine_stamps_and_three_more_of_ten_are_a_reward_and_two_stamps() -> None:
    added = stamps_for(CUPS, cups(Line(3, 350)), at=NOON)
    assert added == StampsEarned(3)
    assert rewards_from(CUPS, 9, added.count) == Punched(rewards=1, balance=2)


@pytest.mark.check("L-09")
def test_twenty_at_once_are_two_rewards() -> None:
    assert rewards_from(TEN, 0, 20) == Punched(2, 0)


def test_what_is_over_the_target_goes_where_nothing_carries() -> None:
    assert rewards_from(replace(TEN, carries=False), 9, 3) == Punched(1, 0)
    assert rewards_from(replace(TEN, carries=False), 5, 3) == Punched(0, 8)


def test_a_reward_on_request_waits_with_its_stamps() -> None:
    assert rewards_from(replace(TEN, on_request=True), 9, 3) == Punched(0, 12)


def test_a_free_item_brings_no_stamp() -> None:
    free = Line(1, 350, discount_minor=350)
    assert stamps_for(CUPS, cups(Line(2, 350), free), at=NOON).count == 2
    assert stamps_for(CUPS, cups(free), at=NOON) == StampsEarned(0, FewerStamps.NOTHING_COUNTS)
    assert stamps_for(CUPS, cups(Line(1, 350), discount_minor=350), at=NOON).count == 0
    assert stamps_for(TEN, cups(free), at=NOON).count == 0


def test_items_are_counted_by_category_or_sku_and_others_are_not() -> None:
    rule = replace(CUPS, skus=frozenset({"cold-brew"}))
    basket = Basket((Line(2, 350, category="coffee"), Line(1, 500, sku="cold-brew"), Line(4, 100)))
    assert stamps_for(rule, basket, at=NOON).count == 3


def test_a_stamp_for_every_full_amount_that_earning_tender_paid() -> None:
    rule = replace(TEN, earned_for=StampFor.AMOUNT, per_minor=1_000)
    assert stamps_for(rule, Basket((Line(1, 2_999),)), at=NOON).count == 2
    assert stamps_for(rule, Basket((Line(1, 2_999),), unearning_minor=1_000), at=NOON).count == 1
    assert stamps_for(rule, Basket((Line(1, 999),)), at=NOON).reason is FewerStamps.NOTHING_COUNTS


@pytest.mark.parametrize(("minutes", "count"), [(-30, 0), (0, 0), (59, 0), (60, 1), (-60, 1)])
def test_visits_count_when_they_are_far_enough_apart(minutes: int, count: int) -> None:
    rule = replace(TEN, minutes_between=60)
    earned = stamps_for(rule, Basket.of_amount(100), at=NOON + timedelta(minutes=minutes), last_stamp_at=NOON)
    assert earned == StampsEarned(count, None if count else FewerStamps.TOO_SOON)
    assert stamps_for(rule, Basket.of_amount(100), at=NOON) == StampsEarned(1)


@pytest.mark.parametrize(
    ("day_stamps", "earned"),
    [
        (0, StampsEarned(3, FewerStamps.PURCHASE_LIMIT)),
        (2, StampsEarned(2, FewerStamps.DAY_LIMIT)),
        (4, StampsEarned(0, FewerStamps.DAY_LIMIT)),
        (9, StampsEarned(0, FewerStamps.DAY_LIMIT)),
    ],
)
def test_no_more_than_so_many_at_once_and_on_one_day(day_stamps: int, earned: StampsEarned) -> None:
    rule = replace(CUPS, purchase_limit=3, day_limit=4)
    assert stamps_for(rule, cups(Line(5, 350)), at=NOON, day_stamps=day_stamps) == earned


@pytest.mark.parametrize(
    ("unused", "left"), [(1, Unpunched(revoked=1, balance=9)), (0, Unpunched(revoked=0, balance=-1))]
)
def test_returned_stamps_revoke_an_unused_reward_or_leave_a_hole(unused: int, left: Unpunched) -> None:
    assert take_stamps_back(TEN, 2, 3, unused_rewards=unused) == left


def test_the_next_stamp_fills_the_hole() -> None:
    assert rewards_from(TEN, -1, 1) == Punched(0, 0)


def test_stamps_that_are_there_go_without_touching_a_reward() -> None:
    assert take_stamps_back(TEN, 5, 3, unused_rewards=1) == Unpunched(0, 2)


@given(st.integers(0, 9), st.integers(0, 60))
def test_giving_stamps_and_taking_them_back_changes_nothing(balance: int, added: int) -> None:
    punched = rewards_from(TEN, balance, added)
    assert punched.rewards * TEN.target + punched.balance == balance + added
    back = take_stamps_back(TEN, punched.balance, added, unused_rewards=punched.rewards)
    assert back == Unpunched(punched.rewards, balance)
