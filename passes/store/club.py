"""Acts that the club thanks for, corrections by hand, and the log of who decided what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.models import (
    act,
    adjustment,
    audit,
    card,
    member,
    person,
    programme_version,
    receipt,
    staff,
)
from passes.store.work import Read, Row, Work

WAITING, GRANTED, REFUSED, BOOKED = "waiting", "granted", "refused", "booked"


@dataclass(frozen=True, slots=True)
class Act:
    """Something that a member did and that the club may thank for."""

    id: int
    member_id: int
    card_id: int
    action: str
    words: str
    state: str
    submitted_by: str | None
    decided_by: str | None
    receipt_id: int | None
    submitted_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A correction by hand: `note` is for the shop, `words` for the member, `points` below zero take."""

    id: int
    member_id: int
    card_id: int
    points: int
    reason: str
    note: str
    words: str
    state: str
    asked_by: str
    decided_by: str | None
    receipt_id: int | None
    local_day: int
    asked_at: datetime
    decided_at: datetime | None


_ADD_ACT = insert(act)
_ACT = select(act).where(act.c.programme_id == bindparam("programme_id"), act.c.id == bindparam("act_id"))
_ACTS = (
    select(act)
    .where(act.c.programme_id == bindparam("programme_id"))
    .order_by(act.c.id.desc())
    .limit(bindparam("most"))
)
_WAITING_ACTS = (
    select(act)
    .where(act.c.programme_id == bindparam("programme_id"), act.c.state == WAITING)
    .order_by(act.c.id)
    .limit(bindparam("most"))
)
_DECIDE_ACT = (
    update(act)
    .where(
        act.c.programme_id == bindparam("programme"), act.c.id == bindparam("which"), act.c.state == WAITING
    )
    .values(
        state=bindparam("becomes"),
        decided_by=bindparam("by"),
        receipt_id=bindparam("receipt"),
        decided_at=bindparam("at"),
    )
)
_GRANTED_SINCE = select(act.c.submitted_at).where(
    act.c.programme_id == bindparam("programme_id"),
    act.c.member_id == bindparam("member_id"),
    act.c.action_key == bindparam("action"),
    act.c.state == GRANTED,
    act.c.submitted_at >= bindparam("since"),
)
_VERSION_AT = select(func.coalesce(func.max(programme_version.c.version), 1)).where(
    programme_version.c.programme_id == bindparam("programme_id"),
    programme_version.c.loaded_at <= bindparam("at"),
)
_SERVED = (
    select(receipt.c.id)
    .where(
        receipt.c.programme_id == bindparam("programme_id"),
        receipt.c.member_id == bindparam("member_id"),
        receipt.c.person == bindparam("login"),
        receipt.c.till.is_not(None),
        receipt.c.occurred_at >= bindparam("since"),
        receipt.c.occurred_at < bindparam("until"),
    )
    .limit(1)
)
# Staff are no members to this program; a shared address or the same name is taken for one and the same.
_IS_MEMBER = (
    select(staff.c.id)
    .select_from(
        staff.join(
            person,
            (person.c.email_key == func.lower(staff.c.login))
            | (func.lower(person.c.name) == func.lower(staff.c.name)),
        )
    )
    .where(
        person.c.programme_id == bindparam("programme_id"),
        person.c.member_id == bindparam("member_id"),
        staff.c.login == bindparam("login"),
    )
    .limit(1)
)
_EMAIL_KEY = select(person.c.email_key).where(
    person.c.programme_id == bindparam("programme_id"), person.c.member_id == bindparam("member_id")
)
_VALID_CARD = (
    select(card.c.id)
    .select_from(
        member.join(
            card,
            (card.c.programme_id == member.c.programme_id)
            & (card.c.member_id == func.coalesce(member.c.merged_into, member.c.id)),
        )
    )
    .where(member.c.programme_id == bindparam("programme_id"), member.c.id == bindparam("member_id"))
    .order_by(card.c.voided_at.is_not(None), card.c.id.desc())
    .limit(1)
)
_ADD_ADJUSTMENT = insert(adjustment)
_ADJUSTMENT = select(adjustment).where(
    adjustment.c.programme_id == bindparam("programme_id"), adjustment.c.id == bindparam("adjustment_id")
)
_ADJUSTMENTS = (
    select(adjustment)
    .where(adjustment.c.programme_id == bindparam("programme_id"))
    .order_by(adjustment.c.id.desc())
    .limit(bindparam("most"))
)
_DECIDE_ADJUSTMENT = (
    update(adjustment)
    .where(
        adjustment.c.programme_id == bindparam("programme"),
        adjustment.c.id == bindparam("which"),
        adjustment.c.state == WAITING,
    )
    .values(
        state=bindparam("becomes"),
        decided_by=bindparam("by"),
        receipt_id=bindparam("receipt"),
        decided_at=bindparam("at"),
    )
)
_STAFF_ID = select(staff.c.id).where(staff.c.login == bindparam("login"))
_NOTE = insert(audit)


# Acts -------------------------------------------------------------------------


def add_act(
    work: Work,
    *,
    programme_id: int,
    member_id: int,
    card_id: int,
    action: str,
    words: str,
    by: str,
    now: datetime,
) -> int:
    """Write down an act that waits for a decision. Returns its id."""
    act_id = new_id(now)
    work.put(
        _ADD_ACT,
        programme_id=programme_id,
        id=act_id,
        member_id=member_id,
        card_id=card_id,
        action_key=action,
        words=words,
        state=WAITING,
        submitted_by=by,
        decided_by=None,
        receipt_id=None,
        submitted_at=micros(now),
        decided_at=None,
    )
    return act_id


