"""Who comes back, how often, and for how much."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    func,
    select,
)

from passes.loyalty.dates import day_number
from passes.loyalty.metrics import Retention, RevenueRetention, Worth
from passes.store.insights.asking import (
    END_DAY,
    PROGRAMME,
    Basis,
    Bucketed,
    By,
    Cut,
    Window,
    asked,
    days_of,
    month_number,
    month_of,
    week_number,
    week_of,
)
from passes.store.insights.turnover import bucketed, movements
from passes.store.models import (
    purchase,
)
from passes.store.work import Read, Row


@lru_cache
def _worth(by: By | None, basis: Basis, channel: bool, location: bool) -> Select[Any]:
    rows = movements(basis, channel=channel, location=location, people=True)
    bucket, tables = bucketed(rows, by)
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
    rows = read.ask(statement, programme_id=programme_id, **asked(cut)).all()
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
    rows = movements(basis, channel=channel, location=location, people=True)
    day = rows.c.local_day
    middle: ColumnElement[int] = bindparam("middle_day", type_=Integer)
    return _kept_statement(case((day < middle, 0), else_=1), rows)


@lru_cache
def _kept_by(by: By, basis: Basis, channel: bool, location: bool) -> Select[Any]:
    rows = movements(basis, channel=channel, location=location, people=True)
    period = month_of if by is By.MONTH else week_of
    return _kept_statement(period(rows.c.local_day), rows)


def kept(read: Read, programme_id: int, cut: Cut, *, middle: date) -> Kept:
    """Customers of the window's days before `middle`, seen again in those from `middle` on."""
    statement = _kept_between(cut.basis, cut.channel is not None, cut.location is not None)
    values = {"middle_day": day_number(middle), **asked(cut)}
    rows = {row.period: row for row in read.ask(statement, programme_id=programme_id, **values).all()}
    return _kept_from(rows.get(0), rows.get(1))


def kept_by(read: Read, programme_id: int, cut: Cut, by: By) -> dict[int, Kept]:
    """For each month or week of the window but the first: who of the one before is seen again."""
    statement = _kept_by(by, cut.basis, cut.channel is not None, cut.location is not None)
    rows = {row.period: row for row in read.ask(statement, programme_id=programme_id, **asked(cut)).all()}
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
    select(purchase.c.member_id, month_of(purchase.c.local_day).label("month"))
    .where(
        purchase.c.programme_id == PROGRAMME,
        purchase.c.member_id.is_not(None),
        purchase.c.voided_by.is_(None),
        purchase.c.local_day < END_DAY,
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


_FIRST_SALE = (
    select(purchase.c.local_day)
    .where(
        purchase.c.programme_id == PROGRAMME,
        purchase.c.member_id.is_not(None),
        purchase.c.voided_by.is_(None),
    )
    .order_by(purchase.c.local_day)
    .limit(1)
)


def first_sale(read: Read, programme_id: int) -> date | None:
    """The day of the first purchase of a member; None before."""
    found = read.ask(_FIRST_SALE, programme_id=programme_id).value()
    return None if found is None else _day(found)


@lru_cache
def _visits() -> Select[Any]:
    rows = movements(Basis.ORDER_DATE, people=True)
    days = (
        select(rows.c.member_id, rows.c.local_day, func.sum(rows.c.net).label("net"))
        .group_by(rows.c.member_id, rows.c.local_day)
        .subquery("day")
    )
    since_first = select(
        days, func.min(days.c.local_day).over(partition_by=days.c.member_id).label("first_day")
    ).subquery("since_first_day")
    day: ColumnElement[int] = since_first.c.local_day
    early = day < bindparam("middle_day", type_=Integer)
    return select(
        since_first.c.member_id,
        func.count().label("days"),
        func.min(day).label("first_day"),
        func.max(day).label("last_day"),
        func.sum(case((day > since_first.c.first_day, since_first.c.net), else_=0)).label("net_of_repeats"),
        func.sum(case((early, 1), else_=0)).label("early_days"),
        func.max(case((early, day))).label("last_early_day"),
    ).group_by(since_first.c.member_id)


@dataclass(frozen=True, slots=True)
class Visits:
    """On how many days a customer ordered; what the days after the first one brought, in minor units.

    `early_days` are those before some day, `last_early_day` is the last of them.
    """

    member_id: int
    days: int
    first_day: date
    last_day: date
    net_of_repeats_minor: int
    early_days: int
    last_early_day: date | None


def visits(read: Read, programme_id: int, window: Window, *, middle: date) -> list[Visits]:
    """Every customer of the window, in the order of their ids; early is before `middle`."""
    rows = read.ask(
        _visits(), programme_id=programme_id, middle_day=day_number(middle), **days_of(window)
    ).all()
    found = [
        Visits(
            row.member_id,
            row.days,
            _day(row.first_day),
            _day(row.last_day),
            int(row.net_of_repeats),
            int(row.early_days),
            None if row.last_early_day is None else _day(row.last_early_day),
        )
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
    rows = movements(basis, channel=channel, location=location, people=True)
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
    rows = read.ask(statement, programme_id=programme_id, **asked(cut)).all()
    return [Scored(*map(int, tuple(row))) for row in rows]
