"""PINs: a few digits that open a paired till, and a manager's word for one booking there.

A PIN is worth nothing away from a till. Its few digits can be guessed, so
tries are few: who is out of them needs the password, which the till takes too.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from passes.access.forms import Prover
from passes.access.limits import Limit, clear, limit
from passes.access.people import USUAL_COST, Area, PasswordCost, Role, decoy, fits, hash_password, login_of
from passes.access.sessions import AtTill, begin
from passes.loyalty.refusals import (
    NotAllowed,
    PersonUnknown,
    PinLocked,
    PinWeak,
    PinWrong,
    TooManyTries,
)
from passes.store import Store, Work, programmes, team
from passes.store import staff as rows
from passes.store.instants import instant, micros
from passes.store.staff import Stored

APPROVAL_TIME = timedelta(minutes=5)
"""How long a manager's word holds."""

_PIN = re.compile(r"[0-9]{4,8}\Z")
_APPROVAL_LETTERS_MAX = 200
_SERVE = frozenset({Role.CASHIER, Role.OWNER})


def check_pin(pin: str) -> None:
    """Raise PinWeak for anything but 4 to 8 digits, and for those that everybody tries first."""
    if not _PIN.match(pin) or len(set(pin)) == 1 or pin == pin[:2] * (len(pin) // 2):
        raise PinWeak
    if {(int(later) - int(one)) % 10 for one, later in pairwise(pin)} in ({1}, {9}):
        raise PinWeak


def set_pin(
    store: Store,
    *,
    programme: str,
    login: str,
    pin: str | None,
    by: int | None,
    now: datetime,
    cost: PasswordCost = USUAL_COST,
) -> None:
    """Give somebody a PIN, or take it away with None. `by` is the owner who does, None on the server itself.

    Raises PinWeak, PersonUnknown also for those who do not serve at tills,
    ProgrammeUnknown, and NotAllowed for people who also have a role in a
    programme where `by` is no owner.
    """
    login = login_of(login)
    if pin is not None:
        check_pin(pin)
    pin_hash = None if pin is None else hash_password(pin, cost=cost)

    def decide(work: Work) -> None:
        programme_id = programmes.by_slug(work, programme).id
        known = rows.by_login(work, login)
        serves = _SERVE & set(team.roles(work, programme_id=programme_id, login=login))
        if known is None or not serves:
            raise PersonUnknown
        if by is not None and not team.owns_all_of(work, owner_id=by, staff_id=known.id):
            raise NotAllowed
        team.set_pin(work, staff_id=known.id, pin_hash=pin_hash)
        action = "staff.pin" if pin is not None else "staff.pin_taken"
        rows.note(work, action, about=login, staff_id=by, programme_id=programme_id, now=now)

    store.write(decide)


def sign_in(
    store: Store, *, at: AtTill, login: str, pin: str, now: datetime, cost: PasswordCost = USUAL_COST
) -> str:
    """Begin a session at a paired till; returns its secret.

    Raises PinWrong, the same for unknown people and wrong PINs, PinLocked
    once only the password helps, TooManyTries.
    """
    known = _proven(
        store,
        at=at,
        login=login,
        pin=pin,
        roles=_SERVE,
        now=now,
        cost=cost,
    )
    return begin(store, staff_id=known.id, area=Area.TILL, action="session.pin", at=at, now=now)


def approve(
    store: Store,
    prover: Prover,
    *,
    at: AtTill,
    login: str,
    pin: str,
    key: str,
    content: str,
    about: Mapping[str, str | int | None],
    asked_by: str,
    now: datetime,
    cost: PasswordCost = USUAL_COST,
) -> str:
    """An owner's word that the request of this key may be booked, as a token for `approved_by`.

    It holds for this `content` alone, a fingerprint of all that the request
    asks for. Raises what `agree` raises.
    """
    login = agree(
        store, at=at, login=login, pin=pin, key=key, about=about, asked_by=asked_by, now=now, cost=cost
    )
    issued = f"{micros(now):x}"
    proof = prover.form_proof("approval", str(at.programme_id), issued, key, content, login)
    return f"{login}|{issued}|{proof}"


def agree(
    store: Store,
    *,
    at: AtTill,
    login: str,
    pin: str,
    key: str,
    about: Mapping[str, str | int | None],
    asked_by: str,
    now: datetime,
    cost: PasswordCost = USUAL_COST,
) -> str:
    """The login of the owner who agrees at once to the request of this key, proven by their PIN.

    `about` says for the audit trail what it is. Raises PinWrong, PinLocked, TooManyTries.
    """
    known = _proven(store, at=at, login=login, pin=pin, roles=frozenset({Role.OWNER}), now=now, cost=cost)

    def decide(work: Work) -> None:
        rows.note(
            work,
            "till.approve",
            about=key,
            staff_id=known.id,
            programme_id=at.programme_id,
            detail={"till": at.till_id, "location": at.location, "asked_by": asked_by, **about},
            now=now,
        )

    store.write(decide)
    return known.login


def approved_by(
    prover: Prover, token: str, *, programme_id: int, key: str, content: str, now: datetime
) -> str | None:
    """The owner who gave this token for the request of this key and content; None if nobody did just now."""
    if len(token) > _APPROVAL_LETTERS_MAX or token.count("|") != 2:
        return None
    login, issued, proof = token.split("|")
    expected = prover.form_proof("approval", str(programme_id), issued, key, content, login)
    if not hmac.compare_digest(proof.encode(), expected.encode()):
        return None
    # Proven, so this is a number that we wrote.
    return login if timedelta(0) <= now - instant(int(issued, 16)) < APPROVAL_TIME else None


def _proven(
    store: Store,
    *,
    at: AtTill,
    login: str,
    pin: str,
    roles: frozenset[Role],
    now: datetime,
    cost: PasswordCost,
) -> Stored:
    """Who has this login, this PIN and one of these roles."""
    login = login_of(login)
    whose = f"{at.till_id}:{login}"
    limit(store, Limit.PIN_TILL, str(at.till_id), now=now)
    try:
        limit(store, Limit.PIN_PERSON, whose, now=now)
    except TooManyTries:
        raise PinLocked from None
    with store.read() as read:
        known = rows.by_login(read, login)
        has = set(team.roles(read, programme_id=at.programme_id, login=login))
    kept = known.pin_hash if known is not None and known.pin_hash is not None else decoy(cost)
    if not fits(pin[:9], kept) or known is None or not roles & has:
        raise PinWrong
    clear(store, Limit.PIN_PERSON, whose)
    return known
