"""Deliveries: events on their way to webhooks, whose turn it is, and what came back.

A worker takes a webhook for a turn, by a lease, and sends what is due in order.
Nobody else sends to that webhook meanwhile; a worker that dies leaves a lease
that runs out, and what it sent but did not write down is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from passes.loyalty.events import EventKind
from passes.store.ids import first_id, new_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.webhooks import GIVEN_UP, TAKEN, WAITING, Found, Webhook, from_row, owe
from passes.store.work import Read, Row, Work

ANSWER_LETTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `about` is the id of a receipt, a member or the like."""

    kind: EventKind
    about: int
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook. `answer` begins what came back, or says why nothing did."""

    programme_id: int
    id: int
    webhook_id: int
    event_id: int
    event: Event
    state: str
    attempts: int
    due_at: datetime | None
    tried_at: datetime | None
    status: int | None
    milliseconds: int | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt. `status` is None where nobody answered."""

    at: datetime
    status: int | None
    milliseconds: int
    answer: str


# Turns ----------------------------------------------------------------------------

_IS_DUE = f"""
    w.disabled_at IS NULL AND w.lease_until <= :now AND w.quiet_until <= :now
    AND EXISTS (
        SELECT 1 FROM webhook_delivery d
        WHERE d.programme_id = w.programme_id AND d.webhook_id = w.id AND d.state = '{WAITING}'
            AND d.due_at <= :now)
"""
_IS_ANY_DUE = text(f"SELECT 1 FROM webhook w WHERE {_IS_DUE} LIMIT 1")
_NEXT = f"""
    SELECT w.programme_id, w.id FROM webhook w
    WHERE {_IS_DUE} AND (w.failures > 0) IN (:failing, :or_failing)
        AND CAST(:only AS bigint) IN (0, w.id)
    ORDER BY w.lease_until, w.id LIMIT :most
"""
_TAKE = "UPDATE webhook SET lease_until = :lease WHERE (programme_id, id) IN ({next}) RETURNING *"
_TAKE_ON_SQLITE = text(_TAKE.format(next=_NEXT))
_TAKE_ON_POSTGRESQL = text(_TAKE.format(next=f"{_NEXT} FOR UPDATE OF w SKIP LOCKED"))
# The end of a turn stays in its place: who had none for longest comes next.
_END_TURN = text("""
    UPDATE webhook SET lease_until = :now
    WHERE programme_id = :programme AND id = :webhook AND lease_until = :lease
""")


def is_any_due(read: Read, *, now: datetime) -> bool:
    """Whether something is to be sent now."""
    return read.ask(_IS_ANY_DUE, now=micros(now)).one() is not None


def take_turns(
    work: Work,
    *,
    now: datetime,
    lease_until: datetime,
    limit: int,
    failing: bool | None = None,
    only: int | None = None,
) -> list[Webhook]:
    """Lease up to `limit` webhooks that something is due for; another worker leaves them alone.

    `failing` asks for those that failed last, or for the others; `only` for one.
    """
    rows = work.ask(
        _TAKE_ON_POSTGRESQL if work.postgresql else _TAKE_ON_SQLITE,
        now=micros(now),
        lease=micros(lease_until),
        most=limit,
        failing=failing is not False,
        or_failing=failing is True,
        only=only or 0,
    ).all()
    return [from_row(row) for row in rows]


def end_turn(work: Work, found: Webhook, *, now: datetime) -> None:
    """Let somebody else have the next turn, unless the lease ran out and somebody has."""
    work.put(
        _END_TURN,
        programme=found.programme_id,
        webhook=found.id,
        lease=micros(found.lease_until),
        now=micros(now),
    )


# What is sent ---------------------------------------------------------------------

_COLUMNS = """
    d.programme_id, d.id, d.webhook_id, d.event_id, d.state, d.attempts, d.due_at, d.tried_at, d.status,
    d.milliseconds, d.answer, e.kind, e.about, e.happened_at
    FROM webhook_delivery d JOIN webhook_event e ON e.programme_id = d.programme_id AND e.id = d.event_id
    WHERE d.programme_id = :programme
"""
# Whoever tries the way does not wait behind those that found it closed.
_DUE = text(f"""
    SELECT {_COLUMNS} AND d.webhook_id = :webhook AND d.state = '{WAITING}' AND d.due_at <= :now
    ORDER BY CASE e.kind WHEN '{EventKind.PING}' THEN 0 ELSE 1 END, d.id LIMIT :most
""")
_ONE = text(f"SELECT {_COLUMNS} AND d.webhook_id = :webhook AND d.id = :delivery")
_NEWEST = text(f"""
    SELECT {_COLUMNS} AND d.webhook_id = :webhook AND d.event_id < :before
    ORDER BY d.event_id DESC LIMIT :most
""")
_CARD = text("""
    SELECT c.id, (SELECT k.code FROM card_code k WHERE k.programme_id = c.programme_id AND k.card_id = c.id
                  ORDER BY k.added_at, k.code LIMIT 1) AS code
    FROM card c WHERE c.programme_id = :programme AND c.member_id = :member ORDER BY c.id LIMIT 1
""")
_ON_PHONE = text("""
    SELECT e.card_id, c.member_id, e.wallet FROM wallet_event e
    JOIN card c ON c.programme_id = e.programme_id AND c.id = e.card_id
    WHERE e.programme_id = :programme AND e.id = :event
""")
_MERGE = text("SELECT survivor_id, loser_id FROM merge WHERE programme_id = :programme AND id = :merge")


