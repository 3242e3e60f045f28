"""Members and receipts page by page, for the shop's own programs: each page begins after an id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, bindparam, func, literal_column, select

from passes.store.ids import first_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.models import account, card, card_code, member, person, receipt
from passes.store.work import Read, Row

_ID_MAX = 2**63 - 1

ROWS_MAX = 256
"""No page is longer. PostgreSQL has to see it when it plans: of a number that comes later it
expects a tenth of all members, and would read a million rows to answer with two hundred."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A member with what they have. The person's columns are None once they left.

    `card_id` and `code` are those of the card that holds now, None where none does.
    """

    id: int
    card_id: int | None
    code: str | None
    name: str | None
    email: str | None
    phone: str | None
    language: str
    joined_at: datetime
    closed_at: datetime | None
    merged_into: int | None
    tier: str | None
    balance: int
    pending: int
    held: int
    stamps: int
    purchases: int
    last_purchase_at: datetime | None


def _in_account(account_id: ColumnElement[int]) -> ColumnElement[int]:
    balance = (
        select(account.c.balance)
        .where(account.c.programme_id == member.c.programme_id, account.c.id == account_id)
        .correlate(member)
        .scalar_subquery()
    )
    return func.coalesce(balance, 0)


def _of_open_card(column: ColumnElement[Any]) -> ScalarSelect[Any]:
    return (
        select(column)
        .select_from(
            card.join(
                card_code,
                (card_code.c.programme_id == card.c.programme_id) & (card_code.c.card_id == card.c.id),
            )
        )
        .where(
            card.c.programme_id == member.c.programme_id,
            card.c.member_id == member.c.id,
            card.c.voided_at.is_(None),
        )
        # The first code was made with the card; later ones came from elsewhere.
        .order_by(card.c.id, card_code.c.added_at, card_code.c.code)
        .limit(1)
        .correlate(member)
        .scalar_subquery()
    )


_MEMBERS = select(
    member.c.id,
    _of_open_card(card.c.id).label("card_id"),
    _of_open_card(card_code.c.code).label("code"),
    person.c.name.label("person_name"),
    person.c.email,
    person.c.phone,
    member.c.language,
    member.c.joined_at,
    member.c.closed_at,
    member.c.merged_into,
    member.c.tier,
    _in_account(member.c.points_account_id).label("balance"),
    _in_account(member.c.pending_account_id).label("pending"),
    _in_account(member.c.held_account_id).label("held"),
    _in_account(member.c.stamps_account_id).label("stamps"),
    member.c.purchases,
    member.c.last_purchase_at,
)
_MEMBER_FILTERS: Mapping[str, ColumnElement[bool]] = {
    "member_id": member.c.id == bindparam("member_id"),
    "tier": member.c.tier == bindparam("tier"),
    "joined_at": member.c.joined_at >= bindparam("joined_at"),
    "code": member.c.id
    == (
        select(card.c.member_id)
        .select_from(
            card_code.join(
                card, (card.c.programme_id == card_code.c.programme_id) & (card.c.id == card_code.c.card_id)
            )
        )
        .where(card_code.c.programme_id == bindparam("programme_id"), card_code.c.code == bindparam("code"))
        .scalar_subquery()
    ),
    "booked_from": member.c.id.in_(
        select(receipt.c.member_id).where(
            receipt.c.programme_id == bindparam("programme_id"),
            receipt.c.id >= bindparam("booked_from"),
            receipt.c.recorded_at >= bindparam("booked_at"),
        )
    ),
}
_RECEIPT_FILTERS: Mapping[str, ColumnElement[bool]] = {
    "member_id": receipt.c.member_id == bindparam("member_id"),
    "location": receipt.c.location == bindparam("location"),
    "kind": receipt.c.kind == bindparam("kind"),
    "recorded_at": receipt.c.recorded_at >= bindparam("recorded_at"),
    "recorded_before": receipt.c.recorded_at < bindparam("recorded_before"),
}


def members(
    read: Read,
    programme_id: int,
    *,
    after: int | None = None,
    newest_first: bool = False,
    limit: int,
    member_id: int | None = None,
    code: str | None = None,
    tier: str | None = None,
    joined_since: datetime | None = None,
    booked_since: datetime | None = None,
) -> list[Listed]:
    """Members after the id `after` in the order asked for. `booked_since`: a receipt was recorded since.

    Those who left and those merged into others are among them.
    """
    wanted = {
        "member_id": member_id,
        "code": code,
        "tier": tier,
        "joined_at": None if joined_since is None else micros(joined_since),
        "booked_from": None if booked_since is None else _floor(booked_since),
        "booked_at": None if booked_since is None else micros(booked_since),
    }
    rows = _page(read, "member", wanted, programme_id, after, joined_since, newest_first, limit)
    return [
        Listed(
            id=row.id,
            card_id=row.card_id,
            code=row.code,
            name=row.person_name,
            email=row.email,
            phone=row.phone,
            language=row.language,
            joined_at=instant(row.joined_at),
            closed_at=instant_or_none(row.closed_at),
            merged_into=row.merged_into,
            tier=row.tier,
            balance=row.balance,
            pending=row.pending,
            held=row.held,
            stamps=row.stamps,
            purchases=row.purchases,
            last_purchase_at=instant_or_none(row.last_purchase_at),
        )
        for row in rows
    ]


def receipts(
    read: Read,
    programme_id: int,
    *,
    after: int | None = None,
    newest_first: bool = False,
    limit: int,
    member_id: int | None = None,
    location: str | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Row]:
    """Rows of `receipt` after the id `after` in the order asked for, recorded in `[since, until)`."""
    wanted = {
        "member_id": member_id,
        "location": location,
        "kind": kind,
        "recorded_at": None if since is None else micros(since),
        "recorded_before": None if until is None else micros(until),
    }
    return _page(read, "receipt", wanted, programme_id, after, since, newest_first, limit)


def _page(
    read: Read,
    what: str,
    wanted: Mapping[str, Any],
    programme_id: int,
    after: int | None,
    since: datetime | None,
    newest_first: bool,
    limit: int,
) -> list[Row]:
    assert limit <= ROWS_MAX
    # No row of that instant or later has an id below this one, so older ones need not be looked through.
    lowest = 0 if since is None else _floor(since)
    above, below = lowest - 1, _ID_MAX
    if after is not None and newest_first:
        below = after
    elif after is not None:
        above = max(above, after)
    given = {name: value for name, value in wanted.items() if value is not None}
    return read.ask(
        _statement(what, frozenset(given), newest_first),
        programme_id=programme_id,
        above=above,
        below=below,
        limit=limit,
        **given,
    ).all()


@cache
def _statement(what: str, filters: frozenset[str], newest_first: bool) -> Select[Any]:
    table, conditions = (member, _MEMBER_FILTERS) if what == "member" else (receipt, _RECEIPT_FILTERS)
    page = (
        select(table.c.id)
        .where(
            table.c.programme_id == bindparam("programme_id"),
            table.c.id > bindparam("above"),
            table.c.id < bindparam("below"),
            *(condition for name, condition in conditions.items() if name in filters),
        )
        .order_by(table.c.id.desc() if newest_first else table.c.id)
        .limit(literal_column(str(ROWS_MAX)))
        .subquery("page")
    )
    found = page.join(table, (table.c.programme_id == bindparam("programme_id")) & (table.c.id == page.c.id))
    if what == "member":
        found = found.outerjoin(
            person, (person.c.programme_id == member.c.programme_id) & (person.c.member_id == member.c.id)
        )
    asked = _MEMBERS if what == "member" else select(receipt)
    return (
        asked.select_from(found)
        .order_by(page.c.id.desc() if newest_first else page.c.id)
        .limit(bindparam("limit"))
    )


def _floor(since: datetime) -> int:
    return max(0, min(first_id(since), _ID_MAX))
