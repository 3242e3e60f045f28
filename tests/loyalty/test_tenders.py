"""What a purchase was paid with, and how much of that earns nothing."""

from __future__ import annotations

import pytest

from passes.loyalty.money import Money
from passes.loyalty.refusals import TendersContradict, TendersWrong
from passes.loyalty.tenders import Tender, TenderKind, check_tenders, unearning

MIXED = [Tender(TenderKind.CARD, 300), Tender(TenderKind.GIFT_CARD, 150), Tender(TenderKind.POINTS, 50)]


def test_gift_cards_and_points_earn_nothing_and_everything_else_does() -> None:
    assert unearning(MIXED, said_minor=0) == 200
    assert unearning([Tender(kind, 7) for kind in TenderKind], said_minor=0) == 14
    assert unearning([], said_minor=90) == 90


def test_what_is_said_twice_is_said_alike() -> None:
    assert unearning(MIXED, said_minor=200) == 200
    with pytest.raises(TendersContradict):
        unearning(MIXED, said_minor=150)


@pytest.mark.parametrize("to_pay", [499, 501, 0])
def test_tenders_add_up_to_what_is_to_be_paid(to_pay: int) -> None:
    check_tenders(MIXED, to_pay=Money(500, "USD"))
    check_tenders([], to_pay=Money(to_pay, "USD"))
    with pytest.raises(TendersWrong):
        check_tenders(MIXED, to_pay=Money(to_pay, "USD"))
