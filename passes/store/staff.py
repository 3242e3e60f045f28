"""Staff, what they may do, their open sessions, and how often somebody tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from passes.store import programmes
from passes.store.ids import new_id
from passes.store.instants import micros
from passes.store.models import (
    audit,
    pass_type,
    programme,
    rate,
    session,
    staff,
    staff_grant,
    till,
)
from passes.store.programmes import Loaded
from passes.store.work import Read, Work


@dataclass(frozen=True, slots=True)
class Stored:
    """One row of `staff` that may sign in."""

    id: int
    login: str
    name: str
    password_hash: str
    pin_hash: str | None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that neither ended nor was revoked, with whom it belongs to.

    `programme` is what this session works for, None before it chose; `till_id`
    the paired till that it is bound to, if any.
    `grants` are (programme slug, role) pairs.
    """

    staff_id: int
    login: str
    name: str
    form_token: str
    programme: Loaded | None
    location: str | None
    till_id: int | None
    grants: Sequence[tuple[str, str]]


_ADD = insert(staff).values(
    id=bindparam("id"),
    login=bindparam("login"),
    name=bindparam("name"),
    password_hash=bindparam("password_hash"),
    pin_hash=None,
    created_at=bindparam("created_at"),
    disabled_at=None,
)
_GRANT = insert(staff_grant).values(
    staff_id=bindparam("staff_id"), programme_id=bindparam("programme_id"), role=bindparam("role")
)
_BY_LOGIN = select(staff.c.id, staff.c.login, staff.c.name, staff.c.password_hash, staff.c.pin_hash).where(
    staff.c.login == bindparam("login"), staff.c.disabled_at.is_(None)
)
_TAKEN = select(staff.c.id).where(staff.c.login == bindparam("login"))
_DISABLE = (
    update(staff)
    .where(staff.c.id == bindparam("staff_id"), staff.c.disabled_at.is_(None))
    .values(disabled_at=bindparam("now"))
)
_FIRST_WITH = (
    select(staff.c.id)
    .select_from(staff.join(staff_grant, staff_grant.c.staff_id == staff.c.id))
    .where(
        staff_grant.c.programme_id == bindparam("programme_id"),
        staff_grant.c.role == bindparam("role"),
        staff.c.disabled_at.is_(None),
    )
    .order_by(staff.c.id)
    .limit(1)
)
_HAS_ROLE = select(staff_grant.c.role).where(
    staff_grant.c.staff_id == bindparam("staff_id"), staff_grant.c.programme_id == bindparam("programme_id")
)
_OPEN = insert(session).values(
    token_hash=bindparam("token_hash"),
    area=bindparam("area"),
    staff_id=bindparam("staff_id"),
    form_token=bindparam("form_token"),
    programme_id=bindparam("programme_id"),
    location=bindparam("location"),
    till_id=bindparam("till_id"),
    created_at=bindparam("now"),
    expires_at=bindparam("expires_at"),
    revoked_at=None,
)
_granted = programme.alias("granted")
# One row for each grant: every page asks this, so it is one question.
_SESSION = (
    select(
        session.c.staff_id,
        staff.c.login,
        staff.c.name,
        session.c.form_token,
        session.c.location,
        session.c.till_id,
        *programmes.columns,
        _granted.c.slug.label("granted"),
        staff_grant.c.role,
    )
    .select_from(
        session.join(staff, staff.c.id == session.c.staff_id)
        .outerjoin(programme, programme.c.id == session.c.programme_id)
        .outerjoin(pass_type, pass_type.c.id == programme.c.pass_type_id)
        .outerjoin(staff_grant, staff_grant.c.staff_id == staff.c.id)
        .outerjoin(_granted, _granted.c.id == staff_grant.c.programme_id)
        .outerjoin(till, and_(till.c.programme_id == session.c.programme_id, till.c.id == session.c.till_id))
    )
    .where(
        session.c.token_hash == bindparam("token_hash"),
        session.c.area == bindparam("area"),
        session.c.revoked_at.is_(None),
        session.c.expires_at > bindparam("now"),
        staff.c.disabled_at.is_(None),
        # Of a revoked till nothing is left, also not what began while it was being revoked.
        till.c.revoked_at.is_(None),
    )
    .order_by(_granted.c.id, staff_grant.c.role)
)
_CHOOSE = (
    update(session)
    .where(session.c.token_hash == bindparam("token"))
    .values(programme_id=bindparam("chosen_programme"), location=bindparam("chosen_location"))
)
_REVOKE = (
    update(session)
    .where(session.c.token_hash == bindparam("token"), session.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_REVOKE_ALL = (
    update(session)
    .where(session.c.staff_id == bindparam("whose"), session.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_REVOKE_AT_TILL = (
    update(session)
    .where(session.c.till_id == bindparam("at_till"), session.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_COUNT = {
    "sqlite": sqlite.insert(rate)
    .values(name=bindparam("name"), window_at=bindparam("window_at"), count=1)
    .on_conflict_do_update(index_elements=["name", "window_at"], set_={"count": rate.c.count + 1})
    .returning(rate.c.count),
    "postgresql": postgresql.insert(rate)
    .values(name=bindparam("name"), window_at=bindparam("window_at"), count=1)
    .on_conflict_do_update(index_elements=["name", "window_at"], set_={"count": rate.c.count + 1})
    .returning(rate.c.count),
}
_TRIES = select(rate.c.count).where(
    rate.c.name == bindparam("name"), rate.c.window_at == bindparam("window_at")
)
_CLEAR_TRIES = delete(rate).where(rate.c.name == bindparam("name"))
_FORGET_RATES = delete(rate).where(rate.c.window_at < bindparam("before"))
_FORGET_SESSIONS = delete(session).where(
    or_(
        and_(session.c.expires_at < bindparam("before"), session.c.till_id.is_(None)),
        # They tell who worked at a till, which is asked when its queue comes late.
        session.c.expires_at < bindparam("before_at_tills"),
        and_(
            session.c.revoked_at.is_not(None),
            session.c.revoked_at < bindparam("before"),
            session.c.till_id.is_(None),
        ),
    )
)
_NOTE = insert(audit).values(
    id=bindparam("id"),
    at=bindparam("at"),
    staff_id=bindparam("staff_id"),
    programme_id=bindparam("programme_id"),
    action=bindparam("action"),
    object=bindparam("object"),
    detail=bindparam("detail"),
)


def add(work: Work, *, staff_id: int, login: str, name: str, password_hash: str, now: int) -> None:
    """A new person."""
    work.put(_ADD, id=staff_id, login=login, name=name, password_hash=password_hash, created_at=now)


def grant(work: Work, *, staff_id: int, programme_id: int, role: str) -> None:
    """Give somebody a role in a programme."""
    work.put(_GRANT, staff_id=staff_id, programme_id=programme_id, role=role)


def has_role(read: Read, staff_id: int, programme_id: int) -> bool:
    """Whether somebody may do anything in a programme."""
    return bool(read.ask(_HAS_ROLE, staff_id=staff_id, programme_id=programme_id).all())


def login_taken(read: Read, login: str) -> bool:
    """Whether anybody, a disabled person included, has this login."""
    return read.ask(_TAKEN, login=login).one() is not None


def by_login(read: Read, login: str) -> Stored | None:
    """Who may sign in under this login."""
    row = read.ask(_BY_LOGIN, login=login).one()
    return None if row is None else Stored(row.id, row.login, row.name, row.password_hash, row.pin_hash)


def first_with(read: Read, *, programme_id: int, role: str) -> int | None:
    """The id of the longest-serving person with this role."""
    found: int | None = read.ask(_FIRST_WITH, programme_id=programme_id, role=role).value()
    return found


def disable(work: Work, *, staff_id: int, now: int) -> None:
    """Nobody signs in as this person any more."""
    work.put(_DISABLE, staff_id=staff_id, now=now)


def open_session(
    work: Work,
    *,
    token_hash: bytes,
    area: str,
    staff_id: int,
    form_token: str,
    programme_id: int | None,
    location: str | None,
    till_id: int | None,
    now: int,
    expires_at: int,
) -> None:
    """A session begins, where it is known to be."""
    work.put(
        _OPEN,
        token_hash=token_hash,
        area=area,
        staff_id=staff_id,
        form_token=form_token,
        programme_id=programme_id,
        location=location,
        till_id=till_id,
        now=now,
        expires_at=expires_at,
    )


def session_by_hash(read: Read, *, token_hash: bytes, area: str, now: int) -> OpenSession | None:
    """The open session with this hashed secret, in this area and no other."""
    rows = read.ask(_SESSION, token_hash=token_hash, area=area, now=now).all()
    if not rows:
        return None
    first = rows[0]
    return OpenSession(
        staff_id=first.staff_id,
        login=first.login,
        name=first.name,
        form_token=first.form_token,
        programme=None if first.slug is None else programmes.from_row(read, first),
        location=first.location,
        till_id=first.till_id,
        grants=[(row.granted, row.role) for row in rows if row.role is not None],
    )


def choose(work: Work, *, token_hash: bytes, programme_id: int, location: str | None) -> None:
    """From now on the session works for this programme, at this location."""
    work.put(_CHOOSE, token=token_hash, chosen_programme=programme_id, chosen_location=location)


def revoke(work: Work, *, token_hash: bytes, now: int) -> None:
    """The session ends at once."""
    work.put(_REVOKE, token=token_hash, now=now)


def revoke_all(work: Work, *, staff_id: int, now: int) -> None:
    """Every session of a person ends at once."""
    work.put(_REVOKE_ALL, whose=staff_id, now=now)


def revoke_at_till(work: Work, *, till_id: int, now: int) -> None:
    """Every session at a till ends at once."""
    work.put(_REVOKE_AT_TILL, at_till=till_id, now=now)


def count_try(work: Work, *, name: str, window_at: int) -> int:
    """Count one more try in the window that began at `window_at`; returns how many there are now."""
    statement = _COUNT["postgresql" if work.postgresql else "sqlite"]
    count: int = work.ask(statement, name=name, window_at=window_at).value()
    return count


def tries(read: Read, *, name: str, window_at: int) -> int:
    """How many tries were counted in the window that began at `window_at`."""
    row = read.ask(_TRIES, name=name, window_at=window_at).one()
    return 0 if row is None else int(row.count)


def clear_tries(work: Work, *, name: str) -> None:
    """Count from the beginning again."""
    work.put(_CLEAR_TRIES, name=name)


def forget(work: Work, *, before: int, before_at_tills: int) -> None:
    """Drop counts and ended sessions from before that instant; those at tills have an older one."""
    work.put(_FORGET_RATES, before=before)
    work.put(_FORGET_SESSIONS, before=before, before_at_tills=before_at_tills)


def note(
    work: Work,
    action: str,
    *,
    about: str,
    staff_id: int | None,
    now: datetime,
    programme_id: int | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """One line of the audit trail: who did what to what, and where."""
    work.put(
        _NOTE,
        id=new_id(now),
        at=micros(now),
        staff_id=staff_id,
        programme_id=programme_id,
        action=action,
        object=about,
        detail=orjson.dumps(detail).decode() if detail else "",
    )
