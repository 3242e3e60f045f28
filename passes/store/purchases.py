"""Sales, with or without a member, and their lines."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, func, insert, select, update

from passes.loyalty.basket import Basket, Line
from passes.loyalty.receipt import Counter
from passes.store.ids import new_id
from passes.store.instants import micros
from passes.store.models import goods_return, purchase, purchase_line
from passes.store.work import Read, Row, Work

_ADD = insert(purchase)
_ADD_LINE = insert(purchase_line)
_LINES_OF = (
    select(purchase_line)
    .where(
        purchase_line.c.programme_id == bindparam("programme_id"),
        purchase_line.c.purchase_id == bindparam("purchase_id"),
    )
    .order_by(purchase_line.c.line_number)
)
_ANY = select(purchase.c.id).where(purchase.c.programme_id == bindparam("programme_id")).limit(1)
_ADOPT = (
    update(purchase)
    .where(
        purchase.c.programme_id == bindparam("programme"),
        purchase.c.id == bindparam("purchase"),
        purchase.c.member_id.is_(None),
    )
    .values(member_id=bindparam("member"), card_id=bindparam("card"))
)
_TO_GUESTS = (
    select(
        purchase.c.id,
        purchase.c.net_minor,
        purchase.c.occurred_at,
        purchase.c.recorded_at,
        select(func.min(goods_return.c.id))
        .where(
            goods_return.c.programme_id == purchase.c.programme_id,
            goods_return.c.purchase_id == purchase.c.id,
        )
        .scalar_subquery()
        .label("returned_by"),
    )
    .where(
        purchase.c.programme_id == bindparam("programme_id"),
        purchase.c.local_day == bindparam("local_day"),
        purchase.c.person == bindparam("person"),
        purchase.c.member_id.is_(None),
        purchase.c.voided_by.is_(None),
    )
    .order_by(purchase.c.id.desc())
    .limit(bindparam("limit"))
)
_VOID = (
    update(purchase)
    .where(
        purchase.c.programme_id == bindparam("programme"),
        purchase.c.id == bindparam("purchase"),
        purchase.c.voided_by.is_(None),
    )
    .values(voided_by=bindparam("by"))
)


def add(
    work: Work,
    *,
    programme_id: int,
    programme_version: int,
    member_id: int | None,
    card_id: int | None,
    counter: Counter,
    currency: str,
    basket: Basket,
    has_lines: bool,
    local_day: int,
    occurred_at: datetime,
    now: datetime,
) -> int:
    """Write a sale, and its lines where they are known. Returns its id."""
    purchase_id = new_id(now)
    net_minor = basket.net_minor
    work.put(
        _ADD,
        programme_id=programme_id,
        id=purchase_id,
        member_id=member_id,
        card_id=card_id,
        channel=counter.channel,
        location=counter.location,
        till=counter.till,
        person=counter.person,
        currency=currency,
        gross_minor=basket.gross_minor,
        discount_minor=basket.gross_minor - net_minor,
        order_discount_minor=basket.discount_minor,
        unearning_minor=basket.unearning_minor,
        net_minor=net_minor,
        occurred_at=micros(occurred_at),
        recorded_at=micros(now),
        local_day=local_day,
        programme_version=programme_version,
        voided_by=None,
    )
    if has_lines:
        work.put_many(
            _ADD_LINE,
            [
                {
                    "programme_id": programme_id,
                    "purchase_id": purchase_id,
                    "line_number": number,
                    "sku": line.sku,
                    "name": line.name,
                    "category": line.category,
                    "brand": line.brand,
                    "quantity": line.quantity,
                    "unit_minor": line.unit_minor,
                    "discount_minor": line.discount_minor,
                    "tax_minor": line.tax_minor,
                    "net_minor": line.net_minor,
                }
                for number, line in enumerate(basket.lines, start=1)
            ],
        )
    return purchase_id


def lines_of(read: Read, programme_id: int, purchase_id: int) -> tuple[Line, ...]:
    """The lines of a purchase in their order, none where only its amount is known."""
    return tuple(
        Line(
            quantity=row.quantity,
            unit_minor=row.unit_minor,
            discount_minor=row.discount_minor,
            sku=row.sku,
            name=row.name,
            category=row.category,
            brand=row.brand,
            tax_minor=row.tax_minor,
        )
        for row in read.ask(_LINES_OF, programme_id=programme_id, purchase_id=purchase_id).all()
    )


def any_of(read: Read, programme_id: int) -> bool:
    """Whether anything was ever sold in a programme."""
    return read.ask(_ANY, programme_id=programme_id).one() is not None


def adopt(work: Work, programme_id: int, purchase_id: int, *, member_id: int, card_id: int) -> None:
    """A sale without a member becomes this member's, once."""
    work.put(_ADOPT, expect=1, programme=programme_id, purchase=purchase_id, member=member_id, card=card_id)


def void(work: Work, programme_id: int, purchase_id: int, *, by: int) -> None:
    """Take a sale out of the figures; `by` is the receipt that undid it."""
    work.put(_VOID, expect=1, programme=programme_id, purchase=purchase_id, by=by)


def sold_to_guests(read: Read, programme_id: int, *, person: str, local_day: int, limit: int) -> list[Row]:
    """What somebody sold on a day without a card, newest first, with `returned_by` where goods came back."""
    return read.ask(
        _TO_GUESTS, programme_id=programme_id, person=person, local_day=local_day, limit=limit
    ).all()
