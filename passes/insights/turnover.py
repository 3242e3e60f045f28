"""What was sold, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from passes.insights.naming import (
    in_order,
    label,
    minor_or_none,
)
from passes.loyalty.metrics import (
    share,
)
from passes.store import Store, insights, programmes
from passes.store.insights import (
    By,
    Cut,
    Kind,
)


@dataclass(frozen=True, slots=True)
class SalesFigures:
    """Sales of one month, week, channel, …; `bucket` is None for the whole and for what is not known."""

    bucket: str | None
    orders: int
    gross_minor: int
    discount_minor: int
    returned_minor: int
    net_minor: int
    average_order_minor: int | None
    orders_of_members: int
    net_of_members_minor: int
    member_share: Fraction | None
    attach_rate: Fraction | None


def sales(store: Store, *, programme: str, cut: Cut, by: By | None = None) -> list[SalesFigures]:
    """Orders, gross, net, average order; members' share of net, and of orders (attach rate)."""
    with store.read() as read:
        found = insights.sales(read, programmes.by_slug(read, programme).id, cut, by)
    return [
        SalesFigures(
            bucket=label(by, one.bucket),
            orders=one.orders,
            gross_minor=one.gross_minor,
            discount_minor=one.discount_minor,
            returned_minor=one.returned_minor,
            net_minor=one.net_minor,
            average_order_minor=minor_or_none(share(one.net_minor, one.orders)),
            orders_of_members=one.orders_of_members,
            net_of_members_minor=one.net_of_members_minor,
            member_share=share(one.net_of_members_minor, one.net_minor),
            attach_rate=share(one.orders_of_members, one.orders),
        )
        for one in in_order(found, lambda one: one.bucket)
    ]


@dataclass(frozen=True, slots=True)
class CustomerFigures:
    """Orders of one kind: first-time, returning, guest."""

    bucket: str | None
    kind: Kind
    orders: int
    customers: int
    gross_minor: int
    net_minor: int
    average_order_minor: int | None


def customers(store: Store, *, programme: str, cut: Cut, by: By | None = None) -> list[CustomerFigures]:
    """First-time, returning and guest orders, a row for each kind of each bucket."""
    with store.read() as read:
        found = insights.kinds(read, programmes.by_slug(read, programme).id, cut, by)
    cells = {(one.bucket, one.kind): one for one in found}
    rows = []
    for bucket in in_order({one.bucket for one in found} if by else {None}, lambda bucket: bucket):
        for kind in Kind:
            one = cells.get((bucket, kind)) or insights.KindOfSales(bucket, kind, 0, 0, 0, 0)
            rows.append(
                CustomerFigures(
                    bucket=label(by, bucket),
                    kind=kind,
                    orders=one.orders,
                    customers=one.customers,
                    gross_minor=one.gross_minor,
                    net_minor=one.net_minor,
                    average_order_minor=minor_or_none(share(one.net_minor, one.orders)),
                )
            )
    return rows
