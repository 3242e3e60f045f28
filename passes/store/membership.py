"""A member's own page: the card behind a link, what stands about its member, and taking all of that away."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, bindparam, delete, func, insert, select, update

from passes.loyalty.receipt import ReceiptKind
from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.members import email_key, name_keys
from passes.store.models import (
    act,
    adjustment,
    audit,
    card,
    card_code,
    card_link,
    consent,
    device,
    goods_return,
    google_alert,
    google_object,
    hold,
    joining,
    lot,
    mail,
    member,
    member_allowance,
    merge,
    notice,
    offer_assignment,
    offer_code,
    offer_use,
    one_time_code,
    owed,
    person,
    posting,
    programme,
    purchase,
    purchase_line,
    receipt,
    redemption,
    registration,
    return_line,
    staff_card,
    tier_change,
    wallet_event,
    wish,
)
from passes.store.redemptions import AUTHORISED
from passes.store.work import Read, Row, Work

LEAP_YEAR = 2000
"""The year of birthdays that have none: one in which every day exists."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a card, and how the card stands: read at once, so that it may be asked many times a second.

    `number` counts the links that the card has had. `revision` counts every
    change of the card and of its programme, `version` is the programme's.
    `holders` are the phones that have the card; `is_closed` once its member left.
    """

    programme_id: int
    card_id: int
    member_id: int
    number: int
    key_id: str
    revoked_at: datetime | None
    voided_at: datetime | None
    is_closed: bool
    language: str
    revision: int
    version: int
    holders: int
    installed_at: datetime | None
    removed_at: datetime | None
    web_at: datetime | None


_holders = (
    select(func.count())
    .select_from(registration)
    .where(registration.c.pass_type_id == card.c.pass_type_id, registration.c.card_id == card.c.id)
    .correlate(card)
    .scalar_subquery()
)
_BY_LINK = (
    select(
        card.c.programme_id,
        card.c.id.label("card_id"),
        card.c.member_id,
        card_link.c.number,
        card.c.key_id,
        card_link.c.revoked_at,
        card.c.voided_at,
        member.c.closed_at,
        member.c.language,
        (card.c.revision + programme.c.revision).label("revision"),
        programme.c.version,
        _holders.label("holders"),
        card.c.installed_at,
        card.c.removed_at,
        card.c.web_at,
    )
    .select_from(
        card_link.join(
            card, (card.c.programme_id == card_link.c.programme_id) & (card.c.id == card_link.c.card_id)
        )
        .join(member, (member.c.programme_id == card.c.programme_id) & (member.c.id == card.c.member_id))
        .join(programme, programme.c.id == card.c.programme_id)
    )
    .where(card_link.c.secret_hash == bindparam("secret_hash"))
)
_SHOWN = (
    update(card)
    .where(
        card.c.programme_id == bindparam("programme"),
        card.c.id == bindparam("which"),
        card.c.web_at.is_(None) | (card.c.web_at < bindparam("day")),
    )
    .values(web_at=bindparam("day"))
)
_WALLETS = (
    select(registration.c.wallet, func.min(registration.c.registered_at).label("since"))
    .select_from(
        card.join(
            registration,
            (registration.c.pass_type_id == card.c.pass_type_id) & (registration.c.card_id == card.c.id),
        )
    )
    .where(card.c.programme_id == bindparam("programme"), card.c.id == bindparam("which"))
    .group_by(registration.c.wallet)
)


def by_link(read: Read, secret_hash: bytes) -> Link | None:
    """The card behind a link, also one that was withdrawn; None when there never was such a link."""
    row = read.ask(_BY_LINK, secret_hash=secret_hash).one()
    if row is None:
        return None
    return Link(
        programme_id=row.programme_id,
        card_id=row.card_id,
        member_id=row.member_id,
        number=row.number,
        key_id=row.key_id,
        revoked_at=instant_or_none(row.revoked_at),
        voided_at=instant_or_none(row.voided_at),
        is_closed=row.closed_at is not None,
        language=row.language,
        revision=row.revision,
        version=row.version,
        holders=row.holders,
        installed_at=instant_or_none(row.installed_at),
        removed_at=instant_or_none(row.removed_at),
        web_at=instant_or_none(row.web_at),
    )


def shown(work: Work, programme_id: int, card_id: int, *, day: datetime) -> None:
    """The member's page showed the card on the day that began at this instant."""
    work.put(_SHOWN, programme=programme_id, which=card_id, day=micros(day))