def due(read: Read, found: Webhook, *, now: datetime, limit: int) -> list[Delivery]:
    """The next deliveries of a webhook, in order; a ping goes first."""
    rows = read.ask(_DUE, programme=found.programme_id, webhook=found.id, now=micros(now), most=limit).all()
    return [_delivery(row) for row in rows]


def one(read: Read, found: Webhook, delivery_id: int) -> Delivery | None:
    """The delivery of a webhook with this number."""
    row = read.ask(_ONE, programme=found.programme_id, webhook=found.id, delivery=delivery_id).one()
    return None if row is None else _delivery(row)


def newest(read: Read, found: Webhook, *, before: int | None, limit: int) -> list[Delivery]:
    """Deliveries of a webhook, the newest event first; `before` is the event that a page ended with."""
    rows = read.ask(
        _NEWEST, programme=found.programme_id, webhook=found.id, before=before or 2**63 - 1, most=limit
    ).all()
    return [_delivery(row) for row in rows]


def first_card(read: Read, programme_id: int, member_id: int) -> tuple[int, str] | None:
    """The card that a member got on joining, and its first code."""
    row = read.ask(_CARD, programme=programme_id, member=member_id).one()
    return None if row is None else (row.id, row.code)


def on_phone(read: Read, programme_id: int, event_id: int) -> tuple[int, int, str] | None:
    """Whose card got onto a phone or left one: card, member and wallet."""
    row = read.ask(_ON_PHONE, programme=programme_id, event=event_id).one()
    return None if row is None else (row.card_id, row.member_id, row.wallet)


def merged(read: Read, programme_id: int, merge_id: int) -> tuple[int, int] | None:
    """Who stayed and who became them."""
    row = read.ask(_MERGE, programme=programme_id, merge=merge_id).one()
    return None if row is None else (row.survivor_id, row.loser_id)


# What came of it ------------------------------------------------------------------

_SEEN = "attempts = attempts + 1, tried_at = :at, status = :status, milliseconds = :took, answer = :answer"
# Whoever sent it writes it down, even if somebody else has the turn by now.
_TAKEN = text(f"""
    UPDATE webhook_delivery SET state = '{TAKEN}', due_at = NULL, {_SEEN}
    WHERE programme_id = :programme AND id = :delivery
""")
_FAILED = text(f"""
    UPDATE webhook_delivery SET state = :state, due_at = :due, {_SEEN}
    WHERE programme_id = :programme AND id = :delivery AND state = '{WAITING}' AND attempts = :before
""")
_RECOVERED = text("""
    UPDATE webhook SET failures = 0, failing_since = NULL, quiet_until = :now
    WHERE programme_id = :programme AND id = :webhook
""")
_FAILS = text("""
    UPDATE webhook SET failures = failures + 1, failing_since = coalesce(failing_since, :now),
        quiet_until = :until
    WHERE programme_id = :programme AND id = :webhook
    RETURNING failing_since
""")
_NOW = text(f"""
    UPDATE webhook_delivery SET due_at = :now
    WHERE programme_id = :programme AND webhook_id = :webhook AND state = '{WAITING}' AND tried_at >= :since
""")


def taken(work: Work, delivery: Delivery, attempt: Attempt) -> None:
    """The receiver took it."""
    work.put(_TAKEN, **_of(delivery), **_seen(attempt))


def failed(work: Work, delivery: Delivery, attempt: Attempt, *, again_at: datetime | None) -> None:
    """The receiver did not take it; without `again_at` it is given up."""
    work.put(
        _FAILED,
        **_of(delivery),
        **_seen(attempt),
        before=delivery.attempts,
        state=GIVEN_UP if again_at is None else WAITING,
        due=None if again_at is None else micros(again_at),
    )


def recovered(work: Work, found: Webhook, *, now: datetime) -> None:
    """The receiver takes messages again."""
    work.put(_RECOVERED, programme=found.programme_id, webhook=found.id, now=micros(now))


def tried_now(work: Work, found: Webhook, *, since: datetime, now: datetime) -> None:
    """What was tried since then and still waits is tried again now."""
    work.put(_NOW, programme=found.programme_id, webhook=found.id, since=micros(since), now=micros(now))


def fails(work: Work, found: Webhook, *, quiet_until: datetime, now: datetime) -> datetime:
    """The receiver failed once more; it is left alone until then. Since when it took nothing."""
    since = work.ask(
        _FAILS,
        programme=found.programme_id,
        webhook=found.id,
        until=micros(quiet_until),
        now=micros(now),
    ).value()
    return now if since is None else instant(since)


