"""The marketer's questions, each as one statement that both engines answer alike.

Windows are half-open and made of days of the programme's zone, `yyyymmdd` as
in the tables, so that no question needs zone arithmetic. A voided purchase and
what came back of it count nowhere. Sums are whole numbers; dividing them is
`passes.loyalty.metrics`' business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    FromClause,
    Integer,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    distinct,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)

from passes.loyalty.dates import day_number
from passes.loyalty.experiments import Sums
from passes.loyalty.ledger import POINTS, Bucket, OwnerKind, PostingKind
from passes.loyalty.liability import Outstanding
from passes.loyalty.metrics import IssueCohort, PointsFlow, Retention, RevenueRetention, Worth
from passes.loyalty.receipt import ReceiptKind
from passes.store.instants import instant_or_none, micros
from passes.store.models import (
    account,
    card,
    consumption,
    goods_return,
    join_count,
    joining,
    lot,
    member,
    offer,
    offer_assignment,
    offer_use,
    posting,
    purchase,
    receipt,
    tier_change,
)
from passes.store.work import Read, Row


class By(StrEnum):
    """What a report has one row for."""

    MONTH = "month"
    WEEK = "week"
    CHANNEL = "channel"
    LOCATION = "location"
    TILL = "till"
    PERSON = "person"
    SOURCE = "source"
    TIER = "tier"


class Basis(StrEnum):
    """To which day a return is booked."""

    ORDER_DATE = "order_date"
    EVENT_DATE = "event_date"


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the programme's zone, `[start, end)`."""

    start: date
    end: date


@dataclass(frozen=True, slots=True)
class Cut:
    """Which purchases are looked at: those of a window, perhaps of one channel or location."""

    window: Window
    channel: str | None = None
    location: str | None = None
    basis: Basis = Basis.ORDER_DATE


Bucketed = str | int | None
"""What a row is for: a month or week number, a channel, …; None where that is unknown, or for the whole."""

_PROGRAMME: ColumnElement[int] = bindparam("programme_id", type_=BigInteger)
_FIRST_DAY: ColumnElement[int] = bindparam("first_day", type_=Integer)
_END_DAY: ColumnElement[int] = bindparam("end_day", type_=Integer)
_DAWN, _DUSK = 0, 99_999_999


def _one_of(column: ColumnElement[Any], kinds: Iterable[StrEnum]) -> ColumnElement[bool]:
    return or_(*(column == kind.value for kind in kinds))


def month_number(day: date) -> int:
    """Months since year 0."""
    return 12 * day.year + day.month - 1


def month_start(month: int) -> date:
    """The first day of a month by its number."""
    return date(month // 12, month % 12 + 1, 1)


_JULIAN_DAY_BEFORE_YEAR_1 = 1_721_425


def week_number(day: date) -> int:
    """Weeks since the Julian day 0, which was a Monday."""
    return (day.toordinal() + _JULIAN_DAY_BEFORE_YEAR_1) // 7


def week_start(week: int) -> date:
    """The Monday of a week by its number."""
    return date.fromordinal(7 * week - _JULIAN_DAY_BEFORE_YEAR_1)


def _month(day: ColumnElement[int]) -> ColumnElement[int]:
    return day // 10_000 * 12 + day // 100 % 100 - 1


def _week(day: ColumnElement[int]) -> ColumnElement[int]:
    """The week of a `yyyymmdd`, by way of the Julian day number and in whole numbers only."""
    year, month = day // 10_000, day // 100 % 100
    before_march = (14 - month) // 12
    years, months = year + 4_800 - before_march, month + 12 * before_march - 3
    days = day % 100 + (153 * months + 2) // 5 + 365 * years + years // 4 - years // 100 + years // 400
    return (days - 32_045) // 7


# Sales -------------------------------------------------------------------------


def _movements(
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
    ).where(purchase.c.programme_id == _PROGRAMME, purchase.c.voided_by.is_(None))
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
        .where(goods_return.c.programme_id == _PROGRAMME, purchase.c.voided_by.is_(None))
    )
    parts: list[Select[Any]] = []
    for part, day in ((sold, purchase), (came_back, booked)):
        local_day: ColumnElement[int] = day.c.local_day
        if part is came_back and booked is purchase:
            # Keeps SQLite from going through the purchases of all days, looking
            # for returns of each: there are fewer returns.
            local_day = local_day + 0
        kept = part.where(local_day >= _FIRST_DAY, local_day < _END_DAY)
        if channel:
            kept = kept.where(day.c.channel == bindparam("channel"))
        if location:
            kept = kept.where(day.c.location == bindparam("location"))
        if people:
            kept = kept.where(purchase.c.member_id.is_not(None))
        parts.append(kept)
    return union_all(*parts).subquery("movement")


