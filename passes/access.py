"""Who may do what: staff, passwords, sessions, form tokens and limits on trying.

A session's secret is random and lives in a cookie; only its SHA-256 is stored,
so that a stolen database opens nothing. Sessions are rows and can be revoked
at once. Each area (till, console) has sessions and a cookie of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Protocol

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from passes.loyalty.letters import cleaned
from passes.loyalty.refusals import (
    FormStale,
    NameInvalid,
    NotAllowed,
    Refused,
    SignInFailed,
    TooManyTries,
)
from passes.store import Store, Work, programmes
from passes.store import staff as rows
from passes.store.ids import new_id
from passes.store.instants import instant, micros
from passes.store.programmes import Loaded

SESSION_TIME = timedelta(hours=12)
"""A long shift. Whoever stays longer signs in again."""

FORM_TIME = timedelta(hours=12)
"""How long a form that needs no session may stay open."""

PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 200

_FORGET_AFTER = timedelta(days=1)


class Role(StrEnum):
    """What somebody does in a programme. An owner may do everything."""

    CASHIER = "cashier"
    MARKETER = "marketer"
    OWNER = "owner"


class Area(StrEnum):
    """Parts of the service that people sign in to separately, so that both can be open side by side."""

    TILL = "till"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role in the programme with this slug."""

    programme: str
    role: Role


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in, what they may do, and where they work just now.

    `form_token` must come back with every form of this session. `programme`,
    `loaded` as it stands now, and `location` are None until the person chose.
    """

    id: int
    login: str
    name: str
    grants: tuple[Grant, ...]
    form_token: str
    programme: str | None
    location: str | None
    loaded: Loaded | None = None


class LoginInvalid(Refused):
    """The login has letters that are easily mistyped or confused."""

    code = "login_invalid"
    words = "A login has 2 to 64 of these: a-z, 0-9, dot, dash, underscore, @."


class LoginTaken(Refused):
    """Somebody has this login already."""

    code = "login_taken"
    words = "This login is already taken."


class PasswordWeak(Refused):
    """The password is too short to withstand guessing, or absurdly long."""

    code = "password_weak"
    words = "A password has %(least)s to %(most)s characters."


# Passwords -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PasswordCost:
    """What one Argon2id computation costs; the defaults are above OWASP's least (19 MiB, 2 passes)."""

    memory_kib: int = 32_768
    passes: int = 3
    lanes: int = 1


_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")


def hash_password(password: str, *, cost: PasswordCost) -> str:
    """The password as kept: Argon2id with its parameters, in PHC notation."""
    return Argon2id(
        salt=secrets.token_bytes(16),
        length=32,
        iterations=cost.passes,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    ).derive_phc_encoded(password.encode())


def _password_fits(password: str, kept: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(), kept)
    except InvalidKey:
        return False
    return True


@cache
def _decoy(cost: PasswordCost) -> str:
    """A hash that no password fits: an unknown login must take as long as a wrong password."""
    return hash_password(secrets.token_urlsafe(32), cost=cost)


# Staff -----------------------------------------------------------------------


def add_staff(
    store: Store,
    *,
    login: str,
    name: str,
    password: str,
    grants: Iterable[Grant],
    now: datetime,
    cost: PasswordCost = PasswordCost(),
) -> int:
    """A person who may sign in; returns their id.

    Raises LoginInvalid, LoginTaken, NameInvalid, PasswordWeak, ProgrammeUnknown.
    """
    login = _login(login)
    if not _LOGIN.fullmatch(login):
        raise LoginInvalid
    if not (name := cleaned(name, limit=100)):
        raise NameInvalid(limit=100)
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise PasswordWeak(least=PASSWORD_LENGTH_MIN, most=PASSWORD_LENGTH_MAX)
    # Outside the transaction: a hash takes as long as a hundred checkouts.
    password_hash = hash_password(password, cost=cost)
    granted = tuple(dict.fromkeys(grants))

    def decide(work: Work) -> int:
        if rows.login_taken(work, login):
            raise LoginTaken
        staff_id = new_id(now)
        rows.add(
            work, staff_id=staff_id, login=login, name=name, password_hash=password_hash, now=micros(now)
        )
        for one in granted:
            programme_id = programmes.by_slug(work, one.programme).id
            rows.grant(work, staff_id=staff_id, programme_id=programme_id, role=one.role)
        _note(work, "staff.add", about=login, staff_id=staff_id, now=now)
        return staff_id

    return store.write(decide)


