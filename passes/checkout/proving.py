"""That a member is really here: six digits from their e-mail or their own page, good once, for minutes.

Who was only looked up redeems nothing without them, and above the programme's
limit the card alone is not enough either: a picture of it may have been passed
on. Reference: loyalty G, E2.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from passes.checkout import arrival
from passes.loyalty.distance import FAR_WITHIN, far_from
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import (
    CardNeeded,
    OneTimeCodeNeeded,
    OneTimeCodeNotSent,
    OneTimeCodeWrong,
    TooManyTries,
    UsedFarAway,
)
from passes.server_keys import ServerKeys
from passes.store import Store, Work, mail, members, one_time, programmes, safety
from passes.store.ids import new_id
from passes.store.members import Standing
from passes.store.programmes import Loaded

Booked = TypeVar("Booked")

LASTS = timedelta(minutes=10)
TRIES_MAX = 5
CODES_AN_HOUR = 6


@dataclass(frozen=True, slots=True)
class Proof:
    """What proves that a member is here: the card, unless they were only `found`, and `digits` if given."""

    keys: ServerKeys
    digits: str | None = None
    found: bool = False


@dataclass(frozen=True, slots=True)
class OneTimeCode:
    """A code as it is shown to its member, once."""

    digits: str
    expires_at: datetime


def send_code(store: Store, *, programme: str, code: str, keys: ServerKeys, now: datetime) -> datetime:
    """Send a one-time code to the member behind a card's code; returns when it ends.

    Raises OneTimeCodeNotSent where no address is known, TooManyTries, and what
    `look` raises for codes.
    """
    typed = arrival.typed(code)

    def decide(work: Work) -> datetime:
        loaded = programmes.by_slug(work, programme)
        standing = arrival.card(work, loaded, typed, members.at_counter(work, loaded.id, typed))
        if mail.recipient(work, loaded.id, standing.member_id) is None:
            raise OneTimeCodeNotSent()
        code_id, made = _make(work, loaded, standing.member_id, keys, now)
        mail.want(
            work,
            programme_id=loaded.id,
            member_id=standing.member_id,
            kind=mail.ONE_TIME_CODE,
            about=f"code:{code_id}",
            # The worker derives the digits from this: they are kept nowhere.
            detail={"code": code_id, "key": keys.current_id},
            now=now,
        )
        return made.expires_at

    return store.write(decide)


def show_code(
    store: Store, *, programme_id: int, member_id: int, keys: ServerKeys, now: datetime
) -> OneTimeCode:
    """A new one-time code for the member's own page. Raises TooManyTries."""
    return store.write(
        lambda work: _make(work, programmes.by_id(work, programme_id), member_id, keys, now)[1]
    )


def _make(
    work: Work, loaded: Loaded, member_id: int, keys: ServerKeys, now: datetime
) -> tuple[int, OneTimeCode]:
    # Few codes with few tries each: nobody guesses one.
    if one_time.made_since(work, loaded.id, member_id, since=now - timedelta(hours=1)) >= CODES_AN_HOUR:
        raise TooManyTries()
    code_id = new_id(now)
    digits = keys.one_time_digits(keys.current_id, loaded.id, code_id)
    one_time.add(
        work,
        programme_id=loaded.id,
        code_id=code_id,
        member_id=member_id,
        code_hash=keys.one_time_hash(loaded.id, member_id, digits),
        expires_at=now + LASTS,
        now=now,
    )
    return code_id, OneTimeCode(digits, now + LASTS)


def prove(
    work: Work,
    loaded: Loaded,
    standing: Standing,
    proof: Proof | None,
    *,
    points: int,
    at: Counter,
    now: datetime,
) -> bool:
    """Whether the digits that were given are right, or none are needed; uses them up.

    They are where the member was only looked up, where it costs much, and where
    the card was used a moment ago so far from `at` that it must be in two hands:
    a picture of it was passed on. False for wrong ones, which were counted: the
    caller then books nothing, lets that count be kept and refuses by `proven`.
    Raises CardNeeded, OneTimeCodeNeeded or UsedFarAway.
    """
    rules = loaded.programme
    limit = rules.till.proof_points
    is_much = limit is not None and points > limit
    found = proof is not None and proof.found
    if found and is_much:
        raise CardNeeded()
    is_elsewhere = not (found or is_much) and _is_elsewhere(work, loaded, standing, at, now)
    if not (found or is_much or is_elsewhere):
        return True
    if proof is None or not proof.digits:
        if is_elsewhere:
            raise UsedFarAway()
        raise CardNeeded() if found else _needed(rules, limit or 0)
    given = proof.keys.one_time_hash(loaded.id, standing.member_id, proof.digits)
    here = one_time.usable(work, loaded.id, standing.member_id, tries_max=TRIES_MAX, now=now)
    right = [one for one in here if hmac.compare_digest(one.code_hash, given)]
    if not right:
        one_time.count_wrong(work, loaded.id, standing.member_id, now=now)
        return False
    one_time.use(work, loaded.id, right[0].id, now=now)
    return True


def proven(booked: Booked | None) -> Booked:
    """What was booked; raises OneTimeCodeWrong where `prove` said no and only its count was kept."""
    if booked is None:
        raise OneTimeCodeWrong()
    return booked


def _is_elsewhere(work: Work, loaded: Loaded, standing: Standing, at: Counter, now: datetime) -> bool:
    far = far_from(loaded.programme.shops, at.location)
    # Most programmes have no shops so far apart: nothing is asked then.
    return bool(far) and not far.isdisjoint(
        safety.used_at(work, loaded.id, standing.member_id, since=now - FAR_WITHIN)
    )


def _needed(rules: Programme, limit: int) -> OneTimeCodeNeeded:
    return OneTimeCodeNeeded(limit=limit, unit=rules.unit.name(limit, rules.language))
