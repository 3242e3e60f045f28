"""What the till shows of a receipt beside its numbers: whose it is, and which reward."""

from __future__ import annotations

from passes.checkout.finding import HANDLE_LASTS
from passes.loyalty.receipt import Receipt
from passes.loyalty.stamps import STAMPS
from passes.store import cards
from passes.store.cards import CardFacts
from passes.store.programmes import Loaded
from passes.web import language
from passes.web.here import installation, now


def card(loaded: Loaded, receipt: Receipt) -> CardFacts | None:
    """The card that a receipt belongs to, with the member's name and the code to open it by."""
    with installation().store.read() as read:
        return cards.facts(read, loaded.id, receipt.card_id)


def handle(loaded: Loaded, found: CardFacts) -> str:
    """What opens the member again for a while. The card itself may never have been here."""
    return installation().keys.handle(loaded.id, found.card_id, expires_at=now() + HANDLE_LASTS)


def reward_name(loaded: Loaded, receipt: Receipt) -> str:
    """What was given, in the page's language; empty where nothing was."""
    programme = loaded.programme
    if receipt.reward_key == STAMPS and programme.stamps is not None:
        return programme.stamps.name.in_(language.current())
    for reward in programme.rewards:
        if reward.key == receipt.reward_key:
            return reward.name.in_(language.current())
    return ""
