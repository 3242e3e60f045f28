"""Whose card it is, and what a member did today: what the till's rules look at."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, func, select

from passes.loyalty.receipt import Counter, ReceiptKind
from passes.loyalty.safety import Earlier
from passes.store.ids import first_id
from passes.store.instants import instant, micros
from passes.store.models import card, card_code, member, receipt, staff, staff_card
from passes.store.work import Answer, Read

# A card that was merged with another is still its owner's.
_staff_cards = staff.join(staff_card, staff_card.c.staff_id == staff.c.id).join(
    member, (member.c.programme_id == staff_card.c.programme_id) & (member.c.id == staff_card.c.member_id)
)
_whose = func.coalesce(member.c.merged_into, member.c.id)
_OWN_BY_CODE = (
    select(staff_card.c.member_id)
    .select_from(
        _staff_cards.join(
            card, (card.c.programme_id == staff_card.c.programme_id) & (card.c.member_id == _whose)
        ).join(
            card_code, (card_code.c.programme_id == card.c.programme_id) & (card_code.c.card_id == card.c.id)
        )
    )
    .where(
        card_code.c.programme_id == bindparam("programme_id"),
        card_code.c.code == bindparam("code"),
        staff.c.login == bindparam("login"),
    )
)
_OWN = (
    select(staff_card.c.member_id)
    .select_from(_staff_cards)
    .where(
        staff_card.c.programme_id == bindparam("programme_id"),
        _whose == bindparam("member_id"),
        staff.c.login == bindparam("login"),
    )
)
# Ids follow the clock, so that only the newest entries of a member are looked at.
_PURCHASES_BETWEEN = select(
    receipt.c.amount_minor, receipt.c.location, receipt.c.till, receipt.c.person, receipt.c.occurred_at
).where(
    receipt.c.programme_id == bindparam("programme_id"),
    receipt.c.member_id == bindparam("member_id"),
    receipt.c.id >= bindparam("first"),
    receipt.c.kind == ReceiptKind.ACCRUE.value,
    receipt.c.undone_by.is_(None),
    receipt.c.occurred_at >= bindparam("since"),
    receipt.c.occurred_at < bindparam("until"),
)


_USED_AT = select(receipt.c.location).where(
    receipt.c.programme_id == bindparam("programme_id"),
    receipt.c.member_id == bindparam("member_id"),
    receipt.c.id >= bindparam("first"),
    (receipt.c.kind == ReceiptKind.ACCRUE.value) | (receipt.c.kind == ReceiptKind.REDEEM.value),
    receipt.c.undone_by.is_(None),
    receipt.c.occurred_at >= bindparam("since"),
)


def own_by_code(read: Read, programme_id: int, *, code: str, login: str) -> Answer:
    """A row where the card with this code belongs to that person of the staff, however they are spelt."""
    return read.ask(_OWN_BY_CODE, programme_id=programme_id, code=code, login=_plain(login))


def is_own(read: Read, programme_id: int, *, member_id: int, login: str) -> bool:
    """Whether the member is that person of the staff, however they are spelt."""
    asked = read.ask(_OWN, programme_id=programme_id, member_id=member_id, login=_plain(login))
    return asked.one() is not None


def _plain(login: str) -> str:
    # As logins are kept.
    return login.strip().lower()


def purchases_between(
    read: Read, programme_id: int, member_id: int, *, since: datetime, until: datetime
) -> list[Earlier]:
    """A member's purchases of some hours that were not undone."""
    rows = read.ask(
        _PURCHASES_BETWEEN,
        programme_id=programme_id,
        member_id=member_id,
        first=first_id(since),
        since=micros(since),
        until=micros(until),
    ).all()
    return [
        Earlier(
            row.amount_minor or 0,
            Counter(location=row.location, till=row.till, person=row.person),
            instant(row.occurred_at),
        )
        for row in rows
    ]


def used_at(read: Read, programme_id: int, member_id: int, *, since: datetime) -> set[str | None]:
    """Where a member bought or redeemed something since then."""
    rows = read.ask(
        _USED_AT, programme_id=programme_id, member_id=member_id, first=first_id(since), since=micros(since)
    )
    return {row.location for row in rows.all()}
