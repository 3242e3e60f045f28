"""At the counter: look at a card, book a purchase, redeem, undo, sell to a guest.

Every write names its request. Asked again with the same key and content it
answers as it did first; a refusal keeps nothing, not even the key.
"""

from passes.checkout.aliases import add_alias
from passes.checkout.bystanders import refuse_bystanders
from passes.checkout.claims import Claimable, claim, claimable, proven_sale
from passes.checkout.finding import Found, Search, card_of, find
from passes.checkout.looking import IssuedView, Lapsing, MemberView, OfferHere, RewardView, look
from passes.checkout.proving import CODES_AN_HOUR, OneTimeCode, Proof, send_code, show_code
from passes.checkout.purchases import Sale, accrue, sale
from passes.checkout.quoting import AsMoney, Quote, Why, quote, recent, why
from passes.checkout.returns import (
    Exchanged,
    Returnable,
    SaleReturned,
    exchange,
    preview_return,
    returnable,
    take_back,
    take_back_sale,
)
from passes.checkout.rewards import Held, authorise, capture, extend, redeem, release, use
from passes.checkout.undoing import undo
from passes.loyalty.receipt import Receipt, refund_of

__all__ = [
    "CODES_AN_HOUR",
    "AsMoney",
    "Claimable",
    "Exchanged",
    "Found",
    "Held",
    "IssuedView",
    "Lapsing",
    "MemberView",
    "OfferHere",
    "OneTimeCode",
    "Proof",
    "Quote",
    "Receipt",
    "Returnable",
    "RewardView",
    "Sale",
    "SaleReturned",
    "Search",
    "Why",
    "accrue",
    "add_alias",
    "authorise",
    "capture",
    "card_of",
    "claim",
    "claimable",
    "exchange",
    "extend",
    "find",
    "look",
    "preview_return",
    "proven_sale",
    "quote",
    "recent",
    "redeem",
    "refund_of",
    "refuse_bystanders",
    "release",
    "returnable",
    "sale",
    "send_code",
    "show_code",
    "take_back",
    "take_back_sale",
    "undo",
    "use",
    "why",
]