def _bucketed(rows: Subquery, by: By | None) -> tuple[ColumnElement[Any], FromClause]:
    """What a movement counts for, and the tables that it takes to tell."""
    day: ColumnElement[int] = rows.c.local_day
    if by is None:
        return null(), rows
    if by is By.MONTH:
        return _month(day), rows
    if by is By.WEEK:
        return _week(day), rows
    if by is By.SOURCE:
        told = joining.c.programme_id == _PROGRAMME
        return joining.c.source, rows.outerjoin(joining, told & (joining.c.member_id == rows.c.member_id))
    if by is By.TIER:
        found = (member.c.programme_id == _PROGRAMME) & (member.c.id == rows.c.member_id)
        return member.c.tier, rows.outerjoin(member, found)
    return rows.c[by.value], rows


def _asked(cut: Cut) -> dict[str, Any]:
    values: dict[str, Any] = _days(cut.window)
    if cut.channel is not None:
        values["channel"] = cut.channel
    if cut.location is not None:
        values["location"] = cut.location
    return values


def _days(window: Window) -> dict[str, Any]:
    return {"first_day": day_number(window.start), "end_day": day_number(window.end)}


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
    rows = _movements(basis, channel=channel, location=location)
    bucket, tables = _bucketed(rows, by)
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
    rows = read.ask(statement, programme_id=programme_id, **_asked(cut)).all()
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


