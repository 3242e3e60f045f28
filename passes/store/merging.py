"""Members that are one person: who they may be, and moving what is theirs from one to the other.

A merged member's row stays and names its survivor in `merged_into`, always
the last one: where survivors are merged in turn, those before follow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, false, func, insert, literal_column, null, or_, select, update

from passes.store import members
from passes.store.ids import new_id
from passes.store.instants import micros
from passes.store.members import Standing
from passes.store.models import (
    act,
    card,
    card_code,
    card_link,
    consent,
    consumption,
    hold,
    lot,
    member,
    merge,
    offer_use,
    person,
    posting,
    purchase,
    receipt,
    redemption,
    wish,
)
from passes.store.work import Read, Row, Work

# Who a member is now ----------------------------------------------------------

_SURVIVOR = select(func.coalesce(member.c.merged_into, member.c.id)).where(
    member.c.programme_id == bindparam("programme_id"), member.c.id == bindparam("member_id")
)
_NEWEST_CARD = (
    select(card.c.id)
    .where(card.c.programme_id == bindparam("programme_id"), card.c.member_id == bindparam("member_id"))
    .order_by(card.c.voided_at.is_not(None), card.c.id.desc())
    .limit(1)
)
_MERGES_OF_LOSER = (
    select(merge)
    .where(
        merge.c.programme_id == bindparam("programme_id"),
        merge.c.loser_id == bindparam("member_id"),
        merge.c.undone_at.is_(None),
    )
    .limit(1)
)
_MERGES_INTO = (
    select(merge)
    .where(
        merge.c.programme_id == bindparam("programme_id"),
        merge.c.survivor_id == bindparam("member_id"),
        merge.c.undone_at.is_(None),
    )
    .order_by(merge.c.id)
)


def survivor_of(read: Read, programme_id: int, member_id: int) -> int:
    """The member that this one became; itself where it was not merged."""
    found = read.ask(_SURVIVOR, programme_id=programme_id, member_id=member_id).value()
    return member_id if found is None else int(found)


def standing_of(work: Work, programme_id: int, member_id: int) -> Standing | None:
    """How a member stands, locked, with the newest card that is still valid (or the newest of all)."""
    card_id = work.ask(_NEWEST_CARD, programme_id=programme_id, member_id=member_id).value()
    return None if card_id is None else members.standing(members.of_card(work, programme_id, card_id))


def carried_postings(
    read: Read, programme_id: int, member_id: int, posting_ids: Iterable[int]
) -> tuple[int, ...]:
    """These postings of a member, and those by which merges carried their points on to survivors.

    A return of an order from before a merge takes the points from here first.
    """
    found = list(posting_ids)
    while (
        row := read.ask(_MERGES_OF_LOSER, programme_id=programme_id, member_id=member_id).one()
    ) is not None:
        known = set(found)
        found += [moved["got"] for moved in json.loads(row.detail)["lots"] if moved["origin"] in known]
        member_id = row.survivor_id
    return tuple(found)


def merges_into(read: Read, programme_id: int, member_id: int) -> list[Row]:
    """The merges whose losers are this member now, those of losers that were survivors included."""
    found: list[Row] = []
    waiting = [member_id]
    while waiting:
        rows = read.ask(_MERGES_INTO, programme_id=programme_id, member_id=waiting.pop()).all()
        found += rows
        waiting += [row.loser_id for row in rows]
    return found


# Candidates -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alike:
    """Two members that share something; the older one first. `code` is what their card shows."""

    shared: str
    older_id: int
    older_name: str
    older_code: str
    newer_id: int
    newer_name: str
    newer_code: str


_other = member.alias("other")
_known, _known_other = person.alias("known"), person.alias("known_other")


def _plain_phone(column: Any) -> Any:
    for letter in (" ", "-", "(", ")", "/", "."):
        column = func.replace(column, letter, "")
    return column


def _code_of(whose: Any) -> Any:
    return (
        select(card_code.c.code)
        .select_from(
            card_code.join(
                card, (card.c.programme_id == card_code.c.programme_id) & (card.c.id == card_code.c.card_id)
            )
        )
        .where(card.c.programme_id == whose.c.programme_id, card.c.member_id == whose.c.id)
        .order_by(card.c.voided_at.is_not(None), card_code.c.added_at, card_code.c.code)
        .limit(1)
        .scalar_subquery()
    )


def _alike(*same: Any) -> Any:
    """Members who share these with an older one: sorted once, never everybody against everybody."""
    sharing = (
        select(
            member.c.programme_id,
            member.c.id,
            func.min(member.c.id).over(partition_by=same).label("oldest"),
        )
        .select_from(
            member.join(
                person, (person.c.programme_id == member.c.programme_id) & (person.c.member_id == member.c.id)
            )
        )
        .where(
            member.c.programme_id == bindparam("programme_id"),
            member.c.merged_into.is_(None),
            member.c.closed_at.is_(None),
            # An empty address or number is nobody's.
            *(column.is_not(None) for column in same),
            same[0] != "",
        )
        .subquery("sharing")
    )
    return (
        select(
            _other.c.id.label("older_id"),
            _known_other.c.name.label("older_name"),
            func.coalesce(_code_of(_other), "").label("older_code"),
            member.c.id.label("newer_id"),
            _known.c.name.label("newer_name"),
            func.coalesce(_code_of(member), "").label("newer_code"),
        )
        .select_from(
            sharing.join(
                member, (member.c.programme_id == sharing.c.programme_id) & (member.c.id == sharing.c.id)
            )
            .join(
                _other, (_other.c.programme_id == sharing.c.programme_id) & (_other.c.id == sharing.c.oldest)
            )
            .join(
                _known,
                (_known.c.programme_id == sharing.c.programme_id) & (_known.c.member_id == sharing.c.id),
            )
            .join(
                _known_other,
                (_known_other.c.programme_id == sharing.c.programme_id)
                & (_known_other.c.member_id == sharing.c.oldest),
            )
        )
        .where(sharing.c.id != sharing.c.oldest)
        .order_by(sharing.c.id.desc())
        .limit(bindparam("most"))
    )


_ALIKE = {
    "email": _alike(person.c.email_key),
    "phone": _alike(_plain_phone(person.c.phone)),
    "name and birthday": _alike(func.lower(person.c.name), person.c.birthday_month, person.c.birthday_day),
}


def alike(read: Read, programme_id: int, *, limit: int) -> list[Alike]:
    """Open members with the oldest one who shares their e-mail address, phone, or name and birthday.

    Newest first. A pair is named once, by the strongest of what it shares.
    """
    found: dict[tuple[int, int], Alike] = {}
    for shared, statement in _ALIKE.items():
        for row in read.ask(statement, programme_id=programme_id, most=limit).all():
            found.setdefault((row.older_id, row.newer_id), Alike(shared=shared, **row._asdict()))
    return sorted(found.values(), key=lambda pair: (-pair.newer_id, pair.older_id))[:limit]


# What a merge is decided on -----------------------------------------------------

_PERSON = (
    select(
        member.c.id,
        member.c.merged_into,
        member.c.merge_candidate_of,
        member.c.closed_at,
        person.c.email,
        person.c.email_key,
        person.c.phone,
        person.c.birthday_month,
        person.c.birthday_day,
    )
    .select_from(
        member.outerjoin(
            person, (person.c.programme_id == member.c.programme_id) & (person.c.member_id == member.c.id)
        )
    )
    .where(member.c.programme_id == bindparam("programme_id"), member.c.id == bindparam("member_id"))
)
_OPEN_HOLD = (
    select(hold.c.id)
    .where(
        hold.c.programme_id == bindparam("programme_id"),
        hold.c.member_id == bindparam("member_id"),
        hold.c.state == "authorised",
    )
    .limit(1)
)
_LOTS = (
    select(lot)
    .where(
        lot.c.programme_id == bindparam("programme_id"),
        lot.c.account_id == bindparam("account_id"),
        lot.c.remaining > 0,
    )
    .order_by(lot.c.id)
)
_LOT = select(lot).where(lot.c.programme_id == bindparam("programme_id"), lot.c.id == bindparam("lot_id"))
# What left a lot without having been of use to anybody, or left it for good with a merge.
_GONE = (
    select(func.coalesce(func.sum(consumption.c.amount), 0))
    .select_from(
        consumption.join(
            posting,
            (posting.c.programme_id == consumption.c.programme_id)
            & (posting.c.id == consumption.c.posting_id),
        )
    )
    .where(
        consumption.c.programme_id == bindparam("programme_id"),
        consumption.c.lot_id == bindparam("lot_id"),
        or_(*(posting.c.kind == kind for kind in ("expire", "clawback", "merge"))),
        posting.c.id != bindparam("but_posting_id"),
    )
)
_GIFTS = select(receipt.c.id, receipt.c.reasons).where(
    receipt.c.programme_id == bindparam("programme_id"),
    receipt.c.member_id == bindparam("member_id"),
    receipt.c.undone_by.is_(None),
    receipt.c.reasons.like(bindparam("pattern")),
)
_CONSENTS = (
    select(consent)
    .where(consent.c.programme_id == bindparam("programme_id"), consent.c.member_id == bindparam("member_id"))
    .order_by(consent.c.at, consent.c.id)
)


def person_of(read: Read, programme_id: int, member_id: int) -> Row:
    """What is known of the person, and what became of the member."""
    row = read.ask(_PERSON, programme_id=programme_id, member_id=member_id).one()
    assert row is not None
    return row


def holds_points(read: Read, programme_id: int, member_id: int) -> bool:
    """Whether points of a member are set aside for a payment just now."""
    return read.ask(_OPEN_HOLD, programme_id=programme_id, member_id=member_id).one() is not None


def lots_in(read: Read, programme_id: int, account_id: int) -> list[Row]:
    """The lots of an account that still hold something, oldest first, as stored."""
    return read.ask(_LOTS, programme_id=programme_id, account_id=account_id).all()


def lot_row(read: Read, programme_id: int, lot_id: int) -> Row:
    """One lot as stored."""
    row = read.ask(_LOT, programme_id=programme_id, lot_id=lot_id).one()
    assert row is not None
    return row


def gone_from(read: Read, programme_id: int, lot_id: int, *, but_posting_id: int) -> int:
    """How much of a lot lapsed, was taken back or went on with another merge.

    What the posting named took, which opened the lot, is not counted.
    """
    value = read.ask(
        _GONE,
        programme_id=programme_id,
        lot_id=lot_id,
        but_posting_id=but_posting_id,
    ).value()
    return int(value)


@dataclass(frozen=True, slots=True)
class Gift:
    """Points that a member got for nothing, and the receipt; `year` is a birthday's."""

    member_id: int
    receipt_id: int
    points: int
    year: int | None


