"""Tills: the devices they are paired with, what they sent, and what of it somebody has to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from passes.loyalty.joining import clean_phone
from passes.loyalty.letters import folded
from passes.loyalty.refusals import PhoneInvalid
from passes.store import programmes
from passes.store.members import email_key
from passes.store.membership import Person
from passes.store.models import pass_type, programme, receipt, request, till, till_review
from passes.store.programmes import Loaded
from passes.store.work import Read, Row, Work

# SQLite has one writer anyway. Purchases, which only point at the programme, do not wait for this.
_ALONE = (
    select(programme.c.id).where(programme.c.id == bindparam("programme_id")).with_for_update(key_share=True)
)
_ADD = insert(till)
_RENEW_CODE = (
    update(till)
    .where(
        till.c.programme_id == bindparam("programme"),
        till.c.id == bindparam("till"),
        till.c.revoked_at.is_(None),
    )
    .values(pairing_hash=bindparam("code_hash"), pairing_until=bindparam("until"))
    .returning(till.c.name)
)
_PAIR = (
    update(till)
    .where(
        till.c.pairing_hash == bindparam("code_hash"),
        till.c.pairing_until > bindparam("now"),
        till.c.revoked_at.is_(None),
    )
    .values(
        secret_hash=bindparam("secret"),
        pairing_hash=None,
        pairing_until=None,
        paired_at=bindparam("now"),
        seen_at=bindparam("now"),
        synced_at=bindparam("now"),
        # Another device counts from its own beginning.
        sequence=0,
    )
    .returning(till.c.programme_id, till.c.id, till.c.name)
)
_BY_SECRET = (
    select(
        till.c.id.label("till_id"),
        till.c.name.label("till_name"),
        till.c.location.label("till_location"),
        till.c.revoked_at,
        till.c.seen_at,
        till.c.synced_at,
        till.c.sequence,
        *programmes.columns,
    )
    .select_from(
        till.join(programme, programme.c.id == till.c.programme_id).join(
            pass_type, pass_type.c.id == programme.c.pass_type_id
        )
    )
    .where(till.c.secret_hash == bindparam("secret_hash"))
)
_EVERY = (
    select(till)
    .where(till.c.programme_id == bindparam("programme_id"))
    .order_by(till.c.revoked_at.is_not(None), till.c.name, till.c.id)
)
_REVOKE = (
    update(till)
    .where(
        till.c.programme_id == bindparam("programme"),
        till.c.id == bindparam("till"),
        till.c.revoked_at.is_(None),
    )
    # The secret stays: what the lost device still sends is known for what it is.
    .values(revoked_at=bindparam("now"), pairing_hash=None, pairing_until=None)
    .returning(till.c.name)
)
_HEARD = (
    update(till)
    .where(till.c.programme_id == bindparam("programme"), till.c.id == bindparam("till"))
    .values(seen_at=bindparam("now"))
)
_SYNCED = (
    update(till)
    .where(till.c.programme_id == bindparam("programme"), till.c.id == bindparam("till"))
    .values(synced_at=bindparam("now"))
)
_COUNTED = (
    update(till)
    .where(
        till.c.programme_id == bindparam("programme"),
        till.c.id == bindparam("till"),
        till.c.sequence < bindparam("number"),
    )
    .values(sequence=bindparam("number"))
)
_WITHDRAWN = """
    SELECT k.code FROM card_code k JOIN card c ON c.programme_id = k.programme_id AND c.id = k.card_id
    WHERE k.programme_id = :programme_id AND k.code IN ({codes}) AND c.voided_at IS NOT NULL
