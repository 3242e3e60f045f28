"""Registers of other makers: their secrets, each message once, and which order became which purchase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, delete, insert, literal_column, or_, select, text, update

from passes.loyalty.receipt import ReceiptKind
from passes.store import programmes
from passes.store.instants import micros
from passes.store.models import (
    card,
    card_code,
    pass_type,
    programme,
    purchase,
    receipt,
    register,
    register_message,
    register_order,
)
from passes.store.programmes import Loaded
from passes.store.work import Read, Row, Work

# Written out, not bound: only then does an engine see that the index of what waits will do.
_WAITING_STATE: ColumnElement[str] = literal_column("'waiting'")

_ADD = insert(register)
_BY_ID = (
    select(
        register.c.id.label("register_id"),
        register.c.kind,
        register.c.name.label("register_name"),
        register.c.key_id,
        register.c.secret,
        register.c.places,
        register.c.heard_at,
        *programmes.columns,
    )
    .select_from(
        register.join(programme, programme.c.id == register.c.programme_id).join(
            pass_type, pass_type.c.id == programme.c.pass_type_id
        )
    )
    .where(
        programme.c.slug == bindparam("slug"),
        register.c.id == bindparam("register"),
        register.c.revoked_at.is_(None),
    )
)
_EVERY = (
    select(register)
    .where(register.c.programme_id == bindparam("programme_id"))
    .order_by(register.c.revoked_at.is_not(None), register.c.id.desc())
)
# Of all programmes: what waits is little and has an index of its own, what was booked is not looked at.
_WAITING_EVERYWHERE = (
    select(register_message.c.programme_id, register_message.c.register_id)
    .where(register_message.c.state == _WAITING_STATE, register_message.c.due_at >= 0)
    .order_by(register_message.c.due_at)
)
_REVOKE = (
    update(register)
    .where(
        register.c.programme_id == bindparam("programme"),
        register.c.id == bindparam("register"),
        register.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"), secret=b"")
    .returning(register.c.name)
)
_CHANGE = (
    update(register)
    .where(
        register.c.programme_id == bindparam("programme"),
        register.c.id == bindparam("register"),
        register.c.revoked_at.is_(None),
    )
    .values(places=bindparam("to_places"))
)
_RENEW = (
    update(register)
    .where(
        register.c.programme_id == bindparam("programme"),
        register.c.id == bindparam("register"),
        register.c.revoked_at.is_(None),
    )
    .values(key_id=bindparam("to_key"), secret=bindparam("to_secret"))
)
_HEARD = (
    update(register)
    .where(register.c.programme_id == bindparam("programme"), register.c.id == bindparam("register"))
    .values(heard_at=bindparam("now"))
)

_KEEP = text("""
    INSERT INTO register_message (programme_id, register_id, message_key, topic, order_key, content, state,
                                  why, receipt_id, attempts, received_at, due_at)
    VALUES (:programme_id, :register_id, :message_key, :topic, :order_key, :content, :state, :why,
            NULL, 0, :now, :due_at)
    ON CONFLICT (programme_id, register_id, message_key) DO NOTHING
    RETURNING message_key
