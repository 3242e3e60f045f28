"""Installs: which phones hold which card, what they were told, and what they are owed.

An install is a `registration` of a device for a card. It is up to date when
`announced_revision` has reached the effective revision, the card's own plus
its programme's. `owed` holds the others, at most one row each; it is derived,
and can be rebuilt at any time.

Every install belongs to one wallet, and each wallet is claimed for by itself:
what waits for one is never in the way of the other. At Google one device
stands for whoever holds the card, and its address is the object's id.

Statements that handle many rows take them as one JSON text, which both engines
unpack into a table named `picked`. The rows are given in the order of their
keys, so that two workers lock them in the same order. CROSS JOIN is SQLite's
word for "in this order", and some indexes are named: it keeps no statistics
and would walk through a whole pass type instead. PostgreSQL decides by itself.
"""

from __future__ import annotations

from passes.store.installs.claiming import Claim, claim
from passes.store.installs.phone_log import keep_log, newest_log
from passes.store.installs.phones import Listed, changed_since, phones_of, register, unregister
from passes.store.installs.settling import DeadToken, postpone, release, remove_devices, settle_accepted
from passes.store.installs.stamping import (
    ChangedCard,
    Stamp,
    changed_cards,
    is_anything_waiting,
    is_due,
    is_spreading,
    next_tag,
    pass_types_to_stamp,
    spread,
    stamp,
    stamp_programmes,
)
from passes.store.installs.sweeping import START, Place, forgotten, owe
from passes.store.installs.timeline import ADDED, REFUSED, REMOVED, cards_happened, happened
from passes.store.installs.wallets import APPLE, GOOGLE

__all__ = [
    "ADDED",
    "APPLE",
    "GOOGLE",
    "REFUSED",
    "REMOVED",
    "START",
    "ChangedCard",
    "Claim",
    "DeadToken",
    "Listed",
    "Place",
    "Stamp",
    "cards_happened",
    "changed_cards",
    "changed_since",
    "claim",
    "forgotten",
    "happened",
    "is_anything_waiting",
    "is_due",
    "is_spreading",
    "keep_log",
    "newest_log",
    "next_tag",
    "owe",
    "pass_types_to_stamp",
    "phones_of",
    "postpone",
    "register",
    "release",
    "remove_devices",
    "settle_accepted",
    "spread",
    "stamp",
    "stamp_programmes",
    "unregister",
]
