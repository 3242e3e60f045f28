"""What a purchase was paid with, and how much of that earns nothing. Reference: loyalty A1, E4.

Nothing of it is kept but the sum that earns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from passes.loyalty.money import Money
from passes.loyalty.refusals import TendersContradict, TendersWrong


class TenderKind(StrEnum):
    """How something was paid."""

    CASH = "cash"
    CARD = "card"
    GIFT_CARD = "gift_card"
    POINTS = "points"
    OTHER = "other"


UNEARNING = frozenset({TenderKind.GIFT_CARD, TenderKind.POINTS})
"""What is paid with points or a gift card earns nothing (so the terms say)."""


@dataclass(frozen=True, slots=True)
class Tender:
    """A part of what was paid."""

    kind: TenderKind
    amount_minor: int


def unearning(tenders: Sequence[Tender], *, said_minor: int) -> int:
    """How much was paid with something that earns nothing; what was said where no tenders were named.

    Raises TendersContradict where both were and differ.
    """
    if not tenders:
        return said_minor
    found = sum(one.amount_minor for one in tenders if one.kind in UNEARNING)
    if said_minor not in (0, found):
        raise TendersContradict()
    return found


def check_tenders(tenders: Sequence[Tender], *, to_pay: Money) -> None:
    """Raise TendersWrong unless they add up to what is to be paid; naming none says nothing."""
    paid_minor = sum(one.amount_minor for one in tenders)
    if tenders and paid_minor != to_pay.minor:
        raise TendersWrong(paid=Money(paid_minor, to_pay.currency), to_pay=to_pay)
