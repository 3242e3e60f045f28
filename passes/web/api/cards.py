"""Which card a request means: by its code, or by what looking somebody up gave."""

from __future__ import annotations

from datetime import datetime

from passes import checkout
from passes.checkout import Proof
from passes.web.api.operations import Asked
from passes.web.here import installation, now


def card_of(asked: Asked, code: str, at: datetime | None = None) -> tuple[str, bool]:
    """The code of the card that is meant, and whether it was only looked up.

    A handle has to hold when it was used: what a till reports late was looked
    up then. Raises HandleExpired, CodeUnknown.
    """
    here = installation()
    return checkout.card_of(
        here.store, asked.caller.loaded, code, keys=here.keys, now=at or asked.made_at or now()
    )


def proof(code: str, one_time: str | None, asked: Asked) -> tuple[str, Proof]:
    """The card that is meant, and what proves that its member is here."""
    known, is_found = card_of(asked, code)
    return known, Proof(installation().keys, one_time, is_found)
