"""The keys with which registers ask: found by the digest of their secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, or_, select, update

from passes.store import programmes
from passes.store.instants import micros
from passes.store.models import api_key, pass_type, programme
from passes.store.programmes import Loaded
from passes.store.work import Answer, Read, Row, Work

_HOUR_MICROS = 3_600_000_000

_ADD = insert(api_key)
_BY_SECRET = (
    select(
        api_key.c.id.label("key_id"),
        api_key.c.name.label("key_name"),
        api_key.c.scopes,
        api_key.c.location,
        api_key.c.used_at,
        *programmes.columns,
    )
    .select_from(
        api_key.join(programme, programme.c.id == api_key.c.programme_id).join(
            pass_type, pass_type.c.id == programme.c.pass_type_id
        )
    )
    .where(
        api_key.c.secret_hash == bindparam("secret_hash"),
        api_key.c.revoked_at.is_(None),
        or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > bindparam("now")),
    )
)
_IN_FORCE = (
    select(api_key.c.used_at, programme.c.version)
    .select_from(api_key.join(programme, programme.c.id == api_key.c.programme_id))
    .where(
        api_key.c.secret_hash == bindparam("secret_hash"),
        api_key.c.revoked_at.is_(None),
        or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > bindparam("now")),
    )
)
_EVERY = (
    select(api_key).where(api_key.c.programme_id == bindparam("programme_id")).order_by(api_key.c.id.desc())
)
_REVOKE = (
    update(api_key)
    .where(
        api_key.c.programme_id == bindparam("programme"),
        api_key.c.id == bindparam("key_id"),
        api_key.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
    .returning(api_key.c.name)
)
_RESTORE = (
    update(api_key)
    .where(
        api_key.c.programme_id == bindparam("programme"),
        api_key.c.id == bindparam("key_id"),
        api_key.c.revoked_at > bindparam("revoked_after"),
    )
    .values(revoked_at=None)
    .returning(api_key.c.name)
)
_USED = (
    update(api_key)
    .where(api_key.c.programme_id == bindparam("programme"), api_key.c.id == bindparam("key_id"))
    .values(used_at=bindparam("now"))
)


def add(
    work: Work,
    *,
    programme_id: int,
    key_id: int,
    name: str,
    secret_hash: bytes,
    scopes: Sequence[str],
    location: str | None,
    expires_at: datetime | None,
    now: datetime,
) -> None:
    """Keep a new key."""
    work.put(
        _ADD,
        programme_id=programme_id,
        id=key_id,
        name=name,
        secret_hash=secret_hash,
        scopes=" ".join(scopes),
        location=location,
        created_at=micros(now),
        expires_at=None if expires_at is None else micros(expires_at),
        revoked_at=None,
        used_at=None,
    )


def by_secret(read: Read, secret_hash: bytes, *, now: datetime) -> tuple[Row, Loaded] | None:
    """The key in force with this secret (`key_id`, `key_name` …), and its programme."""
    row = read.ask(_BY_SECRET, secret_hash=secret_hash, now=micros(now)).one()
    return None if row is None else (row, programmes.from_row(read, row))


def in_force(read: Read, secret_hash: bytes, *, now: datetime) -> Answer:
    """Asks for `used_at` of the key in force with this secret, and for its programme's `version`."""
    return read.ask(_IN_FORCE, secret_hash=secret_hash, now=micros(now))


def every(read: Read, programme_id: int) -> list[Row]:
    """All keys of a programme, newest first, the revoked included."""
    return read.ask(_EVERY, programme_id=programme_id).all()


def revoke(work: Work, programme_id: int, key_id: int, *, now: datetime) -> str | None:
    """Take a key out of force at once. Its name; None where it is not in force."""
    name: str | None = work.ask(_REVOKE, programme=programme_id, key_id=key_id, now=micros(now)).value()
    return name


def restore(work: Work, programme_id: int, key_id: int, *, revoked_after: datetime) -> str | None:
    """Put a key back into force that was taken out after that instant. Its name; None for any other."""
    name: str | None = work.ask(
        _RESTORE, programme=programme_id, key_id=key_id, revoked_after=micros(revoked_after)
    ).value()
    return name


def is_use_worth_noting(row: Row, *, now: datetime) -> bool:
    """Whether the last use that was noted is an hour old: not every purchase writes it down."""
    return row.used_at is None or bool(micros(now) - row.used_at >= _HOUR_MICROS)


def note_use(work: Work, programme_id: int, key_id: int, *, now: datetime) -> None:
    """Remember that a key was used."""
    work.put(_USED, programme=programme_id, key_id=key_id, now=micros(now))
