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
