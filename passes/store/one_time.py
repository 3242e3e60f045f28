"""Codes that prove once, within minutes, that a member is here. Only what they hash to is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, insert, select, update

from passes.store.instants import micros
from passes.store.models import one_time_code
from passes.store.work import Read, Work


@dataclass(frozen=True, slots=True)
class Open:
    """A code that may still be used."""

    id: int
    code_hash: bytes


_of_member = (
    one_time_code.c.programme_id == bindparam("programme"),
    one_time_code.c.member_id == bindparam("member"),
)
_ADD = insert(one_time_code)
_OPEN = (
    select(one_time_code.c.id, one_time_code.c.code_hash)
    .where(
        *_of_member,
        one_time_code.c.used_at.is_(None),
        one_time_code.c.expires_at > bindparam("now"),
        one_time_code.c.tries < bindparam("tries_max"),
    )
    .order_by(one_time_code.c.id.desc())
)
_MADE_SINCE = select(func.count()).where(*_of_member, one_time_code.c.created_at > bindparam("since"))
_TRIED = (
    update(one_time_code)
    .where(*_of_member, one_time_code.c.used_at.is_(None), one_time_code.c.expires_at > bindparam("now"))
    .values(tries=one_time_code.c.tries + 1)
)
_USE = (
    update(one_time_code)
    .where(
        one_time_code.c.programme_id == bindparam("programme"),
        one_time_code.c.id == bindparam("which"),
        one_time_code.c.used_at.is_(None),
    )
    .values(used_at=bindparam("at"))
)


def add(
    work: Work,
    *,
    programme_id: int,
    code_id: int,
    member_id: int,
    code_hash: bytes,
    expires_at: datetime,
    now: datetime,
) -> None:
    """Keep a new code."""
    work.put(
        _ADD,
        programme_id=programme_id,
        id=code_id,
        member_id=member_id,
        code_hash=code_hash,
        created_at=micros(now),
        expires_at=micros(expires_at),
        tries=0,
        used_at=None,
    )


def made_since(read: Read, programme_id: int, member_id: int, *, since: datetime) -> int:
    """How many codes a member was given since an instant."""
    found = read.ask(_MADE_SINCE, programme=programme_id, member=member_id, since=micros(since)).value()
    return int(found)


def usable(read: Read, programme_id: int, member_id: int, *, tries_max: int, now: datetime) -> list[Open]:
    """The codes of a member that may still be used, the newest first."""
    rows = read.ask(
        _OPEN, programme=programme_id, member=member_id, now=micros(now), tries_max=tries_max
    ).all()
    return [Open(row.id, bytes(row.code_hash)) for row in rows]


def count_wrong(work: Work, programme_id: int, member_id: int, *, now: datetime) -> None:
    """A wrong code was tried: it counts for every one that it could have been."""
    work.put(_TRIED, programme=programme_id, member=member_id, now=micros(now))


def use(work: Work, programme_id: int, code_id: int, *, now: datetime) -> None:
    """The code is used, once."""
    work.put(_USE, expect=1, programme=programme_id, which=code_id, at=micros(now))