def wallets(read: Read, programme_id: int, card_id: int) -> dict[str, datetime]:
    """The wallets that hold a card, and since when."""
    rows = read.ask(_WALLETS, programme=programme_id, which=card_id).all()
    return {row.wallet: instant(row.since) for row in rows}


# Links ----------------------------------------------------------------------------

_LAST_NUMBER = select(func.max(card_link.c.number)).where(
    card_link.c.programme_id == bindparam("programme"), card_link.c.card_id == bindparam("which")
)
_WITHDRAW = (
    update(card_link)
    .where(
        card_link.c.programme_id == bindparam("programme"),
        card_link.c.card_id == bindparam("which"),
        card_link.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("at"))
)


def last_number(read: Read, programme_id: int, card_id: int) -> int:
    """The number of the newest link that a card ever had."""
    return int(read.ask(_LAST_NUMBER, programme=programme_id, which=card_id).value())


def withdraw_links(work: Work, programme_id: int, card_id: int, *, now: datetime) -> None:
    """No link that a card has had so far opens it any more."""
    work.put(_WITHDRAW, programme=programme_id, which=card_id, at=micros(now))


# The person -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a member as a person. The birthday is a day of a leap year."""

    name: str
    email: str | None
    phone: str | None
    birthday: date | None
    birthday_changed_at: datetime | None


_of_member = (person.c.programme_id == bindparam("programme"), person.c.member_id == bindparam("whose"))
_PERSON = select(person).where(*_of_member)
_SET_PERSON = (
    update(person)
    .where(*_of_member)
    .values(
        name=bindparam("new_name"),
        name_key=bindparam("new_name_key"),
        name_turned=bindparam("new_name_turned"),
        email=bindparam("new_email"),
        email_key=bindparam("new_email_key"),
        phone=bindparam("new_phone"),
        birthday_month=bindparam("month"),
        birthday_day=bindparam("day"),
        birthday_changed_at=bindparam("changed_at"),
    )
)
_SET_LANGUAGE = (
    update(member)
    .where(member.c.programme_id == bindparam("programme"), member.c.id == bindparam("whose"))
    .values(language=bindparam("spoken"))
)


def person_of(read: Read, programme_id: int, member_id: int) -> Person | None:
    """What is known of the person; None once they were forgotten."""
    row = read.ask(_PERSON, programme=programme_id, whose=member_id).one()
    if row is None:
        return None
    born = row.birthday_month and date(LEAP_YEAR, row.birthday_month, row.birthday_day)
    return Person(row.name, row.email, row.phone, born or None, instant_or_none(row.birthday_changed_at))


def set_person(
    work: Work,
    programme_id: int,
    member_id: int,
    *,
    name: str,
    email: str | None,
    phone: str | None,
    birthday: date | None,
    birthday_changed_at: datetime | None,
) -> None:
    """Write what is known of the person from now on."""
    work.put(
        _SET_PERSON,
        expect=1,
        programme=programme_id,
        whose=member_id,
        new_name=name,
        **{f"new_{key}": value for key, value in name_keys(name).items()},
        new_email=email,
        new_email_key=email_key(email),
        new_phone=phone,
        month=birthday.month if birthday else None,
        day=birthday.day if birthday else None,
        changed_at=None if birthday_changed_at is None else micros(birthday_changed_at),
    )


def set_language(work: Work, programme_id: int, member_id: int, language: str) -> None:
    """Which language the member's card and letters speak."""
    work.put(_SET_LANGUAGE, expect=1, programme=programme_id, whose=member_id, spoken=language)


