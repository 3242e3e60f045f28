"""Cards: what one says now, who may ask for it, and that it changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, case, func, literal_column, select, update

from passes.store.instants import instant, instant_or_none, micros
from passes.store.models import account, card, member, pass_type, person, programme, receipt
from passes.store.work import Read, Row, Work


@dataclass(frozen=True, slots=True)
class LastMovement:
    """The member's newest receipt; `points` is signed."""

    points: int
    kind: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything that a card's face is made from, as of one instant.

    `revision` is the card's own, `programme_revision` that of all cards of its
    programme. `name` is empty once the person was erased.
    """

    programme_id: int
    card_id: int
    member_id: int
    pass_type_id: int
    pass_type: str
    serial: str
    key_id: str
    code: str
    name: str
    language: str
    balance: int
    stamps: int
    tier: str | None
    issued_at: datetime
    voided_at: datetime | None
    revision: int
    programme_revision: int
    last_movement: LastMovement | None

    @property
    def effective_revision(self) -> int:
        """Counts every change that this card shows, its own and its programme's."""
        return self.revision + self.programme_revision

    @property
    def last_modified(self) -> datetime:
        """When the card changed last, in whole seconds, as phones are told."""
        return last_modified(self.issued_at, self.effective_revision)


@dataclass(frozen=True, slots=True)
class Held:
    """Who a serial is: enough to check its token and whether a phone has the newest version."""

    programme_id: int
    card_id: int
    pass_type_id: int
    key_id: str
    issued_at: datetime
    effective_revision: int

    @property
    def last_modified(self) -> datetime:
        """As `CardFacts.last_modified`."""
        return last_modified(self.issued_at, self.effective_revision)


def last_modified(issued_at: datetime, effective_revision: int) -> datetime:
    """One second later for every change, whatever the clock says.

    The format that phones repeat to us has whole seconds; with the clock, two
    changes within one second could not be told apart and the second would be
    answered "not modified" for ever.
    """
    return issued_at.replace(microsecond=0) + timedelta(seconds=effective_revision)


_newest_receipt = (
    select(func.max(receipt.c.id))
    .where(receipt.c.programme_id == member.c.programme_id, receipt.c.member_id == member.c.id)
    .correlate(member)
    .scalar_subquery()
)


_stamps = account.alias("stamps")


def _facts_statement(by_card: str) -> Select[Any]:
    # The first code was made with the card; later ones came from elsewhere.
    # The codes of a card that a merge withdrew are on the member's next card or the
    # survivor's, and what is left of it shows one of those.
    code: ColumnElement[str] = literal_column(
        f"coalesce((SELECT k.code FROM card_code AS k {by_card} WHERE k.programme_id = card.programme_id"
        " AND k.card_id = card.id ORDER BY k.added_at, k.code LIMIT 1),"
        f" (SELECT k.code FROM card AS other JOIN card_code AS k {by_card}"
        " ON k.programme_id = other.programme_id AND k.card_id = other.id"
        " WHERE other.programme_id = card.programme_id"
        " AND other.member_id = coalesce(member.merged_into, member.id)"
        " ORDER BY k.added_at, k.code LIMIT 1))"
    )
    return (
        select(
            card.c.member_id,
            card.c.pass_type_id,
            pass_type.c.identifier.label("pass_type"),
            card.c.serial,
            card.c.key_id,
            code.label("code"),
            func.coalesce(person.c.name, "").label("name"),
            member.c.language,
            account.c.balance,
            func.coalesce(_stamps.c.balance, 0).label("stamps"),
            member.c.tier,
            card.c.issued_at,
            card.c.voided_at,
            card.c.revision,
            programme.c.revision.label("programme_revision"),
            receipt.c.points.label("moved_points"),
            receipt.c.kind.label("moved_kind"),
            receipt.c.occurred_at.label("moved_at"),
        )
        .select_from(
            card.join(
                member, (member.c.programme_id == card.c.programme_id) & (member.c.id == card.c.member_id)
            )
            .join(programme, programme.c.id == card.c.programme_id)
            .join(pass_type, pass_type.c.id == card.c.pass_type_id)
            .join(
                account,
                (account.c.programme_id == member.c.programme_id)
                & (account.c.id == member.c.points_account_id),
            )
            .outerjoin(
                _stamps,
                (_stamps.c.programme_id == member.c.programme_id)
                & (_stamps.c.id == member.c.stamps_account_id),
            )
            .outerjoin(
                person, (person.c.programme_id == member.c.programme_id) & (person.c.member_id == member.c.id)
            )
            .outerjoin(
                receipt, (receipt.c.programme_id == card.c.programme_id) & (receipt.c.id == _newest_receipt)
            )
        )
        .where(card.c.programme_id == bindparam("programme_id"), card.c.id == bindparam("card_id"))
    )


