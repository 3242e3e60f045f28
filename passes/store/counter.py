"""What the counter shows of a member, in as few questions as there can be."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, select

from passes.store.instants import instant, micros
from passes.store.members import CARD_OF_CODE, STANDING_COLUMNS, Standing
from passes.store.models import account, card_code, lot, member, person
from passes.store.work import Answer, Read


@dataclass(frozen=True, slots=True)
class Seen:
    """A member behind a code: how they stand, what they are called, and what else they have.

    `name` is empty once the person was erased. `birthday` is month and day.
    """

    standing: Standing
    name: str
    birthday: tuple[int, int] | None
    pending: int
    held: int
    stamps: int


def _in_account(account_id: ColumnElement[int]) -> ScalarSelect[int]:
    other = account.alias()
    return (
        select(other.c.balance)
        .where(other.c.programme_id == member.c.programme_id, other.c.id == account_id)
        .correlate(member)
        .scalar_subquery()
    )


_SEE = (
    select(
        *STANDING_COLUMNS,
        person.c.name.label("person_name"),
        person.c.birthday_month,
        person.c.birthday_day,
        func.coalesce(_in_account(member.c.pending_account_id), 0).label("pending"),
        func.coalesce(_in_account(member.c.held_account_id), 0).label("held"),
        func.coalesce(_in_account(member.c.stamps_account_id), 0).label("stamps"),
    )
    .select_from(
        CARD_OF_CODE.outerjoin(
            person, (person.c.programme_id == member.c.programme_id) & (person.c.member_id == member.c.id)
        )
    )
    .where(card_code.c.programme_id == bindparam("programme_id"), card_code.c.code == bindparam("code"))
)
_NEXT_TO_LAPSE = (
    select(lot.c.expires_at, func.sum(lot.c.remaining).label("points"))
    .where(
        lot.c.programme_id == bindparam("programme_id"),
        lot.c.account_id == bindparam("account_id"),
        lot.c.remaining > 0,
        lot.c.expires_at > bindparam("after"),
    )
    .group_by(lot.c.expires_at)
    .order_by(lot.c.expires_at)
    .limit(1)
)
_STANDING_FIELDS = len(fields(Standing))


def see(read: Read, programme_id: int, code: str) -> Answer:
    """Everything about the member behind a code that is one row; `seen` reads the answer."""
    return read.ask(_SEE, programme_id=programme_id, code=code)


def seen(answer: Answer) -> Seen | None:
    """What `see` found."""
    row = answer.one()
    if row is None:
        return None
    return Seen(
        standing=Standing(*tuple(row)[:_STANDING_FIELDS]),
        name=row.person_name or "",
        birthday=(row.birthday_month, row.birthday_day) if row.birthday_month else None,
        pending=row.pending,
        held=row.held,
        stamps=row.stamps,
    )


def next_to_lapse(
    read: Read, programme_id: int, account_id: int, *, now: datetime
) -> tuple[int, datetime] | None:
    """How many points of an account lapse next, and when; None where none ever do."""
    row = read.ask(_NEXT_TO_LAPSE, programme_id=programme_id, account_id=account_id, after=micros(now)).one()
    return None if row is None else (int(row.points), instant(row.expires_at))
