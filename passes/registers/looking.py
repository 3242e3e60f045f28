"""The last messages of a register, as its owner looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson

from passes.registers.orders import GoodsRefunded, OrderPaid, from_json
from passes.store import Row, Store, programmes, registers
from passes.store.instants import instant, instant_or_none

MESSAGES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Message:
    """A message and what became of it.

    `topic` is paid, cancelled, refunded, ignored or malformed; `why` a short
    key, or a refusal's code. `detail` is what the owner needs to know beside
    it: a location that is on no list, the field that was wrong.
    """

    key: str
    topic: str
    order: str | None
    state: str
    why: str | None
    detail: str | None
    receipt_id: int | None
    attempts: int
    received_at: datetime
    due_at: datetime | None
    can_retry: bool


def latest(store: Store, *, programme: str, register_id: int, limit: int = MESSAGES_SHOWN) -> list[Message]:
    """The newest messages of a register, newest first. Raises ProgrammeUnknown."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        rows = registers.latest(read, loaded.id, register_id, limit=limit)
    return [_message(row) for row in rows]


def _message(row: Row) -> Message:
    return Message(
        key=row.message_key,
        topic=row.topic,
        order=row.order_key,
        state=row.state,
        why=row.why,
        detail=_detail(row),
        receipt_id=row.receipt_id,
        attempts=row.attempts,
        received_at=instant(row.received_at),
        due_at=instant_or_none(row.due_at),
        can_retry=bool(row.content) and row.order_key is not None and row.state in ("waiting", "refused"),
    )


def _detail(row: Row) -> str | None:
    if not row.content:
        return None
    content = orjson.loads(row.content)
    if "wrong" in content:
        wrong: str = content["wrong"]
        return wrong
    event = from_json(content["event"])
    if row.why == "location_unknown" and isinstance(event, OrderPaid):
        return event.location
    if row.why == "currency_foreign" and isinstance(event, (OrderPaid, GoodsRefunded)):
        return event.currency
    return None
