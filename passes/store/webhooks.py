"""Webhooks: where the shop's own programs want to be told, what happened, and what was delivered.

What happened is found in the books and in the audit log, long after it was
committed if need be: a receipt, a member or a line of the log that has no
delivery yet is one that is still owed. Nobody who books writes any of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select, text, update

from passes.loyalty.events import OF_RECEIPTS, EventKind
from passes.store.due import Many
from passes.store.ids import block_of_ids, first_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.models import webhook, webhook_event
from passes.store.work import Read, Row, Work

WAITING, TAKEN, GIVEN_UP = "waiting", "taken", "given_up"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where somebody wants to be told, and how that goes.

    `failures` in a row since `failing_since`; nothing is sent before `quiet_until`.
    """

    programme_id: int
    id: int
    address: str
    events: tuple[EventKind, ...]
    key_id: str
    previous_key_id: str | None
    rotation: int
    rotated_at: datetime | None
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str | None
    looked_at: datetime
    lease_until: datetime
    quiet_until: datetime
    failures: int
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """Something that happened, before anybody is told. `place` orders it among all that did."""

    place: int
    kind: EventKind
    about: int
    happened_at: datetime


# Webhooks -------------------------------------------------------------------------

_ADD = insert(webhook)
_EVERY = select(webhook).where(webhook.c.programme_id == bindparam("programme_id")).order_by(webhook.c.id)
_ACTIVE = (
    select(webhook).where(webhook.c.disabled_at.is_(None)).order_by(webhook.c.programme_id, webhook.c.id)
)
_of_webhook = (webhook.c.programme_id == bindparam("programme"), webhook.c.id == bindparam("webhook"))
_ONE = select(webhook).where(*_of_webhook)
_DISABLE = (
    update(webhook)
    .where(*_of_webhook, webhook.c.disabled_at.is_(None))
    .values(disabled_at=bindparam("now"), disabled_why=bindparam("why"))
)
_RESUME = (
    update(webhook)
    .where(*_of_webhook)
    .values(
        disabled_at=None,
        disabled_why=None,
        failures=0,
        failing_since=None,
        quiet_until=bindparam("now"),
        looked_at=bindparam("looked"),
    )
)
_ROTATE = (
    update(webhook)
    .where(*_of_webhook)
    .values(
        previous_key_id=webhook.c.key_id,
        key_id=bindparam("new_key_id"),
        rotation=webhook.c.rotation + 1,
        rotated_at=bindparam("now"),
    )
)
_HURRY = update(webhook).where(*_of_webhook).values(quiet_until=bindparam("now"))
_REMOVE = delete(webhook).where(*_of_webhook)


def add(
    work: Work,
    *,
    programme_id: int,
    webhook_id: int,
    address: str,
    events: Iterable[EventKind],
    key_id: str,
    now: datetime,
) -> None:
    """Keep a new webhook: it is told of what happens from now on."""
    at = micros(now)
    work.put(
        _ADD,
        programme_id=programme_id,
        id=webhook_id,
        address=address,
        events=" ".join(events),
        key_id=key_id,
        previous_key_id=None,
        rotation=0,
        rotated_at=None,
        created_at=at,
        disabled_at=None,
        disabled_why=None,
        looked_at=at,
        lease_until=at,
        quiet_until=at,
        failures=0,
        failing_since=None,
    )


def every(read: Read, programme_id: int) -> list[Webhook]:
    """All webhooks of a programme, oldest first."""
    return [from_row(row) for row in read.ask(_EVERY, programme_id=programme_id).all()]


def active(read: Read) -> list[Webhook]:
    """Those of all programmes that are told, the paused left out."""
    return [from_row(row) for row in read.ask(_ACTIVE).all()]


def one(read: Read, programme_id: int, webhook_id: int) -> Webhook | None:
    """The webhook with this number."""
    row = read.ask(_ONE, programme=programme_id, webhook=webhook_id).one()
    return None if row is None else from_row(row)


def disable(work: Work, found: Webhook, *, why: str, now: datetime) -> None:
    """Tell it nothing more until somebody lets it go on."""
    work.put(_DISABLE, programme=found.programme_id, webhook=found.id, why=why, now=micros(now))


def resume(work: Work, found: Webhook, *, looked_at: datetime, now: datetime) -> None:
    """Tell it again, of everything since `looked_at`."""
    work.put(
        _RESUME,
        programme=found.programme_id,
        webhook=found.id,
        now=micros(now),
        looked=micros(looked_at),
    )


