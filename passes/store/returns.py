"""Goods that came back: what of a sale is still out, and what came back when."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select

from passes.loyalty.basket import Basket, Line
from passes.loyalty.ledger import PostingKind
from passes.loyalty.receipt import Counter
from passes.loyalty.returns import BackLine
from passes.loyalty.stamps import STAMPS
from passes.store.ids import new_id
from passes.store.instants import instant, micros
from passes.store.models import goods_return, posting, purchase, purchase_line, receipt, return_line
from passes.store.work import Read, Row, Work

_purchase = (purchase.c.programme_id == bindparam("programme"), purchase.c.id == bindparam("purchase"))
_SALE = select(purchase).where(*_purchase)
_SALE_LOCKED = _SALE.with_for_update()
_LINES = (
    select(purchase_line)
    .where(
        purchase_line.c.programme_id == bindparam("programme"),
        purchase_line.c.purchase_id == bindparam("purchase"),
    )
    .order_by(purchase_line.c.line_number)
)
_BACK = (
    select(return_line)
    .select_from(
        return_line.join(
            goods_return,
            (goods_return.c.programme_id == return_line.c.programme_id)
            & (goods_return.c.id == return_line.c.return_id),
        )
    )
    .where(
        goods_return.c.programme_id == bindparam("programme"),
        goods_return.c.purchase_id == bindparam("purchase"),
    )
)
_RECEIPTS = (
    select(receipt)
    .select_from(
        goods_return.join(
            receipt,
            (receipt.c.programme_id == goods_return.c.programme_id)
            & (receipt.c.id == goods_return.c.receipt_id),
        )
    )
    .where(
        goods_return.c.programme_id == bindparam("programme"),
        goods_return.c.purchase_id == bindparam("purchase"),
    )
    .order_by(goods_return.c.id)
)
_ANY = (
    select(goods_return.c.id)
    .where(
        goods_return.c.programme_id == bindparam("programme"),
        goods_return.c.purchase_id == bindparam("purchase"),
    )
    .limit(1)
)
# What a member did before, once a purchase is undone.
_LAST_PURCHASE = select(func.max(purchase.c.occurred_at)).where(
    purchase.c.programme_id == bindparam("programme"),
    purchase.c.member_id == bindparam("member"),
    purchase.c.id != bindparam("besides"),
    purchase.c.voided_by.is_(None),
)
_LAST_STAMP = (
    select(func.max(receipt.c.occurred_at))
    .select_from(
        receipt.join(
            posting,
            (posting.c.programme_id == receipt.c.programme_id) & (posting.c.receipt_id == receipt.c.id),
        )
    )
    .where(
        receipt.c.programme_id == bindparam("programme"),
        receipt.c.member_id == bindparam("member"),
        receipt.c.purchase_id != bindparam("besides"),
        receipt.c.undone_by.is_(None),
        posting.c.asset == STAMPS,
        posting.c.kind == PostingKind.EARN.value,
    )
)
_ADD = insert(goods_return)
_ADD_LINE = insert(return_line)


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale as it was booked. `member_id` is None for a guest's; `voided` when it was undone."""

    id: int
    member_id: int | None
    basket: Basket
    net_minor: int
    occurred_at: datetime
    programme_version: int
    voided: bool
    person: str | None = None


def sale(read: Read, programme_id: int, purchase_id: int) -> Sold | None:
    """A sale with its lines; one line that nothing is known about where it has none."""
    return _sold(read, programme_id, read.ask(_SALE, programme=programme_id, purchase=purchase_id).one())


def sale_locked(work: Work, programme_id: int, purchase_id: int) -> Sold | None:
    """As `sale`; nobody else takes anything of it back until this transaction ends."""
    row = work.ask(_SALE_LOCKED, programme=programme_id, purchase=purchase_id).one()
    return _sold(work, programme_id, row)


def _sold(read: Read, programme_id: int, row: Row | None) -> Sold | None:
    if row is None:
        return None
    lines = tuple(
        Line(
            quantity=line.quantity,
            unit_minor=line.unit_minor,
            discount_minor=line.discount_minor,
            sku=line.sku,
            name=line.name,
            category=line.category,
            brand=line.brand,
            tax_minor=line.tax_minor,
        )
        for line in read.ask(_LINES, programme=programme_id, purchase=row.id).all()
    )
    return Sold(
        id=row.id,
        member_id=row.member_id,
        basket=Basket(
            lines or (Line(quantity=1, unit_minor=row.gross_minor),),
            discount_minor=row.order_discount_minor,
            unearning_minor=row.unearning_minor,
        ),
        net_minor=row.net_minor,
        occurred_at=instant(row.occurred_at),
        programme_version=row.programme_version,
        voided=row.voided_by is not None,
        person=row.person,
    )


def lines_back(read: Read, programme_id: int, purchase_id: int) -> list[BackLine]:
    """What has come back of a sale, a line for each line of each return."""
    return [
        BackLine(row.line_number, row.quantity, row.gross_minor, row.net_minor)
        for row in read.ask(_BACK, programme=programme_id, purchase=purchase_id).all()
    ]


def reasons_before(read: Read, programme_id: int, purchase_id: int) -> list[Mapping[str, Any]]:
    """The reasons of the receipts of all returns of a member's purchase, oldest first."""
    rows = read.ask(_RECEIPTS, programme=programme_id, purchase=purchase_id).all()
    return [reason for row in rows for reason in json.loads(row.reasons)]


def any_of(read: Read, programme_id: int, purchase_id: int) -> bool:
    """Whether anything of a sale came back."""
    return read.ask(_ANY, programme=programme_id, purchase=purchase_id).one() is not None


@dataclass(frozen=True, slots=True)
class Last:
    """When a member last bought and was last given a stamp; as stored."""

    purchase_at: int | None
    stamp_at: int | None


def last_before(read: Read, programme_id: int, member_id: int, *, besides: int) -> Last:
    """When a member last bought and was stamped, but for the purchase that is being undone."""
    values = {"programme": programme_id, "member": member_id, "besides": besides}
    bought, stamped = read.ask(_LAST_PURCHASE, **values), read.ask(_LAST_STAMP, **values)
    return Last(bought.value(), stamped.value())


def add(
    work: Work,
    *,
    programme_id: int,
    purchase_id: int,
    member_id: int | None,
    receipt_id: int | None,
    counter: Counter,
    lines: Sequence[BackLine],
    withheld_minor: int,
    local_day: int,
    occurred_at: datetime,
    now: datetime,
) -> int:
    """Write a return and its lines. Returns its id."""
    return_id = new_id(now)
    work.put(
        _ADD,
        programme_id=programme_id,
        id=return_id,
        purchase_id=purchase_id,
        member_id=member_id,
        receipt_id=receipt_id,
        channel=counter.channel,
        location=counter.location,
        till=counter.till,
        person=counter.person,
        gross_minor=sum(line.gross_minor for line in lines),
        net_minor=sum(line.net_minor for line in lines),
        withheld_minor=withheld_minor,
        occurred_at=micros(occurred_at),
        recorded_at=micros(now),
        local_day=local_day,
    )
    work.put_many(
        _ADD_LINE,
        [
            {
                "programme_id": programme_id,
                "return_id": return_id,
                "line_number": line.number,
                "quantity": line.quantity,
                "gross_minor": line.gross_minor,
                "net_minor": line.net_minor,
            }
            for line in lines
        ],
    )
    return return_id
