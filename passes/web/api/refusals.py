"""What operations of the counter can refuse, beside what keys, bodies and the database can: by subject."""

from __future__ import annotations

from passes.loyalty.refusals import (
    AlreadyUndone,
    AmountInvalid,
    AmountTooLarge,
    BirthdayMissing,
    CapReached,
    CardForeign,
    CardNeeded,
    CardVoided,
    CodeMistyped,
    CodeUnknown,
    EmailInvalid,
    EmailMissing,
    HandleExpired,
    JoiningClosed,
    LineInvalid,
    NameInvalid,
    NotAPurchase,
    NotEnoughPoints,
    NotEnoughStamps,
    NothingLeftToReturn,
    OfferBudgetUsedUp,
    OfferCodeUnknown,
    OfferCodeUsed,
    OfferEnded,
    OfferItems,
    OfferMemberLimit,
    OfferMinimum,
    OfferNoEffect,
    OfferNotCombinable,
    OfferNotForYou,
    OfferNotHere,
    OfferNotNow,
    OfferNotStarted,
    OfferPaused,
    OfferQuotaUsedUp,
    OneTimeCodeNeeded,
    OneTimeCodeWrong,
    OwnCard,
    PhoneInvalid,
    PhoneMissing,
    PointsChosenWrong,
    PurchaseUnknown,
    ReceiptUnknown,
    RedemptionOver,
    RedemptionUnknown,
    ReturnBeforeSale,
    ReturnLineUnknown,
    ReturnTooLarge,
    ReturnTooLate,
    RewardLimitReached,
    RewardNotForTier,
    RewardNotHere,
    RewardNotNow,
    RewardSoldOut,
    RewardUnknown,
    TendersWrong,
    TimeInvalid,
    UndoAfterReturn,
    UndoTooLate,
)

CARD = (CodeMistyped, CodeUnknown, CardForeign, CardVoided, HandleExpired)
"""A card that is read, or a member who was looked up."""

HELD_CARD = (*CARD, OwnCard)
"""A card on which something is booked."""

BASKET = (AmountInvalid, AmountTooLarge, LineInvalid, TendersWrong, CapReached)
"""What is bought."""

OFFERS = (
    OfferCodeUnknown,
    OfferCodeUsed,
    OfferNotStarted,
    OfferEnded,
    OfferPaused,
    OfferNotNow,
    OfferQuotaUsedUp,
    OfferBudgetUsedUp,
    OfferMemberLimit,
    OfferNotForYou,
    OfferNotHere,
    OfferMinimum,
    OfferItems,
    OfferNoEffect,
    OfferNotCombinable,
)
"""Why an offer whose code was named does not hold."""

PURCHASE = (*HELD_CARD, *BASKET, *OFFERS, TimeInvalid)

SALE = (AmountInvalid, AmountTooLarge, LineInvalid, TendersWrong, TimeInvalid)

PROOF = (CardNeeded, OneTimeCodeNeeded, OneTimeCodeWrong)
"""Whether the member is really here."""

REWARD = (
    *HELD_CARD,
    *PROOF,
    RewardUnknown,
    NotEnoughPoints,
    NotEnoughStamps,
    PointsChosenWrong,
    RewardNotNow,
    RewardNotHere,
    RewardNotForTier,
    RewardLimitReached,
    RewardSoldOut,
)

USE = (*HELD_CARD, *PROOF, RedemptionUnknown, RedemptionOver, RewardNotHere, ReceiptUnknown, NotAPurchase)

RETURNABLE = (ReceiptUnknown, NotAPurchase, AlreadyUndone)

RETURN_PREVIEW = (
    *RETURNABLE,
    AmountInvalid,
    ReturnTooLate,
    NothingLeftToReturn,
    ReturnTooLarge,
    ReturnLineUnknown,
)

RETURN = (*RETURN_PREVIEW, ReturnBeforeSale, TimeInvalid, OwnCard)

SALE_RETURN = (
    PurchaseUnknown,
    AlreadyUndone,
    AmountInvalid,
    ReturnTooLate,
    ReturnBeforeSale,
    NothingLeftToReturn,
    ReturnTooLarge,
    ReturnLineUnknown,
    TimeInvalid,
)

UNDO = (ReceiptUnknown, AlreadyUndone, UndoTooLate, UndoAfterReturn, OwnCard)

JOINING = (
    JoiningClosed,
    NameInvalid,
    EmailInvalid,
    EmailMissing,
    PhoneInvalid,
    PhoneMissing,
    BirthdayMissing,
)