# Leaving --------------------------------------------------------------------------

_CARDS_OF = (
    select(card.c.id)
    .where(card.c.programme_id == bindparam("programme"), card.c.member_id == bindparam("whose"))
    .order_by(card.c.id)
)
_OPEN_HOLDS = (
    select(hold)
    .where(
        hold.c.programme_id == bindparam("programme"),
        hold.c.member_id == bindparam("whose"),
        hold.c.state == AUTHORISED,
    )
    .order_by(hold.c.id)
)


def _where(table: Table) -> tuple[ColumnElement[bool], ...]:
    return table.c.programme_id == bindparam("programme"), table.c.member_id == bindparam("whose")


_FORGET = (
    delete(person).where(*_where(person)),
    # What somebody followed to come here may name them: a page of theirs, a letter to them.
    update(joining)
    .where(*_where(joining))
    .values(referrer=None, utm_source=None, utm_medium=None, utm_campaign=None),
    # Told about days of theirs: a birthday, for one.
    delete(notice).where(*_where(notice)),
    delete(wish).where(*_where(wish)),
    delete(one_time_code).where(*_where(one_time_code)),
    delete(staff_card).where(*_where(staff_card)),
    update(act).where(*_where(act)).values(words=""),
    update(adjustment).where(*_where(adjustment)).values(note="", words=""),
    update(mail).where(*_where(mail)).values(detail="{}", trouble=None, due_at=None),
)
_CLOSE = (
    update(member)
    .where(member.c.programme_id == bindparam("programme"), member.c.id == bindparam("whose"))
    .values(
        closed_at=func.coalesce(member.c.closed_at, bindparam("at")),
        tier_due_at=None,
        points_lapse_at=None,
        merge_candidate_of=None,
    )
)
_IN_WORDS = select(receipt.c.id, receipt.c.reasons).where(
    *_where(receipt),
    (receipt.c.kind == ReceiptKind.ADJUST.value) | (receipt.c.kind == ReceiptKind.RETURN.value),
)
_WRITTEN = frozenset({"text", "words"})
_SET_REASONS = (
    update(receipt)
    .where(receipt.c.programme_id == bindparam("programme"), receipt.c.id == bindparam("which"))
    .values(reasons=bindparam("new_reasons"))
)
_MERGES_OF = select(merge).where(
    merge.c.programme_id == bindparam("programme"),
    (merge.c.survivor_id == bindparam("whose")) | (merge.c.loser_id == bindparam("whose")),
)
_FORGET_MERGE = (
    update(merge)
    .where(merge.c.programme_id == bindparam("programme"), merge.c.id == bindparam("which"))
    .values(proof="", detail=bindparam("new_detail"))
)
_FORGET_NOTES = (
    update(audit)
    .where(audit.c.programme_id == bindparam("programme"), audit.c.object == bindparam("about"))
    .values(detail="")
)
_NOTE = insert(audit)


def cards_of(read: Read, programme_id: int, member_id: int) -> list[int]:
    """Every card that a member has had."""
    return [row.id for row in read.ask(_CARDS_OF, programme=programme_id, whose=member_id).all()]


def open_holds(read: Read, programme_id: int, member_id: int) -> list[Row]:
    """What is set aside for payments that are under way."""
    return read.ask(_OPEN_HOLDS, programme=programme_id, whose=member_id).all()


def forget(work: Work, programme_id: int, member_id: int, *, now: datetime) -> None:
    """Close a member and take away what names the person, wherever it stands; ids and figures stay."""
    for statement in _FORGET:
        work.put(statement, programme=programme_id, whose=member_id)
    work.put(_CLOSE, expect=1, programme=programme_id, whose=member_id, at=micros(now))
    for row in work.ask(_IN_WORDS, programme=programme_id, whose=member_id).all():
        # What somebody wrote to the member, or why goods came back, stands in the reasons.
        reasons = [{**one, **dict.fromkeys(_WRITTEN & one.keys(), "")} for one in json.loads(row.reasons)]
        work.put(
            _SET_REASONS,
            programme=programme_id,
            which=row.id,
            new_reasons=json.dumps(reasons, separators=(",", ":")),
        )


