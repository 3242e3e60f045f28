"""Whether an item of a till's queue may be booked as it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from passes.store import Store, Work, team
from passes.store import tills as rows
from passes.store.instants import instant_or_none, micros
from passes.store.work import Row
from passes.tills.pairing import Device

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a device's clock may be off and still be believed (loyalty E3)."""

REMEMBERED = timedelta(days=1)
"""How far back a browser that is no paired till is believed: nobody knows what it had sent before."""

SHIFT = timedelta(days=1)
"""Whoever was at a till within this time may still stand beside it."""

AT_ONCE = timedelta(minutes=1)
"""What comes so soon was made with network: it happened when it came, and its cashier sees a refusal."""


class Why(StrEnum):
    """Why somebody has to look at an item before it is booked."""

    TILL_REVOKED = "till_revoked"
    SEQUENCE_CLASH = "sequence_clash"
    PERSON_NEVER_HERE = "person_never_here"
    MADE_TOO_EARLY = "made_too_early"
    MADE_IN_FUTURE = "made_in_future"


@dataclass(frozen=True, slots=True)
class Item:
    """One write of a till: its key, its number in the queue, when by the device's clock, and by whom."""

    key: str
    sequence: int
    made_at: datetime
    person: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """When an item happened as far as we can tell, and why it may not simply be booked.

    `occurred_at` is when it is booked to have happened, None for just now;
    `is_old` when its cashier does not wait for an answer any more.
    """

    happened_at: datetime
    occurred_at: datetime | None
    is_old: bool
    why: Why | None = None


def judge(
    found: Device | None,
    item: Item,
    *,
    is_known: bool,
    refused_at: datetime | None = None,
    skew: timedelta,
    now: datetime,
) -> Judged:
    """What to make of an item's time and number. `skew` is how far the device's clock is behind ours.

    `is_known` items were taken before: the till only did not hear the answer.
    What was refused as of `refused_at` may come again, but not as something earlier.
    Without a paired device there is no number to compare, and nothing from days
    ago is believed: limits that hold for a day would not.
    """
    happened_at = item.made_at + skew if abs(skew) > CLOCK_TOLERANCE else item.made_at
    if found is None and now - happened_at > REMEMBERED:
        happened_at = now
    is_old = now - happened_at > AT_ONCE
    # A clock that is off says nothing about when; ours does (loyalty E3).
    occurred_at = happened_at if is_old and abs(skew) <= CLOCK_TOLERANCE else None
    came_again = refused_at is not None and happened_at >= refused_at - CLOCK_TOLERANCE
    why = None if is_known or came_again else _odd(found, item, happened_at, now)
    return Judged(min(happened_at, now), occurred_at, is_old, why)


def _odd(found: Device | None, item: Item, happened_at: datetime, now: datetime) -> Why | None:
    if found is not None and found.is_revoked:
        return Why.TILL_REVOKED
    if happened_at > now + CLOCK_TOLERANCE:
        return Why.MADE_IN_FUTURE
    if found is None:
        return None
    if item.sequence <= found.sequence:
        # Two devices with one secret count on from the same number.
        return Why.SEQUENCE_CLASH
    if happened_at < found.synced_at - CLOCK_TOLERANCE:
        return Why.MADE_TOO_EARLY
    return None


def has_worked_here(store: Store, found: Device, *, person: str, made_at: datetime) -> bool:
    """Whether this person had signed in at this till, and was not gone at that instant."""
    with store.read() as read:
        row = team.at_till(read, till_id=found.till_id, login=person)
    if row is None or not row.worked_here:
        return False
    disabled_at = instant_or_none(row.disabled_at)
    return disabled_at is None or made_at < disabled_at


def standing_by(
    store: Store, found: Device, *, person: str, judged: Judged, now: datetime
) -> tuple[str, ...]:
    """Who else may have been at the till when this person is said to have served.

    Nobody where it comes at once and the person is signed in. Without network
    somebody comes back with their PIN unseen, and what comes late may name
    whoever was signed in at some moment: it was anybody who has had the device.
    """
    at = judged.happened_at
    with store.read() as read:
        sessions = team.sessions_at_till(
            read,
            till_id=found.till_id,
            since=micros(at - SHIFT),
            until=micros(now if judged.is_old else at),
        )
    if not judged.is_old and any(one.login == person and _lasts(one, micros(at)) for one in sessions):
        return ()
    return tuple(sorted({one.login for one in sessions} - {person}))


def _lasts(session: Row, at: int) -> bool:
    return at < session.expires_at and (session.revoked_at is None or at < session.revoked_at)


def taken(store: Store, found: Device, *, number: int, has_all: bool, now: datetime) -> None:
    """The queue was taken up to this number; `has_all` when the device holds nothing else."""

    def decide(work: Work) -> None:
        rows.counted(work, programme_id=found.loaded.id, till_id=found.till_id, number=number)
        if has_all:
            rows.synced(work, programme_id=found.loaded.id, till_id=found.till_id, now=micros(now))

    store.write(decide)