"""
_WITHDRAWN_ON_POSTGRESQL = text(_WITHDRAWN.format(codes="SELECT unnest(CAST(:codes AS text[]))"))
_WITHDRAWN_ON_SQLITE = text(_WITHDRAWN.format(codes="SELECT value FROM json_each(:codes)"))
_REQUEST = select(request.c.operation, request.c.answer).where(
    request.c.programme_id == bindparam("programme_id"), request.c.key == bindparam("key")
)
_review_values: dict[str, Any] = {
    column.name: bindparam(column.name)
    for column in till_review.c
    if column.name not in ("decided_by", "decided_at", "note", "receipt_id")
}


def _keeping(keep: Any) -> Any:
    """What was only noted as refused may be reviewed when it comes again; what was decided stays so."""
    return keep.on_conflict_do_update(
        index_elements=["programme_id", "till_id", "key"],
        set_={name: keep.excluded[name] for name in ("content", "why", "state", "received_at")},
        where=till_review.c.state == "refused",
    )


_KEEP_REVIEW = {
    "sqlite": _keeping(sqlite.insert(till_review).values(_review_values)),
    "postgresql": _keeping(postgresql.insert(till_review).values(_review_values)),
}
_REVIEW_BY_KEY = select(till_review).where(
    till_review.c.programme_id == bindparam("programme_id"),
    till_review.c.till_id == bindparam("till_id"),
    till_review.c.key == bindparam("key"),
)
_REVIEW = (
    select(till_review, till.c.name.label("till_name"), till.c.location)
    .select_from(
        till_review.join(
            till, (till.c.programme_id == till_review.c.programme_id) & (till.c.id == till_review.c.till_id)
        )
    )
    .where(till_review.c.programme_id == bindparam("programme_id"))
)
_ONE_REVIEW = _REVIEW.where(till_review.c.id == bindparam("review_id"))
_OPEN_REVIEWS = (
    _REVIEW.where(till_review.c.state == "open")
    .order_by(till_review.c.received_at, till_review.c.id)
    .limit(bindparam("limit"))
)
_OPEN_CONTENTS = select(till_review.c.id, till_review.c.operation, till_review.c.content).where(
    till_review.c.programme_id == bindparam("programme_id"), till_review.c.state == "open"
)
_SET_CONTENT = (
    update(till_review)
    .where(till_review.c.programme_id == bindparam("programme"), till_review.c.id == bindparam("review"))
    .values(content=bindparam("new_content"))
)
_SET_ASIDE = (
    update(till_review)
    .where(till_review.c.programme_id == bindparam("programme"), till_review.c.id == bindparam("review"))
    .values(state="dismissed", content="", decided_at=bindparam("now"))
)
_IS_RECEIPT_OF = select(receipt.c.id).where(
    receipt.c.programme_id == bindparam("programme_id"),
    receipt.c.id == bindparam("receipt_id"),
    receipt.c.member_id == bindparam("member_id"),
)
_waiting = (
    select(till_review.c.id)
    .where(
        till_review.c.programme_id == bindparam("programme_id"),
        till_review.c.till_id == bindparam("till_id"),
        till_review.c.state == "open",
    )
    .limit(bindparam("most"))
    .subquery("waiting")
)
_COUNT_OPEN = select(func.count()).select_from(_waiting)
_DECIDE = (
    update(till_review)
    .where(
        till_review.c.programme_id == bindparam("programme"),
        till_review.c.id == bindparam("review"),
        till_review.c.state == "open",
    )
    .values(
        state=bindparam("new_state"),
        # It may name people; what was booked is in the books, and what was not is nobody's business now.
        content="",
        receipt_id=bindparam("receipt"),
        decided_by=bindparam("by"),
        decided_at=bindparam("now"),
        note=bindparam("words"),
    )
    .returning(till_review.c.id)
)


def alone(work: Work, programme_id: int) -> None:
    """Nobody else sets a till of this programme up until this is done."""
    work.ask(_ALONE, programme_id=programme_id).one()


def add(
    work: Work,
    *,
    programme_id: int,
    till_id: int,
    name: str,
    location: str | None,
    code_hash: bytes,
    until: int,
    now: int,
) -> None:
    """A new till, which waits for a device."""
    work.put(
        _ADD,
        programme_id=programme_id,
        id=till_id,
        name=name,
        location=location,
        pairing_hash=code_hash,
        pairing_until=until,
        secret_hash=None,
        created_at=now,
        paired_at=None,
        revoked_at=None,
        seen_at=None,
        synced_at=None,
        sequence=0,
    )


def renew_code(work: Work, *, programme_id: int, till_id: int, code_hash: bytes, until: int) -> str | None:
    """Let another device be paired. The till's name; None where it is not in force."""
    asked = work.ask(_RENEW_CODE, programme=programme_id, till=till_id, code_hash=code_hash, until=until)
    name: str | None = asked.value()
    return name