def gifts(read: Read, programme_id: int, member_ids: Iterable[int], rule: str) -> list[Gift]:
    """The gifts of one kind (`welcome`, `birthday`) that these members got and that were not undone."""
    found = []
    for member_id in member_ids:
        asked = read.ask(_GIFTS, programme_id=programme_id, member_id=member_id, pattern=f'%"rule":"{rule}"%')
        for row in asked.all():
            for reason in json.loads(row.reasons):
                points = int(reason.get("points", 0))
                # Below zero it is one that a merge took back.
                if reason.get("rule") == rule and points >= 0:
                    found.append(Gift(member_id, row.id, points, reason.get("year")))
    return found


def consents(read: Read, programme_id: int, member_id: int) -> dict[str, Row]:
    """A member's last answer to each question."""
    rows = read.ask(_CONSENTS, programme_id=programme_id, member_id=member_id).all()
    return {row.purpose: row for row in rows}


# Moving rows ----------------------------------------------------------------------

_of_member = (member.c.programme_id == bindparam("programme"), member.c.id == bindparam("whose"))
_CLOSE = (
    update(member)
    .where(*_of_member, member.c.merged_into.is_(None))
    .values(
        merged_into=bindparam("survivor"),
        closed_at=bindparam("at"),
        # Nothing falls due for somebody who is somebody else.
        tier_due_at=None,
        points_lapse_at=None,
    )
)
_REOPEN = (
    update(member)
    .where(*_of_member)
    .values(
        merged_into=None,
        closed_at=None,
        tier_due_at=bindparam("new_tier_due_at"),
        points_lapse_at=bindparam("new_points_lapse_at"),
        carried=bindparam("new_carried"),
    )
)
_FOLLOW = update(member).where(*_of_member).values(merged_into=bindparam("survivor"))
_CANDIDATE = update(member).where(*_of_member).values(merge_candidate_of=bindparam("candidate"))
_FILL = (
    update(person)
    .where(person.c.programme_id == bindparam("programme"), person.c.member_id == bindparam("whose"))
    .values(
        email=bindparam("new_email"),
        email_key=bindparam("new_email_key"),
        phone=bindparam("new_phone"),
        birthday_month=bindparam("new_month"),
        birthday_day=bindparam("new_day"),
    )
)
_CARDS = (
    select(card.c.id, card.c.voided_at)
    .where(card.c.programme_id == bindparam("programme_id"), card.c.member_id == bindparam("member_id"))
    .order_by(card.c.voided_at.is_not(None), card.c.id.desc())
)
_CODES = (
    select(card_code.c.code, card_code.c.card_id, card_code.c.added_at)
    .where(card_code.c.programme_id == bindparam("programme_id"), card_code.c.card_id == bindparam("card_id"))
    .order_by(card_code.c.added_at, card_code.c.code)
)
_MOVE_CODE = (
    update(card_code)
    .where(card_code.c.programme_id == bindparam("programme"), card_code.c.code == bindparam("which"))
    .values(card_id=bindparam("to_card"), added_at=bindparam("at"))
)
_MOVE_LINKS = (
    update(card_link)
    .where(card_link.c.programme_id == bindparam("programme"), card_link.c.card_id == bindparam("from_card"))
    .values(card_id=bindparam("to_card"))
)
_anew: Mapping[str, Any] = {
    "id": bindparam("new_card", type_=card.c.id.type),
    "serial": bindparam("new_serial", type_=card.c.serial.type),
    "issued_at": bindparam("at", type_=card.c.issued_at.type),
    "voided_at": null(),
    "installed_at": null(),
    "removed_at": null(),
    "web_at": null(),
    "changed": false(),
    "pace_full_at": bindparam("at", type_=card.c.issued_at.type),
    **{name: literal_column("0") for name in ("revision", "downloaded_revision", "stamped_revision", "tag")},
}
_ISSUE_ANEW = insert(card).from_select(
    [column.name for column in card.c],
    select(*(_anew.get(column.name, column) for column in card.c)).where(
        card.c.programme_id == bindparam("programme"), card.c.id == bindparam("old_card")
    ),
)
_PURCHASE_CARDS = (
    select(purchase.c.card_id)
    .where(
        purchase.c.programme_id == bindparam("programme_id"), purchase.c.member_id == bindparam("member_id")
    )
    .distinct()
)
_MOVE_PURCHASES = (
    update(purchase)
    .where(
        purchase.c.programme_id == bindparam("programme"),
        purchase.c.member_id == bindparam("from_member"),
        purchase.c.card_id == bindparam("by_card"),
    )
    .values(member_id=bindparam("to_member"))
)
_ADD_MERGE = insert(merge)
_MERGE = select(merge).where(
    merge.c.programme_id == bindparam("programme_id"), merge.c.id == bindparam("merge_id")
)
_UNDONE = (
    update(merge)
    .where(
        merge.c.programme_id == bindparam("programme"),
        merge.c.id == bindparam("which"),
        merge.c.undone_at.is_(None),
    )
    .values(undone_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class _Belonging:
    """A table of which a member's rows go along, and which of them do."""

    which: Any
    move: Any


def _belonging(table: Any, *conditions: Any, card_too: bool) -> _Belonging:
    values: dict[str, Any] = {"member_id": bindparam("to_member")}
    if card_too:
        values["card_id"] = bindparam("to_card")
    return _Belonging(
        select(table.c.id)
        .where(
            table.c.programme_id == bindparam("programme_id"),
            table.c.member_id == bindparam("member_id"),
            *conditions,
        )
        .order_by(table.c.id),
        update(table)
        .where(
            table.c.programme_id == bindparam("programme"),
            table.c.id == bindparam("which"),
            table.c.member_id == bindparam("from_member"),
            *conditions,
        )
        .values(values),
    )


_BELONGINGS = {
    "redemptions": _belonging(redemption, redemption.c.state == "issued", card_too=True),
    "acts": _belonging(act, card_too=True),
    "offer_uses": _belonging(offer_use, card_too=False),
}
_WISHES = select(wish.c.product).where(
    wish.c.programme_id == bindparam("programme_id"), wish.c.member_id == bindparam("member_id")
)
_MOVE_WISH = (
    update(wish)
    .where(
        wish.c.programme_id == bindparam("programme"),
        wish.c.product == bindparam("which"),
        wish.c.member_id == bindparam("from_member"),
    )
    .values(member_id=bindparam("to_member"))
)


def close(work: Work, programme_id: int, member_id: int, *, survivor_id: int, now: datetime) -> None:
    """A member is another one from now on; those who were merged into it follow."""
    for row in merges_into(work, programme_id, member_id):
        work.put(_FOLLOW, expect=1, programme=programme_id, whose=row.loser_id, survivor=survivor_id)
    work.put(_CLOSE, expect=1, programme=programme_id, whose=member_id, survivor=survivor_id, at=micros(now))


def reopen(
    work: Work,
    programme_id: int,
    member_id: int,
    *,
    tier_due_at: int | None,
    points_lapse_at: int | None,
    carried: str | None,
) -> None:
    """A member is itself again, and those who were merged into it are it."""
    for row in merges_into(work, programme_id, member_id):
        work.put(_FOLLOW, expect=1, programme=programme_id, whose=row.loser_id, survivor=member_id)
    work.put(
        _REOPEN,
        expect=1,
        programme=programme_id,
        whose=member_id,
        new_tier_due_at=tier_due_at,
        new_points_lapse_at=points_lapse_at,
        new_carried=carried,
    )


def set_candidate(work: Work, programme_id: int, member_id: int, candidate_of: int | None) -> None:
    """Of whom a member may be a duplicate."""
    work.put(_CANDIDATE, expect=1, programme=programme_id, whose=member_id, candidate=candidate_of)


def fill_person(
    work: Work,
    programme_id: int,
    member_id: int,
    *,
    email: str | None,
    phone: str | None,
    birthday_month: int | None,
    birthday_day: int | None,
) -> None:
    """Write how a person can be reached and when their birthday is."""
    work.put(
        _FILL,
        programme=programme_id,
        whose=member_id,
        new_email=email,
        new_email_key=members.email_key(email),
        new_phone=phone,
        new_month=birthday_month,
        new_day=birthday_day,
    )


def cards_of(read: Read, programme_id: int, member_id: int) -> list[Row]:
    """Id and withdrawal of a member's cards, valid ones first, then the newest."""
    return read.ask(_CARDS, programme_id=programme_id, member_id=member_id).all()


def codes_of(read: Read, programme_id: int, card_id: int) -> list[Row]:
    """Every code of a card with when it was added, as stored; the one it shows first."""
    return read.ask(_CODES, programme_id=programme_id, card_id=card_id).all()


def move_code(work: Work, programme_id: int, code: str, *, card_id: int, added_at: int) -> None:
    """A code finds another card from now on."""
    work.put(_MOVE_CODE, expect=1, programme=programme_id, which=code, to_card=card_id, at=added_at)


def issue_anew(work: Work, programme_id: int, card_id: int, *, serial: str, now: datetime) -> int:
    """A new card of the same member, without a code yet. Returns its id.

    A card that was withdrawn stays so: phones have put it among the old ones
    or thrown it away. Links to it open the new one.
    """
    new_card_id = new_id(now)
    work.put(
        _ISSUE_ANEW,
        expect=1,
        programme=programme_id,
        old_card=card_id,
        new_card=new_card_id,
        new_serial=serial,
        at=micros(now),
    )
    work.put(_MOVE_LINKS, programme=programme_id, from_card=card_id, to_card=new_card_id)
    return new_card_id


def purchase_cards(read: Read, programme_id: int, member_id: int) -> list[int]:
    """The cards that a member's purchases were made with."""
    rows = read.ask(_PURCHASE_CARDS, programme_id=programme_id, member_id=member_id).all()
    return sorted(row.card_id for row in rows if row.card_id is not None)


def move_purchases(
    work: Work, programme_id: int, card_ids: Iterable[int], *, from_id: int, to_id: int
) -> None:
    """Purchases made with these cards count for another member from now on."""
    for card_id in card_ids:
        work.put(
            _MOVE_PURCHASES, programme=programme_id, from_member=from_id, to_member=to_id, by_card=card_id
        )


def belongings(read: Read, programme_id: int, member_id: int) -> dict[str, list[int]]:
    """The ids of a member's rewards not used yet, acts and uses of offers, by kind."""
    return {
        kind: [row.id for row in read.ask(table.which, programme_id=programme_id, member_id=member_id).all()]
        for kind, table in _BELONGINGS.items()
    }


def move_belongings(
    work: Work,
    programme_id: int,
    ids: Mapping[str, Iterable[int]],
    *,
    from_id: int,
    to_id: int,
    to_card_id: int,
) -> None:
    """Give rows that `belongings` named to another member, as far as they are still there."""
    for kind, table in _BELONGINGS.items():
        values = {"to_card": to_card_id} if kind != "offer_uses" else {}
        for which in ids[kind]:
            work.put(
                table.move,
                programme=programme_id,
                which=which,
                from_member=from_id,
                to_member=to_id,
                **values,
            )


def wishes(read: Read, programme_id: int, member_id: int) -> set[str]:
    """The products that a member waits for."""
    return {row.product for row in read.ask(_WISHES, programme_id=programme_id, member_id=member_id).all()}


def move_wishes(work: Work, programme_id: int, products: Iterable[str], *, from_id: int, to_id: int) -> None:
    """Another member waits for these products from now on."""
    for product in sorted(products):
        work.put(_MOVE_WISH, programme=programme_id, which=product, from_member=from_id, to_member=to_id)


def add(
    work: Work,
    *,
    programme_id: int,
    merge_id: int,
    survivor_id: int,
    loser_id: int,
    proof: str,
    person: str | None,
    detail: Mapping[str, Any],
    now: datetime,
) -> None:
    """Write down a merge with everything it moved."""
    work.put(
        _ADD_MERGE,
        programme_id=programme_id,
        id=merge_id,
        survivor_id=survivor_id,
        loser_id=loser_id,
        proof=proof,
        person=person,
        detail=json.dumps(detail, separators=(",", ":")),
        at=micros(now),
        undone_at=None,
    )


def by_id(read: Read, programme_id: int, merge_id: int) -> Row | None:
    """One merge as stored."""
    return read.ask(_MERGE, programme_id=programme_id, merge_id=merge_id).one()


def mark_undone(work: Work, programme_id: int, merge_id: int, *, now: datetime) -> None:
    """A merge was taken apart, once."""
    work.put(_UNDONE, expect=1, programme=programme_id, which=merge_id, at=micros(now))
