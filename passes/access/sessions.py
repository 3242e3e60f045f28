"""Sessions: they begin with a password, are rows, and end at once when somebody says so."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from passes.access.limits import Limit, clear, limit
from passes.access.people import (
    PASSWORD_LENGTH_MAX,
    USUAL_COST,
    Area,
    Grant,
    PasswordCost,
    Person,
    Role,
    decoy,
    fits,
    login_of,
)
from passes.loyalty.refusals import NotAllowed, SignInFailed
from passes.store import Store, Work, programmes, team
from passes.store import staff as rows
from passes.store.instants import micros

SESSION_TIME = timedelta(hours=12)
"""A long shift. Whoever stays longer signs in again."""


@dataclass(frozen=True, slots=True)
class AtTill:
    """The paired till at which a session begins, which it does not leave."""

    programme_id: int
    till_id: int
    location: str | None


def sign_in(
    store: Store,
    *,
    login: str,
    password: str,
    area: Area,
    address: str,
    at: AtTill | None = None,
    now: datetime,
    cost: PasswordCost = USUAL_COST,
) -> str:
    """Begin a session; returns its secret, which goes into the cookie and nowhere else.

    `address` is where the request came from, `at` the paired till it came
    from. Raises SignInFailed, the same for an unknown login and a wrong
    password, TooManyTries, and NotAllowed at a till of a programme in which
    the person does not serve.
    """
    login = login_of(login)
    limit(store, Limit.SIGN_IN_LOGIN, login, now=now)
    limit(store, Limit.SIGN_IN_ADDRESS, address, now=now)
    with store.read() as read:
        known = rows.by_login(read, login)
    is_right = fits(password[: PASSWORD_LENGTH_MAX + 1], known.password_hash if known else decoy(cost))
    if known is None or not is_right:
        raise SignInFailed
    if at is not None:
        check_serves(store, login=login, programme_id=at.programme_id)
        # Whoever knows the password may mistype their PIN again.
        clear(store, Limit.PIN_PERSON, f"{at.till_id}:{login}")
    return begin(store, staff_id=known.id, area=area, action="session.begin", at=at, now=now)


def sign_in_for_demonstration(
    store: Store, *, programme: str, role: Role, area: Area, at: AtTill | None = None, now: datetime
) -> str:
    """Begin a session as the longest-serving person with that role, without a password.

    Only the development front page may call this. Raises ProgrammeUnknown, and
    NotAllowed where nobody has the role.
    """
    with store.read() as read:
        programme_id = programmes.by_slug(read, programme).id
        staff_id = rows.first_with(read, programme_id=programme_id, role=role)
    if staff_id is None:
        raise NotAllowed
    return begin(store, staff_id=staff_id, area=area, action="session.demonstrate", at=at, now=now)


def check_serves(store: Store, *, login: str, programme_id: int) -> None:
    """Raise NotAllowed unless this person may stand at the programme's tills."""
    with store.read() as read:
        if not {Role.CASHIER, Role.OWNER} & set(team.roles(read, programme_id=programme_id, login=login)):
            raise NotAllowed


def session(store: Store, *, secret: str, area: Area, now: datetime) -> Person | None:
    """Who holds this session secret; None when it is unknown, ended, revoked or of another area."""
    with store.read() as read:
        found = rows.session_by_hash(read, token_hash=_hashed(secret), area=area, now=micros(now))
    if found is None:
        return None
    return Person(
        id=found.staff_id,
        login=found.login,
        name=found.name,
        grants=tuple(Grant(slug, Role(role)) for slug, role in found.grants),
        form_token=found.form_token,
        programme=found.programme.slug if found.programme else None,
        location=found.location,
        loaded=found.programme,
        till_id=found.till_id,
    )


def work_at(store: Store, *, secret: str, programme: str, location: str | None) -> None:
    """The session works for this programme and location from now on. Raises ProgrammeUnknown."""

    def decide(work: Work) -> None:
        programme_id = programmes.by_slug(work, programme).id
        rows.choose(work, token_hash=_hashed(secret), programme_id=programme_id, location=location)

    store.write(decide)


def sign_out(store: Store, *, secret: str, now: datetime) -> None:
    """End this session at once; an unknown secret is no mistake."""
    store.write(lambda work: rows.revoke(work, token_hash=_hashed(secret), now=micros(now)))


def revoke_all(store: Store, *, staff_id: int, now: datetime) -> None:
    """End every session of a person at once."""

    def decide(work: Work) -> None:
        rows.revoke_all(work, staff_id=staff_id, now=micros(now))
        rows.note(work, "session.revoke_all", about=str(staff_id), staff_id=staff_id, now=now)

    store.write(decide)


def begin(
    store: Store, *, staff_id: int, area: Area, action: str, at: AtTill | None = None, now: datetime
) -> str:
    """A session of somebody who proved who they are; returns its secret."""
    secret, form_token = secrets.token_urlsafe(32), secrets.token_urlsafe(24)

    def decide(work: Work) -> None:
        rows.open_session(
            work,
            token_hash=_hashed(secret),
            area=area,
            staff_id=staff_id,
            form_token=form_token,
            programme_id=None if at is None else at.programme_id,
            location=None if at is None else at.location,
            till_id=None if at is None else at.till_id,
            now=micros(now),
            expires_at=micros(now + SESSION_TIME),
        )
        team.link_same_address(work, staff_id=staff_id, now=micros(now))
        rows.note(
            work,
            action,
            about=area if at is None else f"till {at.till_id}",
            staff_id=staff_id,
            programme_id=None if at is None else at.programme_id,
            now=now,
        )

    store.write(decide)
    return secret


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