def disable_staff(store: Store, *, staff_id: int, now: datetime) -> None:
    """Take away somebody's access at once: open sessions end, no new ones begin."""

    def decide(work: Work) -> None:
        rows.disable(work, staff_id=staff_id, now=micros(now))
        rows.revoke_all(work, staff_id=staff_id, now=micros(now))
        _note(work, "staff.disable", about=str(staff_id), staff_id=staff_id, now=now)

    store.write(decide)


def may(person: Person, programme: str, role: Role) -> bool:
    """Whether this person has that role in the programme with this slug; owners have every role."""
    return any(grant.programme == programme and grant.role in (role, Role.OWNER) for grant in person.grants)


def programmes_for(person: Person, role: Role) -> tuple[str, ...]:
    """Slugs of the programmes in which this person has that role."""
    return tuple(
        slug for slug in dict.fromkeys(grant.programme for grant in person.grants) if may(person, slug, role)
    )


# Sessions --------------------------------------------------------------------


def sign_in(
    store: Store,
    *,
    login: str,
    password: str,
    area: Area,
    address: str,
    now: datetime,
    cost: PasswordCost = PasswordCost(),
) -> str:
    """Begin a session; returns its secret, which goes into the cookie and nowhere else.

    `address` is where the request came from. Raises SignInFailed, the same for
    an unknown login and a wrong password, and TooManyTries.
    """
    login = _login(login)
    limit(store, Limit.SIGN_IN_LOGIN, login, now=now)
    limit(store, Limit.SIGN_IN_ADDRESS, address, now=now)
    with store.read() as read:
        known = rows.by_login(read, login)
    fits = _password_fits(password[: PASSWORD_LENGTH_MAX + 1], known.password_hash if known else _decoy(cost))
    if known is None or not fits:
        raise SignInFailed
    return _begin(store, staff_id=known.id, area=area, action="session.begin", now=now)


def sign_in_for_demonstration(store: Store, *, programme: str, role: Role, area: Area, now: datetime) -> str:
    """Begin a session as the longest-serving person with that role, without a password.

    Only the development front page may call this. Raises ProgrammeUnknown, and
    NotAllowed where nobody has the role.
    """
    with store.read() as read:
        programme_id = programmes.by_slug(read, programme).id
        staff_id = rows.first_with(read, programme_id=programme_id, role=role)
    if staff_id is None:
        raise NotAllowed
    return _begin(store, staff_id=staff_id, area=area, action="session.demonstrate", now=now)


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
        _note(work, "session.revoke_all", about=str(staff_id), staff_id=staff_id, now=now)

    store.write(decide)


def _begin(store: Store, *, staff_id: int, area: Area, action: str, now: datetime) -> str:
    secret, form_token = secrets.token_urlsafe(32), secrets.token_urlsafe(24)

    def decide(work: Work) -> None:
        rows.open_session(
            work,
            token_hash=_hashed(secret),
            area=area,
            staff_id=staff_id,
            form_token=form_token,
            now=micros(now),
            expires_at=micros(now + SESSION_TIME),
        )
        _note(work, action, about=area, staff_id=staff_id, now=now)

    store.write(decide)
    return secret


# Forms -----------------------------------------------------------------------