def merges_of(read: Read, programme_id: int, member_id: int) -> list[Row]:
    """Every merge that a member had a part in, also those taken apart again."""
    return read.ask(_MERGES_OF, programme=programme_id, whose=member_id).all()


def forget_merge(work: Work, programme_id: int, merged: Row) -> None:
    """Take away what a merge kept of the person, and how somebody knew them."""
    detail = {**json.loads(merged.detail), "person": {}}
    work.put(
        _FORGET_MERGE,
        programme=programme_id,
        which=merged.id,
        new_detail=json.dumps(detail, separators=(",", ":")),
    )
    work.put(_FORGET_NOTES, programme=programme_id, about=f"merge {merged.id}")


def note(work: Work, programme_id: int, *, action: str, about: str, now: datetime) -> None:
    """One line for the audit log; nobody of the staff did it."""
    work.put(
        _NOTE,
        id=new_id(now),
        at=micros(now),
        staff_id=None,
        programme_id=programme_id,
        action=action,
        object=about,
        detail="",
    )


_PHONES_OF_THE_GONE = (
    select(registration.c.pass_type_id, registration.c.device_id, registration.c.card_id)
    .select_from(
        member.join(
            card, (card.c.programme_id == member.c.programme_id) & (card.c.member_id == member.c.id)
        ).join(
            registration,
            (registration.c.pass_type_id == card.c.pass_type_id) & (registration.c.card_id == card.c.id),
        )
    )
    .where(
        member.c.programme_id == bindparam("programme"),
        member.c.closed_at <= bindparam("before"),
        card.c.voided_at.is_not(None),
    )
    .order_by(registration.c.pass_type_id, registration.c.device_id, registration.c.card_id)
)


def _of_install(table: Table) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.pass_type_id == bindparam("of_type"),
        table.c.device_id == bindparam("on_device"),
        table.c.card_id == bindparam("of_card"),
    )


_FORGET_REGISTRATION = delete(registration).where(*_of_install(registration))
_FORGET_OWED = delete(owed).where(*_of_install(owed))
_FORGET_DEVICE = delete(device).where(
    device.c.pass_type_id == bindparam("of_type"),
    device.c.id == bindparam("on_device"),
    ~select(registration.c.card_id)
    .where(registration.c.pass_type_id == device.c.pass_type_id, registration.c.device_id == device.c.id)
    .correlate(device)
    .exists(),
)


def phones_of_the_gone(read: Read, programme_id: int, *, before: datetime) -> list[Row]:
    """Installs of withdrawn cards whose members left before an instant."""
    return read.ask(_PHONES_OF_THE_GONE, programme=programme_id, before=micros(before)).all()


def forget_phones(work: Work, installs: Iterable[Row]) -> None:
    """Forget these installs, and the address of every phone that has no other card."""
    for one in installs:
        key = {"of_type": one.pass_type_id, "on_device": one.device_id}
        work.put(_FORGET_REGISTRATION, **key, of_card=one.card_id)
        work.put(_FORGET_OWED, **key, of_card=one.card_id)
        work.put(_FORGET_DEVICE, **key)


# Taking along ---------------------------------------------------------------------

