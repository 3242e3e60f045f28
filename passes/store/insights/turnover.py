"""What was sold, by whom it was bought, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    bindparam,
    case,
    distinct,
    exists,
    func,
    literal,
    null,
    select,
    union_all,
)

from passes.store.insights.asking import (
    END_DAY,
    FIRST_DAY,
    PROGRAMME,
    Basis,
    Bucketed,
    By,
    Cut,
    asked,
    month_of,
    week_of,
)
from passes.store.models import (
    goods_return,
    joining,
    member,
    purchase,
)
from passes.store.work import Read


def movements(
    basis: Basis, *, channel: bool = False, location: bool = False, people: bool = False
) -> Subquery:
    """Every purchase and every return of the window, a row each; returns take away.

    `order_at` and `order_id` are those of the purchase, `people` leaves guests out.
    """
    sold = select(
        purchase.c.member_id,
        purchase.c.local_day,
        purchase.c.channel,
        purchase.c.location,
        purchase.c.till,
        purchase.c.person,
        purchase.c.occurred_at.label("order_at"),
        purchase.c.id.label("order_id"),
        literal(1, Integer).label("orders"),
        purchase.c.gross_minor.label("gross"),
        purchase.c.discount_minor.label("discount"),
        literal(0, BigInteger).label("returned"),
        purchase.c.net_minor.label("net"),
    ).where(purchase.c.programme_id == PROGRAMME, purchase.c.voided_by.is_(None))
    booked = purchase if basis is Basis.ORDER_DATE else goods_return
    came_back = (
        select(
            purchase.c.member_id,
            booked.c.local_day,
            booked.c.channel,
            booked.c.location,
            booked.c.till,
            booked.c.person,
            purchase.c.occurred_at,
            purchase.c.id,
            literal(0, Integer),
            literal(0, BigInteger),
            literal(0, BigInteger),
            goods_return.c.net_minor,
            -goods_return.c.net_minor,
        )
        .select_from(
            goods_return.join(
                purchase,
                (purchase.c.programme_id == goods_return.c.programme_id)
                & (purchase.c.id == goods_return.c.purchase_id),
            )
        )
        .where(goods_return.c.programme_id == PROGRAMME, purchase.c.voided_by.is_(None))
    )
    parts: list[Select[Any]] = []
    for part, day in ((sold, purchase), (came_back, booked)):
        local_day: ColumnElement[int] = day.c.local_day
        if part is came_back and booked is purchase:
            # Keeps SQLite from going through the purchases of all days, looking
            # for returns of each: there are fewer returns.
            local_day = local_day + 0
        kept = part.where(local_day >= FIRST_DAY, local_day < END_DAY)
        if channel:
            kept = kept.where(day.c.channel == bindparam("channel"))
        if location:
            kept = kept.where(day.c.location == bindparam("location"))
        if people:
            kept = kept.where(purchase.c.member_id.is_not(None))
        parts.append(kept)
    return union_all(*parts).subquery("movement")


def bucketed(rows: Subquery, by: By | None) -> tuple[ColumnElement[Any], FromClause]:
    """What a movement counts for, and the tables that it takes to tell."""
    day: ColumnElement[int] = rows.c.local_day
    if by is None:
        return null(), rows
    if by is By.MONTH:
        return month_of(day), rows
    if by is By.WEEK:
        return week_of(day), rows
    if by is By.SOURCE:
        told = joining.c.programme_id == PROGRAMME
        return joining.c.source, rows.outerjoin(joining, told & (joining.c.member_id == rows.c.member_id))
    if by is By.TIER:
        found = (member.c.programme_id == PROGRAMME) & (member.c.id == rows.c.member_id)
        return member.c.tier, rows.outerjoin(member, found)
    return rows.c[by.value], rows


@dataclass(frozen=True, slots=True)
class Sales:
    """What was sold, `of_members` being the part of members. Amounts are minor units."""

    bucket: Bucketed
    orders: int
    gross_minor: int
    discount_minor: int
    returned_minor: int
    net_minor: int
    orders_of_members: int
    net_of_members_minor: int


@lru_cache
def _sales(by: By | None, basis: Basis, channel: bool, location: bool) -> Select[Any]:
    rows = movements(basis, channel=channel, location=location)
    bucket, tables = bucketed(rows, by)
    known = rows.c.member_id.is_not(None)
    told = (
        select(
            bucket.label("bucket"),
            rows.c.orders,
            rows.c.gross,
            rows.c.discount,
            rows.c.returned,
            rows.c.net,
            case((known, rows.c.orders), else_=0).label("orders_of_members"),
            case((known, rows.c.net), else_=0).label("net_of_members"),
        )
        .select_from(tables)
        .subquery("told")
    )
    names = ("orders", "gross", "discount", "returned", "net", "orders_of_members", "net_of_members")
    sums = [func.coalesce(func.sum(told.c[name]), 0).label(name) for name in names]
    if by is None:
        return select(null().label("bucket"), *sums)
    return select(told.c.bucket, *sums).group_by(told.c.bucket)


def sales(read: Read, programme_id: int, cut: Cut, by: By | None = None) -> list[Sales]:
    """Orders, gross, discounts, returns and net; members' part of it. Unordered."""
    statement = _sales(by, cut.basis, cut.channel is not None, cut.location is not None)
    rows = read.ask(statement, programme_id=programme_id, **asked(cut)).all()
    return [Sales(row[0], *map(int, tuple(row)[1:])) for row in rows]


