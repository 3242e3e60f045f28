"""Who works here and what they may do: staff, their roles, their passwords."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from passes.loyalty.letters import cleaned
from passes.loyalty.refusals import NameInvalid, Refused
from passes.store import Store, Work, programmes
from passes.store import staff as rows
from passes.store.ids import new_id
from passes.store.instants import micros
from passes.store.programmes import Loaded

PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 200


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
    `loaded` as it stands now, and `location` are None until the person chose;
    at a paired till they are the till's, and `till_id` is its.
    """

    id: int
    login: str
    name: str
    grants: tuple[Grant, ...]
    form_token: str
    programme: str | None
    location: str | None
    loaded: Loaded | None = None
    till_id: int | None = None


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


USUAL_COST = PasswordCost()

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


def fits(password: str, kept: str) -> bool:
    """Whether this password (or PIN) is the one whose hash was kept."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), kept)
    except InvalidKey:
        return False
    return True


@cache
def decoy(cost: PasswordCost) -> str:
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
    cost: PasswordCost = USUAL_COST,
) -> int:
    """A person who may sign in; returns their id.

    Raises LoginInvalid, LoginTaken, NameInvalid, PasswordWeak, ProgrammeUnknown.
    """
    login = login_of(login)
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
        rows.note(work, "staff.add", about=login, staff_id=staff_id, now=now)
        return staff_id

    return store.write(decide)


def disable_staff(store: Store, *, staff_id: int, now: datetime) -> None:
    """Take away somebody's access at once: open sessions end, no new ones begin."""

    def decide(work: Work) -> None:
        rows.disable(work, staff_id=staff_id, now=micros(now))
        rows.revoke_all(work, staff_id=staff_id, now=micros(now))
        rows.note(work, "staff.disable", about=str(staff_id), staff_id=staff_id, now=now)

    store.write(decide)


def may(person: Person, programme: str, role: Role) -> bool:
    """Whether this person has that role in the programme with this slug; owners have every role."""
    return any(grant.programme == programme and grant.role in (role, Role.OWNER) for grant in person.grants)


def programmes_for(person: Person, role: Role) -> tuple[str, ...]:
    """Slugs of the programmes in which this person has that role."""
    return tuple(
        slug for slug in dict.fromkeys(grant.programme for grant in person.grants) if may(person, slug, role)
    )


def login_of(text: str) -> str:
    """A login as it is kept, however it was typed."""
    return text.strip().lower()
