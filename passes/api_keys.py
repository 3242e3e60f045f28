"""Registers and shops' own programs: the keys they show, and what each may do.

A key's secret is shown once, when it is made; only its digest is kept. A key
belongs to one programme and perhaps to one location, and can be taken out of
force at once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

from passes.loyalty.letters import cleaned
from passes.loyalty.refusals import (
    ApiKeyEnds,
    ApiKeyInvalid,
    ApiKeyUnknown,
    LocationUnknown,
    NameInvalid,
    ScopeMissing,
    ScopesMissing,
)
from passes.store import Condition, Read, Store, Work, api_keys, programmes, staff
from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none
from passes.store.programmes import Loaded

PREFIX = "passes_"
"""What secrets begin with, so that a scanner for leaked secrets recognises them."""

NAME_LETTERS_MAX = 100

RESTORE_TIME = timedelta(seconds=10)
"""How long a key that was taken out of force by mistake can be put back. Reference: web W-90."""

_SECRET_BYTES = 32
_ID_LIMIT = 2**63
_KNOWN_MAX = 10_000
_SECRET_LETTERS_MAX = 100


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"  # look at members, receipts and quotes
    PURCHASES = "purchases"  # book and undo purchases
    REWARDS = "rewards"  # redeem points
    RETURNS = "returns"  # take goods back
    MEMBERS = "members"  # find members by name or number, and make new ones
    RECORDS = "records"  # read all members and receipts, page by page
    PEOPLE = "people"  # see addresses and numbers of members in these


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a key in force, or a till. `location` is where it stands, None where it may name one.

    `person` is who is known to stand there; a key leaves it to each request.
    """

    id: int
    name: str
    scopes: frozenset[Scope]
    location: str | None
    loaded: Loaded
    channel: str = "api"
    person: str | None = None

    @property
    def programme(self) -> str:
        """The slug of the programme that the key opens."""
        return self.loaded.slug

    def place(self, named: str | None) -> str | None:
        """Where something happens, given the location that a request names. Raises LocationUnknown."""
        if named is not None and named not in {shop.key for shop in self.loaded.programme.shops}:
            raise LocationUnknown(location=named)
        if self.location is not None and named not in (None, self.location):
            raise LocationUnknown(location=named)
        return self.location or named

    def require(self, scope: Scope) -> None:
        """Raise ScopeMissing unless the key may do this."""
        if scope not in self.scopes:
            raise ScopeMissing(scope=scope.value)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its owner sees it; its secret is not known any more. `used_at` is to the hour."""

    id: int
    name: str
    scopes: tuple[str, ...]
    location: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


def issue(
    store: Store,
    *,
    programme: str,
    name: str,
    scopes: Collection[Scope],
    location: str | None = None,
    expires_at: datetime | None = None,
    secret: str | None = None,
    by: int | None = None,
    now: datetime,
) -> tuple[int, str]:
    """Make a key. Its id, and its secret, which is never shown again.

    `secret` is that of a form that may be sent twice: it makes one key.
    `by` is the staff member who asked, None at the command line. Raises
    ProgrammeUnknown, NameInvalid, LocationUnknown, ScopesMissing, ApiKeyEnds.
    """
    if not (clean := cleaned(name, NAME_LETTERS_MAX)):
        raise NameInvalid(limit=NAME_LETTERS_MAX)
    if not scopes:
        raise ScopesMissing()
    if expires_at is not None and expires_at <= now:
        raise ApiKeyEnds()
    made = secret or PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    key_id = new_id(now)

    def decide(work: Work) -> int:
        loaded = programmes.by_slug(work, programme)
        if location is not None and location not in {shop.key for shop in loaded.programme.shops}:
            raise LocationUnknown(location=location)
        if secret and (before := api_keys.by_secret(work, _digest(secret), now=now)) is not None:
            known: int = before[0].key_id
            return known
        api_keys.add(
            work,
            programme_id=loaded.id,
            key_id=key_id,
            name=clean,
            secret_hash=_digest(made),
            scopes=sorted(set(scopes)),
            location=location,
            expires_at=expires_at,
            now=now,
        )
        detail = {"name": clean, "scopes": sorted(set(scopes)), "location": location}
        _note(work, "issue", loaded, key_id, by=by, now=now, detail=detail)
        return key_id

    return store.write(decide), made


class KnownKeys:
    """Keys that this process has looked up, so that a write need not wait for a look-up of its own.

    What was known may be over: whoever writes by it does so under `still_so`.
    """

    def __init__(self) -> None:
        self._callers: dict[bytes, Caller] = {}

    def keep(self, secret: str, caller: Caller) -> None:
        """Remember who shows this secret."""
        if len(self._callers) >= _KNOWN_MAX:
            self._callers.clear()
        self._callers[_digest(secret)] = caller

    def find(self, secret: str) -> Caller | None:
        """Who showed this secret before."""
        return self._callers.get(_digest(secret))


def still_so(secret: str, known: Caller, *, now: datetime) -> Condition:
    """Holds as long as the key is in force and its programme the same. Else ApiKeyInvalid is raised.

    Also when the key's use is to be noted again, as `caller` does it.
    """

    def condition(read: Read) -> Callable[[], None]:
        answer = api_keys.in_force(read, _digest(secret), now=now)

        def verify() -> None:
            row = answer.one()
            if (
                row is None
                or row.version != known.loaded.version
                or api_keys.is_use_worth_noting(row, now=now)
            ):
                raise ApiKeyInvalid()

        return verify

    return condition


def caller(store: Store, *, secret: str, now: datetime) -> Caller:
    """Who shows this secret. Raises ApiKeyInvalid for one that is unknown, revoked or past its end."""
    if not secret.startswith(PREFIX) or len(secret) > _SECRET_LETTERS_MAX:
        raise ApiKeyInvalid()
    with store.read() as read:
        found = api_keys.by_secret(read, _digest(secret), now=now)
    if found is None:
        raise ApiKeyInvalid()
    row, loaded = found
    if api_keys.is_use_worth_noting(row, now=now):
        store.write(lambda work: api_keys.note_use(work, loaded.id, row.key_id, now=now))
    return Caller(row.key_id, row.key_name, _scopes(row.scopes), row.location, loaded)


def revoke(store: Store, *, programme: str, key_id: int, by: int | None = None, now: datetime) -> str:
    """Take a key out of force: the next request with it is refused. Its name. Raises ApiKeyUnknown."""

    def decide(work: Work) -> str:
        loaded = programmes.by_slug(work, programme)
        name = api_keys.revoke(work, loaded.id, key_id, now=now) if _can_be(key_id) else None
        if name is None:
            raise ApiKeyUnknown()
        _note(work, "revoke", loaded, key_id, by=by, now=now, detail={"name": name})
        return name

    return store.write(decide)


def restore(store: Store, *, programme: str, key_id: int, by: int | None = None, now: datetime) -> str:
    """Put a key back that was taken out of force a moment ago. Its name.

    Raises ApiKeyUnknown, also after RESTORE_TIME: a register that was found
    out cannot be let in again by whoever finds an old page.
    """

    def decide(work: Work) -> str:
        loaded = programmes.by_slug(work, programme)
        since = now - RESTORE_TIME
        name = api_keys.restore(work, loaded.id, key_id, revoked_after=since) if _can_be(key_id) else None
        if name is None:
            raise ApiKeyUnknown()
        _note(work, "restore", loaded, key_id, by=by, now=now, detail={"name": name})
        return name

    return store.write(decide)


def every(store: Store, *, programme: str) -> list[ApiKey]:
    """All keys of a programme, newest first. Raises ProgrammeUnknown."""
    with store.read() as read:
        rows = api_keys.every(read, programmes.by_slug(read, programme).id)
    return [
        ApiKey(
            row.id,
            row.name,
            tuple(row.scopes.split()),
            row.location,
            instant(row.created_at),
            instant_or_none(row.expires_at),
            instant_or_none(row.revoked_at),
            instant_or_none(row.used_at),
        )
        for row in rows
    ]


def _can_be(key_id: int) -> bool:
    """Whether a number is one that databases can hold."""
    return 0 < key_id < _ID_LIMIT


def _note(
    work: Work,
    action: str,
    loaded: Loaded,
    key_id: int,
    *,
    by: int | None,
    now: datetime,
    detail: Mapping[str, object],
) -> None:
    staff.note(
        work,
        f"api_key.{action}",
        about=f"api key {key_id}",
        staff_id=by,
        programme_id=loaded.id,
        detail=detail,
        now=now,
    )


@cache
def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(map(Scope, text.split()))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
