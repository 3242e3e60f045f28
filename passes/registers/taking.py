"""Messages as they come: kept once, booked, and taken up again where they had to wait."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import orjson

from passes.loyalty.refusals import Busy, MessageUnknown, StorageFull
from passes.registers.cards import card_of
from passes.registers.keeping import Opened
from passes.registers.orders import (
    Event,
    GoodsRefunded,
    Ignored,
    Malformed,
    OrderCancelled,
    OrderPaid,
    as_json,
    topic,
)
from passes.registers.settling import ALARM, GIVEN_UP, IGNORED, REFUSED, WAITING, Books, settle
from passes.store import Store, Work, alarms, programmes, registers, staff
from passes.store.instants import instant
from passes.store.programmes import Loaded

GIVE_UP_AFTER = timedelta(days=7)
FORGET_AFTER = timedelta(days=90)
FIRST_TRY_AFTER = timedelta(seconds=30)
"""A message is booked as it arrives; only what stays then is the worker's."""

_HEARD_AFTER = timedelta(minutes=1)
_TRIES_APART_MAX = timedelta(hours=6)
_DUE_AT_ONCE = 200
_FORGET_AT_ONCE = 500
_WORDS_MAX = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message: its state, why if not booked, and whether it had come before."""

    state: str
    why: str | None = None
    again: bool = False


def digest(body: bytes) -> str:
    """The name of a message: what was signed, and nothing that a header says of it."""
    return hashlib.sha256(body).hexdigest()


def take(store: Store, register: Opened, event: Event, *, key: str, books: Books, now: datetime) -> Outcome:
    """Keep a genuine message and book it.

    The same message again does what was not done and nothing else. Raises Busy
    or StorageFull where it has to come again.
    """
    ignored = event.why if isinstance(event, Ignored) else None

    def decide(work: Work) -> bool:
        content = "" if isinstance(event, Ignored) else _content(work, register.loaded, event)
        kept = registers.keep_message(
            work,
            programme_id=register.loaded.id,
            register_id=register.id,
            message_key=key,
            topic=topic(event),
            order_key=event.order,
            content=content,
            state=IGNORED if ignored else WAITING,
            why=ignored,
            due_at=None if ignored else now + FIRST_TRY_AFTER,
            now=now,
        )
        _hear(work, register, now)
        return kept

    is_new = store.write(decide)
    if event.order is not None and not ignored:
        settle(store, register.loaded.slug, register.id, event.order, books=books, now=now)
    with store.read() as read:
        row = registers.message(read, register.loaded.id, register.id, key)
    assert row is not None
    return Outcome(row.state, row.why, again=not is_new)


def keep_malformed(store: Store, register: Opened, wrong: Malformed, *, key: str, now: datetime) -> Outcome:
    """Keep that a genuine message could not be read; sending it again would not help."""

    def decide(work: Work) -> bool:
        _hear(work, register, now)
        return registers.keep_message(
            work,
            programme_id=register.loaded.id,
            register_id=register.id,
            message_key=key,
            topic="malformed",
            order_key=None,
            content=orjson.dumps({"wrong": str(wrong)[:_WORDS_MAX]}).decode(),
            state=REFUSED,
            why="malformed",
            due_at=None,
            now=now,
        )

    return Outcome(REFUSED, "malformed", again=not store.write(decide))


def _hear(work: Work, register: Opened, now: datetime) -> None:
    # Not with every message: a busy shop's row would be written a hundred times a minute.
    if register.heard_at is None or now - register.heard_at > _HEARD_AFTER:
        registers.heard(work, register.loaded.id, register.id, now=now)


def _content(work: Work, loaded: Loaded, event: OrderPaid | OrderCancelled | GoodsRefunded) -> str:
    card_id = card_of(work, loaded, event) if isinstance(event, OrderPaid) else None
    return orjson.dumps({"card": card_id, "event": as_json(event)}).decode()


# Trying again -------------------------------------------------------------------


def retry(
    store: Store,
    *,
    programme: str,
    register_id: int,
    message_key: str,
    books: Books,
    by: int | None = None,
    now: datetime,
) -> Outcome:
    """Try a refused or waiting message again. Raises MessageUnknown where there is nothing to try."""

    def decide(work: Work) -> str:
        loaded = programmes.by_slug(work, programme)
        row = registers.message(work, loaded.id, register_id, message_key)
        if row is None or row.order_key is None or not row.content or row.state not in (WAITING, REFUSED):
            raise MessageUnknown()
        registers.settle(work, row, state=WAITING, content=row.content, due_at=now + FIRST_TRY_AFTER)
        about = f"register {register_id}, message {message_key}"
        staff.note(work, "register.retry", about=about, staff_id=by, programme_id=loaded.id, now=now)
        order: str = row.order_key
        return order

    order = store.write(decide)
    settle(store, programme, register_id, order, books=books, now=now)
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        row = registers.message(read, loaded.id, register_id, message_key)
    assert row is not None
    return Outcome(row.state, row.why, again=True)


def run_due(store: Store, *, books: Books, now: datetime) -> int:
    """Take up what waits, and give up what has waited for a week. Returns how many orders were looked at."""
    with store.read() as read:
        due = registers.due(read, now=now, limit=_DUE_AT_ONCE)
    orders = list(dict.fromkeys((row.slug, row.register_id, row.order_key) for row in due))
    for slug, register_id, order in orders:
        try:
            settle(store, slug, register_id, order, books=books, now=now)
        except (Busy, StorageFull):
            raise
        except Exception:
            # One order that cannot be settled must not keep the others waiting.
            log.exception("an order of register %s cannot be settled", register_id)
        _postpone(store, slug, register_id, order, now)
    return len(orders)


def forget_due(store: Store, *, now: datetime) -> int:
    """Forget messages that were settled long ago: what became of their orders stays. Returns how many."""
    before, gone = now - FORGET_AFTER, 0
    with store.read() as read:
        registers_with = registers.with_old_messages(read, before=before)
    for programme_id, register_id in registers_with:
        gone += store.write(
            partial(
                registers.forget,
                programme_id=programme_id,
                register_id=register_id,
                before=before,
                limit=_FORGET_AT_ONCE,
            )
        )
    return gone


def _postpone(store: Store, slug: str, register_id: int, order: str, now: datetime) -> None:
    def decide(work: Work) -> None:
        found = registers.by_id(work, slug, register_id)
        if found is None:
            return
        loaded = found[1]
        for row in registers.waiting(work, loaded.id, register_id, order):
            if now - instant(row.received_at) < GIVE_UP_AFTER:
                apart = min(_TRIES_APART_MAX, timedelta(minutes=2 ** min(row.attempts, 10)))
                registers.settle(work, row, state=WAITING, content=row.content, due_at=now + apart)
            elif row.topic == "cancelled":
                # Nobody paid it.
                registers.settle(work, row, state=IGNORED, why="not_paid")
            else:
                registers.settle(work, row, state=REFUSED, why=GIVEN_UP, content=row.content)
                words = f"A message of the register “{found[0].register_name}” waited a week for its order."
                alarms.sound(work, ALARM, words, now=now)

    store.write(decide)
