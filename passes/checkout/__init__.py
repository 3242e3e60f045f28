"""At the counter: look at a card, book a purchase, redeem, undo, sell to a guest.

Every write names its request. Asked again with the same key and content it
answers as it did first; a refusal keeps nothing, not even the key.
"""

from passes.checkout.looking import MemberView, RewardView, look, quote, recent
from passes.checkout.purchases import Sale, accrue, sale
from passes.checkout.returns import undo
from passes.checkout.rewards import Held, authorise, capture, extend, redeem, release, use

__all__ = [
    "Held",
    "MemberView",
    "RewardView",
    "Sale",
    "accrue",
    "authorise",
    "capture",
    "extend",
    "look",
    "quote",
    "recent",
    "redeem",
    "release",
    "sale",
    "undo",
    "use",
]