_BY_MEMBER = {
    "people": person,
    "memberships": member,
    "answers": consent,
    "joinings": joining,
    "cards": card,
    "purchases": purchase,
    "returns": goods_return,
    "receipts": receipt,
    "rewards": redemption,
    "set_aside": hold,
    "limits": member_allowance,
    "levels": tier_change,
    "notices": notice,
    "offers": offer_assignment,
    "offers_used": offer_use,
    "codes_used": offer_code,
    "wishes": wish,
    "acts": act,
    "corrections": adjustment,
    "letters": mail,
    "codes_once": one_time_code,
    "works_here": staff_card,
}
_BY_CARD = {
    "card_numbers": card_code,
    "links": card_link,
    "phones": registration,
    "wallet_events": wallet_event,
    "google_cards": google_object,
    "google_alerts": google_alert,
}
KEPT_BACK = frozenset(
    {
        "programme_id",
        "text_digest",
        "secret_hash",
        "code_hash",
        "key_id",
        "serial",
        "pass_type_id",
        "device_id",
        "told",
        "lease_until",
        "changed",
        "stamped_revision",
        "downloaded_revision",
        "tag",
        "pace_full_at",
        "email_key",
    }
)
"""Columns that say nothing about anybody, or prove something to us."""
_IN_JSON = frozenset({"reasons", "detail"})


def _record_of(table: Table, by: Column[int]) -> Select[Any]:
    columns = [column for column in table.c if column.name not in KEPT_BACK]
    keys = [column for column in table.primary_key if column.name != "programme_id"]
    return (
        select(*columns)
        .where(table.c.programme_id == bindparam("programme"), by == bindparam("which"))
        .order_by(*keys)
    )


_RECORD_BY_MEMBER = {
    name: _record_of(table, table.c.id if table is member else table.c.member_id)
    for name, table in _BY_MEMBER.items()
}
_RECORD_BY_CARD = {name: _record_of(table, table.c.card_id) for name, table in _BY_CARD.items()}
_RECORD_OF_PURCHASE = _record_of(purchase_line, purchase_line.c.purchase_id)
_RECORD_OF_RETURN = _record_of(return_line, return_line.c.return_id)
_RECORD_OF_LOTS = _record_of(lot, lot.c.account_id)
_POSTINGS = (
    select(*(column for column in posting.c if column.name not in KEPT_BACK))
    .where(
        posting.c.programme_id == bindparam("programme"),
        posting.c.receipt_id == bindparam("which"),
    )
    .order_by(posting.c.id)
)
RECORDED = frozenset(
    table.name
    for table in (*_BY_MEMBER.values(), *_BY_CARD.values(), purchase_line, return_line, lot, posting)
)
"""The tables that a record is made from."""


def record(read: Read, programme_id: int, member_ids: Iterable[int]) -> dict[str, list[dict[str, Any]]]:
    """Everything that stands under these members, table by table."""
    found: dict[str, list[dict[str, Any]]] = {}

    def take(name: str, statement: Select[Any], which: int) -> list[dict[str, Any]]:
        rows = [_plain(row) for row in read.ask(statement, programme=programme_id, which=which).all()]
        found.setdefault(name, []).extend(rows)
        return rows

    for member_id in member_ids:
        for name, statement in _RECORD_BY_MEMBER.items():
            rows = take(name, statement, member_id)
            if name == "memberships":
                for row in rows:
                    for account in ("points", "pending", "held", "stamps"):
                        if row.get(f"{account}_account_id"):
                            take("lots", _RECORD_OF_LOTS, row[f"{account}_account_id"])
            for row in rows:
                if name == "purchases":
                    take("purchase_lines", _RECORD_OF_PURCHASE, row["id"])
                elif name == "returns":
                    take("return_lines", _RECORD_OF_RETURN, row["id"])
                elif name == "receipts":
                    take("postings", _POSTINGS, row["id"])
                elif name == "cards":
                    for other, by_card in _RECORD_BY_CARD.items():
                        take(other, by_card, row["id"])
    return found


def _plain(row: Row) -> dict[str, Any]:
    """A row as values that JSON has: instants in words, kept JSON taken apart."""
    values: dict[str, Any] = {}
    for name, value in row._asdict().items():
        is_instant = name == "at" or name.endswith(("_at", "_until"))
        if value is not None and is_instant:
            value = instant(value).isoformat()
        elif value is not None and name in _IN_JSON:
            value = json.loads(value)
        values[name] = value
    return values
