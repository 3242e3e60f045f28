"""A member's own page: the card behind a link, what stands about its member, and taking all of that away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select, update

from passes.store.instants import instant_or_none, micros
from passes.store.models import card, card_link, member, programme, registration
from passes.store.work import Read, Work


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
    return {row.wallet: instant for row in rows if (instant := instant_or_none(row.since))}
