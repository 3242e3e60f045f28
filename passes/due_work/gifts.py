"""A free reward is put into a member's hands."""

from __future__ import annotations

from datetime import datetime, timedelta

from passes.store import Work, redemptions
from passes.store.programmes import Loaded


def give(
    work: Work,
    loaded: Loaded,
    member_id: int,
    card_id: int,
    reward_key: str,
    *,
    source: str,
    until: datetime | None,
    receipt_id: int | None = None,
    now: datetime,
) -> None:
    """Put a free reward into a member's hands, to be used within its days of validity or `until`."""
    reward = loaded.programme.reward(reward_key)
    if reward.valid_days is not None:
        until = now + timedelta(days=reward.valid_days)
    redemptions.add(
        work,
        programme_id=loaded.id,
        member_id=member_id,
        card_id=card_id,
        reward_key=reward_key,
        source=source,
        points=0,
        amount_minor=None,
        state=redemptions.ISSUED,
        receipt_id=receipt_id,
        purchase_id=None,
        expires_at=until,
        now=now,
    )
