"""What happened here: which steps a visitor has taken, and one card's life over both wallets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from passes.store.ids import first_id
from passes.store.instants import instant_or_none, micros
from passes.store.work import Read

# The past of the demonstration is remembered as a request (passes/demo); a shop without one began
# when it was loaded.
_MADE = text("""
    SELECT COALESCE(
        (SELECT MAX(r.at) FROM programme p
            JOIN request r ON r.programme_id = p.id AND r.key = 'demonstration-past'),
        (SELECT MIN(created_at) FROM programme)
    ) AS made_at
""")
# Ids rise with time, so each of these looks at the newest rows only.
_STEPS = text("""
    SELECT
        EXISTS (SELECT 1 FROM programme p JOIN member m ON m.programme_id = p.id AND m.id > :first
            WHERE m.joined_at > :since) AS joined,
        EXISTS (SELECT 1 FROM programme p JOIN wallet_event e ON e.programme_id = p.id AND e.id > :first
            WHERE e.at > :since AND e.event = 'added') AS added,
        EXISTS (SELECT 1 FROM programme p JOIN purchase b ON b.programme_id = p.id AND b.id > :first
            WHERE b.recorded_at > :since AND b.person IS NOT NULL AND (
                EXISTS (SELECT 1 FROM member m
                    WHERE m.programme_id = p.id AND m.id = b.member_id AND m.joined_at > :since)
                OR EXISTS (SELECT 1 FROM wallet_event e
                    WHERE e.programme_id = p.id AND e.card_id = b.card_id AND e.at > :since
                        AND e.event = 'added')
            )) AS bought,
        EXISTS (SELECT 1 FROM programme p JOIN receipt t ON t.programme_id = p.id AND t.id > :first
            WHERE t.recorded_at > :since AND t.person IS NOT NULL
                AND t.kind IN ('redeem', 'undo')) AS redeemed,
        EXISTS (SELECT 1 FROM offer WHERE published_at > :since) AS published
""")


@dataclass(frozen=True, slots=True)
class Steps:
    """Which of the five things a visitor may try were done since an instant."""

    joined: bool
    added: bool
    bought: bool
    redeemed: bool
    published: bool


def made_at(read: Read) -> datetime | None:
    """When the demonstration was made, or else the first programme; None on an empty service."""
    return instant_or_none(read.ask(_MADE).value())


def steps(read: Read, *, since: datetime) -> Steps:
    """What was done after that instant, whoever did it.

    A purchase counts for a card that is new or newly on a phone, and as booked by a person.
    """
    row = read.ask(_STEPS, since=micros(since), first=first_id(since)).one()
    assert row is not None
    return Steps(*(bool(value) for value in row))