class Prover(Protocol):
    """What proves that this server made a form: the server keys."""

    def form_proof(self, *parts: str) -> str:
        """A proof for these texts."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """A form without a session. `key` names the request: sent twice, it is booked once."""

    purpose: str
    key: str
    text: str


def new_form(prover: Prover, *, purpose: str, now: datetime, key: str | None = None) -> Form:
    """A form's hidden value, made on the server; `purpose` keeps forms apart.

    A form that is shown again after a refusal keeps its `key`.
    """
    key = key or secrets.token_urlsafe(18)
    issued = f"{micros(now):x}"
    return Form(purpose, key, f"{issued}.{key}.{prover.form_proof(purpose, issued, key)}")


def read_form(prover: Prover, text: str, *, purpose: str, now: datetime) -> Form:
    """The form that this hidden value belongs to. Raises FormStale when it is old, foreign or forged."""
    issued, _, rest = text.partition(".")
    key, _, proof = rest.rpartition(".")
    if not hmac.compare_digest(proof.encode(), prover.form_proof(purpose, issued, key).encode()):
        raise FormStale
    # Proven, so this is a number that we wrote.
    if not timedelta(0) <= now - instant(int(issued, 16)) < FORM_TIME:
        raise FormStale
    return Form(purpose, key, text)


def check_form_token(person: Person, given: str) -> None:
    """Refuse a form that was not made for this session. Raises FormStale."""
    if not hmac.compare_digest(given.encode(), person.form_token.encode()):
        raise FormStale


# Limits ----------------------------------------------------------------------


class Limit(StrEnum):
    """What is counted. Many people share one address in a shop's Wi-Fi, so those limits are wide."""

    SIGN_IN_LOGIN = "sign_in_login"
    SIGN_IN_ADDRESS = "sign_in_address"
    JOIN_ADDRESS = "join_address"
    JOIN_PROGRAMME = "join_programme"
    AGAIN_ADDRESS = "again_address"
    AGAIN_EMAIL = "again_email"
    CODE_SESSION = "code_session"
    MEMBER_LINK = "member_link"
    MEMBER_RECORD = "member_record"


_TRIES_MAX = {
    Limit.SIGN_IN_LOGIN: 10,
    Limit.SIGN_IN_ADDRESS: 60,
    # A shop on the day it opens, all on its Wi-Fi, some of them mistyping.
    Limit.JOIN_ADDRESS: 120,
    # Ten a second: a stadium, not a shop.
    Limit.JOIN_PROGRAMME: 3_000,
    Limit.AGAIN_ADDRESS: 30,
    Limit.AGAIN_EMAIL: 5,
    Limit.CODE_SESSION: 60,
    # One person with their own settings.
    Limit.MEMBER_LINK: 30,
    Limit.MEMBER_RECORD: 5,
}
_WINDOW_MICROS = timedelta(minutes=5) // timedelta(microseconds=1)


def limit(store: Store, what: Limit, whose: str, *, now: datetime) -> None:
    """Count one try. Raises TooManyTries from the one after the last that is allowed in five minutes.

    The count is committed before the refusal, so trying on does not help.
    """
    # Hashed: an address or a mistyped password in the login field is nobody's business.
    name = f"{what}:{hashlib.sha256(whose.encode()).hexdigest()}"
    window_at = micros(now) // _WINDOW_MICROS * _WINDOW_MICROS
    if store.write(lambda work: rows.count_try(work, name=name, window_at=window_at)) > _TRIES_MAX[what]:
        raise TooManyTries


def forget_due(store: Store, *, now: datetime) -> None:
    """Drop what no longer matters: old counts, and sessions that ended a day ago."""
    store.write(lambda work: rows.forget(work, before=micros(now - _FORGET_AFTER)))


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _login(text: str) -> str:
    return text.strip().lower()


def _note(work: Work, action: str, *, about: str, staff_id: int, now: datetime) -> None:
    rows.note(work, note_id=new_id(now), at=micros(now), staff_id=staff_id, action=action, about=about)
