"""A booking keeps postings, lots and balances in step, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from passes import books, due_work
from passes.booking import Booking
from passes.enrolment import Joined
from passes.loyalty.ledger import Bucket, PostingKind
from passes.loyalty.receipt import ReceiptKind
from passes.loyalty.refusals import NotEnoughPoints
from passes.store import Store, Work, journal, members, programmes
from tests.shop import BOOKS, TILL, Shop, open_shop

T = TypeVar("T")


def day(month: int, number: int, year: int = 2026) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


class Member:
    """A member of the bookshop, whose movements are written down one by one."""

    def __init__(self, shop: Shop, joined: Joined) -> None:
        self.shop, self.joined = shop, joined

    def book(self, at: datetime, what: Callable[[Booking], T]) -> T:
        """One booking of its own, at this moment."""

        def decide(work: Work) -> T:
            loaded = programmes.by_slug(work, BOOKS)
            standing = members.standing(members.of_card(work, loaded.id, self.joined.card_id))
            assert standing is not None
            booking = Booking(
                work, loaded, standing, kind=ReceiptKind.ACCRUE, at=TILL, occurred_at=at, now=at
            )
            answer = what(booking)
            booking.finish()
            return answer

        return self.shop.store.write(decide)

    def state(self) -> tuple[int, int, int]:
        """What waits, what can be spent, what is held."""

        def decide(work: Work) -> tuple[int, int, int]:
            standing = members.standing(members.of_card(work, self.joined.programme_id, self.joined.card_id))
            assert standing is not None
            ids = (standing.pending_account_id, standing.points_account_id, standing.held_account_id)
            pending, available, held = (
                0 if one is None else journal.balance_of(work, self.joined.programme_id, one) for one in ids
            )
            return pending, available, held

        return self.shop.store.write(decide)

    def lots(self) -> list[int]:
        """What is left in the lots that are not empty."""

        def decide(work: Work) -> list[int]:
            standing = members.standing(members.of_card(work, self.joined.programme_id, self.joined.card_id))
            assert standing is not None
            found = journal.open_lots(work, self.joined.programme_id, standing.points_account_id)
            return sorted(lot.remaining for lot in found)

        return self.shop.store.write(decide)


@pytest.fixture
def member(store: Store) -> Member:
    shop = open_shop(store, day(1, 1))
    member = Member(shop, shop.join(programme=BOOKS))
    # The bookshop's welcome points are no part of the trace.
    if welcome := member.state()[1]:
        member.book(day(1, 1), lambda booking: booking.spend(welcome, kind=PostingKind.ADJUST))
    assert member.state() == (0, 0, 0)
    return member


def test_the_worked_year_of_a_member_comes_out_exactly(member: Member) -> None:
    first = member.book(
        day(1, 10),
        lambda booking: booking.credit(120, available_at=day(1, 24), expires_at=day(2, 1, 2027)),
    )
    assert member.state() == (120, 0, 0)
    member.book(day(1, 15), lambda booking: booking.claw_back(30, first=(first,)))  # part came back
    assert member.state() == (90, 0, 0)
    due_work.activate_due(member.shop.store, now=day(1, 24))
    assert member.state() == (0, 90, 0)

    second = member.book(
        day(2, 5),
        lambda booking: booking.credit(60, available_at=day(2, 19), expires_at=day(3, 1, 2027)),
    )
    assert member.state() == (60, 90, 0)
    due_work.activate_due(member.shop.store, now=day(2, 19))
    assert member.state() == (0, 150, 0)

    receipt_id, hold = member.book(
        day(3, 1), lambda booking: (booking.id, booking.spend(100, kind=PostingKind.HOLD))
    )
    assert member.state() == (0, 50, 100)
    assert member.lots() == [50]  # the older lot is used up, 10 of the younger one are gone
    with pytest.raises(NotEnoughPoints):  # at the second till
        member.book(day(3, 1), lambda booking: booking.spend(100))
    member.book(day(3, 1), lambda booking: booking.capture(hold, 100, 100))
    assert member.state() == (0, 50, 0)

    def give_back(booking: Booking) -> int:
        [spent] = journal.postings_of(booking.work, booking.loaded.id, receipt_id)
        return booking.restore(spent, amount=100)

    assert member.book(day(3, 8), give_back) == 100  # that order was returned
    assert member.state() == (0, 150, 0)
    assert member.lots() == [60, 90]

    due_work.expire_due(member.shop.store, now=day(2, 1, 2027))
    assert member.state() == (0, 60, 0)
    member.book(day(2, 2, 2027), lambda booking: booking.spend(40))
    assert member.state() == (0, 20, 0)
    back = member.book(day(2, 3, 2027), lambda booking: booking.claw_back(60, first=(second,)))
    assert (back.available, back.short) == (60, 0)
    assert member.state() == (0, -40, 0)
    assert member.lots() == []
    assert books.verify(member.shop.store).problems == ()


def test_what_the_journal_could_not_mean_is_never_written(member: Member) -> None:
    def points_from_nowhere(booking: Booking) -> int:
        available = booking.standing.points_account_id
        return booking.post(PostingKind.EXPIRE, booking._system(Bucket.EXPIRED), available, 5)

    def of_nothing(booking: Booking) -> int:
        return booking.credit(0)

    def with_a_stranger(booking: Booking) -> int:
        return booking.post(PostingKind.EARN, booking._system(Bucket.ISSUE), 12345, 5)

    for what, words in (
        (points_from_nowhere, "does not go"),
        (of_nothing, "positive"),
        (with_a_stranger, "between this member and the system"),
    ):
        with pytest.raises(ValueError, match=words):
            member.book(day(1, 2), what)
    assert member.state() == (0, 0, 0)