""")
_of_message = (
    register_message.c.programme_id == bindparam("programme"),
    register_message.c.register_id == bindparam("register"),
    register_message.c.message_key == bindparam("message"),
)
_MESSAGE = select(register_message).where(*_of_message)
# Sorted here: an engine asked to do it would rather walk through all messages as they came.
_WAITING = select(register_message).where(
    register_message.c.programme_id == bindparam("programme"),
    register_message.c.register_id == bindparam("register"),
    register_message.c.order_key == bindparam("order"),
    register_message.c.state == _WAITING_STATE,
)
_DUE = (
    select(
        register_message.c.programme_id,
        register_message.c.register_id,
        register_message.c.order_key,
        programme.c.slug,
    )
    .select_from(
        register_message.join(programme, programme.c.id == register_message.c.programme_id).join(
            register,
            (register.c.programme_id == register_message.c.programme_id)
            & (register.c.id == register_message.c.register_id),
        )
    )
    .where(
        register_message.c.state == _WAITING_STATE,
        register_message.c.due_at <= bindparam("now"),
        register.c.revoked_at.is_(None),
    )
    .order_by(register_message.c.due_at)
    .limit(bindparam("limit"))
)
_SETTLE = (
    update(register_message)
    .where(*_of_message)
    .values(
        state=bindparam("to_state"),
        why=bindparam("to_why"),
        receipt_id=bindparam("to_receipt"),
        content=bindparam("to_content"),
        due_at=bindparam("to_due"),
        attempts=bindparam("to_attempts"),
    )
)
_REVIVE = (
    update(register_message)
    .where(
        register_message.c.programme_id == bindparam("programme"),
        register_message.c.register_id == bindparam("register"),
        register_message.c.order_key == bindparam("order"),
        register_message.c.state == "refused",
        register_message.c.why == bindparam("reason"),
    )
    .values(state="waiting", why=None, due_at=bindparam("now"))
    .returning(register_message.c.message_key)
)
_ALL = select(register.c.programme_id, register.c.id)
_OLD = (
    select(register_message.c.message_key)
    .where(
        register_message.c.programme_id == bindparam("programme"),
        register_message.c.register_id == bindparam("register"),
        register_message.c.received_at < bindparam("before"),
        or_(register_message.c.state == "booked", register_message.c.state == "ignored"),
    )
    .order_by(register_message.c.received_at)
    .limit(bindparam("limit"))
)
_FORGET = (
    delete(register_message)
    .where(
        register_message.c.programme_id == bindparam("programme"),
        register_message.c.register_id == bindparam("register"),
        register_message.c.message_key.in_(_OLD),
    )
    .returning(register_message.c.message_key)
)
_LATEST = (
    select(register_message)
    .where(
        register_message.c.programme_id == bindparam("programme"),
        register_message.c.register_id == bindparam("register"),
    )
    .order_by(register_message.c.received_at.desc(), register_message.c.message_key)
    .limit(bindparam("limit"))
)

_ORDER_LOCKED = (
    select(register_order)
    .where(
        register_order.c.programme_id == bindparam("programme"),
        register_order.c.register_id == bindparam("register"),
        register_order.c.order_key == bindparam("order"),
    )
    .with_for_update()
)
_ADD_ORDER = text("""
    INSERT INTO register_order (programme_id, register_id, order_key, purchase_id, receipt_id, lines, at)
    VALUES (:programme_id, :register_id, :order_key, :purchase_id, :receipt_id, :lines, :now)
    ON CONFLICT (programme_id, register_id, order_key) DO NOTHING
