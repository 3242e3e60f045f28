"""What registers of other makers tell us becomes purchases and returns, once, in whatever order it comes.

A message is kept first and booked then, by functions that the caller brings. A
crash at any point loses nothing and doubles nothing: the purchase of an order
and each of its returns have a request key of their own, a return is written
down as a plan before it is booked, and the worker takes up again what waits.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from passes.loyalty import codes
from passes.loyalty.basket import KEY_LETTERS_MAX, NAME_LETTERS_MAX, Line
from passes.loyalty.codes import CodeKind
from passes.loyalty.letters import cleaned
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import (
    AlreadyUndone,
    Busy,
    CardForeign,
    CardVoided,
    CodeMistyped,
    CodeUnknown,
    KeyReused,
    MessageUnknown,
    NothingLeftToReturn,
    PurchaseUnknown,
    Refused,
    ReturnTooLarge,
    StorageFull,
)
from passes.registers import back
from passes.registers.back import Parts
from passes.registers.keeping import Opened, Places
from passes.registers.memory import Memory, Plan
from passes.registers.orders import (
    Event,
    GoodsRefunded,
    Ignored,
    Malformed,
    Nature,
    OrderCancelled,
    OrderLine,
    OrderPaid,
    as_json,
    from_json,
    topic,
)
from passes.store import Read, Row, Store, Work, alarms, journal, programmes, registers
from passes.store import returns as returned
from passes.store.instants import instant
from passes.store.programmes import Loaded

WAITING, BOOKED, IGNORED, REFUSED = "waiting", "booked", "ignored", "refused"
GIVE_UP_AFTER = timedelta(days=7)
FIRST_TRY_AFTER = timedelta(seconds=30)
"""A message is booked as it arrives; only what stays then is the worker's."""

ALARM = "registers"
_HEARD_AFTER = timedelta(minutes=1)
_TRIES_APART_MAX = timedelta(hours=6)
_STEPS_MAX = 200
_WORDS_MAX = 200
_DUE_AT_ONCE = 200

log = logging.getLogger(__name__)


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
class Outcome:
    """What became of a message: its state, why if not booked, and whether it had come before."""

    state: str
    why: str | None = None
    again: bool = False


def digest(body: bytes) -> str:
    """The name of a message: what was signed, and nothing that a header says of it."""
    return hashlib.sha256(body).hexdigest()


# Taking -------------------------------------------------------------------------


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
    card_id = _card(work, loaded, event) if isinstance(event, OrderPaid) else None
    return orjson.dumps({"card": card_id, "event": as_json(event)}).decode()


def _card(read: Read, loaded: Loaded, event: OrderPaid) -> int | None:
    """The card that an order names; None where it names none that we know."""
    kind = loaded.programme.code_kind
    free = (word for text in event.words for word in text.replace(",", " ").split()[:_WORDS_MAX])
    # Among free words only what has the shape of a code: an order note is no place to guess.
    shaped = (word for word in free if codes.is_code(codes.normalise(word), kind))
    for text in (*event.who, *shaped, *_joined(event.words, kind)):
        candidate = codes.normalise(text.strip())
        if not (candidate.isascii() and candidate.isalnum() and len(candidate) <= KEY_LETTERS_MAX):
            continue
        if (found := registers.card_of(read, loaded.id, candidate)) is not None:
            return found
    return None


def _code(read: Read, loaded: Loaded, card_id: int | None) -> str | None:
    """A code of that card as the counter reads it: an alias may have another shape. None for a void card."""
    if card_id is None:
        return None
    kind = loaded.programme.code_kind
    known = registers.codes_of(read, loaded.id, card_id)
    return next((code for code in known if codes.is_code(code, kind)), None)


def _joined(texts: Sequence[str], kind: CodeKind) -> list[str]:
    """Texts that are nothing but a code, written in groups."""
    return [text for text in texts if codes.is_code(codes.normalise(text.strip()), kind)]


# Settling -----------------------------------------------------------------------


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
    lines = _lines(loaded.programme, places, event.lines)
    code = _code(work, loaded, first.card_id)
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


def _lines(rules: Programme, places: Places, sold: Sequence[OrderLine]) -> tuple[Line, ...]:
    """The lines as our rules see them; none where only the amount is known."""
    lone = sold[0]
    if len(sold) == 1 and lone.nature is Nature.GOODS and not (lone.name or lone.sku or lone.marks):
        return () if lone.net_minor else (Line(lone.quantity, lone.gross_minor, lone.gross_minor),)
    return tuple(_line(rules, places, line) for line in sold)


def _line(rules: Programme, places: Places, line: OrderLine) -> Line:
    # Whole units a piece: what is added by that is a discount again.
    unit = -(-max(line.gross_minor, line.net_minor) // line.quantity)
    return Line(
        quantity=line.quantity,
        unit_minor=unit,
        discount_minor=unit * line.quantity - line.net_minor,
        sku=cleaned(line.sku or "", KEY_LETTERS_MAX) or None,
        name=cleaned(line.name or "", NAME_LETTERS_MAX) or None,
        category=_category(rules, places, line),
        brand=cleaned(line.brand or "", KEY_LETTERS_MAX) or None,
        tax_minor=line.tax_minor,
    )


def _category(rules: Programme, places: Places, line: OrderLine) -> str | None:
    marks = line.marks if line.nature is Nature.GOODS else (line.nature.value,)
    for mark in (one.casefold() for one in marks):
        if (ours := places.categories.get(mark, mark)) in rules.categories:
            return ours
    return None


def _till(name: str) -> str:
    return cleaned(name, KEY_LETTERS_MAX)


def _key(register_id: int, order: str, number: int) -> str:
    """The request key of an order's purchase (0) or of one of its returns."""
    return f"register:{register_id}:{hashlib.sha256(order.encode()).hexdigest()[:32]}:{number}"


# Trying again -------------------------------------------------------------------


def retry(
    store: Store, *, programme: str, register_id: int, message_key: str, books: Books, now: datetime
) -> Outcome:
    """Try a refused or waiting message again. Raises MessageUnknown where there is nothing to try."""

    def decide(work: Work) -> str:
        loaded = programmes.by_slug(work, programme)
        row = registers.message(work, loaded.id, register_id, message_key)
        if row is None or row.order_key is None or not row.content or row.state not in (WAITING, REFUSED):
            raise MessageUnknown()
        registers.settle(work, row, state=WAITING, content=row.content, due_at=now + FIRST_TRY_AFTER)
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
                registers.settle(work, row, state=REFUSED, why="order_unknown", content=row.content)
                words = f"A message of the register “{found[0].register_name}” waited a week for its order."
                alarms.sound(work, ALARM, words, now=now)

    store.write(decide)
