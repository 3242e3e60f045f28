"""How often somebody may try."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum

from passes.loyalty.refusals import TooManyTries
from passes.store import Store
from passes.store import staff as rows
from passes.store.instants import micros

_FORGET_AFTER = timedelta(days=1)
# A till may come back from a drawer with something to send; then it matters who worked there.
_FORGET_AT_TILLS_AFTER = timedelta(days=60)


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
    PAIRING_ADDRESS = "pairing_address"
    PIN_TILL = "pin_till"
    PIN_PERSON = "pin_person"
    LOOKUP = "lookup"


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
    # Eight letters from the owner's screen.
    Limit.PAIRING_ADDRESS: 20,
    # Everybody who takes turns at one till, mistyping included.
    Limit.PIN_TILL: 60,
    # Every customer of a busy till without a card, and far too few to read the list of members.
    Limit.LOOKUP: 60,
    # Wrong ones: a right one counts from the beginning again.
    Limit.PIN_PERSON: 5,
}
_WINDOW = timedelta(minutes=5)
# A PIN has few digits: whoever is out of tries needs the password for the rest of the day.
_WINDOWS = {Limit.PIN_PERSON: timedelta(days=1)}
_MICROSECOND = timedelta(microseconds=1)


def limit(store: Store, what: Limit, whose: str, *, now: datetime) -> None:
    """Count one try. Raises TooManyTries from the one after the last that is allowed in five minutes.

    The count is committed before the refusal, so trying on does not help.
    """
    window = _WINDOWS.get(what, _WINDOW) // _MICROSECOND
    window_at = micros(now) // window * window
    name = _name(what, whose)
    if store.write(lambda work: rows.count_try(work, name=name, window_at=window_at)) > _TRIES_MAX[what]:
        raise TooManyTries


def clear(store: Store, what: Limit, whose: str) -> None:
    """Forget the tries: somebody proved who they are."""
    store.write(lambda work: rows.clear_tries(work, name=_name(what, whose)))


def _name(what: Limit, whose: str) -> str:
    # Hashed: an address or a mistyped password in the login field is nobody's business.
    return f"{what}:{hashlib.sha256(whose.encode()).hexdigest()}"


def forget_due(store: Store, *, now: datetime) -> None:
    """Drop what no longer matters: old counts, and sessions that ended a day ago."""
    before, at_tills = micros(now - _FORGET_AFTER), micros(now - _FORGET_AT_TILLS_AFTER)
    store.write(lambda work: rows.forget(work, before=before, before_at_tills=at_tills))
