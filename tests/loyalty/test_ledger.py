from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.ledger import (
    MAY_OVERDRAW,
    ROUTES,
    Account,
    Bucket,
    Consumption,
    Lot,
    Owner,
    OwnerKind,
    Posting,
    PostingKind,
    absorb,
    after,
    balances,
    consume,
    deficit_of,
    in_order,
    member_account,
    restore,
    reverse,
    spendable,
    system_account,
    total,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
ANA, FINCH = 7, "copperfinch"


def day(month: int, number: int, year: int = 2026) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


def account(bucket: Bucket) -> Account:
    if bucket in {Bucket.AVAILABLE, Bucket.PENDING, Bucket.HELD}:
        return member_account(ANA, bucket)
    return system_account(FINCH, bucket)


def moved(kind: PostingKind, source: Bucket, target: Bucket, amount: int, number: int = 1) -> Posting:
    to = replace(account(target), owner=Owner(OwnerKind.MEMBER, 8)) if source is target else account(target)
    return Posting(kind, "points", account(source), to, amount, id=number)


WAYS = [(kind, source, target) for kind, ways in ROUTES.items() for source, target in sorted(ways)]

postings = st.builds(
    lambda way, amount, number: moved(way[0], way[1], way[2], amount, number),
    st.sampled_from(WAYS),
    st.integers(1, 10**12),
    st.integers(1, 10**6),
)


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


@given(st.lists(postings))
def test_the_sum_of_all_accounts_is_zero_after_any_run(run: list[Posting]) -> None:
    assert sum(balances(run).values()) == 0


@given(postings)
def test_a_reversal_undoes_its_posting_and_names_it(posting: Posting) -> None:
    undone = reverse(posting)
    assert undone.reverses == posting.id
    assert undone.kind is PostingKind.REVERSAL
    assert set(balances([posting, undone]).values()) == {0}


@pytest.mark.parametrize("amount", [0, -1])
def test_a_posting_of_nothing_or_less_cannot_be_written(amount: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        moved(PostingKind.EARN, Bucket.ISSUE, Bucket.AVAILABLE, amount)


def test_a_posting_cannot_mix_assets_or_stay_where_it_is() -> None:
    points, stamps = member_account(ANA), member_account(ANA, asset="stamps")
    with pytest.raises(ValueError, match="one asset"):
        Posting(PostingKind.TRANSFER, "points", points, stamps, 1)
    with pytest.raises(ValueError, match="two accounts"):
        Posting(PostingKind.TRANSFER, "points", points, points, 1)


@pytest.mark.parametrize("kind", ROUTES)
def test_each_kind_goes_only_its_own_ways(kind: PostingKind) -> None:
    for source in Bucket:
        for target in Bucket:
            if (source, target) in ROUTES[kind]:
                assert moved(kind, source, target, 5).amount == 5
            else:
                with pytest.raises(ValueError, match="does not go"):
                    moved(kind, source, target, 5)


def test_only_kinds_that_belong_to_an_earlier_posting_name_one() -> None:
    with pytest.raises(ValueError, match="does not undo"):
        Posting(PostingKind.EARN, "points", account(Bucket.ISSUE), account(Bucket.AVAILABLE), 1, reverses=3)
    with pytest.raises(ValueError, match="reversal"):
        Posting(PostingKind.REVERSAL, "points", account(Bucket.AVAILABLE), account(Bucket.ISSUE), 1)


def test_a_reversal_is_final_and_needs_something_stored() -> None:
    posting = moved(PostingKind.EARN, Bucket.ISSUE, Bucket.AVAILABLE, 40)
    with pytest.raises(ValueError, match="not reversed"):
        reverse(replace(reverse(posting), id=2))
    with pytest.raises(ValueError, match="stored"):
        reverse(replace(posting, id=None))


def test_no_everyday_kind_may_leave_a_member_below_zero() -> None:
    assert {
        PostingKind.CLAWBACK,
        PostingKind.ADJUST,
        PostingKind.REVERSAL,
        PostingKind.MERGE,
    } == MAY_OVERDRAW


def test_owners_of_different_kinds_never_share_an_account() -> None:
    assert Account(Owner(OwnerKind.MEMBER, 1), "points", Bucket.AVAILABLE) != Account(
        Owner(OwnerKind.POOL, 1), "points", Bucket.AVAILABLE
    )


# Lots -----------------------------------------------------------------------


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


@given(lots(), st.integers(0, 10_000))
def test_a_restore_puts_every_lot_back_exactly(some: tuple[Lot, ...], amount: int) -> None:
    taken = consume(some, amount)
    assert restore(after(some, taken), taken) == some


@given(lots(), st.integers(0, 500), st.integers(0, 500))
def test_consuming_in_two_steps_is_consuming_at_once(some: tuple[Lot, ...], one: int, other: int) -> None:
    first = after(some, consume(some, one))
    assert after(first, consume(first, other)) == after(some, consume(some, one + other))


@given(st.integers(1, 1_000), st.integers(0, 2_000))
def test_a_new_credit_fills_a_hole_first(amount: int, deficit: int) -> None:
    left, hole = absorb(lot(1, amount, None), deficit)
    assert left.remaining - hole == amount - deficit
    assert left.remaining == 0 or hole == 0
    assert left.original == amount


def test_more_cannot_remain_than_there_was() -> None:
    with pytest.raises(ValueError, match="cannot remain"):
        restore([lot(1, 10, None)], [Consumption(1, 1)])
    with pytest.raises(ValueError, match="cannot remain"):
        after([lot(1, 10, None)], [Consumption(1, 11)])


def test_a_negative_amount_cannot_be_consumed() -> None:
    with pytest.raises(ValueError, match="cannot consume"):
        consume([], -1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("in"), st.integers(1, 100)), st.tuples(st.just("out"), st.integers(1, 100))
        )
    )
)
def test_lots_and_balance_agree_through_any_debts_and_credits(steps: list[tuple[str, int]]) -> None:
    """Σ remaining − deficit = available, and never both lots and a deficit."""
    available, deficit = 0, 0
    held: tuple[Lot, ...] = ()
    for number, (way, amount) in enumerate(steps):
        if way == "in":
            opened, deficit = absorb(lot(number, amount, None), deficit)
            held, available = (*held, opened), available + amount
        else:
            taken = consume(held, amount)
            held, available = after(held, taken), available - amount
            deficit += amount - sum(each.amount for each in taken)
        assert total(held) - deficit == available
        assert deficit_of(available, held) == deficit
        assert not (total(held) and deficit)


