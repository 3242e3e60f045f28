"""A receipt with a QR code leads its guest to the join page, and what they bought becomes theirs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import request

from passes import checkout
from passes.loyalty.money import Money
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import (
    AlreadyClaimed,
    ClaimTooLate,
    OwnCard,
    Refused,
    SaleUnknown,
)
from passes.store import finding
from passes.store.programmes import Loaded
from passes.web import language
from passes.web.here import installation, now

BOOKED = "booked"
_REFUSALS = {one.code: one for one in (AlreadyClaimed, ClaimTooLate, OwnCard, SaleUnknown)}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page says of a receipt that led here: what it was about, or why its points are gone."""

    amount: Money | None = None
    until: datetime | None = None
    refused: Refused | None = None


def shown(loaded: Loaded) -> Shown | None:
    """The receipt that this address names; None where it names none."""
    text = request.args.get("claim")
    if not text:
        return None
    try:
        sale_id = checkout.proven_sale(installation().keys, loaded, text)
        here = checkout.claimable(installation().store, programme=loaded.slug, sale_id=sale_id, now=now())
    except Refused as refused:
        return Shown(refused=refused)
    return Shown(here.amount, here.until)


def take(loaded: Loaded, code: str, card_id: int) -> str | None:
    """Put the sale that this address names on a card. How that went; None where it names none.

    Whoever joins with a receipt that is worth nothing any more has joined all the same.
    """
    text = request.args.get("claim")
    if not text:
        return None
    here = installation()
    try:
        sale_id = checkout.proven_sale(here.keys, loaded, text)
        checkout.claim(
            here.store,
            programme=loaded.slug,
            code=code,
            sale_id=sale_id,
            amount_minor=None,
            key=f"claim:{sale_id}:{card_id}",
            at=Counter(channel="web"),
            now=now(),
        )
    except Refused as refused:
        return refused.code
    return BOOKED


def take_here(loaded: Loaded, card_id: int) -> str | None:
    """As `take`, for a card that this browser has already."""
    with installation().store.read() as read:
        code = finding.code_of(read, loaded.id, card_id)
    return None if code is None else take(loaded, code, card_id)


def outcome() -> str | None:
    """What a card's page says of how a claim went; None where there was none."""
    how = request.args.get("claim", "")
    if how == BOOKED:
        return language.words("The points of your purchase are on this card.")
    return language.words(_REFUSALS[how].words) if how in _REFUSALS else None