def pair(work: Work, *, code_hash: bytes, secret_hash: bytes, now: int) -> Row | None:
    """The till (`programme_id`, `id`, `name`) is that device from now on; None where the code opens none."""
    return work.ask(_PAIR, code_hash=code_hash, secret=secret_hash, now=now).one()


def by_secret(read: Read, secret_hash: bytes) -> tuple[Row, Loaded] | None:
    """The till whose device holds this secret (`till_id`, `till_name` …), revoked or not; its programme."""
    row = read.ask(_BY_SECRET, secret_hash=secret_hash).one()
    return None if row is None else (row, programmes.from_row(read, row))


def every(read: Read, programme_id: int) -> list[Row]:
    """All tills of a programme by name, the revoked last."""
    return read.ask(_EVERY, programme_id=programme_id).all()


def revoke(work: Work, *, programme_id: int, till_id: int, now: int) -> str | None:
    """Take a till out of force. Its name; None where it is not in force."""
    name: str | None = work.ask(_REVOKE, programme=programme_id, till=till_id, now=now).value()
    return name


def heard(work: Work, *, programme_id: int, till_id: int, now: int) -> None:
    """The device asked something."""
    work.put(_HEARD, programme=programme_id, till=till_id, now=now)


def synced(work: Work, *, programme_id: int, till_id: int, now: int) -> None:
    """The device has nothing left to send."""
    work.put(_SYNCED, programme=programme_id, till=till_id, now=now)


def counted(work: Work, *, programme_id: int, till_id: int, number: int) -> None:
    """Its queue was taken up to this number."""
    work.put(_COUNTED, programme=programme_id, till=till_id, number=number)


def answer_to(read: Read, programme_id: int, request_key: str) -> str | None:
    """What a write answered when it was booked, as it was kept; None where it never was."""
    row = read.ask(_REQUEST, programme_id=programme_id, key=request_key).one()
    return None if row is None else str(row.answer)


def withdrawn(read: Read, programme_id: int, codes: list[str]) -> set[str]:
    """Which of these codes lead to a card that was withdrawn. What no card has is not among them."""
    if read.postgresql:
        asked = read.ask(_WITHDRAWN_ON_POSTGRESQL, programme_id=programme_id, codes=codes)
    else:
        asked = read.ask(_WITHDRAWN_ON_SQLITE, programme_id=programme_id, codes=json.dumps(codes))
    return {row.code for row in asked.all()}


# What somebody has to look at ---------------------------------------------------


def keep_review(
    work: Work,
    *,
    programme_id: int,
    review_id: int,
    till_id: int,
    key: str,
    operation: str,
    content: str,
    person: str | None,
    why: str,
    state: str,
    occurred_at: int,
    received_at: int,
) -> None:
    """Keep an item for somebody to look at (`open`), or only that it came and was refused (`refused`)."""
    work.put(
        _KEEP_REVIEW["postgresql" if work.postgresql else "sqlite"],
        programme_id=programme_id,
        id=review_id,
        till_id=till_id,
        key=key,
        operation=operation,
        content=content,
        person=person,
        why=why,
        state=state,
        occurred_at=occurred_at,
        received_at=received_at,
    )


