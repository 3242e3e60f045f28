"""Paired tills: a device that the owner let in, what it may send, and what somebody has to look at.

A till is paired once, with a code of a few minutes. From then on its device
shows a secret of which only the digest is kept; pairing again replaces it, and
the owner takes it out of force at once. What a till did without network comes
in a queue: it is booked as it came, or, where something about it is odd, kept
for the owner to decide.
"""

from passes.tills.pairing import (
    CODE_LETTERS,
    PAIRING_TIME,
    Device,
    Paired,
    Till,
    device,
    every,
    heard,
    new_code,
    pair,
    pair_for_demonstration,
    revoke,
    set_up,
)
from passes.tills.reviews import Review, book, dismiss, keep, open_reviews, review
from passes.tills.taking import Item, Judged, Why, has_worked_here, judge, standing_by, taken

__all__ = [
    "CODE_LETTERS",
    "PAIRING_TIME",
    "Device",
    "Item",
    "Judged",
    "Paired",
    "Review",
    "Till",
    "Why",
    "book",
    "device",
    "dismiss",
    "every",
    "has_worked_here",
    "heard",
    "judge",
    "keep",
    "new_code",
    "open_reviews",
    "pair",
    "pair_for_demonstration",
    "review",
    "revoke",
    "set_up",
    "standing_by",
    "taken",
]
