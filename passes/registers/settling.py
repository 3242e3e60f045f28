"""What the messages of an order ask for becomes its purchase and its returns, in whatever order they came.

A message is kept before anything is booked, and booking is done by functions
that the caller brings. A crash at any point loses nothing and doubles nothing:
the purchase of an order and each of its returns have a request key of their
own, and a return is written down as a plan before it is booked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson

from passes.loyalty.basket import KEY_LETTERS_MAX, Line
from passes.loyalty.letters import cleaned
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import (
    AlreadyUndone,
    Busy,
    CardForeign,
    CardVoided,
    CodeMistyped,
    CodeUnknown,
    KeyReused,
    NothingLeftToReturn,
    PurchaseUnknown,
    Refused,
    ReturnTooLarge,
    StorageFull,
)
from passes.registers import back
from passes.registers.back import Parts
from passes.registers.cards import code_of
from passes.registers.keeping import Places
from passes.registers.lines import as_lines
from passes.registers.memory import Memory, Plan
from passes.registers.orders import Event, GoodsRefunded, OrderCancelled, OrderPaid, from_json
from passes.store import Row, Store, Work, alarms, journal, programmes, registers
from passes.store import returns as returned
from passes.store.programmes import Loaded

WAITING, BOOKED, IGNORED, REFUSED = "waiting", "booked", "ignored", "refused"
GIVEN_UP = "order_unknown"
"""Why a message is refused whose order did not come within a week."""
ALARM = "registers"
_STEPS_MAX = 200


class _Sold(Protocol):
    @property
    def id(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Books:
    """How the counter books: its functions, brought by whoever may know both."""

    accrue: Callable[..., Receipt]
    sale: Callable[..., _Sold]
    take_back: Callable[..., Receipt]
    take_back_sale: Callable[..., object]


@dataclass(frozen=True, slots=True)
class _Sell:
    """Book the purchase that an order is."""

    message: Row
    event: OrderPaid
    code: str | None
    at: Counter
    lines: tuple[Line, ...]
    key: str


@dataclass(frozen=True, slots=True)
class _TakeBack:
    """Book what came back of an order."""

    purchase_id: int
    receipt_id: int | None
    at: Counter
    plan: Plan
    key: str


class _Again:
    """Something was put aside; look again."""


_Step = _Sell | _TakeBack | _Again


def settle(store: Store, slug: str, register_id: int, order: str, *, books: Books, now: datetime) -> None:
    """Do whatever the waiting messages of an order ask for. Raises Busy or StorageFull."""
    for _ in range(_STEPS_MAX):
        step = store.write(lambda work: _next(work, slug, register_id, order, now=now))
        if step is None:
            return
        if isinstance(step, _Sell) and not _sell(store, slug, register_id, step, books, now):
            return
        if isinstance(step, _TakeBack) and not _take_back(store, slug, register_id, order, step, books, now):
            return


def _next(work: Work, slug: str, register_id: int, order: str, *, now: datetime) -> _Step | None:
    found = registers.by_id(work, slug, register_id)
    if found is None:
        return None
    register, loaded = found
    row = registers.order_locked(work, loaded.id, register_id, order)
    waiting = [_Waiting.of(message) for message in registers.waiting(work, loaded.id, register_id, order)]
    if row is None:
        return _next_sale(work, register, loaded, waiting, order)
    return _next_return(work, register, loaded, waiting, row)


@dataclass(frozen=True, slots=True)
class _Waiting:
    row: Row
    event: OrderPaid | OrderCancelled | GoodsRefunded
    card_id: int | None

    @classmethod
    def of(cls, row: Row) -> _Waiting:
        content = orjson.loads(row.content)
        return cls(row, from_json(content["event"]), content["card"])


def _next_sale(
    work: Work, register: Row, loaded: Loaded, waiting: Sequence[_Waiting], order: str
) -> _Step | None:
    first = next((one for one in waiting if isinstance(one.event, OrderPaid)), None)
    if first is None:
        return None
    event = first.event
    assert isinstance(event, OrderPaid)
    places = Places.from_json(register.places)
    if not any(line.gross_minor for line in event.lines):
        registers.settle(work, first.row, state=IGNORED, why="nothing_paid")
        return _Again()
    objection = None
    if event.currency not in (None, loaded.programme.currency):
        objection = "currency_foreign"
    elif not places.knows(event.location):
        objection = "location_unknown"
    if objection is not None:
        registers.settle(work, first.row, state=REFUSED, why=objection, content=first.row.content)
        return _Again()
    at = Counter(
        location=places.shop(event.location), till=_till(register.register_name), channel=event.channel
    )
    lines = as_lines(loaded.programme, places, event.lines)
    code = code_of(work, loaded, first.card_id)
    return _Sell(first.row, event, code, at, lines, _key(register.register_id, order, 0))


def _sell(store: Store, slug: str, register_id: int, step: _Sell, books: Books, now: datetime) -> bool:
    common: dict[str, Any] = {
        "programme": slug,
        "amount_minor": step.event.amount_minor,
        "lines": step.lines,
        "key": step.key,
        "at": step.at,
        "occurred_at": step.event.occurred_at,
        "now": now,
    }
    receipt_id: int | None = None
    purchase_id: int | None = None
    try:
        try:
            if step.code is not None:
                receipt_id = books.accrue(store, code=step.code, **common).id
        except (CodeMistyped, CodeUnknown, CardForeign, CardVoided, KeyReused):
            # The card is gone since, or was when this was booked before: it was a guest.
            receipt_id = None
        if receipt_id is None:
            purchase_id = books.sale(store, **common).id
    except KeyReused:
        # Somebody books this order with other words at this very moment.
        return False
    except (Busy, StorageFull):
        raise
    except Refused as refused:
        _refuse(store, step.message, refused)
        return True

    def decide(work: Work) -> None:
        loaded = programmes.by_slug(work, slug)
        bought = purchase_id
        if receipt_id is not None:
            row = journal.receipt_row(work, loaded.id, receipt_id)
            bought = row.purchase_id if row is not None else None
        assert bought is not None
        registers.add_order(
            work,
            programme_id=loaded.id,
            register_id=register_id,
            order_key=step.event.order,
            purchase_id=bought,
            receipt_id=receipt_id,
            lines=Memory.of(step.event, location=step.at.location).as_json(),
            now=now,
        )
        registers.settle(work, step.message, state=BOOKED, receipt_id=receipt_id)
        # An order may come after all, when its refunds were given up.
        if registers.revive(work, loaded.id, register_id, step.event.order, why=GIVEN_UP, now=now):
            alarms.clear(work, ALARM, now=now)

    store.write(decide)
    return True


def _next_return(
    work: Work, register: Row, loaded: Loaded, waiting: Sequence[_Waiting], row: Row
) -> _Step | None:
    memory = Memory.from_json(row.lines)
    at = Counter(location=memory.location, till=_till(register.register_name), channel=memory.channel)
    if memory.plan is None:
        if not waiting:
            return None
        first = waiting[0]
        event = first.event
        wrong = _useless(memory, event, loaded.programme.currency)
        if wrong is not None:
            state, why = wrong
            kept = first.row.content if state == REFUSED else ""
            registers.settle(work, first.row, state=state, why=why, content=kept)
            return _Again()
        assert not isinstance(event, OrderPaid)
        memory = memory.with_event(event)
        parts, why, sold_at = _due(work, loaded, row, memory)
        if not parts:
            registers.keep_order(work, row, lines=memory.as_json())
            registers.settle(work, first.row, state=IGNORED, why=why)
            return _Again()
        plan = Plan(first.row.message_key, parts, max(event.occurred_at, sold_at))
        memory = memory.with_plan(plan)
        registers.keep_order(work, row, lines=memory.as_json())
    assert memory.plan is not None
    receipt_id = row.receipt_id or registers.receipt_of(work, loaded.id, row.purchase_id)
    key = _key(register.register_id, row.order_key, memory.count + 1)
    return _TakeBack(row.purchase_id, receipt_id, at, memory.plan, key)


def _useless(memory: Memory, event: Event, currency: str) -> tuple[str, str] | None:
    """Why a message changes nothing about an order that is booked, if so."""
    if isinstance(event, OrderPaid):
        return IGNORED, "already_booked"
    if isinstance(event, OrderCancelled):
        return (IGNORED, "already_booked") if memory.cancelled else None
    assert isinstance(event, GoodsRefunded)
    if any(one.refund == event.refund for one in memory.refunds):
        return IGNORED, "already_booked"
    return (REFUSED, "currency_foreign") if event.currency not in (None, currency) else None


def _due(work: Work, loaded: Loaded, row: Row, memory: Memory) -> tuple[Parts, str, datetime]:
    """What is to be booked as come back, or why nothing is; and when the goods were sold."""
    sale = returned.sale(work, loaded.id, row.purchase_id)
    assert sale is not None
    if sale.voided:
        return {}, "undone", sale.occurred_at
    wanted = back.everything(memory.sold) if memory.cancelled else back.come_back(memory.sold, memory.refunds)
    left = back.everything(memory.sold)
    for part in returned.lines_back(work, loaded.id, row.purchase_id):
        quantity, money = left[part.number]
        left[part.number] = (quantity - part.quantity, money - part.net_minor)
    return back.within(back.still_due(wanted, memory.booked), left), "nothing_left", sale.occurred_at


def _take_back(
    store: Store, slug: str, register_id: int, order: str, step: _TakeBack, books: Books, now: datetime
) -> bool:
    common: dict[str, Any] = {
        "programme": slug,
        "parts": step.plan.parts,
        "key": step.key,
        "at": step.at,
        "occurred_at": step.plan.at,
        "now": now,
    }
    receipt_id: int | None = None
    refused: Refused | None = None
    try:
        if step.receipt_id is not None:
            receipt_id = books.take_back(store, receipt_id=step.receipt_id, **common).id
        else:
            books.take_back_sale(store, purchase_id=step.purchase_id, **common)
    except (Busy, StorageFull):
        raise
    except KeyReused:
        return False
    except Refused as found:
        refused = found

    def decide(work: Work) -> None:
        loaded = programmes.by_slug(work, slug)
        row = registers.order_locked(work, loaded.id, register_id, order)
        assert row is not None
        memory = Memory.from_json(row.lines)
        if memory.plan != step.plan:
            return  # another process was here with the same plan
        message = registers.message(work, loaded.id, register_id, step.plan.message)
        assert message is not None
        if refused is None:
            registers.keep_order(work, row, lines=memory.with_booked().as_json())
            registers.settle(work, message, state=BOOKED, receipt_id=receipt_id)
            return
        event = _Waiting.of(message).event
        assert not isinstance(event, OrderPaid)
        registers.keep_order(work, row, lines=memory.without(event).as_json())
        if isinstance(refused, AlreadyUndone):
            registers.settle(work, message, state=IGNORED, why="undone")
        elif not isinstance(refused, (NothingLeftToReturn, ReturnTooLarge, PurchaseUnknown)):
            registers.settle(work, message, state=REFUSED, why=refused.code, content=message.content)
        # Otherwise it is reckoned again: goods came back by hand, or a guest claimed the sale meanwhile.

    store.write(decide)
    return True


def _refuse(store: Store, message: Row, refused: Refused) -> None:
    store.write(
        lambda work: registers.settle(work, message, state=REFUSED, why=refused.code, content=message.content)
    )


def _till(name: str) -> str:
    return cleaned(name, KEY_LETTERS_MAX)


def _key(register_id: int, order: str, number: int) -> str:
    """The request key of an order's purchase (0) or of one of its returns."""
    return f"register:{register_id}:{hashlib.sha256(order.encode()).hexdigest()[:32]}:{number}"