def rotate(work: Work, found: Webhook, *, key_id: str, now: datetime) -> None:
    """Let another secret sign; the one before is remembered."""
    work.put(_ROTATE, programme=found.programme_id, webhook=found.id, new_key_id=key_id, now=micros(now))


def hurry(work: Work, found: Webhook, *, now: datetime) -> None:
    """Try it now, however often it failed just before."""
    work.put(_HURRY, programme=found.programme_id, webhook=found.id, now=micros(now))


def remove(work: Work, found: Webhook) -> None:
    """Forget the webhook; its deliveries were forgotten before."""
    work.put(_REMOVE, expect=1, programme=found.programme_id, webhook=found.id)


# Finding what happened ------------------------------------------------------------

_CASES = " ".join(f"WHEN '{kind}' THEN '{event}'" for kind, event in OF_RECEIPTS.items())
_OF_ACTIONS = {
    "member.leave": EventKind.MEMBER_LEFT,
    "merge": EventKind.MEMBER_MERGED,
    "unmerge": EventKind.MEMBER_PARTED,
}
_ACTION_CASES = " ".join(f"WHEN '{action}' THEN '{event}'" for action, event in _OF_ACTIONS.items())
_OF_TIMELINE = {"added": EventKind.CARD_ADDED, "removed": EventKind.CARD_REMOVED}
_TIMELINE_CASES = " ".join(f"WHEN '{event}' THEN '{kind}'" for event, kind in _OF_TIMELINE.items())
# "member 123", "merge 123": what a line of the log is about ends with its number.
_NUMBER = "CAST(ltrim(object, 'abcdefghijklmnopqrstuvwxyz ') AS bigint)"


def _unknown(source: str) -> str:
    """Those of a source that this webhook was not told of, in their order."""
    return f"""
        SELECT found.place, found.kind, found.about, found.at FROM ({source}) AS found
        WHERE :wanted LIKE '% ' || found.kind || ' %' AND found.at >= :since
            AND NOT EXISTS (
                SELECT 1 FROM webhook_event e JOIN webhook_delivery d
                    ON d.programme_id = e.programme_id AND d.webhook_id = :webhook AND d.event_id = e.id
                WHERE e.programme_id = :programme AND e.kind = found.kind AND e.about = found.about)
        ORDER BY found.place LIMIT :most
    """


_SOURCES = {
    frozenset(OF_RECEIPTS.values()): text(
        _unknown(f"""
            SELECT id AS place, CASE kind {_CASES} END AS kind, id AS about, recorded_at AS at
            FROM receipt WHERE programme_id = :programme AND id >= :first
        """)
    ),
    frozenset({EventKind.MEMBER_JOINED}): text(
        _unknown(f"""
            SELECT id AS place, '{EventKind.MEMBER_JOINED}' AS kind, id AS about, joined_at AS at
            FROM member WHERE programme_id = :programme AND id >= :first
        """)
    ),
    frozenset(_OF_TIMELINE.values()): text(
        _unknown(f"""
            SELECT id AS place, CASE event {_TIMELINE_CASES} END AS kind, id AS about, at
            FROM wallet_event WHERE programme_id = :programme AND id >= :first
        """)
    ),
    frozenset(_OF_ACTIONS.values()): text(
        _unknown(f"""
            SELECT id AS place, CASE action {_ACTION_CASES} END AS kind, {_NUMBER} AS about, at
            FROM audit WHERE programme_id = :programme AND id >= :first
                AND action IN ({", ".join(f"'{action}'" for action in _OF_ACTIONS)})
        """)
    ),
}


def not_told(
    read: Read, found: Webhook, *, since: datetime, after: int, limit: int
) -> tuple[list[Found], bool]:
    """The next things that happened and that this webhook wants and has no delivery of, in their order.

    Looked at is what got its id at `since` or later and stands behind the
    place `after`. The second value says whether there may be more.
    """
    asked = {
        "programme": found.programme_id,
        "webhook": found.id,
        "wanted": f" {' '.join(found.events)} ",
        "since": micros(min(found.created_at, found.looked_at)),
        "first": max(first_id(since), after + 1),
        "most": limit,
    }
    answers = [
        read.ask(source, **asked).all() for kinds, source in _SOURCES.items() if kinds & set(found.events)
    ]
    # Behind the end of a list that is full, others might come before what another list has.
    ends = [rows[-1].place for rows in answers if len(rows) == limit]
    rows = sorted((row for rows in answers for row in rows), key=lambda row: int(row.place))
    if ends:
        rows = [row for row in rows if row.place <= min(ends)]
    return [Found(row.place, EventKind(row.kind), row.about, instant(row.at)) for row in rows], bool(ends)


