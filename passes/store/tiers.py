"""The log of tiers: who rose or fell, when and why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert

from passes.store.ids import new_id
from passes.store.instants import micros
from passes.store.models import tier_change
from passes.store.work import Work

_ADD = insert(tier_change)


def add_change(
    work: Work,
    *,
    programme_id: int,
    member_id: int,
    from_key: str | None,
    to_key: str | None,
    cause: str,
    metric_period: int,
    metric: int,
    receipt_id: int | None,
    reason: str | None,
    now: datetime,
) -> None:
    """Write down that a member's tier changed. `cause` is upgrade, review, return, by_hand, undo or merge."""
    work.put(
        _ADD,
        programme_id=programme_id,
        id=new_id(now),
        member_id=member_id,
        from_key=from_key,
        to_key=to_key,
        cause=cause,
        metric_period=metric_period,
        metric=metric,
        receipt_id=receipt_id,
        reason=reason,
        at=micros(now),
    )
