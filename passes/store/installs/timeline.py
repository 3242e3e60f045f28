"""What happened to a card on phones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from passes.store.ids import block_of_ids, new_id
from passes.store.installs.claiming import Claim
from passes.store.installs.spoken import picked_rows, spoken
from passes.store.instants import micros
from passes.store.work import Work

ADDED, REMOVED, REFUSED = "added", "removed", "refused"
"""What can happen to a card on phones (`wallet_event`)."""

_HAPPENED = spoken("""
    INSERT INTO wallet_event (programme_id, id, card_id, wallet, event, at)
    VALUES (:programme_id, :id, :card_id, :wallet, :event, :now)
""")
_CARDS_HAPPENED = spoken(
    """
    INSERT INTO wallet_event (programme_id, id, card_id, wallet, event, at)
    SELECT r.programme_id, picked.event_id, picked.pass_id, :wallet, :event, :now
    FROM {picked} CROSS JOIN registration r
    WHERE r.pass_type_id = picked.type_id AND r.device_id = picked.phone_id AND r.card_id = picked.pass_id
    """,
    picked={"type_id": "bigint", "phone_id": "bigint", "pass_id": "bigint", "event_id": "bigint"},
)


def happened(work: Work, programme_id: int, card_id: int, *, wallet: str, event: str, now: datetime) -> None:
    """Write into the card's timeline what happened to it on phones."""
    work.put(
        _HAPPENED.on(work),
        programme_id=programme_id,
        id=new_id(now),
        card_id=card_id,
        wallet=wallet,
        event=event,
        now=micros(now),
    )


def cards_happened(work: Work, claims: Sequence[Claim], *, wallet: str, event: str, now: datetime) -> None:
    """As `happened`, for the cards of these claims."""
    if claims:
        rows = picked_rows(
            {
                "type_id": claim.pass_type_id,
                "phone_id": claim.device_id,
                "pass_id": claim.card_id,
                "event_id": number,
            }
            for claim, number in zip(claims, block_of_ids(now, len(claims)), strict=True)
        )
        work.put(_CARDS_HAPPENED.on(work), rows=rows, wallet=wallet, event=event, now=micros(now))
