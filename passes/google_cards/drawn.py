"""A card as of one moment: what Google should show of it, beside what it holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import orjson

from passes import showing
from passes.google.documents import digests
from passes.google.schema import Document
from passes.google_cards.issuer import Issuer
from passes.loyalty.card import CardFace
from passes.store import Read
from passes.store.cards import CardFacts
from passes.store.google import Object
from passes.store.programmes import Loaded

BALANCE = "#balance"
"""Beside the digests of members: that of the balance alone."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A card as of one moment: its facts, what Google should show, and what it holds."""

    loaded: Loaded
    facts: CardFacts
    face: CardFace
    document: Document
    known: Object | None


def draw(
    read: Read,
    issuer: Issuer,
    facts: CardFacts | None,
    loaded: Loaded,
    known: Object | None,
    *,
    now: datetime,
) -> Drawn | None:
    """The card of these facts as Google should show it now; None for none. Raises DocumentInvalid."""
    if facts is None:
        return None
    face = showing.face_of(read, loaded, facts, now=now)
    return Drawn(loaded, facts, face, issuer.card_document(loaded, facts.serial, face), known)


def digests_of(document: Document) -> dict[str, str]:
    """Digests of the document's members, and of the balance by itself: only its change may notify."""
    balance = orjson.dumps(document["loyaltyPoints"]["balance"], option=orjson.OPT_SORT_KEYS)
    own = hashlib.blake2b(balance, digest_size=9).hexdigest()
    return digests("LoyaltyObject", document) | {BALANCE: own}