@lru_cache
def _kinds(by: By | None, basis: Basis, channel: bool, location: bool) -> Select[Any]:
    rows = _movements(basis, channel=channel, location=location)
    bucket, tables = _bucketed(rows, by)
    earlier, ever = purchase.alias("earlier"), purchase.alias("ever")
    first = (
        select(ever.c.member_id, func.min(ever.c.occurred_at).label("at"))
        .where(
            ever.c.programme_id == _PROGRAMME,
            ever.c.member_id.is_not(None),
            ever.c.voided_by.is_(None),
        )
        .group_by(ever.c.member_id)
        .subquery("first_order")
    )
    tables = tables.outerjoin(first, first.c.member_id == rows.c.member_id)
    # Of two orders in the same instant the lower id came first.
    came_before = exists(
        select(literal(1))
        .select_from(earlier)
        .where(
            earlier.c.programme_id == _PROGRAMME,
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
    rows = read.ask(statement, programme_id=programme_id, **_asked(cut)).all()
    return [KindOfSales(row[0], Kind(row[1]), *map(int, tuple(row)[2:])) for row in rows]


# Customers ---------------------------------------------------------------------


@lru_cache
def _worth(by: By | None, basis: Basis, channel: bool, location: bool) -> Select[Any]:
    rows = _movements(basis, channel=channel, location=location, people=True)
    bucket, tables = _bucketed(rows, by)
    told = (
        select(bucket.label("bucket"), rows.c.member_id, rows.c.orders, rows.c.net)
        .select_from(tables)
        .subquery("told")
    )
    each = (
        select(
            told.c.bucket,
            told.c.member_id,
            func.sum(told.c.orders).label("orders"),
            func.sum(told.c.net).label("net"),
        )
        .group_by(told.c.bucket, told.c.member_id)
        .subquery("each_customer")
    )
    return select(
        each.c.bucket,
        # A return booked in a period without an order brings nobody into it.
        func.sum(case((each.c.orders >= 1, 1), else_=0)).label("customers"),
        func.sum(case((each.c.orders >= 2, 1), else_=0)).label("repeating"),
        func.sum(each.c.orders).label("orders"),
        func.sum(each.c.net).label("net"),
    ).group_by(each.c.bucket)


def worth(read: Read, programme_id: int, cut: Cut, by: By | None = None) -> dict[Bucketed, Worth]:
    """Customers, those with two orders or more, and what they ordered."""
    statement = _worth(by, cut.basis, cut.channel is not None, cut.location is not None)
    rows = read.ask(statement, programme_id=programme_id, **_asked(cut)).all()
    return {row.bucket: Worth(*map(int, tuple(row)[1:])) for row in rows}


@dataclass(frozen=True, slots=True)
class Kept:
    """Customers of one period seen again in the next, and what they spent in both."""

    customers: Retention
    revenue: RevenueRetention


def _kept_statement(period: ColumnElement[int], rows: Subquery) -> Select[Any]:
    told = select(period.label("period"), rows.c.member_id, rows.c.orders, rows.c.net).subquery("told")
    each = (
        select(
            told.c.period,
            told.c.member_id,
            func.sum(told.c.orders).label("orders"),
            func.sum(told.c.net).label("net"),
        )
        .group_by(told.c.period, told.c.member_id)
        .subquery("each_customer")
    )

    def next_of(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.lead(column).over(partition_by=each.c.member_id, order_by=each.c.period)

    pairs = select(
        each.c.period,
        each.c.orders,
        each.c.net,
        next_of(each.c.period).label("next_period"),
        next_of(each.c.orders).label("next_orders"),
        next_of(each.c.net).label("next_net"),
    ).subquery("pair")
    was_here, follows = pairs.c.orders > 0, pairs.c.next_period == pairs.c.period + 1
    return select(
        pairs.c.period,
        func.sum(case((was_here, 1), else_=0)).label("active"),
        func.sum(case((and_(was_here, follows, pairs.c.next_orders > 0), 1), else_=0)).label("kept"),
        func.sum(case((was_here, pairs.c.net), else_=0)).label("net"),
        func.sum(case((and_(was_here, follows), pairs.c.next_net), else_=0)).label("net_after"),
    ).group_by(pairs.c.period)


@lru_cache
def _kept_between(basis: Basis, channel: bool, location: bool) -> Select[Any]:
    rows = _movements(basis, channel=channel, location=location, people=True)
    day = rows.c.local_day
    middle: ColumnElement[int] = bindparam("middle_day", type_=Integer)
    return _kept_statement(case((day < middle, 0), else_=1), rows)


@lru_cache
def _kept_by(by: By, basis: Basis, channel: bool, location: bool) -> Select[Any]:
    rows = _movements(basis, channel=channel, location=location, people=True)
    period = _month if by is By.MONTH else _week
    return _kept_statement(period(rows.c.local_day), rows)


def kept(read: Read, programme_id: int, cut: Cut, *, middle: date) -> Kept:
    """Customers of the window's days before `middle`, seen again in those from `middle` on."""
    statement = _kept_between(cut.basis, cut.channel is not None, cut.location is not None)
    values = {"middle_day": day_number(middle), **_asked(cut)}
    rows = {row.period: row for row in read.ask(statement, programme_id=programme_id, **values).all()}
    return _kept_from(rows.get(0), rows.get(1))


def kept_by(read: Read, programme_id: int, cut: Cut, by: By) -> dict[int, Kept]:
    """For each month or week of the window but the first: who of the one before is seen again."""
    statement = _kept_by(by, cut.basis, cut.channel is not None, cut.location is not None)
    rows = {row.period: row for row in read.ask(statement, programme_id=programme_id, **_asked(cut)).all()}
    number = month_number if by is By.MONTH else week_number
    first, last = number(cut.window.start), number(cut.window.end - date.resolution)
    return {
        period: _kept_from(rows.get(period - 1), rows.get(period)) for period in range(first + 1, last + 1)
    }


def _kept_from(before: Row | None, present: Row | None) -> Kept:
    start, again, net, net_after = (
        (int(before.active), int(before.kept), int(before.net), int(before.net_after))
        if before
        else (0, 0, 0, 0)
    )
    active = int(present.active) if present else 0
    return Kept(Retention(start, active, active - again), RevenueRetention(net, net_after))


_own_months = (
    select(purchase.c.member_id, _month(purchase.c.local_day).label("month"))
    .where(
        purchase.c.programme_id == _PROGRAMME,
        purchase.c.member_id.is_not(None),
        purchase.c.voided_by.is_(None),
        purchase.c.local_day < _END_DAY,
    )
    .distinct()
    .subquery("own_month")
)
_since_first = select(
    _own_months.c.month,
    func.min(_own_months.c.month).over(partition_by=_own_months.c.member_id).label("first"),
).subquery("since_first")
_COHORTS = (
    select(_since_first.c.first, _since_first.c.month, func.count().label("customers"))
    .where(_since_first.c.first >= bindparam("first_month", type_=Integer))
    .group_by(_since_first.c.first, _since_first.c.month)
)


def cohort_cells(read: Read, programme_id: int, window: Window) -> dict[tuple[int, int], int]:
    """Customers by (month of their first order ever, month of an order), first orders from the window."""
    rows = read.ask(
        _COHORTS,
        programme_id=programme_id,
        end_day=day_number(window.end),
        first_month=month_number(window.start),
    ).all()
    return {(row.first, row.month): row.customers for row in rows}


@lru_cache
def _visits() -> Select[Any]:
    rows = _movements(Basis.ORDER_DATE, people=True)
    days = (
        select(rows.c.member_id, rows.c.local_day, func.sum(rows.c.net).label("net"))
        .group_by(rows.c.member_id, rows.c.local_day)
        .subquery("day")
    )
    since_first = select(
        days, func.min(days.c.local_day).over(partition_by=days.c.member_id).label("first_day")
    ).subquery("since_first_day")
    return select(
        since_first.c.member_id,
        func.count().label("days"),
        func.min(since_first.c.local_day).label("first_day"),
        func.max(since_first.c.local_day).label("last_day"),
        func.sum(case((since_first.c.local_day > since_first.c.first_day, since_first.c.net), else_=0)).label(
            "net_of_repeats"
        ),
    ).group_by(since_first.c.member_id)


@dataclass(frozen=True, slots=True)
class Visits:
    """On how many days a customer ordered; what the days after the first one brought, in minor units."""

    member_id: int
    days: int
    first_day: date
    last_day: date
    net_of_repeats_minor: int


def visits(read: Read, programme_id: int, window: Window) -> list[Visits]:
    """Every customer of the window, in the order of their ids."""
    rows = read.ask(_visits(), programme_id=programme_id, **_days(window)).all()
    found = [
        Visits(row.member_id, row.days, _day(row.first_day), _day(row.last_day), int(row.net_of_repeats))
        for row in rows
    ]
    return sorted(found, key=lambda one: one.member_id)


def _day(number: int) -> date:
    return date(number // 10_000, number // 100 % 100, number % 100)


@dataclass(frozen=True, slots=True)
class Scored:
    """Customers with the same recency, frequency and money scores, 1 to 5 each."""

    recency: int
    frequency: int
    money: int
    customers: int
    orders: int
    net_minor: int


def _score(value: ColumnElement[Any], people: ColumnElement[Any]) -> ColumnElement[int]:
    """min(5, 1 + ⌊5 · percent rank⌋) in whole numbers, so that no rounding can move anybody."""
    before = func.rank().over(order_by=value) - 1
    others = case((people > 1, people - 1), else_=1)
    step = 1 + 5 * before // others
    return case((step > 5, 5), else_=step)


@lru_cache
def _scored(basis: Basis, channel: bool, location: bool) -> Select[Any]:
    rows = _movements(basis, channel=channel, location=location, people=True)
    each = (
        select(
            rows.c.member_id,
            func.max(case((rows.c.orders == 1, rows.c.local_day))).label("last_day"),
            func.sum(rows.c.orders).label("orders"),
            func.sum(rows.c.net).label("net"),
        )
        .group_by(rows.c.member_id)
        .having(func.sum(rows.c.orders) > 0)
        .subquery("each_customer")
    )
    counted = select(each, func.count().over().label("people")).subquery("counted")
    graded = select(
        counted.c.member_id,
        counted.c.orders,
        counted.c.net,
        _score(counted.c.last_day, counted.c.people).label("recency"),
        _score(counted.c.orders, counted.c.people).label("frequency"),
        _score(counted.c.net, counted.c.people).label("money"),
    ).subquery("graded")
    return select(
        graded.c.recency,
        graded.c.frequency,
        graded.c.money,
        func.count().label("customers"),
        func.sum(graded.c.orders).label("orders"),
        func.sum(graded.c.net).label("net"),
    ).group_by(graded.c.recency, graded.c.frequency, graded.c.money)


def scored(read: Read, programme_id: int, cut: Cut) -> list[Scored]:
    """Customers of the window by when they last ordered, how often, and for how much."""
    statement = _scored(cut.basis, cut.channel is not None, cut.location is not None)
    rows = read.ask(statement, programme_id=programme_id, **_asked(cut)).all()
    return [Scored(*map(int, tuple(row))) for row in rows]


# Points ------------------------------------------------------------------------

SLOT_SECONDS = 900
"""Every zone's days begin on a quarter of an hour of UTC, so sums by quarter fold into its days."""

_SLOT_MICROS = SLOT_SECONDS * 1_000_000
_FROM: ColumnElement[int] = bindparam("from_at", type_=BigInteger)
_UNTIL: ColumnElement[int] = bindparam("until_at", type_=BigInteger)

_EARNED = {PostingKind.EARN: 1, PostingKind.CLAWBACK: -1}
_BONUS = {PostingKind.BONUS: 1}
_BURNED = {PostingKind.CAPTURE: 1, PostingKind.REDEEM: 1, PostingKind.RESTORE: -1}
_EXPIRED = {PostingKind.EXPIRE: 1}


def _flow_bucket(by: By | None, moved: FromClause) -> tuple[ColumnElement[Any], FromClause]:
    if by is None:
        return null(), moved
    if by in (By.MONTH, By.WEEK):
        return posting.c.occurred_at // _SLOT_MICROS, moved
    caused = moved.join(
        receipt, (receipt.c.programme_id == posting.c.programme_id) & (receipt.c.id == posting.c.receipt_id)
    )
    if by is By.SOURCE:
        same = (joining.c.programme_id == receipt.c.programme_id) & (
            joining.c.member_id == receipt.c.member_id
        )
        return joining.c.source, caused.outerjoin(joining, same)
    if by is By.TIER:
        same = (member.c.programme_id == receipt.c.programme_id) & (member.c.id == receipt.c.member_id)
        return member.c.tier, caused.outerjoin(member, same)
    return receipt.c[by.value], caused


@lru_cache
def _flow(by: By | None) -> Select[Any]:
    """Points by kind; what a reversal undid takes away from the kind that it undid."""
    undone = posting.alias("undone")
    in_window = and_(
        posting.c.programme_id == _PROGRAMME,
        posting.c.asset == POINTS,
        posting.c.occurred_at >= _FROM,
        posting.c.occurred_at < _UNTIL,
    )
    bucket, tables = _flow_bucket(by, posting)
    done = (
        select(bucket.label("bucket"), posting.c.kind.label("kind"), posting.c.amount.label("amount"))
        .select_from(tables)
        .where(in_window, posting.c.kind != PostingKind.REVERSAL.value)
    )
    reversing = posting.join(
        undone, (undone.c.programme_id == posting.c.programme_id) & (undone.c.id == posting.c.reverses)
    )
    bucket, tables = _flow_bucket(by, reversing)
    taken_back = (
        select(bucket.label("bucket"), undone.c.kind, -posting.c.amount)
        .select_from(tables)
        .where(in_window, posting.c.kind == PostingKind.REVERSAL.value)
    )
    moves = union_all(done, taken_back).subquery("move")
    return select(moves.c.bucket, moves.c.kind, func.sum(moves.c.amount).label("amount")).group_by(
        moves.c.bucket, moves.c.kind
    )


def points(
    read: Read, programme_id: int, *, since: datetime, until: datetime, by: By | None = None
) -> dict[Bucketed, PointsFlow]:
    """Points that moved in `[since, until)` by business time.

    For months and weeks the buckets are slots of SLOT_SECONDS, which whoever
    knows the zone adds up.
    """
    rows = read.ask(_flow(by), programme_id=programme_id, from_at=micros(since), until_at=micros(until)).all()
    amounts: dict[Bucketed, dict[str, int]] = {}
    for row in rows:
        amounts.setdefault(row.bucket, {})[row.kind] = int(row.amount)
    return {bucket: _flow_of(moved) for bucket, moved in amounts.items()}


def _flow_of(moved: dict[str, int]) -> PointsFlow:
    earned, bonus, burned, expired = (
        sum(sign * moved.get(kind.value, 0) for kind, sign in signs.items())
        for signs in (_EARNED, _BONUS, _BURNED, _EXPIRED)
    )
    return PointsFlow(earned, bonus, burned, expired)


_ISSUING = (PostingKind.EARN, PostingKind.BONUS, PostingKind.ADJUST)
# A hold takes points out of their lots; what it does not capture goes back.
_USING = (
    PostingKind.REDEEM.value,
    PostingKind.HOLD.value,
    PostingKind.VOID.value,
    PostingKind.CAPTURE.value,
    PostingKind.RESTORE.value,
)
_source_posting, _taking, _undone = posting.alias("source"), posting.alias("taking"), posting.alias("undone")
_issued_lots = (
    select(lot.c.id, lot.c.original, lot.c.remaining)
    .select_from(
        lot.join(
            _source_posting,
            (_source_posting.c.programme_id == lot.c.programme_id)
            & (_source_posting.c.id == lot.c.posting_id),
        )
    )
    .where(
        lot.c.programme_id == _PROGRAMME,
        lot.c.asset == POINTS,
        lot.c.earned_at >= _FROM,
        lot.c.earned_at < _UNTIL,
        _one_of(_source_posting.c.kind, _ISSUING),
    )
)
_issued = _issued_lots.subquery("issued")
_ISSUED = select(
    func.coalesce(func.sum(_issued.c.original), 0), func.coalesce(func.sum(_issued.c.remaining), 0)
)
_meant = case(
    (_taking.c.kind == PostingKind.REVERSAL.value, _undone.c.kind),
    else_=_taking.c.kind,
)
_TAKEN = (
    select(_meant.label("kind"), func.sum(consumption.c.amount).label("amount"))
    .select_from(
        consumption.join(_issued, _issued.c.id == consumption.c.lot_id)
        .join(
            _taking,
            (_taking.c.programme_id == consumption.c.programme_id)
            & (_taking.c.id == consumption.c.posting_id),
        )
        .outerjoin(
            _undone,
            (_undone.c.programme_id == _taking.c.programme_id) & (_undone.c.id == _taking.c.reverses),
        )
    )
    .where(consumption.c.programme_id == _PROGRAMME)
    .group_by(_meant)
)


def issue_cohort(read: Read, programme_id: int, *, since: datetime, until: datetime) -> IssueCohort:
    """The points earned or given in `[since, until)` and what became of them by now.

    Points on hold count as used.
    """
    values = {"programme_id": programme_id, "from_at": micros(since), "until_at": micros(until)}
    total, taken = read.ask(_ISSUED, **values).one(), read.ask(_TAKEN, **values).all()
    assert total is not None
    amounts = {row.kind: int(row.amount) for row in taken}
    used = sum(amounts.pop(kind, 0) for kind in _USING)
    expired = amounts.pop(PostingKind.EXPIRE.value, 0)
    return IssueCohort(int(total[0]), used, expired, sum(amounts.values()), int(total[1]))


_usable = and_(
    account.c.programme_id == _PROGRAMME,
    account.c.asset == POINTS,
    _one_of(account.c.owner_kind, (OwnerKind.MEMBER, OwnerKind.POOL)),
)


def _above(balance: ColumnElement[Any], bucket: ColumnElement[Any]) -> Select[Any]:
    return select(
        bucket.label("bucket"),
        func.sum(case((balance > 0, balance), else_=0)).label("above"),
        func.sum(case((balance < 0, -balance), else_=0)).label("below"),
    ).group_by(bucket)


_OUTSTANDING = _above(account.c.balance, account.c.bucket).where(_usable)
_sides = union_all(
    *(
        select(side.label("account_id"), amount.label("amount")).where(
            posting.c.programme_id == _PROGRAMME,
            posting.c.asset == POINTS,
            posting.c.occurred_at < _UNTIL,
        )
        for side, amount in ((posting.c.target, posting.c.amount), (posting.c.source, -posting.c.amount))
    )
).subquery("side")
_then = (
    select(_sides.c.account_id, func.sum(_sides.c.amount).label("balance"))
    .group_by(_sides.c.account_id)
    .subquery("then_held")
)
_OUTSTANDING_AT = (
    _above(_then.c.balance, account.c.bucket)
    .select_from(_then.join(account, account.c.id == _then.c.account_id))
    .where(_usable)
)


def outstanding(read: Read, programme_id: int, *, at: datetime | None = None) -> Outstanding:
    """Points that members could still use: now by their balances, or at an instant by the journal."""
    if at is None:
        rows = read.ask(_OUTSTANDING, programme_id=programme_id).all()
    else:
        rows = read.ask(_OUTSTANDING_AT, programme_id=programme_id, until_at=micros(at)).all()
    above = {row.bucket: int(row.above) for row in rows}
    return Outstanding(
        pending=above.get(Bucket.PENDING.value, 0),
        available=above.get(Bucket.AVAILABLE.value, 0),
        held=above.get(Bucket.HELD.value, 0),
        deficit=sum(int(row.below) for row in rows),
    )


# Members -----------------------------------------------------------------------

_AT: ColumnElement[int] = bindparam("at", type_=BigInteger)


def _open_at(instant: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(
        member.c.joined_at <= instant, or_(member.c.closed_at.is_(None), member.c.closed_at > instant)
    )


# Whoever was merged into another member is that member from the start.
_himself = member.c.merged_into.is_(None)
_OPEN = (
    select(func.count())
    .select_from(member)
    .where(member.c.programme_id == _PROGRAMME, _himself, _open_at(_AT))
)
_moving = member.alias("moving")
_ACTIVE = (
    select(func.count(distinct(member.c.id)))
    .select_from(
        posting.join(
            receipt,
            (receipt.c.programme_id == posting.c.programme_id) & (receipt.c.id == posting.c.receipt_id),
        )
        .join(
            _moving,
            (_moving.c.programme_id == receipt.c.programme_id) & (_moving.c.id == receipt.c.member_id),
        )
        .join(
            member,
            (member.c.programme_id == _moving.c.programme_id)
            & (member.c.id == func.coalesce(_moving.c.merged_into, _moving.c.id)),
        )
    )
    .where(
        posting.c.programme_id == _PROGRAMME,
        posting.c.asset == POINTS,
        _one_of(posting.c.kind, (PostingKind.EARN, PostingKind.REDEEM, PostingKind.CAPTURE)),
        posting.c.occurred_at >= _FROM,
        posting.c.occurred_at <= _AT,
        receipt.c.undone_by.is_(None),
        _open_at(_AT),
    )
)


def active_members(read: Read, programme_id: int, *, since: datetime, at: datetime) -> tuple[int, int]:
    """Open members at an instant who earned or burned since another, and all open members."""
    active = read.ask(_ACTIVE, programme_id=programme_id, from_at=micros(since), at=micros(at))
    everybody = read.ask(_OPEN, programme_id=programme_id, at=micros(at))
    return int(active.value()), int(everybody.value())


def _tier_at(instant: ColumnElement[int]) -> ColumnElement[str]:
    """A member's tier at an instant, blank for none: by the change before, the one after, or as it is now."""

    def change(key: ColumnElement[Any], when: ColumnElement[bool], *order: ColumnElement[Any]) -> Any:
        return (
            select(func.coalesce(key, ""))
            .where(
                tier_change.c.programme_id == member.c.programme_id,
                tier_change.c.member_id == member.c.id,
                when,
            )
            .order_by(*order)
            .limit(1)
            .scalar_subquery()
        )

    at, number = tier_change.c.at, tier_change.c.id
    return func.coalesce(
        change(tier_change.c.to_key, at <= instant, at.desc(), number.desc()),
        change(tier_change.c.from_key, at > instant, at, number),
        member.c.tier,
        "",
    )


def _migration() -> Select[Any]:
    named: list[ColumnElement[Any]] = []
    for name, instant in (("start", _FROM), ("end", _UNTIL)):
        state = case((member.c.joined_at > instant, "joined"), (_open_at(instant), "open"), else_="closed")
        named += [state.label(f"state_{name}"), _tier_at(instant).label(f"tier_{name}")]
    each = select(*named).where(member.c.programme_id == _PROGRAMME, _himself).subquery("each_member")
    return select(*each.c, func.count().label("members")).group_by(*each.c)


_MIGRATION = _migration()


@dataclass(frozen=True, slots=True)
class Moved:
    """Members by tier at two instants; a state is `open`, `joined` (later) or `closed` (by then)."""

    state_start: str
    tier_start: str | None
    state_end: str
    tier_end: str | None
    members: int


def tier_moves(read: Read, programme_id: int, *, since: datetime, until: datetime) -> list[Moved]:
    """Who was in which tier at two instants, everybody who ever joined included."""
    rows = read.ask(
        _MIGRATION, programme_id=programme_id, from_at=micros(since), until_at=micros(until)
    ).all()
    return [
        Moved(row.state_start, row.tier_start or None, row.state_end, row.tier_end or None, row.members)
        for row in rows
    ]


# From the poster to the first reward ---------------------------------------------

_JOIN_COUNTS = (
    select(join_count.c.source, join_count.c.step, func.sum(join_count.c.count).label("count"))
    .where(
        join_count.c.programme_id == _PROGRAMME,
        join_count.c.local_day >= _FIRST_DAY,
        join_count.c.local_day < _END_DAY,
    )
    .group_by(join_count.c.source, join_count.c.step)
)
_AT_TILLS = (ReceiptKind.ACCRUE, ReceiptKind.REDEEM, ReceiptKind.HOLD)


def _first(*conditions: ColumnElement[bool]) -> ColumnElement[int | None]:
    return func.min(case((and_(*conditions), receipt.c.occurred_at)))


_stands = receipt.c.undone_by.is_(None)
_STEPS = (
    select(
        func.min(joining.c.source).label("source"),
        func.min(member.c.joined_at).label("joined_at"),
        func.min(card.c.issued_at).label("issued_at"),
        func.min(card.c.installed_at).label("installed_at"),
        _first(_one_of(receipt.c.kind, _AT_TILLS)).label("scanned_at"),
        _first(receipt.c.kind == ReceiptKind.ACCRUE.value, receipt.c.points > 0, _stands).label("earned_at"),
        _first(_one_of(receipt.c.kind, (ReceiptKind.REDEEM, ReceiptKind.CAPTURE)), _stands).label(
            "redeemed_at"
        ),
    )
    .select_from(
        member.outerjoin(
            joining,
            (joining.c.programme_id == member.c.programme_id) & (joining.c.member_id == member.c.id),
        )
        .outerjoin(card, (card.c.programme_id == member.c.programme_id) & (card.c.member_id == member.c.id))
        .outerjoin(
            receipt,
            (receipt.c.programme_id == member.c.programme_id) & (receipt.c.member_id == member.c.id),
        )
    )
    .where(
        member.c.programme_id == _PROGRAMME,
        _himself,
        member.c.joined_at >= _FROM,
        member.c.joined_at < _UNTIL,
    )
    .group_by(member.c.id)
)


def join_counts(read: Read, programme_id: int, window: Window) -> dict[tuple[str, str], int]:
    """How often the join page was shown and sent, by (source, step)."""
    rows = read.ask(_JOIN_COUNTS, programme_id=programme_id, **_days(window)).all()
    return {(row.source, row.step): int(row.count) for row in rows}


@dataclass(frozen=True, slots=True)
class Steps:
    """When one member took each step for the first time, in microseconds since the epoch."""

    source: str | None
    joined_at: int
    issued_at: int | None
    installed_at: int | None
    scanned_at: int | None
    earned_at: int | None
    redeemed_at: int | None


def steps(read: Read, programme_id: int, *, since: datetime, until: datetime) -> list[Steps]:
    """The first steps of everybody who joined in `[since, until)`, whenever they were taken."""
    rows = read.ask(_STEPS, programme_id=programme_id, from_at=micros(since), until_at=micros(until)).all()
    return [Steps(*row) for row in rows]


_in_time = and_(card.c.programme_id == _PROGRAMME, card.c.installed_at.is_not(None))
_still_on = or_(card.c.removed_at.is_(None), card.c.removed_at >= _FROM)
_REMOVALS = select(
    func.coalesce(func.sum(case((and_(card.c.installed_at < _FROM, _still_on), 1), else_=0)), 0).label(
        "start"
    ),
    func.coalesce(
        func.sum(case((and_(card.c.removed_at >= _FROM, card.c.removed_at < _UNTIL), 1), else_=0)), 0
    ).label("removed"),
).where(_in_time)


def removals(read: Read, programme_id: int, *, since: datetime, until: datetime) -> tuple[int, int]:
    """Cards on a phone at the start, and cards whose last phone let go of them in `[since, until)`."""
    row = read.ask(_REMOVALS, programme_id=programme_id, from_at=micros(since), until_at=micros(until)).one()
    assert row is not None
    return int(row.start), int(row.removed)


# Offers ------------------------------------------------------------------------

_OFFER: ColumnElement[int] = bindparam("offer_id", type_=BigInteger)
_after_start = and_(
    purchase.c.occurred_at >= _AT,
    purchase.c.occurred_at >= offer_assignment.c.at,
    purchase.c.occurred_at < _UNTIL,
)
_came_back = (
    select(func.coalesce(func.sum(goods_return.c.net_minor), 0))
    .where(
        goods_return.c.programme_id == purchase.c.programme_id,
        goods_return.c.purchase_id == purchase.c.id,
    )
    .scalar_subquery()
)
_net_after_returns = cast(purchase.c.net_minor - _came_back, BigInteger)
_each_assigned = (
    select(
        offer_assignment.c.member_id,
        offer_assignment.c.arm,
        func.sum(case((_after_start, 1), else_=0)).label("orders"),
        # Floats: squares of amounts go beyond 63 bits.
        cast(func.sum(case((_after_start, _net_after_returns), else_=0)), Float(53)).label("y"),
        cast(func.sum(case((purchase.c.occurred_at < _AT, _net_after_returns), else_=0)), Float(53)).label(
            "x"
        ),
    )
    .select_from(
        offer_assignment.outerjoin(
            purchase,
            and_(
                purchase.c.programme_id == offer_assignment.c.programme_id,
                purchase.c.member_id == offer_assignment.c.member_id,
                purchase.c.occurred_at >= _FROM,
                purchase.c.occurred_at < _UNTIL,
                purchase.c.voided_by.is_(None),
            ),
        )
    )
    .where(offer_assignment.c.programme_id == _PROGRAMME, offer_assignment.c.offer_id == _OFFER)
    .group_by(offer_assignment.c.member_id, offer_assignment.c.arm)
    .subquery("each_assigned")
)
_ARMS = select(
    _each_assigned.c.arm,
    func.count().label("size"),
    func.sum(case((_each_assigned.c.orders > 0, 1), else_=0)).label("buyers"),
    func.sum(_each_assigned.c.orders).label("orders"),
    func.sum(_each_assigned.c.y).label("y"),
    func.sum(_each_assigned.c.x).label("x"),
    func.sum(_each_assigned.c.y * _each_assigned.c.y).label("yy"),
    func.sum(_each_assigned.c.x * _each_assigned.c.x).label("xx"),
    func.sum(_each_assigned.c.x * _each_assigned.c.y).label("xy"),
).group_by(_each_assigned.c.arm)
_USES = select(
    func.count().label("uses"),
    func.coalesce(func.sum(offer_use.c.discount_minor), 0).label("discount"),
    func.coalesce(func.sum(offer_use.c.points), 0).label("points"),
).where(
    offer_use.c.programme_id == _PROGRAMME, offer_use.c.offer_id == _OFFER, offer_use.c.state == "consumed"
)


@dataclass(frozen=True, slots=True)
class Arm:
    """Everybody assigned to an arm: `buyers` ordered since, `spend` sums their net in minor units."""

    buyers: int
    orders: int
    spend: Sums


def arms(
    read: Read, programme_id: int, offer_id: int, *, before: datetime, since: datetime, until: datetime
) -> dict[str, Arm]:
    """What each arm of an offer bought in `[since, until)`, and in `[before, since)` for comparison."""
    rows = read.ask(
        _ARMS,
        programme_id=programme_id,
        offer_id=offer_id,
        from_at=micros(before),
        at=micros(since),
        until_at=micros(until),
    ).all()
    return {
        row.arm: Arm(
            int(row.buyers),
            int(row.orders),
            Sums(int(row.size), *(float(value) for value in (row.y, row.x, row.yy, row.xx, row.xy))),
        )
        for row in rows
    }


def offer_uses(read: Read, programme_id: int, offer_id: int) -> tuple[int, int, int]:
    """How often an offer was used, and the discount (minor units) and points that it gave."""
    row = read.ask(_USES, programme_id=programme_id, offer_id=offer_id).one()
    assert row is not None
    return int(row.uses), int(row.discount), int(row.points)


_OFFER_BY_KEY = select(
    offer.c.id, offer.c.published_at, offer.c.starts_at, offer.c.ends_at, offer.c.ended_at
).where(offer.c.programme_id == _PROGRAMME, offer.c.key == bindparam("key"))


@dataclass(frozen=True, slots=True)
class OfferTimes:
    """When an offer began and ends; None where it has not or is open."""

    id: int
    since: datetime | None
    until: datetime | None


def offer_times(read: Read, programme_id: int, key: str) -> OfferTimes | None:
    """The times of an offer; None when there is no such offer. What ended early ended then."""
    row = read.ask(_OFFER_BY_KEY, programme_id=programme_id, key=key).one()
    if row is None:
        return None
    starts = [at for at in (row.starts_at, row.published_at) if at is not None]
    ends = [at for at in (row.ends_at, row.ended_at) if at is not None]
    return OfferTimes(
        row.id, instant_or_none(max(starts, default=None)), instant_or_none(min(ends, default=None))
    )
