"""What comes back of a purchase, and what that does to money, points and rewards.

A purchase may come back in parts. Whatever the parts are, they never add up to
more or less than the whole: each part is what is left before it less what is
left after it, and the last one takes everything that is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from passes.loyalty.basket import Basket, allocate
from passes.loyalty.earned import Earned
from passes.loyalty.earning import EarnRule, Rounding
from passes.loyalty.lasting import ReturnPolicy
from passes.loyalty.money import Money
from passes.loyalty.refusals import (
    AmountInvalid,
    NothingLeftToReturn,
    ReturnLineUnknown,
    ReturnTooLarge,
)
from passes.loyalty.rewards import RewardKind
from passes.loyalty.unearning import TakenBack, proportional, take_back


@dataclass(frozen=True, slots=True)
class SoldLine:
    """A line of a purchase, or what of it has not come back.

    `gross_minor` is its price before discounts, `paid_minor` what was paid for
    it with whatever tender. `own_discount_minor` was taken off the line itself,
    `order_discount_minor` is its share of what was taken off the whole.
    """

    number: int
    quantity: int
    gross_minor: int
    paid_minor: int
    own_discount_minor: int = 0
    order_discount_minor: int = 0


@dataclass(frozen=True, slots=True)
class BackLine:
    """What comes back of a line. `quantity` is 0 where only money does."""

    number: int
    quantity: int
    gross_minor: int
    net_minor: int


def sold(basket: Basket, paid: Sequence[int]) -> tuple[SoldLine, ...]:
    """The lines of a purchase; `paid` is what was paid for each."""
    return tuple(
        SoldLine(
            number=number,
            quantity=line.quantity,
            gross_minor=line.gross_minor,
            paid_minor=paid_minor,
            own_discount_minor=line.discount_minor,
            order_discount_minor=line.net_minor - paid_minor,
        )
        for number, (line, paid_minor) in enumerate(zip(basket.lines, paid, strict=True), start=1)
    )


def left(lines: Sequence[SoldLine], back: Iterable[BackLine]) -> tuple[SoldLine, ...]:
    """What has not come back; discounts stay those of the whole line."""
    gone: dict[int, BackLine] = {}
    for part in back:
        before = gone.get(part.number, BackLine(part.number, 0, 0, 0))
        gone[part.number] = BackLine(
            part.number,
            before.quantity + part.quantity,
            before.gross_minor + part.gross_minor,
            before.net_minor + part.net_minor,
        )
    return tuple(
        replace(
            line,
            quantity=line.quantity - gone[line.number].quantity,
            gross_minor=line.gross_minor - gone[line.number].gross_minor,
            paid_minor=line.paid_minor - gone[line.number].net_minor,
        )
        if line.number in gone
        else line
        for line in lines
    )


def all_gone(lines: Iterable[SoldLine]) -> tuple[SoldLine, ...]:
    """These lines with nothing left of them."""
    return tuple(replace(line, quantity=0, gross_minor=0, paid_minor=0) for line in lines)


def is_nothing(lines: Iterable[SoldLine]) -> bool:
    """Whether no goods are left."""
    return not any(line.quantity for line in lines)


def coming_back(
    here: Sequence[SoldLine],
    *,
    lines: Mapping[int, int],
    amount_minor: int | None,
    currency: str,
    parts: Mapping[int, tuple[int, int]] | None = None,
) -> tuple[BackLine, ...]:
    """What comes back of what is left: `lines` (number to pieces), or `amount_minor`, or all of it.

    Money without goods is spread over the lines in proportion to what was paid
    for them; the last of it takes the goods along. `parts` (number to pieces
    and money) says both, where another maker's register has reckoned already.
    Raises NothingLeftToReturn, ReturnLineUnknown, ReturnTooLarge or AmountInvalid.
    """
    if parts:
        return _of_parts(here, parts, currency)
    if lines and amount_minor is not None:
        raise AmountInvalid()
    if any(quantity <= 0 for quantity in lines.values()) or (amount_minor is not None and amount_minor <= 0):
        raise AmountInvalid()
    known = {line.number: line for line in here}
    for number in lines:
        if number not in known:
            raise ReturnLineUnknown(line=number)
    if is_nothing(here):
        raise NothingLeftToReturn()
    if amount_minor is not None:
        return _of_amount(here, amount_minor, currency)
    wanted = lines or {line.number: line.quantity for line in here if line.quantity}
    for number, quantity in wanted.items():
        if not known[number].quantity:
            raise NothingLeftToReturn()
        if quantity > known[number].quantity:
            raise ReturnTooLarge(left=known[number].quantity)
    return tuple(_pieces(known[number], wanted[number]) for number in sorted(wanted))


def _pieces(line: SoldLine, quantity: int) -> BackLine:
    return BackLine(
        line.number,
        quantity,
        line.gross_minor * quantity // line.quantity,
        line.paid_minor * quantity // line.quantity,
    )


def _of_amount(here: Sequence[SoldLine], amount_minor: int, currency: str) -> tuple[BackLine, ...]:
    most = sum(line.paid_minor for line in here)
    if amount_minor > most:
        raise ReturnTooLarge(left=Money(most, currency))
    if amount_minor == most:
        return tuple(_pieces(line, line.quantity) for line in here if line.quantity)
    parts = zip(here, allocate(amount_minor, [line.paid_minor for line in here]), strict=True)
    return tuple(
        BackLine(line.number, 0, line.gross_minor * part // line.paid_minor, part)
        for line, part in parts
        if part
    )


def _of_parts(
    here: Sequence[SoldLine], parts: Mapping[int, tuple[int, int]], currency: str
) -> tuple[BackLine, ...]:
    known = {line.number: line for line in here}
    back = []
    for number, (quantity, paid_minor) in sorted(parts.items()):
        if (line := known.get(number)) is None:
            raise ReturnLineUnknown(line=number)
        if quantity < 0 or paid_minor < 0 or not (quantity or paid_minor):
            raise AmountInvalid()
        if quantity > line.quantity:
            raise ReturnTooLarge(left=line.quantity)
        # Goods cannot all come back while some of their money stays.
        if paid_minor > line.paid_minor or (quantity == line.quantity and paid_minor < line.paid_minor):
            raise ReturnTooLarge(left=Money(line.paid_minor, currency))
        part, whole = (paid_minor, line.paid_minor) if line.paid_minor else (quantity, line.quantity)
        back.append(BackLine(number, quantity, line.gross_minor * part // whole, paid_minor))
    return tuple(back)


def basket_left(basket: Basket, here: Sequence[SoldLine]) -> Basket:
    """The purchase as it would have been without what came back, each discount part of its line."""
    paid = sum(line.paid_minor for line in here)
    return Basket(
        tuple(
            replace(
                line,
                quantity=now.quantity,
                discount_minor=now.quantity * line.unit_minor - now.paid_minor,
                tax_minor=0,
            )
            for line, now in zip(basket.lines, here, strict=True)
            if now.quantity
        ),
        unearning_minor=basket.unearning_minor * paid // basket.net_minor if basket.net_minor else 0,
    )


# Points that were earned with it -------------------------------------------------


def earning_left(earned: Earned, lines: Sequence[SoldLine], here: Sequence[SoldLine]) -> tuple[int, ...]:
    """What still earns of each line: as much of it as was paid for what is left."""
    return tuple(
        part.net_minor * now.paid_minor // line.paid_minor if line.paid_minor else 0
        for part, line, now in zip(earned.lines, lines, here, strict=True)
    )


def accumulates(rule: EarnRule) -> bool:
    """Whether what rounding leaves over is kept with the member: then returns are taken from there first."""
    return rule.rounding is Rounding.CARRY or (rule.rounding is Rounding.BLOCK and rule.carries)


def unearned(
    rule: EarnRule,
    policy: ReturnPolicy,
    earned: Earned,
    *,
    before: Sequence[int],
    after: Sequence[int],
    taken: int,
    carried: str | None,
) -> TakenBack:
    """What goes back of what a purchase earned.

    `before` and `after` are what earned on each line before and after this
    return (`earning_left`), `taken` what earlier returns took. All of them
    together take what was earned once everything is back, and never more;
    where rounding accumulates, what the member carries makes up the rest.
    """
    found = take_back(rule, earned, before=before, after=after, carried=carried)
    if accumulates(rule):
        return found
    points = found.points
    if policy is ReturnPolicy.PROPORTIONAL:
        gone = earned.eligible_minor - sum(before)
        points = proportional(earned, sum(before) - sum(after), before_minor=gone)
    rest = earned.points - taken
    return replace(found, points=rest if not any(after) else min(points, rest))


# Points that were spent on it ---------------------------------------------------


def given_back(
    points: int, weights: Sequence[int], lines: Sequence[SoldLine], here: Sequence[SoldLine]
) -> int:
    """How much of what a reward cost is the member's again, now that only `here` is left of `lines`.

    `weights` say which line the reward paid for, and how much (`paid_by_reward`).
    """
    parts = zip(allocate(points, weights), lines, here, strict=True)
    return sum(_part_back(part, line, now) for part, line, now in parts)


def _part_back(part: int, line: SoldLine, here: SoldLine) -> int:
    if not here.quantity:
        return part
    whole, rest = (line.gross_minor, here.gross_minor) if line.gross_minor else (line.quantity, here.quantity)
    return part * (whole - rest) // whole


def paid_by_reward(kind: RewardKind | None, lines: Sequence[SoldLine], *, is_tender: bool) -> Sequence[int]:
    """How much a reward paid for each line.

    One for an item is the discount of its line, any other that on the whole; a
    `tender` paid its share of everything. Where no discount shows it, as if it
    had been one.
    """
    own = [line.own_discount_minor for line in lines]
    shared = [line.order_discount_minor for line in lines]
    paid = [line.paid_minor for line in lines]
    gross = [line.gross_minor for line in lines]
    choices = [paid, gross] if is_tender else [shared, own, paid, gross]
    if kind in (RewardKind.FREE_ITEM, RewardKind.PRODUCT):
        choices = [own, shared, paid, gross]
    return next((weights for weights in choices if any(weights)), [line.quantity for line in lines])


# Money --------------------------------------------------------------------------


def withheld(short: int, hundred_points_minor: int | None, refund_minor: int) -> int:
    """What is kept back from a refund for points that are gone: their worth, at most the refund.

    Part of a minor unit stays with the member.
    """
    return min(short * (hundred_points_minor or 0) // 100, refund_minor)