""")
_KEEP_ORDER = (
    update(register_order)
    .where(
        register_order.c.programme_id == bindparam("programme"),
        register_order.c.register_id == bindparam("register"),
        register_order.c.order_key == bindparam("order"),
    )
    .values(lines=bindparam("to_lines"))
)
# Whoever claimed a guest's sale since: its receipt is the one that goods come back to.
_RECEIPT_OF = (
    select(receipt.c.id)
    .select_from(
        purchase.join(
            receipt,
            (receipt.c.programme_id == purchase.c.programme_id)
            & (receipt.c.purchase_id == purchase.c.id)
            & (receipt.c.member_id == purchase.c.member_id),
        )
    )
    .where(
        purchase.c.programme_id == bindparam("programme"),
        purchase.c.id == bindparam("purchase"),
        receipt.c.kind == ReceiptKind.ACCRUE.value,
    )
)
# After a merge the purchase is the survivor's and its receipt still the other one's. A receipt is
# never older than its purchase.
_RECEIPT_AFTER_MERGE = select(receipt.c.id).where(
    receipt.c.programme_id == bindparam("programme"),
    receipt.c.id > bindparam("purchase"),
    receipt.c.purchase_id == bindparam("purchase"),
    receipt.c.kind == ReceiptKind.ACCRUE.value,
)
_IS_CLAIMED = select(purchase.c.member_id).where(
    purchase.c.programme_id == bindparam("programme"), purchase.c.id == bindparam("purchase")
)
_in_use = card_code.join(
    card, (card.c.programme_id == card_code.c.programme_id) & (card.c.id == card_code.c.card_id)
)
_CARD_OF = (
    select(card_code.c.card_id)
    .select_from(_in_use)
    .where(
        card_code.c.programme_id == bindparam("programme"),
        card_code.c.code == bindparam("code"),
        card.c.voided_at.is_(None),
    )
)
_CODES_OF = (
    select(card_code.c.code)
    .select_from(_in_use)
    .where(
        card_code.c.programme_id == bindparam("programme"),
        card_code.c.card_id == bindparam("card"),
        card.c.voided_at.is_(None),
    )
    .order_by(card_code.c.added_at, card_code.c.code)
)


# Registers ----------------------------------------------------------------------


def add(
    work: Work,
    *,
    programme_id: int,
    register_id: int,
    kind: str,
    name: str,
    key_id: str,
    secret: bytes,
    places: str,
    now: datetime,
) -> None:
    """Keep a new register; its secret is encrypted already."""
    work.put(
        _ADD,
        programme_id=programme_id,
        id=register_id,
        kind=kind,
        name=name,
        key_id=key_id,
        secret=secret,
        places=places,
        created_at=micros(now),
        revoked_at=None,
        heard_at=None,
    )


def by_id(read: Read, slug: str, register_id: int) -> tuple[Row, Loaded] | None:
    """A register that was not removed (`register_id`, `kind`, `secret` …), and its programme."""
    row = read.ask(_BY_ID, slug=slug, register=register_id).one()
    return None if row is None else (row, programmes.from_row(read, row))


def every(read: Read, programme_id: int) -> list[Row]:
    """All registers, those in use first, then the newest."""
    return read.ask(_EVERY, programme_id=programme_id).all()


def count_waiting(read: Read, programme_id: int) -> Mapping[int, int]:
    """How many messages of each register wait, by its id; none where nothing does."""
    rows = read.ask(_WAITING_EVERYWHERE).all()
    return Counter(row.register_id for row in rows if row.programme_id == programme_id)


def revoke(work: Work, programme_id: int, register_id: int, *, now: datetime) -> str | None:
    """Take a register out of use and forget its secret. Its name; None where it is not in use."""
    name: str | None = work.ask(
        _REVOKE, programme=programme_id, register=register_id, now=micros(now)
    ).value()
    return name


def change(work: Work, programme_id: int, register_id: int, *, places: str) -> None:
    """Replace what its locations and articles are here."""
    work.put(_CHANGE, expect=1, programme=programme_id, register=register_id, to_places=places)


def renew(work: Work, programme_id: int, register_id: int, *, key_id: str, secret: bytes) -> None:
    """Replace what it signs with; it is encrypted already."""
    work.put(_RENEW, expect=1, programme=programme_id, register=register_id, to_key=key_id, to_secret=secret)


def heard(work: Work, programme_id: int, register_id: int, *, now: datetime) -> None:
    """Remember when it last said something genuine."""
    work.put(_HEARD, programme=programme_id, register=register_id, now=micros(now))


# Messages -----------------------------------------------------------------------


def keep_message(
    work: Work,
    *,
    programme_id: int,
    register_id: int,
    message_key: str,
    topic: str,
    order_key: str | None,
    content: str,
    state: str,
    why: str | None,
    due_at: datetime | None,
    now: datetime,
) -> bool:
    """Keep a message; False when it is here already."""
    kept = work.ask(
        _KEEP,
        programme_id=programme_id,
        register_id=register_id,
        message_key=message_key,
        topic=topic,
        order_key=order_key,
        content=content,
        state=state,
        why=why,
        due_at=None if due_at is None else micros(due_at),
        now=micros(now),
    ).one()
    return kept is not None


def message(read: Read, programme_id: int, register_id: int, message_key: str) -> Row | None:
    """A message, whatever became of it."""
    return read.ask(_MESSAGE, programme=programme_id, register=register_id, message=message_key).one()


def waiting(read: Read, programme_id: int, register_id: int, order_key: str) -> list[Row]:
    """The messages of an order that wait, oldest first."""
    rows = read.ask(_WAITING, programme=programme_id, register=register_id, order=order_key).all()
    return sorted(rows, key=lambda row: (row.received_at, row.message_key))


def due(read: Read, *, now: datetime, limit: int) -> list[Row]:
    """Whose orders are to be taken up again (`programme_id`, `slug`, `register_id`, `order_key`)."""
    return read.ask(_DUE, now=micros(now), limit=limit).all()


def settle(
    work: Work,
    row: Row,
    *,
    state: str,
    why: str | None = None,
    receipt_id: int | None = None,
    content: str = "",
    due_at: datetime | None = None,
    attempts: int | None = None,
) -> None:
    """Write down what became of a message; its content goes unless it is given again."""
    work.put(
        _SETTLE,
        programme=row.programme_id,
        register=row.register_id,
        message=row.message_key,
        to_state=state,
        to_why=why,
        to_receipt=receipt_id,
        to_content=content,
        to_due=None if due_at is None else micros(due_at),
        to_attempts=row.attempts + 1 if attempts is None else attempts,
    )


def revive(
    work: Work, programme_id: int, register_id: int, order_key: str, *, why: str, now: datetime
) -> int:
    """Let the messages of an order wait again that were refused for this reason. Returns how many."""
    values = {"programme": programme_id, "register": register_id, "order": order_key}
    return len(work.ask(_REVIVE, **values, reason=why, now=micros(now)).all())


def with_old_messages(read: Read, *, before: datetime) -> list[tuple[int, int]]:
    """The registers, by programme and id, that have settled messages from before an instant."""
    found = []
    for one in read.ask(_ALL).all():
        values = {"programme": one.programme_id, "register": one.id, "before": micros(before)}
        if read.ask(_OLD, **values, limit=1).one() is not None:
            found.append((one.programme_id, one.id))
    return found


def forget(work: Work, programme_id: int, register_id: int, *, before: datetime, limit: int) -> int:
    """Forget settled messages from before an instant, oldest first. Returns how many."""
    values = {"programme": programme_id, "register": register_id, "before": micros(before)}
    return len(work.ask(_FORGET, **values, limit=limit).all())


def latest(read: Read, programme_id: int, register_id: int, *, limit: int) -> list[Row]:
    """The newest messages of a register."""
    return read.ask(_LATEST, programme=programme_id, register=register_id, limit=limit).all()


# Orders -------------------------------------------------------------------------


def order_locked(work: Work, programme_id: int, register_id: int, order_key: str) -> Row | None:
    """What an order became; nobody else takes anything of it back until this transaction ends."""
    return work.ask(_ORDER_LOCKED, programme=programme_id, register=register_id, order=order_key).one()


def add_order(
    work: Work,
    *,
    programme_id: int,
    register_id: int,
    order_key: str,
    purchase_id: int,
    receipt_id: int | None,
    lines: str,
    now: datetime,
) -> None:
    """Remember which purchase an order became; what is remembered already stays."""
    work.put(
        _ADD_ORDER,
        programme_id=programme_id,
        register_id=register_id,
        order_key=order_key,
        purchase_id=purchase_id,
        receipt_id=receipt_id,
        lines=lines,
        now=micros(now),
    )


def keep_order(work: Work, row: Row, *, lines: str) -> None:
    """Remember what has come back of an order whose row is locked."""
    work.put(
        _KEEP_ORDER,
        expect=1,
        programme=row.programme_id,
        register=row.register_id,
        order=row.order_key,
        to_lines=lines,
    )


def receipt_of(read: Read, programme_id: int, purchase_id: int) -> int | None:
    """The receipt of a purchase; None while it is a guest's."""
    values = {"programme": programme_id, "purchase": purchase_id}
    if read.ask(_IS_CLAIMED, **values).value() is None:
        return None
    found: int | None = read.ask(_RECEIPT_OF, **values).value()
    return found or read.ask(_RECEIPT_AFTER_MERGE, **values).value()


def card_of(read: Read, programme_id: int, code: str) -> int | None:
    """The card that has this code among its codes; None where there is none, or it is void."""
    found: int | None = read.ask(_CARD_OF, programme=programme_id, code=code).value()
    return found


def codes_of(read: Read, programme_id: int, card_id: int) -> Sequence[str]:
    """All codes of a card, oldest first; none where it is void."""
    return [row.code for row in read.ask(_CODES_OF, programme=programme_id, card=card_id).all()]
