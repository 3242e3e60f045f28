"""What a register of another maker told us, in our words: an order was paid, was cancelled, goods came back.

Amounts are integers of minor units and contain tax. An order and its lines are
named by the maker's own ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

KEY_LETTERS_MAX = 128
ANY_SHIPPING = "shipping"
"""In place of a line's key: whichever line is for shipping."""


class Malformed(Exception):
    """A message unlike its maker's documentation. The text says where, and holds no value of it."""


class Nature(StrEnum):
    """What a line is. All but goods are categories that the programme's rules may name, in this spelling."""

    GOODS = "goods"
    TIP = "tip"
    SHIPPING = "shipping"
    GIFT_CARD = "gift-card"
    FEE = "fee"


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A line as it was sold: `net_minor` was paid for `quantity` pieces, after every discount and with tax.

    `marks` are what the shop's own list of categories may go by: article
    number, product, maker.
    """

    key: str
    quantity: int
    gross_minor: int
    net_minor: int
    tax_minor: int = 0
    nature: Nature = Nature.GOODS
    name: str | None = None
    sku: str | None = None
    brand: str | None = None
    marks: tuple[str, ...] = ()

    def cheaper(self, share_minor: int) -> OrderLine:
        """The line with its share of what was taken off the whole."""
        net_minor = self.net_minor - share_minor
        return replace(self, net_minor=net_minor, tax_minor=min(self.tax_minor, net_minor))


@dataclass(frozen=True, slots=True)
class OrderPaid:
    """An order was paid. `who` are texts that may be the code of a card, the surest first.

    `words` are free texts in which a code may stand among others. None of
    them is kept.
    """

    order: str
    currency: str | None
    lines: tuple[OrderLine, ...]
    occurred_at: datetime
    location: str | None = None
    channel: str = "in_store"
    who: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def amount_minor(self) -> int:
        """What was paid."""
        return sum(line.net_minor for line in self.lines)


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """An order is off: whatever of it has not come back does."""

    order: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class GoodsRefunded:
    """Goods or money of an order came back.

    `pieces` by line; `money` that belongs to a certain line, such as shipping,
    but to no piece of it; `paid_minor` is all that was paid out, None where
    the maker does not say.
    """

    order: str
    refund: str
    currency: str | None
    occurred_at: datetime
    pieces: Mapping[str, int] = field(default_factory=dict)
    money: Mapping[str, int] = field(default_factory=dict)
    paid_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing that concerns us; `why` is a short key."""

    why: str
    order: str | None = None


Event = OrderPaid | OrderCancelled | GoodsRefunded | Ignored

_KINDS: dict[str, type[OrderPaid] | type[OrderCancelled] | type[GoodsRefunded]] = {
    "paid": OrderPaid,
    "cancelled": OrderCancelled,
    "refunded": GoodsRefunded,
}


def topic(event: Event) -> str:
    """Which kind of event it is, in one word."""
    return next((name for name, kind in _KINDS.items() if isinstance(event, kind)), "ignored")


def as_json(event: Event) -> str:
    """The event as it waits, without the texts that might name a person."""
    values = orjson.loads(orjson.dumps(event))
    values.pop("who", None)
    values.pop("words", None)
    return orjson.dumps(values | {"event": topic(event)}).decode()


def from_json(text: str) -> OrderPaid | OrderCancelled | GoodsRefunded:
    """An event kept by `as_json`."""
    values: dict[str, Any] = orjson.loads(text)
    kind = _KINDS[values.pop("event")]
    values["occurred_at"] = datetime.fromisoformat(values["occurred_at"])
    if kind is OrderPaid:
        values["lines"] = tuple(
            OrderLine(**{**line, "nature": Nature(line["nature"]), "marks": tuple(line["marks"])})
            for line in values["lines"]
        )
    return kind(**values)
