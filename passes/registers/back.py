"""What has come back of an order, whatever the order in which its messages came.

The answer depends only on the order and on the set of its refunds. With each
refund more it grows on every line and never shrinks, so that what is booked can
follow it: the next return is what it says now less what was booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace

from passes.registers.orders import ANY_SHIPPING, GoodsRefunded, Nature


@dataclass(frozen=True, slots=True)
class SoldLine:
    """A line of an order: its pieces and what was paid for them."""

    key: str
    nature: Nature
    quantity: int
    paid_minor: int


Parts = dict[int, tuple[int, int]]
"""By line number (from 1): pieces and money."""


def everything(sold: Sequence[SoldLine]) -> Parts:
    """The whole order."""
    return {number: (line.quantity, line.paid_minor) for number, line in enumerate(sold, start=1)}


def come_back(sold: Sequence[SoldLine], refunds: Iterable[GoodsRefunded]) -> Parts:
    """What these refunds together bring back.

    A piece brings what was paid for it. Money that a refund paid out beyond
    its pieces belongs to the lines it names, and what is left of it to all that
    stayed, in proportion.
    """
    refunds = list(refunds)
    pieces, paid = [0] * len(sold), [0] * len(sold)
    loose_minor = 0
    for place, line in enumerate(sold):
        pieces[place] = min(line.quantity, sum(one.pieces.get(line.key, 0) for one in refunds))
        paid[place] = line.paid_minor * pieces[place] // line.quantity
    named = _named(sold, refunds)
    for place, line in enumerate(sold):
        paid[place] = min(line.paid_minor, paid[place] + named[place])
    for one in refunds:
        loose_minor += max(0, (one.paid_minor or 0) - _worth(sold, one))
    stayed = [line.paid_minor - part for line, part in zip(sold, paid, strict=True)]
    if refunds and loose_minor >= sum(stayed):
        return everything(sold)
    shares = spread(loose_minor, stayed)
    back: Parts = {}
    for number, line in enumerate(sold, start=1):
        money = paid[number - 1] + shares[number - 1]
        # Shipping that is paid back in full is gone, like a piece.
        quantity = line.quantity if line.paid_minor and money == line.paid_minor else pieces[number - 1]
        if quantity or money:
            back[number] = (quantity, money)
    return back


def _named(sold: Sequence[SoldLine], refunds: Sequence[GoodsRefunded]) -> list[int]:
    """The money by line that refunds name a line for."""
    named = [sum(one.money.get(line.key, 0) for one in refunds) for line in sold]
    any_shipping = sum(one.money.get(ANY_SHIPPING, 0) for one in refunds)
    for place, line in enumerate(sold):
        if line.nature is Nature.SHIPPING:
            more = min(any_shipping, max(0, line.paid_minor - named[place]))
            named[place] += more
            any_shipping -= more
    return named


def _worth(sold: Sequence[SoldLine], refund: GoodsRefunded) -> int:
    """What a refund's own pieces and named lines are worth, rounded up: part of a cent is no extra."""
    worth = sum(refund.money.values())
    for line in sold:
        quantity = min(line.quantity, refund.pieces.get(line.key, 0))
        worth += -(-line.paid_minor * quantity // line.quantity)
    return worth


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` over `weights` that are at least as much together, no part above its weight.

    By highest quotients (Jefferson, D'Hondt): whoever gets more in total, or
    has a lighter neighbour, never gets less. Largest remainders do not promise
    that.
    """
    whole = sum(weights)
    if not total:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    # Smallest of (parts + 1) / weight first, compared without fractions.
    waiting = [_Quotient(place, weight, parts[place]) for place, weight in enumerate(weights) if weight]
    heapify(waiting)
    for _ in range(total - sum(parts)):
        first = waiting[0]
        parts[first.place] += 1
        heapreplace(waiting, _Quotient(first.place, first.weight, first.part + 1))
    return parts


@dataclass(frozen=True, slots=True)
class _Quotient:
    place: int
    weight: int
    part: int

    def __lt__(self, other: _Quotient) -> bool:
        one, another = (self.part + 1) * other.weight, (other.part + 1) * self.weight
        return one < another or (one == another and self.place < other.place)


def still_due(wanted: Mapping[int, tuple[int, int]], booked: Mapping[int, tuple[int, int]]) -> Parts:
    """What of `wanted` was not booked yet."""
    due: Parts = {}
    for number, (quantity, money) in wanted.items():
        had_quantity, had_money = booked.get(number, (0, 0))
        if (part := (max(0, quantity - had_quantity), max(0, money - had_money))) != (0, 0):
            due[number] = part
    return due


def within(due: Mapping[int, tuple[int, int]], left: Mapping[int, tuple[int, int]]) -> Parts:
    """What of `due` is still there: somebody may have taken goods back by hand."""
    found: Parts = {}
    for number, (quantity, money) in due.items():
        left_quantity, left_money = left.get(number, (0, 0))
        # All pieces take all of their money along.
        if left_quantity and quantity >= left_quantity:
            part = (left_quantity, left_money)
        else:
            part = (min(quantity, left_quantity), min(money, left_money))
        if part != (0, 0):
            found[number] = part
    return found