def act_by_id(read: Read, programme_id: int, act_id: int) -> Act | None:
    """One act as it stands."""
    row = read.ask(_ACT, programme_id=programme_id, act_id=act_id).one()
    return None if row is None else _act(row)


def acts(read: Read, programme_id: int, *, only_waiting: bool, limit: int) -> list[Act]:
    """Acts that wait, oldest first; or all of them, newest first."""
    statement = _WAITING_ACTS if only_waiting else _ACTS
    return [_act(row) for row in read.ask(statement, programme_id=programme_id, most=limit).all()]


def decide_act(
    work: Work,
    programme_id: int,
    act_id: int,
    *,
    becomes: str,
    by: str | None,
    receipt_id: int | None,
    now: datetime,
) -> None:
    """An act was granted or refused, once."""
    work.put(
        _DECIDE_ACT,
        expect=1,
        programme=programme_id,
        which=act_id,
        becomes=becomes,
        by=by,
        receipt=receipt_id,
        at=micros(now),
    )


def granted_since(
    read: Read, programme_id: int, member_id: int, action: str, *, since: datetime | None
) -> list[datetime]:
    """When a member's granted acts of this kind were submitted, from an instant on or ever."""
    rows = read.ask(
        _GRANTED_SINCE,
        programme_id=programme_id,
        member_id=member_id,
        action=action,
        since=micros(since) if since else 0,
    ).all()
    return [instant(row.submitted_at) for row in rows]


def version_at(read: Read, programme_id: int, at: datetime) -> int:
    """Which version of the programme held at an instant."""
    return int(read.ask(_VERSION_AT, programme_id=programme_id, at=micros(at)).value())


# Who must not decide -------------------------------------------------------------


def served(
    read: Read, programme_id: int, member_id: int, login: str, *, since: datetime, until: datetime
) -> bool:
    """Whether somebody served a member at a till between two instants."""
    found = read.ask(
        _SERVED,
        programme_id=programme_id,
        member_id=member_id,
        login=login,
        since=micros(since),
        until=micros(until),
    )
    return found.one() is not None


def is_member(read: Read, programme_id: int, member_id: int, login: str) -> bool:
    """Whether somebody of the staff seems to be this very member: by their address, or by their name."""
    address = read.ask(_EMAIL_KEY, programme_id=programme_id, member_id=member_id)
    same = read.ask(_IS_MEMBER, programme_id=programme_id, member_id=member_id, login=login)
    return address.value() == login.casefold() or same.one() is not None


def card_now(read: Read, programme_id: int, member_id: int) -> int:
    """The card that a member, or who they became, has now."""
    card_id: int = read.ask(_VALID_CARD, programme_id=programme_id, member_id=member_id).value()
    return card_id


# Corrections by hand ---------------------------------------------------------------


def add_adjustment(
    work: Work,
    *,
    programme_id: int,
    member_id: int,
    card_id: int,
    points: int,
    reason: str,
    note: str,
    words: str,
    by: str,
    local_day: int,
    now: datetime,
) -> int:
    """Write down a correction that was asked for. Returns its id."""
    adjustment_id = new_id(now)
    work.put(
        _ADD_ADJUSTMENT,
        programme_id=programme_id,
        id=adjustment_id,
        member_id=member_id,
        card_id=card_id,
        points=points,
        reason=reason,
        note=note,
        words=words,
        state=WAITING,
        asked_by=by,
        decided_by=None,
        receipt_id=None,
        local_day=local_day,
        asked_at=micros(now),
        decided_at=None,
    )
    return adjustment_id


def adjustment_by_id(read: Read, programme_id: int, adjustment_id: int) -> Adjustment | None:
    """One correction as it stands."""
    row = read.ask(_ADJUSTMENT, programme_id=programme_id, adjustment_id=adjustment_id).one()
    return None if row is None else _adjustment(row)


def adjustments(read: Read, programme_id: int, *, limit: int) -> list[Adjustment]:
    """The newest corrections, those that wait included."""
    rows = read.ask(_ADJUSTMENTS, programme_id=programme_id, most=limit).all()
    return [_adjustment(row) for row in rows]


def decide_adjustment(
    work: Work,
    programme_id: int,
    adjustment_id: int,
    *,
    becomes: str,
    by: str | None,
    receipt_id: int | None,
    now: datetime,
) -> None:
    """A correction was booked or refused, once."""
    work.put(
        _DECIDE_ADJUSTMENT,
        expect=1,
        programme=programme_id,
        which=adjustment_id,
        becomes=becomes,
        by=by,
        receipt=receipt_id,
        at=micros(now),
    )


# Who decided what -------------------------------------------------------------------


def note(
    work: Work, programme_id: int, *, by: str, action: str, about: str, detail: str, now: datetime
) -> None:
    """One line for the audit log. Somebody who has no account here is named in the detail."""
    staff_id = work.ask(_STAFF_ID, login=by).value()
    work.put(
        _NOTE,
        id=new_id(now),
        at=micros(now),
        staff_id=staff_id,
        programme_id=programme_id,
        action=action,
        object=about,
        detail=detail if staff_id is not None else f"{by}: {detail}",
    )


def _act(row: Row) -> Act:
    values: dict[str, Any] = {
        name: getattr(row, name)
        for name in (
            "id",
            "member_id",
            "card_id",
            "words",
            "state",
            "submitted_by",
            "decided_by",
            "receipt_id",
        )
    }
    return Act(
        **values,
        action=row.action_key,
        submitted_at=instant(row.submitted_at),
        decided_at=instant_or_none(row.decided_at),
    )


def _adjustment(row: Row) -> Adjustment:
    values = row._asdict()
    del values["programme_id"]
    return Adjustment(
        **{**values, "asked_at": instant(row.asked_at), "decided_at": instant_or_none(row.decided_at)}
    )
