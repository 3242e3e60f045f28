"""Setting tills up, pairing devices with them, taking them out of force."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Protocol

from passes.loyalty import codes
from passes.loyalty.letters import cleaned
from passes.loyalty.refusals import (
    LocationUnknown,
    NameInvalid,
    PairingCodeWrong,
    TillNameTaken,
    TillUnknown,
)
from passes.store import Store, Work, programmes, staff
from passes.store import tills as rows
from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.programmes import Loaded
from passes.store.work import Row

PAIRING_TIME = timedelta(minutes=10)
"""How long a pairing code is good. It is good once."""

NAME_LETTERS_MAX = 64
CODE_LETTERS = 8
_SECRET_BYTES = 32
_SECRET_LETTERS_MAX = 100
_HEARD_EVERY = timedelta(minutes=1)
_DEMONSTRATION_IDLE = timedelta(hours=12)


class Prover(Protocol):
    """What pairing codes are derived from, so that no table holds them: the server keys."""

    def form_proof(self, *parts: str) -> str:
        """A proof for these texts."""
        ...


@dataclass(frozen=True, slots=True)
class Till:
    """A till as its owner knows it. Its `code` pairs a device until `waits_until`, both None without one."""

    id: int
    name: str
    location: str | None
    created_at: datetime
    waits_until: datetime | None
    code: str | None
    paired_at: datetime | None
    revoked_at: datetime | None
    seen_at: datetime | None
    synced_at: datetime | None


@dataclass(frozen=True, slots=True)
class Device:
    """The device that showed a till's secret. `sequence` is the last number of its queue that was taken."""

    till_id: int
    name: str
    location: str | None
    loaded: Loaded
    is_revoked: bool
    seen_at: datetime
    synced_at: datetime
    sequence: int


@dataclass(frozen=True, slots=True)
class Paired:
    """A device that was just paired. `secret` goes into its cookie and nowhere else."""

    programme_id: int
    till_id: int
    name: str
    secret: str


def set_up(
    store: Store,
    prover: Prover,
    *,
    programme: str,
    name: str,
    location: str | None,
    by: int | None,
    now: datetime,
) -> tuple[int, str]:
    """A new till: its id, and the code that pairs a device with it. `by` is the owner who sets it up.

    Raises ProgrammeUnknown, NameInvalid, TillNameTaken, and LocationUnknown:
    in a programme with shops a till stands in one of them.
    """
    if not (clean := cleaned(name, NAME_LETTERS_MAX)):
        raise NameInvalid(limit=NAME_LETTERS_MAX)
    till_id, until = new_id(now), micros(now + PAIRING_TIME)
    code = _code(prover, till_id, until)

    def decide(work: Work) -> None:
        loaded = programmes.by_slug(work, programme)
        shops = {shop.key for shop in loaded.programme.shops}
        if (location not in shops) if shops else (location is not None):
            raise LocationUnknown(location=location or "")
        # Receipts and limits know a till by its name.
        rows.alone(work, loaded.id)
        if any(row.revoked_at is None and row.name == clean for row in rows.every(work, loaded.id)):
            raise TillNameTaken(name=clean)
        rows.add(
            work,
            programme_id=loaded.id,
            till_id=till_id,
            name=clean,
            location=location,
            code_hash=_digest(code),
            until=until,
            now=micros(now),
        )
        _note(work, "till.add", loaded.id, till_id, by=by, now=now)

    store.write(decide)
    return till_id, code


def new_code(
    store: Store, prover: Prover, *, programme: str, till_id: int, by: int | None, now: datetime
) -> tuple[str, str]:
    """A till's name, and another code that pairs a device with it; the present device stays until then.

    Raises ProgrammeUnknown, TillUnknown.
    """
    until = micros(now + PAIRING_TIME)
    code = _code(prover, till_id, until)

    def decide(work: Work) -> str:
        programme_id = programmes.by_slug(work, programme).id
        name = rows.renew_code(
            work, programme_id=programme_id, till_id=till_id, code_hash=_digest(code), until=until
        )
        if name is None:
            raise TillUnknown
        _note(work, "till.code", programme_id, till_id, by=by, now=now)
        return name

    return store.write(decide), code


def pair(store: Store, *, code: str, now: datetime) -> Paired:
    """Let this device be the till of that code. Whoever was signed in at the till is not any more.

    Raises PairingCodeWrong, also for a code that was used or is too old. The
    caller counts tries.
    """
    typed = codes.normalise(code)
    if len(typed) != CODE_LETTERS or set(typed) - set(codes.ALPHABET):
        raise PairingCodeWrong
    secret = secrets.token_urlsafe(_SECRET_BYTES)

    def decide(work: Work) -> Paired:
        row = rows.pair(work, code_hash=_digest(typed), secret_hash=_digest(secret), now=micros(now))
        if row is None:
            raise PairingCodeWrong
        staff.revoke_at_till(work, till_id=row.id, now=micros(now))
        _note(work, "till.pair", row.programme_id, row.id, by=None, now=now)
        return Paired(row.programme_id, row.id, row.name, secret)

    return store.write(decide)


