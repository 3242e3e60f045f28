"""What each arm of an offer bought."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    func,
    select,
)

from passes.loyalty.dates import day_number
from passes.loyalty.experiments import Sums
from passes.store.insights.asking import AT, FROM, PROGRAMME, UNTIL, Basis, Window, days_of
from passes.store.insights.turnover import movements
from passes.store.instants import instant_or_none, micros
from passes.store.models import (
    offer,
    offer_assignment,
    offer_use,
)
from passes.store.work import Read, Row

_OFFER: ColumnElement[int] = bindparam("offer_id", type_=BigInteger)
_rows = movements(Basis.ORDER_DATE, people=True)
_after_start = and_(_rows.c.order_at >= AT, _rows.c.order_at >= offer_assignment.c.at)
_before_start = _rows.c.order_at < AT
_each_buyer = (
    select(
        offer_assignment.c.member_id,
        offer_assignment.c.arm,
        func.sum(case((_after_start, _rows.c.orders), else_=0)).label("orders"),
        # Floats: squares of amounts go beyond 63 bits.
        cast(func.sum(case((_after_start, _rows.c.net), else_=0)), Float(53)).label("y"),
        cast(func.sum(case((_before_start, _rows.c.net), else_=0)), Float(53)).label("x"),
    )
    .select_from(
        _rows.join(
            offer_assignment,
            and_(
                offer_assignment.c.programme_id == PROGRAMME,
                offer_assignment.c.offer_id == _OFFER,
                offer_assignment.c.member_id == _rows.c.member_id,
            ),
        )
    )
    .where(_rows.c.order_at >= FROM, _rows.c.order_at < UNTIL)
    .group_by(offer_assignment.c.member_id, offer_assignment.c.arm)
    .subquery("each_buyer")
)


def _summed(each: Subquery) -> list[ColumnElement[Any]]:
    return [
        func.sum(case((each.c.orders > 0, 1), else_=0)).label("buyers"),
        func.sum(each.c.orders).label("orders"),
        func.sum(each.c.y).label("y"),
        func.sum(each.c.x).label("x"),
        func.sum(each.c.y * each.c.y).label("yy"),
        func.sum(each.c.x * each.c.x).label("xx"),
        func.sum(each.c.x * each.c.y).label("xy"),
    ]


_BOUGHT = select(_each_buyer.c.arm, *_summed(_each_buyer)).group_by(_each_buyer.c.arm)
_SIZES = (
    select(offer_assignment.c.arm, func.count().label("size"))
    .where(offer_assignment.c.programme_id == PROGRAMME, offer_assignment.c.offer_id == _OFFER)
    .group_by(offer_assignment.c.arm)
)
_USES = select(
    func.count().label("uses"),
    func.coalesce(func.sum(offer_use.c.discount_minor), 0).label("discount"),
    func.coalesce(func.sum(offer_use.c.points), 0).label("points"),
).where(
    offer_use.c.programme_id == PROGRAMME, offer_use.c.offer_id == _OFFER, offer_use.c.state == "consumed"
)


@dataclass(frozen=True, slots=True)
class Arm:
    """Everybody assigned to an arm: `buyers` ordered since, `spend` sums their net in minor units."""

    buyers: int
    orders: int
    spend: Sums


def arms(
    read: Read,
    programme_id: int,
    offer_id: int,
    *,
    days: Window,
    before: datetime,
    since: datetime,
    until: datetime,
) -> dict[str, Arm]:
    """What each arm of an offer bought in `[since, until)`, and in `[before, since)` for comparison.

    `days` are the programme's, and hold all of that time. Who bought nothing counts with zeros.
    """
    of_offer = {"programme_id": programme_id, "offer_id": offer_id}
    times = {"from_at": micros(before), "at": micros(since), "until_at": micros(until)}
    sizes = read.ask(_SIZES, **of_offer).all()
    bought = {row.arm: row for row in read.ask(_BOUGHT, **of_offer, **times, **days_of(days)).all()}
    return {row.arm: _arm(int(row.size), bought.get(row.arm)) for row in sizes}


def _arm(size: int, row: Row | None) -> Arm:
    if row is None:
        return Arm(0, 0, Sums(size, 0.0, 0.0, 0.0, 0.0, 0.0))
    summed = (float(value) for value in (row.y, row.x, row.yy, row.xx, row.xy))
    return Arm(int(row.buyers), int(row.orders), Sums(size, *summed))


_late = _rows.c.local_day >= bindparam("middle_day", type_=Integer)
_each_customer = (
    select(
        _rows.c.member_id,
        func.sum(case((_late, _rows.c.orders), else_=0)).label("orders"),
        cast(func.sum(case((_late, _rows.c.net), else_=0)), Float(53)).label("y"),
        cast(func.sum(case((_late, 0), else_=_rows.c.net)), Float(53)).label("x"),
    )
    .group_by(_rows.c.member_id)
    .subquery("each_customer")
)
_EVERYBODY_BOUGHT = select(*_summed(_each_customer))


def everybody(read: Read, programme_id: int, *, window: Window, middle: date, members: int) -> Arm:
    """What all of so many members bought from `middle` on, and before it in the window."""
    row = read.ask(
        _EVERYBODY_BOUGHT, programme_id=programme_id, middle_day=day_number(middle), **days_of(window)
    ).one()
    return _arm(members, None if row is None or row.orders is None else row)


def offer_uses(read: Read, programme_id: int, offer_id: int) -> tuple[int, int, int]:
    """How often an offer was used, and the discount (minor units) and points that it gave."""
    row = read.ask(_USES, programme_id=programme_id, offer_id=offer_id).one()
    assert row is not None
    return int(row.uses), int(row.discount), int(row.points)


_OFFER_BY_KEY = select(
    offer.c.id, offer.c.published_at, offer.c.starts_at, offer.c.ends_at, offer.c.ended_at
).where(offer.c.programme_id == PROGRAMME, offer.c.key == bindparam("key"))


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