def review_by_key(read: Read, *, programme_id: int, till_id: int, key: str) -> Row | None:
    """What was kept of an item."""
    return read.ask(_REVIEW_BY_KEY, programme_id=programme_id, till_id=till_id, key=key).one()


def review(read: Read, *, programme_id: int, review_id: int) -> Row | None:
    """One item that was kept, with its `till_name` and `location`."""
    return read.ask(_ONE_REVIEW, programme_id=programme_id, review_id=review_id).one()


def open_reviews(read: Read, *, programme_id: int, limit: int) -> list[Row]:
    """What nobody has looked at, oldest first."""
    return read.ask(_OPEN_REVIEWS, programme_id=programme_id, limit=limit).all()


def has_open_reviews(read: Read, *, programme_id: int, till_id: int, most: int) -> bool:
    """Whether so many items of a till wait to be looked at."""
    found: int = read.ask(_COUNT_OPEN, programme_id=programme_id, till_id=till_id, most=most).value()
    return found >= most


def decide(
    work: Work,
    *,
    programme_id: int,
    review_id: int,
    state: str,
    receipt_id: int | None,
    by: str,
    note: str,
    now: int,
) -> bool:
    """Settle an item; whether it was still open."""
    asked = work.ask(
        _DECIDE,
        programme=programme_id,
        review=review_id,
        new_state=state,
        receipt=receipt_id,
        by=by,
        words=note,
        now=now,
    )
    return asked.one() is not None


# Erasure ------------------------------------------------------------------------

_ENROL = "enrolMember"
_PHONE_DIGITS_MIN = 6
_ID_DIGITS_MAX = 19
_ID_LIMIT = 2**63


def forget(work: Work, programme_id: int, member_id: int, known: Person | None, *, now: int) -> None:
    """Take a person who leaves out of what waits to be looked at; call it before they are forgotten.

    Nobody is asked any more whether to enrol them, and why goods came back is
    not told: it may name them. What was decided names nobody anyway.
    """
    for row in work.ask(_OPEN_CONTENTS, programme_id=programme_id).all():
        content = json.loads(row.content)
        item = content["item"]
        if row.operation == _ENROL:
            if known is not None and _names(item["body"], known):
                work.put(_SET_ASIDE, programme=programme_id, review=row.id, now=now)
        elif item["body"].get("reason") and _is_about(work, programme_id, member_id, item):
            del item["body"]["reason"]
            work.put(_SET_CONTENT, programme=programme_id, review=row.id, new_content=json.dumps(content))


def _names(body: Mapping[str, Any], known: Person) -> bool:
    """Whether a form is of this person: by address or number, by the name alone only where it has neither."""
    email, phone = (str(body.get(name) or "") for name in ("email", "phone"))
    if email and email_key(email) == email_key(known.email):
        return True
    if phone and known.phone and _same_number(phone, known.phone):
        return True
    return not (email or phone) and folded(str(body.get("name", ""))) == folded(known.name)


def _same_number(typed: str, kept: str) -> bool:
    """The same number, with the country's code or without."""
    try:
        one, other = (clean_phone(text) or "" for text in (typed, kept))
    except PhoneInvalid:
        return False
    short, long = sorted((one.lstrip("+0"), other.lstrip("+0")), key=len)
    return len(short) >= _PHONE_DIGITS_MIN and long.endswith(short)


def _is_about(read: Read, programme_id: int, member_id: int, item: Mapping[str, Any]) -> bool:
    named = str(item["body"].get("receipt_id") or item["path"].get("receipt_id") or "")
    is_id = named.isascii() and named.isdecimal() and len(named) <= _ID_DIGITS_MAX
    if not is_id or int(named) >= _ID_LIMIT:
        return False
    asked = read.ask(_IS_RECEIPT_OF, programme_id=programme_id, receipt_id=int(named), member_id=member_id)
    return asked.one() is not None