# Without statistics SQLite would look through the codes of the whole programme.
_FACTS_ON_SQLITE = _facts_statement("INDEXED BY ix_card_code_programme_id_card_id")
_FACTS_ON_POSTGRESQL = _facts_statement("")
_ANY = select(card.c.id).where(card.c.programme_id == bindparam("programme_id")).limit(1)
_BY_SERIAL = (
    select(
        card.c.programme_id,
        card.c.id.label("card_id"),
        card.c.pass_type_id,
        card.c.key_id,
        card.c.issued_at,
        (card.c.revision + programme.c.revision).label("effective_revision"),
    )
    .select_from(
        pass_type.join(card, card.c.pass_type_id == pass_type.c.id).join(
            programme, programme.c.id == card.c.programme_id
        )
    )
    .where(pass_type.c.identifier == bindparam("pass_type"), card.c.serial == bindparam("serial"))
)
_of_card = (card.c.programme_id == bindparam("programme"), card.c.id == bindparam("card"))
_REVISE = update(card).where(*_of_card).values(revision=card.c.revision + 1, changed=True)
_VOID = (
    update(card)
    .where(*_of_card, card.c.voided_at.is_(None))
    .values(voided_at=bindparam("at"), revision=card.c.revision + 1, changed=True)
)
_MARK_DOWNLOADED = (
    update(card)
    .where(*_of_card)
    .values(
        downloaded_revision=case(
            (card.c.downloaded_revision == 0, bindparam("downloaded")),
            (card.c.downloaded_revision < bindparam("downloaded"), card.c.downloaded_revision),
            else_=bindparam("downloaded"),
        )
    )
)


def facts(read: Read, programme_id: int, card_id: int) -> CardFacts | None:
    """What the card's face is made from, or None when there is no such card.

    One statement, so that balance and revision belong to the same instant.
    """
    statement = _FACTS_ON_POSTGRESQL if read.postgresql else _FACTS_ON_SQLITE
    row = read.ask(statement, programme_id=programme_id, card_id=card_id).one()
    if row is None:
        return None
    return CardFacts(
        programme_id=programme_id,
        card_id=card_id,
        member_id=row.member_id,
        pass_type_id=row.pass_type_id,
        pass_type=row.pass_type,
        serial=row.serial,
        key_id=row.key_id,
        code=row.code,
        name=row.name,
        language=row.language,
        balance=row.balance,
        stamps=row.stamps,
        tier=row.tier,
        issued_at=instant(row.issued_at),
        voided_at=instant_or_none(row.voided_at),
        revision=row.revision,
        programme_revision=row.programme_revision,
        last_movement=_movement(row),
    )


def any_of(read: Read, programme_id: int) -> bool:
    """Whether anybody ever got a card of a programme."""
    return read.ask(_ANY, programme_id=programme_id).one() is not None


def by_serial(read: Read, pass_type: str, serial: str) -> Held | None:
    """The card with that serial, or None."""
    row = read.ask(_BY_SERIAL, pass_type=pass_type, serial=serial).one()
    if row is None:
        return None
    return Held(
        programme_id=row.programme_id,
        card_id=row.card_id,
        pass_type_id=row.pass_type_id,
        key_id=row.key_id,
        issued_at=instant(row.issued_at),
        effective_revision=row.effective_revision,
    )


def revise(work: Work, programme_id: int, card_id: int) -> None:
    """The card says something new: delivery will notice."""
    work.put(_REVISE, expect=1, programme=programme_id, card=card_id)


def void(work: Work, programme_id: int, card_id: int, *, now: datetime) -> None:
    """Withdraw a card for good; phones are told. A card already withdrawn stays as it is."""
    work.put(_VOID, programme=programme_id, card=card_id, at=micros(now))


def mark_downloaded(work: Work, programme_id: int, card_id: int, *, effective_revision: int) -> None:
    """Remember what a download handed out, until a phone registers.

    Of several downloads the oldest counts: any of them may be the one that a
    phone registers, and a phone told once too often loses nothing.
    """
    work.put(_MARK_DOWNLOADED, expect=1, programme=programme_id, card=card_id, downloaded=effective_revision)


def _movement(row: Row) -> LastMovement | None:
    if row.moved_at is None:
        return None
    return LastMovement(row.moved_points, row.moved_kind, instant(row.moved_at))
