"""How much of something limited was used: by everybody, and by one member.

Rows exist only for what is limited, so that nothing else ever waits for them.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from passes.store.instants import instant, micros
from passes.store.models import allowance, member_allowance
from passes.store.work import Read, Work

_named = (allowance.c.programme_id == bindparam("programme"), allowance.c.name == bindparam("what"))
_USED = select(allowance.c.used).where(*_named)
_USED_LOCKED = _USED.with_for_update()
_TAKE = (
    update(allowance)
    .where(*_named, allowance.c.used + bindparam("amount") <= bindparam("limit"))
    .values(used=allowance.c.used + bindparam("amount"))
    .returning(allowance.c.used)
)
_GIVE_BACK = (
    update(allowance)
    .where(*_named, allowance.c.used >= bindparam("amount"))
    .values(used=allowance.c.used - bindparam("amount"))
)
_ADD = insert(allowance)
_of_member = (
    member_allowance.c.programme_id == bindparam("programme"),
    member_allowance.c.member_id == bindparam("member"),
)
_MEMBER_USED = select(member_allowance).where(*_of_member)
_MEMBER_TAKE = (
    update(member_allowance)
    .where(*_of_member, member_allowance.c.name == bindparam("what"))
    .values(used=member_allowance.c.used + bindparam("amount"), last_at=bindparam("at"))
    .returning(member_allowance.c.used)
)
_MEMBER_GIVE_BACK = (
    update(member_allowance)
    .where(
        *_of_member,
        member_allowance.c.name == bindparam("what"),
        member_allowance.c.used >= bindparam("amount"),
    )
    .values(used=member_allowance.c.used - bindparam("amount"))
)
_MEMBER_ADD = insert(member_allowance)


def stock_name(reward_key: str) -> str:
    """Under which name it is counted what a reward with a stock has given out."""
    return f"stock:{reward_key}"


def take(work: Work, programme_id: int, name: str, amount: int, *, limit: int) -> bool:
    """Use `amount` of something of which there is `limit`. False, and nothing used, if that is too much."""
    taken = work.ask(_TAKE, programme=programme_id, what=name, amount=amount, limit=limit).one()
    if taken is not None:
        return True
    if amount > limit or work.ask(_USED, programme=programme_id, what=name).one() is not None:
        return False
    work.put(_ADD, programme_id=programme_id, name=name, used=amount)
    return True


def give_back(work: Work, programme_id: int, name: str, amount: int) -> None:
    """What was taken is there again; what was had before it was limited was never counted."""
    work.put(_GIVE_BACK, programme=programme_id, what=name, amount=amount)


def used(read: Read, programme_id: int, name: str) -> int:
    """How much was used so far."""
    return int(read.ask(_USED, programme=programme_id, what=name).value() or 0)


def used_locked(work: Work, programme_id: int, name: str) -> int:
    """As `used`, and nobody else takes any until this transaction ends."""
    return int(work.ask(_USED_LOCKED, programme=programme_id, what=name).value() or 0)


def member_used(read: Read, programme_id: int, member_id: int) -> dict[str, tuple[int, datetime]]:
    """What a member got of things that are limited for each: how much, and when last."""
    rows = read.ask(_MEMBER_USED, programme=programme_id, member=member_id).all()
    return {row.name: (row.used, instant(row.last_at)) for row in rows}


def member_take(
    work: Work, programme_id: int, member_id: int, name: str, amount: int, *, now: datetime
) -> int:
    """Write down that a member got `amount`. Returns what they have had by now; the caller has the limit."""
    known = work.ask(
        _MEMBER_TAKE, programme=programme_id, member=member_id, what=name, amount=amount, at=micros(now)
    ).value()
    if known is not None:
        return int(known)
    work.put(
        _MEMBER_ADD,
        programme_id=programme_id,
        member_id=member_id,
        name=name,
        used=amount,
        last_at=micros(now),
    )
    return amount


def member_give_back(work: Work, programme_id: int, member_id: int, name: str, amount: int) -> None:
    """A member gave back what they had got."""
    work.put(_MEMBER_GIVE_BACK, programme=programme_id, member=member_id, what=name, amount=amount)
