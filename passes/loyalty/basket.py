"""What is bought: lines, the discount on the whole, and what was paid with what.

All amounts are integers of minor units. What a discount on the whole takes off
each line is decided here once, so that every rule and every return sees the
same parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from passes.loyalty.money import AMOUNT_LIMIT_MINOR
from passes.loyalty.refusals import AmountInvalid, LineInvalid

QUANTITY_LIMIT = 2**31
"""No line may have so many pieces."""

NAME_LETTERS_MAX = 200
KEY_LETTERS_MAX = 64
_UNKEPT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a purchase; `quantity` whole pieces at `unit_minor` each.

    `discount_minor` is what the line itself was reduced by, `tax_minor` the
    tax contained in what is left.
    """

    quantity: int
    unit_minor: int
    discount_minor: int = 0
    sku: str | None = None
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    tax_minor: int = 0

    @property
    def gross_minor(self) -> int:
        """Before discount."""
        return self.quantity * self.unit_minor

    @property
    def net_minor(self) -> int:
        """After the line's own discount."""
        return self.gross_minor - self.discount_minor


@dataclass(frozen=True, slots=True)
class Basket:
    """A purchase before any rule has looked at it.

    `discount_minor` is taken off the whole; `unearning_minor` was paid with
    something that earns no points, such as a gift card or points themselves.
    An amount without lines is one line that nothing is known about.
    """

    lines: tuple[Line, ...]
    discount_minor: int = 0
    unearning_minor: int = 0
    # Before any discount, and what was paid, with whatever tender. Every rule asks for them.
    gross_minor: int = field(init=False, repr=False, compare=False)
    net_minor: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        gross_minor, net_minor = 0, -self.discount_minor
        for line in self.lines:
            gross_minor += line.quantity * line.unit_minor
            net_minor += line.quantity * line.unit_minor - line.discount_minor
        object.__setattr__(self, "gross_minor", gross_minor)
        object.__setattr__(self, "net_minor", net_minor)

    @classmethod
    def of_amount(cls, amount_minor: int) -> Basket:
        """A purchase of which only the amount is known."""
        return cls((Line(quantity=1, unit_minor=amount_minor),))

    def paid_by_line(self, coupons_reach: Sequence[bool] = ()) -> tuple[int, ...]:
        """What was paid for each line, with whatever tender: the parts add up to `net_minor`.

        The discount on the whole falls on the lines that `coupons_reach` (all
        when not given), in proportion to their prices: a coupon does not make
        gift cards cheaper. Only what is larger than all of these together
        falls on the others.
        """
        nets = [line.net_minor for line in self.lines]
        if not self.discount_minor:
            return tuple(nets)
        reached = [
            net if reach else 0 for net, reach in zip(nets, coupons_reach or [True] * len(nets), strict=True)
        ]
        first = min(self.discount_minor, sum(reached))
        others = [net - part for net, part in zip(nets, reached, strict=True)]
        shares = zip(
            nets, allocate(first, reached), allocate(self.discount_minor - first, others), strict=True
        )
        return tuple(net - share - rest for net, share, rest in shares)

    def check(self) -> None:
        """AmountInvalid unless amounts are possible and the parts fit the whole; LineInvalid for texts."""
        gross = before_discount = 0
        for line in self.lines:
            whole = line.quantity * line.unit_minor
            net = whole - line.discount_minor
            if (
                not 0 < line.quantity < QUANTITY_LIMIT
                or not 0 <= line.unit_minor < AMOUNT_LIMIT_MINOR
                or not 0 <= line.discount_minor <= whole
                or not 0 <= line.tax_minor <= net
            ):
                raise AmountInvalid()
            if not _can_be_kept(line):
                raise LineInvalid()
            gross, before_discount = gross + whole, before_discount + net
        if not (self.lines and gross < AMOUNT_LIMIT_MINOR and 0 <= self.discount_minor <= before_discount):
            raise AmountInvalid()
        if not 0 <= self.unearning_minor <= before_discount - self.discount_minor:
            raise AmountInvalid()


def _can_be_kept(line: Line) -> bool:
    """Whether its texts fit, without signs that are none: NUL, and halves of what UTF-16 writes in two."""
    keys = [text for text in (line.sku, line.category, line.brand) if text]
    if any(len(text) > KEY_LETTERS_MAX for text in keys) or len(line.name or "") > NAME_LETTERS_MAX:
        return False
    return not any(_UNKEPT.search(text) for text in (*keys, line.name or ""))


def allocate(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split `total` in proportion to `weights`: whole parts that add up to it exactly.

    Largest remainder, ties to the earlier weight. Where all weights are 0 the
    first part takes everything. ValueError without weights or with a negative one.
    """
    if not weights or min(weights) < 0 or total < 0:
        raise ValueError("only a total of 0 or more can be split, by weights of 0 or more")
    whole = sum(weights)
    if whole == 0:
        return (total, *([0] * (len(weights) - 1)))
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: (-(total * weights[place] % whole), place))
    for place in by_remainder[: total - sum(parts)]:
        parts[place] += 1
    return tuple(parts)