def _of(delivery: Delivery) -> dict[str, int]:
    return {"programme": delivery.programme_id, "delivery": delivery.id}


def _seen(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": micros(attempt.at),
        "status": attempt.status,
        "took": attempt.milliseconds,
        "answer": attempt.answer[:ANSWER_LETTERS_MAX],
    }


# Again ----------------------------------------------------------------------------

_AGAIN = f"UPDATE webhook_delivery SET state = '{WAITING}', attempts = 0, due_at = :now"
_ONE_AGAIN = text(f"{_AGAIN} WHERE programme_id = :programme AND id = :delivery")
_MANY_AGAIN = text(f"""
    {_AGAIN} WHERE (programme_id, id) IN (
        SELECT d.programme_id, d.id FROM webhook_delivery d
        JOIN webhook_event e ON e.programme_id = d.programme_id AND e.id = d.event_id
        WHERE d.programme_id = :programme AND d.webhook_id = :webhook AND d.event_id > :after
            AND e.happened_at >= :since AND e.kind <> '{EventKind.PING}' AND d.state <> '{WAITING}'
        ORDER BY d.event_id LIMIT :most)
    RETURNING event_id
""")


def ping(work: Work, found: Webhook, *, now: datetime) -> int:
    """Owe a webhook a message that only tries the way. The id of its delivery."""
    owe(work, found, [Found(0, EventKind.PING, about := new_id(now), now)], now=now)
    delivery_id: int = work.ask(
        _BY_EVENT, programme=found.programme_id, webhook=found.id, kind=EventKind.PING.value, about=about
    ).value()
    return delivery_id


_BY_EVENT = text("""
    SELECT d.id FROM webhook_event e JOIN webhook_delivery d
        ON d.programme_id = e.programme_id AND d.webhook_id = :webhook AND d.event_id = e.id
    WHERE e.programme_id = :programme AND e.kind = :kind AND e.about = :about
""")


def again(work: Work, delivery: Delivery, *, now: datetime) -> None:
    """Send one once more, whatever became of it."""
    work.put(_ONE_AGAIN, **_of(delivery), now=micros(now))


def again_since(
    work: Work, found: Webhook, *, since: datetime, after: int, limit: int, now: datetime
) -> list[int]:
    """Send the next of what happened since then once more. Their events; go on behind the last one."""
    rows = work.ask(
        _MANY_AGAIN,
        programme=found.programme_id,
        webhook=found.id,
        since=micros(since),
        # An event is found after it happened.
        after=max(after, first_id(since) - 1),
        now=micros(now),
        most=limit,
    ).all()
    return sorted(row.event_id for row in rows)


# Forgetting -----------------------------------------------------------------------

_FORGET_ALL = text("""
    DELETE FROM webhook_delivery WHERE (programme_id, id) IN (
        SELECT programme_id, id FROM webhook_delivery
        WHERE programme_id = :programme AND webhook_id = :webhook LIMIT :most)
    RETURNING id
""")
_FORGET_OLD = text(f"""
    DELETE FROM webhook_delivery WHERE (programme_id, id) IN (
        SELECT d.programme_id, d.id FROM webhook_delivery d
        WHERE d.programme_id = :programme AND d.id < :before AND d.state <> '{WAITING}' LIMIT :most)
    RETURNING id
""")
_FORGET_EVENTS = text("""
    DELETE FROM webhook_event WHERE (programme_id, id) IN (
        SELECT e.programme_id, e.id FROM webhook_event e
        WHERE e.programme_id = :programme AND e.id < :before AND NOT EXISTS (
            SELECT 1 FROM webhook w JOIN webhook_delivery d
                ON d.programme_id = w.programme_id AND d.webhook_id = w.id AND d.event_id = e.id
            WHERE w.programme_id = e.programme_id) LIMIT :most)
    RETURNING id
""")


def forget_all(work: Work, found: Webhook, *, limit: int) -> int:
    """Forget up to `limit` deliveries of a webhook. How many there were."""
    return len(work.ask(_FORGET_ALL, programme=found.programme_id, webhook=found.id, most=limit).all())


def forget_old(work: Work, programme_id: int, *, before: datetime, limit: int) -> int:
    """Forget what was delivered or given up, and happened, before then: up to `limit` each. How many."""
    asked = {"programme": programme_id, "before": first_id(before), "most": limit}
    gone: Sequence[Row] = work.ask(_FORGET_OLD, **asked).all()
    return len(gone) + len(work.ask(_FORGET_EVENTS, **asked).all())


def _delivery(row: Row) -> Delivery:
    return Delivery(
        programme_id=row.programme_id,
        id=row.id,
        webhook_id=row.webhook_id,
        event_id=row.event_id,
        event=Event(EventKind(row.kind), row.about, instant(row.happened_at)),
        state=row.state,
        attempts=row.attempts,
        due_at=instant_or_none(row.due_at),
        tried_at=instant_or_none(row.tried_at),
        status=row.status,
        milliseconds=row.milliseconds,
        answer=row.answer,
    )
