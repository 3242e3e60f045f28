"""Rewards in members' hands, and points held for them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, func, insert, select, update

from passes.store.ids import new_id
from passes.store.instants import micros
from passes.store.models import hold, redemption
from passes.store.work import Read, Row, Work

ISSUED, USED, CANCELLED, EXPIRED, RESTORED = "issued", "used", "cancelled", "expired", "restored"
AUTHORISED, CAPTURED, VOIDED = "authorised", "captured", "voided"

_ADD = insert(redemption)
_one = (redemption.c.programme_id == bindparam("programme"), redemption.c.id == bindparam("redemption"))
_BY_ID = select(redemption).where(*_one)
_OF_RECEIPT = (
    select(redemption)
    .where(
        redemption.c.programme_id == bindparam("programme"),
        redemption.c.receipt_id == bindparam("receipt"),
    )
    .order_by(redemption.c.id)
)
_OF_PURCHASE = (
    select(redemption)
    .where(
        redemption.c.programme_id == bindparam("programme"),
        redemption.c.purchase_id == bindparam("purchase"),
    )
    .order_by(redemption.c.id)
)
_ISSUED_TO = (
    select(redemption)
    .where(
        redemption.c.programme_id == bindparam("programme"),
        redemption.c.member_id == bindparam("member"),
        redemption.c.state == ISSUED,
    )
    .order_by(redemption.c.id)
)
_COUNT_SINCE = select(func.count()).where(
    redemption.c.programme_id == bindparam("programme"),
    redemption.c.member_id == bindparam("member"),
    redemption.c.reward_key == bindparam("reward"),
    redemption.c.issued_at >= bindparam("since"),
    (redemption.c.state == ISSUED) | (redemption.c.state == USED),
)
_SET_STATE = (
    update(redemption)
    .where(*_one, redemption.c.state == bindparam("was"))
    .values(
        state=bindparam("becomes"),
    )
)
_USE = (
    update(redemption)
    .where(*_one, redemption.c.state == ISSUED)
    .values(
        state=USED,
        used_at=bindparam("at"),
        used_receipt_id=bindparam("by_receipt"),
        purchase_id=bindparam("for_purchase"),
    )
)
_USED_BY = select(redemption).where(
    redemption.c.programme_id == bindparam("programme"),
    redemption.c.member_id == bindparam("member"),
    redemption.c.reward_key == bindparam("reward"),
    redemption.c.used_receipt_id == bindparam("receipt"),
    redemption.c.receipt_id != bindparam("receipt"),
)
_UNUSE = (
    update(redemption)
    .where(*_one, redemption.c.state == USED)
    .values(state=ISSUED, used_at=None, used_receipt_id=None, purchase_id=None)
)
_ADD_HOLD = insert(hold)
_HOLD = select(hold).where(hold.c.programme_id == bindparam("programme"), hold.c.id == bindparam("hold_id"))
_RESOLVE = (
    update(hold)
    .where(
        hold.c.programme_id == bindparam("programme"),
        hold.c.id == bindparam("hold_id"),
        hold.c.state == AUTHORISED,
    )
    .values(
        state=bindparam("becomes"),
        captured=bindparam("taken"),
        resolved_at=bindparam("at"),
        resolved_by=bindparam("receipt"),
    )
)
_EXTEND = (
    update(hold)
    .where(
        hold.c.programme_id == bindparam("programme"),
        hold.c.id == bindparam("hold_id"),
        hold.c.state == AUTHORISED,
        hold.c.extended.is_(False),
    )
    .values(extended=True, lapses_at=bindparam("until"))
)


def add(
    work: Work,
    *,
    programme_id: int,
    member_id: int,
    card_id: int,
    reward_key: str,
    source: str,
    points: int,
    amount_minor: int | None,
    state: str,
    receipt_id: int | None,
    purchase_id: int | None,
    expires_at: datetime | None,
    now: datetime,
) -> int:
    """Put a reward into a member's hands. Returns its id."""
    redemption_id = new_id(now)
    work.put(
        _ADD,
        programme_id=programme_id,
        id=redemption_id,
        member_id=member_id,
        card_id=card_id,
        reward_key=reward_key,
        source=source,
        points=points,
        amount_minor=amount_minor,
        state=state,
        receipt_id=receipt_id,
        used_receipt_id=receipt_id if state == USED else None,
        purchase_id=purchase_id,
        issued_at=micros(now),
        expires_at=None if expires_at is None else micros(expires_at),
        used_at=micros(now) if state == USED else None,
    )
    return redemption_id