# The worked trace of the reference -------------------------------------------


class Books:
    """One member's journal and lots, moved by hand to follow the trace."""

    def __init__(self) -> None:
        self.journal: list[Posting] = []
        self.lots: dict[int, Lot] = {}
        self.deficit = 0

    def post(self, kind: PostingKind, source: Bucket, target: Bucket, amount: int) -> None:
        self.journal.append(moved(kind, source, target, amount, len(self.journal) + 1))

    def take(self, numbers: Iterable[int], amount: int) -> tuple[Consumption, ...]:
        taken = consume([self.lots[number] for number in numbers], amount)
        self.keep(after(self.lots.values(), taken))
        self.deficit += amount - sum(each.amount for each in taken)
        return taken

    def keep(self, changed: Iterable[Lot]) -> None:
        self.lots = {each.id: each for each in changed}

    def state(self) -> tuple[int, int, int]:
        held = balances(self.journal)
        return (
            held.get(account(Bucket.PENDING), 0),
            held.get(account(Bucket.AVAILABLE), 0),
            held.get(account(Bucket.HELD), 0),
        )


def test_the_worked_year_of_a_member_comes_out_exactly() -> None:
    books, kind = Books(), PostingKind
    issue, pending, available, held = Bucket.ISSUE, Bucket.PENDING, Bucket.AVAILABLE, Bucket.HELD

    books.post(kind.EARN, issue, pending, 120)  # sale of 120.40
    books.lots[1] = Lot(1, 120, 120, day(1, 10), day(1, 24), day(2, 1, 2027))
    assert books.state() == (120, 0, 0)

    books.post(kind.CLAWBACK, pending, Bucket.CLAWBACK, 30)  # 30.00 returned
    books.take([1], 30)
    assert books.state() == (90, 0, 0)

    books.post(kind.ACTIVATE, pending, available, 90)
    assert books.state() == (0, 90, 0)

    books.post(kind.EARN, issue, pending, 60)  # sale of 60.00
    books.lots[2] = Lot(2, 60, 60, day(2, 5), day(2, 19), day(3, 1, 2027))
    assert books.state() == (60, 90, 0)
    books.post(kind.ACTIVATE, pending, available, 60)
    assert books.state() == (0, 150, 0)

    books.post(kind.HOLD, available, held, 100)
    taken = books.take(books.lots, 100)
    assert taken == (Consumption(1, 90), Consumption(2, 10))
    assert books.state() == (0, 50, 100)
    assert total(spendable(books.lots.values(), day(3, 1))) == 50  # the second till is refused 100

    books.post(kind.CAPTURE, held, Bucket.REDEEMED, 100)
    assert books.state() == (0, 50, 0)

    books.post(kind.RESTORE, Bucket.REDEEMED, available, 100)  # that order was returned
    books.keep(restore(books.lots.values(), taken))
    assert books.state() == (0, 150, 0)
    assert [each.remaining for each in books.lots.values()] == [90, 60]

    expiring = books.lots[1].remaining
    assert not spendable([books.lots[1]], day(2, 1, 2027))
    books.post(kind.EXPIRE, available, Bucket.EXPIRED, expiring)
    books.take([1], expiring)
    assert books.state() == (0, 60, 0)

    books.post(kind.REDEEM, available, Bucket.REDEEMED, 40)
    assert books.take(books.lots, 40) == (Consumption(2, 40),)
    assert books.state() == (0, 20, 0)

    books.post(kind.CLAWBACK, available, Bucket.CLAWBACK, 60)  # the second sale came back
    books.take([2], 60)
    assert books.state() == (0, -40, 0)
    assert (total(books.lots.values()), books.deficit) == (0, 40)

    end = balances(books.journal)
    assert [end[account(bucket)] for bucket in (issue, Bucket.CLAWBACK, Bucket.REDEEMED, Bucket.EXPIRED)] == [
        -180,
        90,
        40,
        90,
    ]
    assert sum(end.values()) == 0