class Kind(StrEnum):
    """Who placed an order: a customer's first one ever, a later one, or nobody known."""

    FIRST = "first"
    RETURNING = "returning"
    GUEST = "guest"


@dataclass(frozen=True, slots=True)
class KindOfSales:
    """Orders of one kind. A customer may be both first-time and returning in one period."""

    bucket: Bucketed
    kind: Kind
    orders: int
    customers: int
    gross_minor: int
    net_minor: int


_EVERYBODY = 1_000_000_000


@lru_cache
def _kinds(by: By | None, basis: Basis, channel: bool, location: bool) -> Select[Any]:
    rows = movements(basis, channel=channel, location=location)
    bucket, tables = bucketed(rows, by)
    earlier, ever = purchase.alias("earlier"), purchase.alias("ever")
    first_at = (
        select(ever.c.occurred_at)
        .where(
            ever.c.programme_id == member.c.programme_id,
            ever.c.member_id == member.c.id,
            ever.c.voided_by.is_(None),
        )
        .order_by(ever.c.occurred_at)
        .limit(1)
        .scalar_subquery()
    )
    first = (
        select(member.c.id.label("member_id"), first_at.label("at"))
        .where(member.c.programme_id == PROGRAMME)
        # Keeps SQLite from looking for the first order once for each order.
        .limit(_EVERYBODY)
        .subquery("first_order")
    )
    tables = tables.outerjoin(first, first.c.member_id == rows.c.member_id)
    # Of two orders in the same instant the lower id came first.
    came_before = exists(
        select(literal(1))
        .select_from(earlier)
        .where(
            earlier.c.programme_id == PROGRAMME,
            earlier.c.member_id == rows.c.member_id,
            earlier.c.occurred_at == rows.c.order_at,
            earlier.c.id < rows.c.order_id,
            earlier.c.voided_by.is_(None),
        )
    )
    kind = case(
        (rows.c.member_id.is_(None), Kind.GUEST.value),
        (rows.c.order_at > first.c.at, Kind.RETURNING.value),
        (came_before, Kind.RETURNING.value),
        else_=Kind.FIRST.value,
    )
    told = (
        select(
            bucket.label("bucket"),
            kind.label("kind"),
            rows.c.orders,
            case((rows.c.orders == 1, rows.c.member_id)).label("customer"),
            rows.c.gross,
            rows.c.net,
        )
        .select_from(tables)
        .subquery("told")
    )
    return select(
        told.c.bucket,
        told.c.kind,
        func.sum(told.c.orders).label("orders"),
        func.count(distinct(told.c.customer)).label("customers"),
        func.sum(told.c.gross).label("gross"),
        func.sum(told.c.net).label("net"),
    ).group_by(told.c.bucket, told.c.kind)


def kinds(read: Read, programme_id: int, cut: Cut, by: By | None = None) -> list[KindOfSales]:
    """First-time, returning and guest orders. "Earlier" is ever, through any channel. Unordered."""
    statement = _kinds(by, cut.basis, cut.channel is not None, cut.location is not None)
    rows = read.ask(statement, programme_id=programme_id, **asked(cut)).all()
    return [KindOfSales(row[0], Kind(row[1]), *map(int, tuple(row)[2:])) for row in rows]
