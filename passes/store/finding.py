"""Looking members up at the till: by the beginning of a name, a whole number, a whole address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select

from passes.store.instants import instant_or_none
from passes.store.models import card, card_code, member, person
from passes.store.work import Read, Row

PHONES_MAX = 8
"""So many spellings of one number are looked for at once."""


@dataclass(frozen=True, slots=True)
class Match:
    """A member who may be meant, with the newest card that holds."""

    card_id: int
    name: str
    phone: str | None
    tier: str | None
    last_visit_at: datetime | None


_newest_card = (
    select(func.max(card.c.id))
    .where(
        card.c.programme_id == member.c.programme_id,
        card.c.member_id == member.c.id,
        card.c.voided_at.is_(None),
    )
    .correlate(member)
    .scalar_subquery()
)


def _people(*wanted: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return (
        select(
            _newest_card.label("card_id"),
            person.c.name,
            person.c.phone,
            member.c.tier,
            member.c.last_purchase_at,
        )
        .select_from(
            person.join(
                member, (member.c.programme_id == person.c.programme_id) & (member.c.id == person.c.member_id)
            )
        )
        .where(
            person.c.programme_id == bindparam("programme"),
            member.c.closed_at.is_(None),
            member.c.merged_into.is_(None),
            *wanted,
        )
        .limit(bindparam("most"))
    )


def _begins(column: ColumnElement[str], *, postgresql: bool) -> ColumnElement[bool]:
    # Byte by byte: how a language sorts its letters has no part in it, and an index answers.
    at_least, below = (">=", "<") if not postgresql else ("~>=~", "~<~")
    return column.op(at_least, is_comparison=True)(bindparam("low")) & column.op(below, is_comparison=True)(
        bindparam("high")
    )


_ends = func.substr(person.c.phone, func.length(person.c.phone) - 3) == bindparam("last_four")
# One question for each form of the name, so that each has an index of its own.
_BY_NAME = {
    (column.name, postgresql, ends): _people(
        column.is_not(None),
        _begins(column, postgresql=postgresql),
        *((person.c.phone.is_not(None), _ends) if ends else ()),
    ).order_by(column, person.c.member_id)
    for column in (person.c.name_key, person.c.name_turned)
    for postgresql in (False, True)
    for ends in (False, True)
}
_BY_EMAIL = _people(person.c.email_key == bindparam("email_key")).order_by(person.c.member_id)
_BY_PHONE = _people(
    person.c.phone.is_not(None),
    or_(*(person.c.phone == bindparam(f"phone_{number}") for number in range(PHONES_MAX))),
).order_by(person.c.member_id)
_CODE_OF_CARD = (
    select(card_code.c.code)
    .select_from(
        card.join(
            card_code, (card_code.c.programme_id == card.c.programme_id) & (card_code.c.card_id == card.c.id)
        )
    )
    .where(
        card.c.programme_id == bindparam("programme"),
        card.c.id == bindparam("card"),
        card.c.voided_at.is_(None),
    )
    .order_by(card_code.c.added_at, card_code.c.code)
    .limit(1)
)


def by_name(
    read: Read, programme_id: int, beginning: str, *, last_four: str | None = None, most: int
) -> list[Match]:
    """Members whose folded name begins so, as it is or with its last word first."""
    found: dict[int, Match] = {}
    for form in ("name_key", "name_turned"):
        statement = _BY_NAME[form, read.postgresql, last_four is not None]
        ends = {} if last_four is None else {"last_four": last_four}
        rows = read.ask(
            statement,
            programme=programme_id,
            low=beginning,
            # Above every text that begins so: no name has this sign.
            high=f"{beginning}\U0010fffd",
            most=most,
            **ends,
        ).all()
        found |= {one.card_id: one for one in _matches(rows)}
    return list(found.values())[:most]


def by_email(read: Read, programme_id: int, key: str, *, most: int) -> list[Match]:
    """Members with this address, in the form in which spellings are equal."""
    return _matches(read.ask(_BY_EMAIL, programme=programme_id, email_key=key, most=most).all())


def by_phone(read: Read, programme_id: int, spellings: Sequence[str], *, most: int) -> list[Match]:
    """Members whose number is one of up to PHONES_MAX spellings."""
    given = [*spellings, *[""] * PHONES_MAX][:PHONES_MAX]
    values = {f"phone_{number}": text for number, text in enumerate(given)}
    return _matches(read.ask(_BY_PHONE, programme=programme_id, most=most, **values).all())


def code_of(read: Read, programme_id: int, card_id: int) -> str | None:
    """The first code of a card that holds."""
    code: str | None = read.ask(_CODE_OF_CARD, programme=programme_id, card=card_id).value()
    return code


def _matches(rows: Sequence[Row]) -> list[Match]:
    return [
        Match(row.card_id, row.name, row.phone, row.tier, instant_or_none(row.last_purchase_at))
        for row in rows
        if row.card_id is not None
    ]