def pair_for_demonstration(
    store: Store, prover: Prover, *, programme: str, location: str | None, called: str, now: datetime
) -> Paired:
    """Make this browser a till of the demonstration, without a code, `called` so or so with a number.

    Each browser gets one of its own, so that two of them do not put each other
    out; one that nobody looked at for a shift is taken again. Only the
    development front page may call this. Raises ProgrammeUnknown.
    """
    standing = [one for one in every(store, prover, programme=programme, now=now) if one.revoked_at is None]
    idle = next(
        (
            one
            for one in standing
            if one.name.startswith(called)
            and one.location == location
            and now - (one.seen_at or one.created_at) > _DEMONSTRATION_IDLE
        ),
        None,
    )
    if idle is not None:
        _, code = new_code(store, prover, programme=programme, till_id=idle.id, by=None, now=now)
        # Unless another browser took it in this very moment.
        with suppress(PairingCodeWrong):
            return pair(store, code=code, now=now)
    taken = {one.name for one in standing}
    for number in count(1):
        name = called if number == 1 else f"{called} {number}"
        if name in taken:
            continue
        with suppress(TillNameTaken):
            _, code = set_up(
                store, prover, programme=programme, name=name, location=location, by=None, now=now
            )
            return pair(store, code=code, now=now)
    raise AssertionError("there is always another number")


def device(store: Store, *, secret: str) -> Device | None:
    """The till whose device shows this secret, also one out of force; None for a secret of none."""
    if len(secret) > _SECRET_LETTERS_MAX:
        return None
    with store.read() as read:
        found = rows.by_secret(read, _digest(secret))
    if found is None:
        return None
    row, loaded = found
    return Device(
        till_id=row.till_id,
        name=row.till_name,
        location=row.till_location,
        loaded=loaded,
        is_revoked=row.revoked_at is not None,
        seen_at=instant(row.seen_at),
        synced_at=instant(row.synced_at),
        sequence=row.sequence,
    )


def heard(store: Store, found: Device, *, now: datetime) -> None:
    """Remember that the device asked something, at most once a minute."""
    if now - found.seen_at >= _HEARD_EVERY:
        store.write(
            lambda work: rows.heard(
                work, programme_id=found.loaded.id, till_id=found.till_id, now=micros(now)
            )
        )


def revoke(store: Store, *, programme: str, till_id: int, by: int | None, now: datetime) -> str:
    """Take a till out of force at once: every session there ends, and its queue is only looked at. Its name.

    Raises ProgrammeUnknown, TillUnknown.
    """

    def decide(work: Work) -> str:
        programme_id = programmes.by_slug(work, programme).id
        name = rows.revoke(work, programme_id=programme_id, till_id=till_id, now=micros(now))
        if name is None:
            raise TillUnknown
        staff.revoke_at_till(work, till_id=till_id, now=micros(now))
        _note(work, "till.revoke", programme_id, till_id, by=by, now=now)
        return name

    return store.write(decide)


def every(store: Store, prover: Prover, *, programme: str, now: datetime) -> list[Till]:
    """All tills of a programme by name, those out of force last. Raises ProgrammeUnknown."""
    with store.read() as read:
        found = rows.every(read, programmes.by_slug(read, programme).id)
    return [_till(prover, row, now) for row in found]


def _till(prover: Prover, row: Row, now: datetime) -> Till:
    waits = row.pairing_until is not None and row.pairing_until > micros(now)
    return Till(
        id=row.id,
        name=row.name,
        location=row.location,
        created_at=instant(row.created_at),
        waits_until=instant(row.pairing_until) if waits else None,
        code=_code(prover, row.id, row.pairing_until) if waits else None,
        paired_at=instant_or_none(row.paired_at),
        revoked_at=instant_or_none(row.revoked_at),
        seen_at=instant_or_none(row.seen_at),
        synced_at=instant_or_none(row.synced_at),
    )


def _code(prover: Prover, till_id: int, until: int) -> str:
    """What is typed to pair a device: 23^8 of them, each good for minutes and once."""
    proof = prover.form_proof("pairing", str(till_id), str(until))
    number = int.from_bytes(hashlib.sha256(proof.encode()).digest(), "big")
    letters = []
    for _ in range(CODE_LETTERS):
        number, place = divmod(number, len(codes.ALPHABET))
        letters.append(codes.ALPHABET[place])
    return "".join(letters)


def _note(work: Work, action: str, programme_id: int, till_id: int, *, by: int | None, now: datetime) -> None:
    staff.note(work, action, about=f"till {till_id}", staff_id=by, programme_id=programme_id, now=now)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
