"""Who is in a segment: the meaning of `Segment`, once for rules and for questions to the database.

Days are local days of the programme: whoever bought at 23:00 was here one day
ago from midnight on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from passes.loyalty.conditions import MemberFacts, Segment
from passes.loyalty.dates import day_start, local_date


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a segment's days mean as instants; None is not asked.

    Joined at `joined_from` or later; the last purchase before `bought_before`
    and at `bought_from` or later. Who never bought is within neither.
    """

    joined_from: datetime | None
    bought_before: datetime | None
    bought_from: datetime | None


def bounds(segment: Segment, at: datetime, zone: str) -> Bounds:
    """The days of a segment as instants, counted back from the local day of `at`."""

    def days_ago(days: int | None) -> datetime | None:
        return None if days is None else day_start(local_date(at, zone) - timedelta(days=days), zone)

    least = segment.idle_days_least
    return Bounds(
        joined_from=days_ago(segment.joined_within_days),
        bought_before=days_ago(None if least is None else least - 1),
        bought_from=days_ago(segment.idle_days_most),
    )


def belongs(segment: Segment, facts: MemberFacts, at: datetime, zone: str) -> bool:
    """Whether a member meets everything that the segment asks, at this instant."""
    limits = bounds(segment, at, zone)
    joined, bought = facts.joined_at, facts.last_purchase_at
    return (
        (not segment.tiers or facts.tier in segment.tiers)
        and (not segment.languages or facts.language in segment.languages)
        and (segment.consent is None or segment.consent in facts.consents)
        and (limits.joined_from is None or (joined is not None and joined >= limits.joined_from))
        and (segment.purchases_least is None or facts.purchases >= segment.purchases_least)
        and (segment.purchases_most is None or facts.purchases <= segment.purchases_most)
        and (limits.bought_before is None or (bought is not None and bought < limits.bought_before))
        and (limits.bought_from is None or (bought is not None and bought >= limits.bought_from))
        and (segment.balance_least is None or facts.balance >= segment.balance_least)
    )