_ADD_EVENTS = Many.insert(webhook_event, unless_known=True)
_DELIVERY = (
    "INSERT INTO webhook_delivery (programme_id, id, webhook_id, event_id, state, attempts, due_at,"
    " tried_at, status, milliseconds, answer)"
)
# A webhook that was removed meanwhile gets no deliveries any more.
_OWE = Many(
    {
        "programme": "bigint",
        "id": "bigint",
        "webhook": "bigint",
        "kind": "text",
        "about": "bigint",
        "due": "bigint",
    },
    on_postgresql=f"{_DELIVERY} SELECT u.programme, u.id, u.webhook, e.id, '{WAITING}', 0, u.due,"
    " CAST(NULL AS bigint), CAST(NULL AS integer), CAST(NULL AS integer), CAST(NULL AS text)"
    " FROM {source} JOIN webhook_event e ON e.programme_id = u.programme AND e.kind = u.kind"
    " AND e.about = u.about JOIN webhook w ON w.programme_id = u.programme AND w.id = u.webhook"
    " ON CONFLICT DO NOTHING",
    on_sqlite=f"{_DELIVERY} SELECT :programme, :id, :webhook, e.id, '{WAITING}', 0, :due,"
    " NULL, NULL, NULL, NULL FROM webhook_event e JOIN webhook w"
    " ON w.programme_id = e.programme_id AND w.id = :webhook"
    " WHERE e.programme_id = :programme AND e.kind = :kind AND e.about = :about"
    " ON CONFLICT DO NOTHING",
)
_LOOKED = (
    update(webhook)
    .where(*_of_webhook, webhook.c.looked_at == bindparam("before"))
    .values(looked_at=bindparam("at"))
)


def owe(work: Work, found: Webhook, things: Sequence[Found], *, now: datetime) -> None:
    """Owe a webhook these things, in this order. What is owed already stays as it is."""
    # In their order also for the database: two who find the same things then wait for each other in line.
    event_ids, ids = (block_of_ids(now, max(len(things), 1)) for _ in range(2))
    _ADD_EVENTS.put(
        work,
        [
            {
                "programme_id": found.programme_id,
                "id": event_id,
                "kind": thing.kind.value,
                "about": thing.about,
                "happened_at": micros(thing.happened_at),
            }
            for event_id, thing in zip(event_ids, things, strict=False)
        ],
    )
    _OWE.put(
        work,
        [
            {
                "programme": found.programme_id,
                "id": delivery_id,
                "webhook": found.id,
                "kind": thing.kind.value,
                "about": thing.about,
                "due": micros(now),
            }
            for delivery_id, thing in zip(ids, things, strict=False)
        ],
    )


def looked(work: Work, found: Webhook, *, at: datetime) -> None:
    """Everything up to then was looked at, unless somebody set it otherwise meanwhile."""
    work.put(
        _LOOKED,
        programme=found.programme_id,
        webhook=found.id,
        before=micros(found.looked_at),
        at=micros(at),
    )


_HOW_MANY_WAIT = text(f"""
    SELECT count(*) FROM (
        SELECT 1 FROM webhook_delivery
        WHERE programme_id = :programme AND webhook_id = :webhook AND state = '{WAITING}' LIMIT :most
    ) AS waiting
""")


def waiting(read: Read, programme_id: int, webhook_id: int, *, most: int) -> int:
    """How many deliveries of a webhook wait; counted up to `most`."""
    return int(read.ask(_HOW_MANY_WAIT, programme=programme_id, webhook=webhook_id, most=most).value())


def from_row(row: Row) -> Webhook:
    """A stored webhook."""
    return Webhook(
        programme_id=row.programme_id,
        id=row.id,
        address=row.address,
        events=tuple(EventKind(kind) for kind in row.events.split()),
        key_id=row.key_id,
        previous_key_id=row.previous_key_id,
        rotation=row.rotation,
        rotated_at=instant_or_none(row.rotated_at),
        created_at=instant(row.created_at),
        disabled_at=instant_or_none(row.disabled_at),
        disabled_why=row.disabled_why,
        looked_at=instant(row.looked_at),
        lease_until=instant(row.lease_until),
        quiet_until=instant(row.quiet_until),
        failures=row.failures,
        failing_since=instant_or_none(row.failing_since),
    )
