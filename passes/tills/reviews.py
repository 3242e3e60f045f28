"""What a till did and could not be booked as it came: the owner books it or does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from passes.loyalty.letters import cleaned
from passes.loyalty.refusals import AlreadyDecided, Busy, ReviewUnknown
from passes.store import Store, Work, programmes, staff
from passes.store import tills as rows
from passes.store.ids import new_id
from passes.store.instants import instant, micros
from passes.store.work import Row

NOTE_LETTERS_MAX = 200
LISTED_MAX = 100
OPEN_MAX = 1_000
_ID_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Review:
    """An item that waits to be looked at, or was. `why` is a stable code; `content` is what the till sent."""

    id: int
    till_id: int
    till: str
    location: str | None
    key: str
    operation: str
    content: Mapping[str, Any]
    person: str | None
    why: str
    occurred_at: datetime
    received_at: datetime
    state: str


def keep(
    store: Store,
    *,
    programme_id: int,
    till_id: int,
    key: str,
    operation: str,
    content: Mapping[str, Any] | None,
    person: str | None,
    why: str,
    occurred_at: datetime,
    now: datetime,
) -> None:
    """Keep an item for the owner to look at; without `content`, only that it came and was refused.

    Raises Busy once a thousand of the till wait: the rest stays on the device,
    so that a stolen one cannot fill the database.
    """

    def decide(work: Work) -> None:
        if content is not None and rows.has_open_reviews(
            work, programme_id=programme_id, till_id=till_id, most=OPEN_MAX
        ):
            raise Busy
        rows.keep_review(
            work,
            programme_id=programme_id,
            review_id=new_id(now),
            till_id=till_id,
            key=key,
            operation=operation,
            content="" if content is None else json.dumps(content),
            person=person,
            why=why,
            state="refused" if content is None else "open",
            occurred_at=micros(occurred_at),
            received_at=micros(now),
        )

    store.write(decide)


def open_reviews(store: Store, *, programme: str) -> list[Review]:
    """What waits to be looked at, oldest first; at most a hundred. Raises ProgrammeUnknown."""
    with store.read() as read:
        programme_id = programmes.by_slug(read, programme).id
        return [_review(row) for row in rows.open_reviews(read, programme_id=programme_id, limit=LISTED_MAX)]


def review(store: Store, *, programme: str, review_id: int) -> Review:
    """One item. Raises ReviewUnknown, ProgrammeUnknown."""
    if not 0 < review_id < _ID_LIMIT:
        raise ReviewUnknown
    with store.read() as read:
        programme_id = programmes.by_slug(read, programme).id
        row = rows.review(read, programme_id=programme_id, review_id=review_id)
    if row is None or row.state == "refused":
        raise ReviewUnknown
    return _review(row)


def book(
    store: Store,
    *,
    programme: str,
    review_id: int,
    receipt_id: int | None,
    by: str,
    staff_id: int | None,
    now: datetime,
) -> None:
    """The owner had the item booked, as this receipt. Raises AlreadyDecided."""
    _decide(
        store,
        programme,
        review_id,
        "booked",
        receipt_id=receipt_id,
        by=by,
        staff_id=staff_id,
        note="",
        now=now,
    )


def dismiss(
    store: Store, *, programme: str, review_id: int, by: str, staff_id: int | None, note: str, now: datetime
) -> None:
    """The owner decides that the item is not booked. Raises AlreadyDecided."""
    clean = cleaned(note, NOTE_LETTERS_MAX) or ""
    _decide(
        store,
        programme,
        review_id,
        "dismissed",
        receipt_id=None,
        by=by,
        staff_id=staff_id,
        note=clean,
        now=now,
    )


def _decide(
    store: Store,
    programme: str,
    review_id: int,
    state: str,
    *,
    receipt_id: int | None,
    by: str,
    staff_id: int | None,
    note: str,
    now: datetime,
) -> None:
    def decide(work: Work) -> None:
        programme_id = programmes.by_slug(work, programme).id
        if not rows.decide(
            work,
            programme_id=programme_id,
            review_id=review_id,
            state=state,
            receipt_id=receipt_id,
            by=by,
            note=note,
            now=micros(now),
        ):
            raise AlreadyDecided
        staff.note(
            work,
            f"till.review_{state}",
            about=f"review {review_id}",
            staff_id=staff_id,
            programme_id=programme_id,
            detail={"note": note} if note else None,
            now=now,
        )

    store.write(decide)


def _review(row: Row) -> Review:
    return Review(
        id=row.id,
        till_id=row.till_id,
        till=row.till_name,
        location=row.location,
        key=row.key,
        operation=row.operation,
        content=json.loads(row.content) if row.content else {},
        person=row.person,
        why=row.why,
        occurred_at=instant(row.occurred_at),
        received_at=instant(row.received_at),
        state=row.state,
    )
