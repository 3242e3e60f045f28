from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.ledger import (
    MAY_OVERDRAW,
    NAMES_ANOTHER,
    ROUTES,
    Bucket,
    Consumption,
    Lot,
    PostingKind,
    check_movement,
    consume,
    in_order,
    spendable,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(month: int, number: int, year: int = 2026) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


@st.composite
def lots(draw: st.DrawFn) -> tuple[Lot, ...]:
    count = draw(st.integers(0, 6))
    made = []
    for number in range(count):
        original = draw(st.integers(1, 1_000))
        earned = START + timedelta(days=draw(st.integers(0, 5)))
        expires = draw(st.none() | st.integers(1, 400).map(lambda days: START + timedelta(days=days)))
        made.append(Lot(number, original, draw(st.integers(0, original)), earned, earned, expires))
    return tuple(made)


# Postings -------------------------------------------------------------------


@pytest.mark.parametrize("amount", [0, -1])
def test_a_posting_of_nothing_or_less_cannot_be_written(amount: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        check_movement(PostingKind.EARN, Bucket.ISSUE, Bucket.AVAILABLE, amount, reverses=None)


@pytest.mark.parametrize("kind", ROUTES)
def test_each_kind_goes_only_its_own_ways(kind: PostingKind) -> None:
    for source in Bucket:
        for target in Bucket:
            if (source, target) in ROUTES[kind]:
                check_movement(kind, source, target, 5, reverses=None)
            else:
                with pytest.raises(ValueError, match="does not go"):
                    check_movement(kind, source, target, 5, reverses=None)


@pytest.mark.parametrize("kind", ROUTES)
def test_only_kinds_that_belong_to_an_earlier_posting_name_one(kind: PostingKind) -> None:
    source, target = min(ROUTES[kind])
    if kind in NAMES_ANOTHER:
        check_movement(kind, source, target, 1, reverses=3)
    else:
        with pytest.raises(ValueError, match="does not undo"):
            check_movement(kind, source, target, 1, reverses=3)


def test_a_reversal_goes_any_way_backwards_and_names_what_it_undoes() -> None:
    check_movement(PostingKind.REVERSAL, Bucket.AVAILABLE, Bucket.ISSUE, 1, reverses=3)
    with pytest.raises(ValueError, match="names"):
        check_movement(PostingKind.REVERSAL, Bucket.AVAILABLE, Bucket.ISSUE, 1, reverses=None)


def test_no_everyday_kind_may_leave_a_member_below_zero() -> None:
    assert {
        PostingKind.CLAWBACK,
        PostingKind.ADJUST,
        PostingKind.REVERSAL,
        PostingKind.MERGE,
    } == MAY_OVERDRAW


# Lots -----------------------------------------------------------------------


def after(lots: tuple[Lot, ...] | list[Lot], taken: tuple[Consumption, ...]) -> tuple[Lot, ...]:
    amounts = {each.lot_id: each.amount for each in taken}
    return tuple(replace(each, remaining=each.remaining - amounts.get(each.id, 0)) for each in lots)


def total(lots: tuple[Lot, ...]) -> int:
    return sum(each.remaining for each in lots)


def lot(number: int, amount: int, expires_at: datetime | None, *, earned_at: datetime = START) -> Lot:
    return Lot(number, amount, amount, earned_at, earned_at, expires_at)


@pytest.mark.check("L-47")
def test_the_soonest_expiry_is_used_up_first_and_the_rest_expires() -> None:
    march, june = lot(1, 100, day(3, 31)), lot(2, 50, day(6, 30))
    taken = consume([june, march], 120)
    assert taken == (Consumption(1, 100), Consumption(2, 20))
    left = after([march, june], taken)
    assert total(spendable(left, day(6, 29))) == 30
    assert total(left) - total(spendable(left, day(6, 30))) == 30


def test_lots_without_expiry_come_last_then_the_oldest_then_the_lowest_number() -> None:
    eternal = lot(1, 1, None)
    later, older = lot(2, 1, day(5, 1), earned_at=day(1, 3)), lot(9, 1, day(5, 1), earned_at=day(1, 2))
    twin = lot(10, 1, day(5, 1), earned_at=day(1, 2))
    assert [each.id for each in in_order([eternal, later, twin, older])] == [9, 10, 2, 1]


def test_a_lot_counts_once_it_is_open_until_just_before_it_expires() -> None:
    one = Lot(1, 5, 5, day(1, 1), day(1, 15), day(2, 1))
    instant = timedelta(microseconds=1)
    assert not spendable([replace(one, pending=True)], day(1, 15))
    assert spendable([one], day(1, 15) - instant)
    assert spendable([one], day(2, 1) - instant)
    assert not spendable([one], day(2, 1))


@given(lots(), st.integers(0, 10_000))
def test_consuming_takes_what_is_asked_or_all_there_is(some: tuple[Lot, ...], amount: int) -> None:
    taken = consume(some, amount)
    assert sum(each.amount for each in taken) == min(amount, total(some))
    assert all(each.amount > 0 for each in taken)
    assert all(0 <= each.remaining <= each.original for each in after(some, taken))


@given(lots(), st.integers(0, 500), st.integers(0, 500))
def test_consuming_in_two_steps_is_consuming_at_once(some: tuple[Lot, ...], one: int, other: int) -> None:
    first = after(some, consume(some, one))
    assert after(first, consume(first, other)) == after(some, consume(some, one + other))


def test_more_cannot_remain_than_there_was() -> None:
    with pytest.raises(ValueError, match="cannot remain"):
        replace(lot(1, 10, None), remaining=11)
    with pytest.raises(ValueError, match="cannot remain"):
        replace(lot(1, 10, None), remaining=-1)


def test_a_negative_amount_cannot_be_consumed() -> None:
    with pytest.raises(ValueError, match="cannot consume"):
        consume([], -1)