def by_id(read: Read, programme_id: int, redemption_id: int) -> Row | None:
    """One reward in somebody's hands."""
    return read.ask(_BY_ID, programme=programme_id, redemption=redemption_id).one()


def of_receipt(read: Read, programme_id: int, receipt_id: int) -> list[Row]:
    """The rewards that a receipt issued, oldest first."""
    return read.ask(_OF_RECEIPT, programme=programme_id, receipt=receipt_id).all()


def of_purchase(read: Read, programme_id: int, purchase_id: int) -> list[Row]:
    """The rewards that were used in a purchase, oldest first."""
    return read.ask(_OF_PURCHASE, programme=programme_id, purchase=purchase_id).all()


def issued_to(read: Read, programme_id: int, member_id: int) -> list[Row]:
    """The rewards that a member has and has not used, oldest first."""
    return read.ask(_ISSUED_TO, programme=programme_id, member=member_id).all()


def count_since(read: Read, programme_id: int, member_id: int, reward_key: str, *, since: int) -> int:
    """How many of a reward a member got since an instant (as stored), those given back not counted."""
    value = read.ask(
        _COUNT_SINCE, programme=programme_id, member=member_id, reward=reward_key, since=since
    ).value()
    return int(value)


def change(
    work: Work,
    programme_id: int,
    redemption_id: int,
    *,
    was: str,
    becomes: str,
) -> None:
    """Move a reward from one state to the next; of two at once, one does."""
    work.put(_SET_STATE, expect=1, programme=programme_id, redemption=redemption_id, was=was, becomes=becomes)


def use(
    work: Work,
    programme_id: int,
    redemption_id: int,
    *,
    receipt_id: int | None,
    purchase_id: int | None,
    now: datetime,
) -> None:
    """A member uses an issued reward; of two at once, one does."""
    work.put(
        _USE,
        expect=1,
        programme=programme_id,
        redemption=redemption_id,
        by_receipt=receipt_id,
        for_purchase=purchase_id,
        at=micros(now),
    )


def used_by(read: Read, programme_id: int, member_id: int, reward_key: str, receipt_id: int) -> list[Row]:
    """The rewards that were issued before and used with this receipt."""
    return read.ask(
        _USED_BY, programme=programme_id, member=member_id, reward=reward_key, receipt=receipt_id
    ).all()


def unuse(work: Work, programme_id: int, redemption_id: int) -> None:
    """A reward was used by mistake: the member has it again."""
    work.put(_UNUSE, expect=1, programme=programme_id, redemption=redemption_id)


def add_hold(
    work: Work,
    *,
    programme_id: int,
    hold_id: int,
    member_id: int,
    card_id: int,
    amount: int,
    posting_id: int,
    redemption_id: int | None,
    lapses_at: datetime,
    now: datetime,
) -> None:
    """Write down points set aside."""
    work.put(
        _ADD_HOLD,
        programme_id=programme_id,
        id=hold_id,
        member_id=member_id,
        card_id=card_id,
        amount=amount,
        captured=0,
        state=AUTHORISED,
        posting_id=posting_id,
        redemption_id=redemption_id,
        extended=False,
        authorised_at=micros(now),
        lapses_at=micros(lapses_at),
        resolved_at=None,
        resolved_by=None,
    )


def hold_by_id(read: Read, programme_id: int, hold_id: int) -> Row | None:
    """One hold as it stands."""
    return read.ask(_HOLD, programme=programme_id, hold_id=hold_id).one()


def resolve_hold(
    work: Work,
    programme_id: int,
    hold_id: int,
    *,
    becomes: str,
    captured: int,
    receipt_id: int,
    now: datetime,
) -> None:
    """End a hold, once."""
    work.put(
        _RESOLVE,
        expect=1,
        programme=programme_id,
        hold_id=hold_id,
        becomes=becomes,
        taken=captured,
        receipt=receipt_id,
        at=micros(now),
    )


def extend_hold(work: Work, programme_id: int, hold_id: int, *, lapses_at: datetime) -> None:
    """Give a hold more time, once."""
    work.put(_EXTEND, expect=1, programme=programme_id, hold_id=hold_id, until=micros(lapses_at))
