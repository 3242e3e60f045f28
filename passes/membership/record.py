"""Everything that is known about a member, for themselves to take along."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from passes.store import Store, merging, programmes
from passes.store import membership as rows
from passes.store.membership import Link


def record(store: Store, found: Link, *, now: datetime) -> dict[str, Any]:
    """Person, answers, cards, purchases, points and the rest, as plain values. Instants are ISO 8601, UTC.

    Also what stands under members that were merged into this one. What proves
    something to us (hashes, keys of phones) is not in it.
    """
    with store.read(snapshot=True) as read:
        loaded = programmes.by_id(read, found.programme_id)
        merged = merging.merges_into(read, loaded.id, found.member_id)
        everybody = [found.member_id, *(row.loser_id for row in merged)]
        return {
            "made_at": now.isoformat(),
            "programme": loaded.slug,
            "organisation": loaded.programme.organisation.in_(loaded.programme.language),
            "currency": loaded.programme.currency,
            **rows.record(read, loaded.id, everybody),
        }
