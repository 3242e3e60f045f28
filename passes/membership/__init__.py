"""A member looks after their own card: what it holds and why, what they agreed to, and how they leave.

Everything begins with the secret of the card's link. Nothing here spends points.
"""

from passes.membership.choices import (
    Answer,
    Choices,
    Known,
    choices,
    consent,
    correct,
    languages_of,
    send_card,
    speak,
)
from passes.membership.leaving import forget_phones_due, leave
from passes.membership.links import link, mark_shown, programme_of, renew
from passes.membership.overview import Entry, InHand, Level, OnDay, Overview, Prize, StampCard, overview
from passes.membership.record import record
from passes.store.membership import Link

__all__ = [
    "Answer",
    "Choices",
    "Entry",
    "InHand",
    "Known",
    "Level",
    "Link",
    "OnDay",
    "Overview",
    "Prize",
    "StampCard",
    "choices",
    "consent",
    "correct",
    "forget_phones_due",
    "languages_of",
    "leave",
    "link",
    "mark_shown",
    "overview",
    "programme_of",
    "record",
    "renew",
    "send_card",
    "speak",
]
