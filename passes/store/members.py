"""Members and what a counter needs to know of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from passes.loyalty.letters import folded, turned
from passes.loyalty.tiers import TierStanding
from passes.store.ids import new_id
from passes.store.instants import instant_or_none, micros
from passes.store.models import (
    account,
    card,
    card_code,
    card_link,
    consent,
    join_count,
    joining,
    member,
    person,
)
from passes.store.work import Answer, Read, Row, Work

NAME_KEY_MAX = 400


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member stands, as read from the rows that a booking locks. Instants as stored.

    `balance` is what can be spent, below zero after a return of spent points.
    """

    card_id: int
    voided_at: int | None
    member_id: int
    language: str
    joined_at: int
    holdout: bool
    welcome_given: bool
    merge_candidate_of: int | None
    points_account_id: int
    pending_account_id: int | None
    held_account_id: int | None
    stamps_account_id: int | None
    metric_period: int
    metric: int
    tier: str | None
    tier_until: int | None
    tier_due_at: int | None
    tier_waiting: str | None
    carried: str | None
    purchases: int
    last_purchase_at: int | None
    last_stamp_at: int | None
    points_lapse_at: int | None
    balance: int

    @property
    def level(self) -> TierStanding:
        """What tier rules look at."""
        return TierStanding(
            tier=self.tier,
            tier_until=instant_or_none(self.tier_until),
            tier_due_at=instant_or_none(self.tier_due_at),
            tier_waiting=self.tier_waiting,
            metric_period=self.metric_period,
            metric=self.metric,
        )

    def on_metric(self, metric: int) -> Standing:
        """The same member with another figure towards the next tier."""
        return replace(self, metric=metric)

    def on_level(self, level: TierStanding, **more: Any) -> Standing:
        """The same member after a step of the tier rules, and with `more` changed."""
        return replace(
            self,
            **more,
            tier=level.tier,
            tier_until=None if level.tier_until is None else micros(level.tier_until),
            tier_due_at=None if level.tier_due_at is None else micros(level.tier_due_at),
            tier_waiting=level.tier_waiting,
            metric_period=level.metric_period,
            metric=level.metric,
        )


_STANDING_OF = {
    "card_id": card.c.id,
    "voided_at": card.c.voided_at,
    "member_id": member.c.id,
    "balance": account.c.balance,
}
STANDING_COLUMNS = tuple(
    (_STANDING_OF[field.name] if field.name in _STANDING_OF else member.c[field.name]).label(field.name)
    for field in fields(Standing)
)
CARD_MEMBER_ACCOUNT = card.join(
    member, (member.c.programme_id == card.c.programme_id) & (member.c.id == card.c.member_id)
).join(
    account,
    (account.c.programme_id == member.c.programme_id) & (account.c.id == member.c.points_account_id),
)
CARD_OF_CODE = CARD_MEMBER_ACCOUNT.join(
    card_code, (card_code.c.programme_id == card.c.programme_id) & (card_code.c.card_id == card.c.id)
)
_LOOK = (
    select(*STANDING_COLUMNS)
    .select_from(CARD_OF_CODE)
    .where(card_code.c.programme_id == bindparam("programme_id"), card_code.c.code == bindparam("code"))
)
# Everything that the decision reads is locked with the account: PostgreSQL
# re-reads locked rows only, so a till that waited here decides on fresh facts.
_AT_COUNTER = _LOOK.with_for_update(of=[account, member, card])
_OF_CARD = (
    select(*STANDING_COLUMNS)
    .select_from(CARD_MEMBER_ACCOUNT)
    .where(card.c.programme_id == bindparam("programme_id"), card.c.id == bindparam("card_id"))
    .with_for_update(of=[account, member, card])
)
_CODE_ELSEWHERE = select(card_code.c.programme_id).where(card_code.c.code == bindparam("code")).limit(1)
_NAME = select(person.c.name).where(
    person.c.programme_id == bindparam("programme_id"), person.c.member_id == bindparam("member_id")
)
_KEPT = (
    "pending_account_id",
    "held_account_id",
    "stamps_account_id",
    "welcome_given",
    "metric_period",
    "metric",
    "tier",
    "tier_until",
    "tier_due_at",
    "tier_waiting",
    "carried",
    "purchases",
    "last_purchase_at",
    "last_stamp_at",
    "points_lapse_at",
)
_KEEP = (
    update(member)
    .where(member.c.programme_id == bindparam("programme"), member.c.id == bindparam("member"))
    .values({name: bindparam(f"new_{name}") for name in _KEPT})
)
_REVISE_CARDS = (
    update(card)
    .where(card.c.programme_id == bindparam("programme"), card.c.member_id == bindparam("member"))
    .values(revision=card.c.revision + 1, changed=True)
)
_ANSWERS = (
    select(consent.c.purpose, consent.c.given)
    .where(consent.c.programme_id == bindparam("programme_id"), consent.c.member_id == bindparam("member_id"))
    .order_by(consent.c.id)
)
_ADD_MEMBER = insert(member)
_ADD_PERSON = insert(person)
_ADD_CONSENT = insert(consent)
_ADD_JOINING = insert(joining)
_ADD_CARD = insert(card)
_ADD_CODE = insert(card_code)
_ADD_LINK = insert(card_link)
_OPEN_MEMBER = (
    select(person.c.member_id)
    .select_from(
        person.join(
            member, (member.c.programme_id == person.c.programme_id) & (member.c.id == person.c.member_id)
        )
    )
    .where(
        person.c.programme_id == bindparam("programme_id"),
        member.c.closed_at.is_(None),
        member.c.merged_into.is_(None),
    )
    .order_by(person.c.member_id)
    .limit(1)
)
_SAME_EMAIL = _OPEN_MEMBER.where(person.c.email_key == bindparam("email_key"))
_SAME_PHONE = _OPEN_MEMBER.where(person.c.phone == bindparam("phone"))
_IN_A_WALLET = select(card.c.id).where(
    card.c.programme_id == bindparam("programme_id"),
    card.c.id == bindparam("card_id"),
    card.c.installed_at.is_not(None),
    card.c.removed_at.is_(None),
)
_BY_LINK = (
    select(card_link.c.programme_id, card_link.c.card_id)
    .join(card, (card.c.programme_id == card_link.c.programme_id) & (card.c.id == card_link.c.card_id))
    .where(
        card_link.c.secret_hash == bindparam("secret_hash"),
        card_link.c.revoked_at.is_(None),
        card.c.voided_at.is_(None),
    )
)
_COUNT_AGAIN = (
    update(join_count)
    .where(
        join_count.c.programme_id == bindparam("programme"),
        join_count.c.local_day == bindparam("day"),
        join_count.c.source == bindparam("from_source"),
        join_count.c.location == bindparam("at_location"),
        join_count.c.step == bindparam("at_step"),
    )
    .values(count=join_count.c.count + bindparam("more"))
    .returning(join_count.c.count)
)
_COUNT_FIRST = insert(join_count)


def look(read: Read, programme_id: int, code: str) -> Answer:
    """Card, member and balance behind a code, for reading; `standing` reads the answer."""
    return read.ask(_LOOK, programme_id=programme_id, code=code)


def at_counter(work: Work, programme_id: int, code: str) -> Answer:
    """Card, member and balance behind a code, locked until the transaction ends."""
    return work.ask(_AT_COUNTER, programme_id=programme_id, code=code)


def of_card(work: Work, programme_id: int, card_id: int) -> Answer:
    """Card, member and balance of a card, locked until the transaction ends."""
    return work.ask(_OF_CARD, programme_id=programme_id, card_id=card_id)


def standing(answer: Answer) -> Standing | None:
    """What `look`, `at_counter` or `of_card` found."""
    row = answer.one()
    return None if row is None else Standing(*row)


def code_elsewhere(read: Read, code: str) -> bool:
    """Whether another programme of this installation has this code."""
    return read.ask(_CODE_ELSEWHERE, code=code).one() is not None


def name_of(read: Read, programme_id: int, member_id: int) -> Answer:
    """The member's name (one value), None once erased."""
    return read.ask(_NAME, programme_id=programme_id, member_id=member_id)


def agreed(read: Read, programme_id: int, member_id: int) -> frozenset[str]:
    """To what a member said yes, by purpose; the newest answer to a question counts."""
    rows = read.ask(_ANSWERS, programme_id=programme_id, member_id=member_id).all()
    newest = {row.purpose: row.given for row in rows}
    return frozenset(purpose for purpose, given in newest.items() if given)


def keep(work: Work, programme_id: int, standing: Standing) -> None:
    """Write how a member stands now. The balance and the card have doors of their own."""
    work.put(
        _KEEP,
        expect=1,
        programme=programme_id,
        member=standing.member_id,
        **{f"new_{name}": getattr(standing, name) for name in _KEPT},
    )


def revise_cards(work: Work, programme_id: int, member_id: int) -> None:
    """The member's cards say something new: delivery will notice."""
    work.put(_REVISE_CARDS, programme=programme_id, member=member_id)


# Joining ---------------------------------------------------------------------


def add(
    work: Work,
    *,
    programme_id: int,
    member_id: int,
    points_account_id: int,
    name: str,
    email: str | None,
    phone: str | None,
    birthday: date | None,
    language: str,
    holdout: bool,
    merge_candidate_of: int | None,
    welcome_given: bool,
    level: TierStanding,
    points_lapse_at: datetime | None,
    now: datetime,
) -> None:
    """Write a member and, apart from it, the person."""
    work.put(
        _ADD_MEMBER,
        programme_id=programme_id,
        id=member_id,
        joined_at=micros(now),
        language=language,
        holdout=holdout,
        welcome_given=welcome_given,
        merge_candidate_of=merge_candidate_of,
        merged_into=None,
        points_account_id=points_account_id,
        pending_account_id=None,
        held_account_id=None,
        stamps_account_id=None,
        metric_period=level.metric_period,
        metric=level.metric,
        tier=level.tier,
        tier_until=None,
        tier_due_at=None,
        tier_waiting=None,
        carried=None,
        purchases=0,
        last_purchase_at=None,
        last_stamp_at=None,
        points_lapse_at=None if points_lapse_at is None else micros(points_lapse_at),
        closed_at=None,
    )
    work.put(
        _ADD_PERSON,
        programme_id=programme_id,
        member_id=member_id,
        name=name,
        **name_keys(name),
        email=email,
        email_key=email_key(email),
        phone=phone,
        birthday_month=birthday.month if birthday else None,
        birthday_day=birthday.day if birthday else None,
        birthday_changed_at=None,
    )


def name_keys(name: str) -> dict[str, Any]:
    """The two forms in which a name is looked for."""
    key = folded(name)[:NAME_KEY_MAX]
    return {"name_key": key, "name_turned": turned(key)}


def email_key(email: str | None) -> str | None:
    """The form in which two spellings of one address are equal."""
    return email.strip().casefold() if email else None


def same_email(read: Read, programme_id: int, email: str | None) -> int | None:
    """The oldest open member with this address, if any."""
    key = email_key(email)
    if key is None:
        return None
    found: int | None = read.ask(_SAME_EMAIL, programme_id=programme_id, email_key=key).value()
    return found


def same_phone(read: Read, programme_id: int, phone: str | None) -> int | None:
    """The oldest open member with this number in its normal form, if any."""
    if phone is None:
        return None
    found: int | None = read.ask(_SAME_PHONE, programme_id=programme_id, phone=phone).value()
    return found


def add_consent(
    work: Work,
    *,
    programme_id: int,
    member_id: int,
    purpose: str,
    given: bool,
    text_version: str,
    text_digest: str,
    language: str,
    source: str,
    now: datetime,
) -> None:
    """Write down what a person agreed to, or did not, and in front of which words."""
    work.put(
        _ADD_CONSENT,
        programme_id=programme_id,
        id=new_id(now),
        member_id=member_id,
        purpose=purpose,
        given=given,
        text_version=text_version,
        text_digest=text_digest,
        language=language,
        source=source,
        at=micros(now),
    )


def add_joining(
    work: Work,
    *,
    programme_id: int,
    member_id: int,
    source: str,
    location: str | None,
    referrer: str | None,
    utm_source: str | None,
    utm_medium: str | None,
    utm_campaign: str | None,
    terms_version: str,
) -> None:
    """Write down where a member came from, and under which terms."""
    work.put(
        _ADD_JOINING,
        programme_id=programme_id,
        member_id=member_id,
        source=source,
        location=location,
        referrer=referrer,
        utm_source=utm_source,
        utm_medium=utm_medium,
        utm_campaign=utm_campaign,
        terms_version=terms_version,
    )


def add_card(
    work: Work,
    *,
    programme_id: int,
    card_id: int,
    member_id: int,
    pass_type_id: int,
    serial: str,
    key_id: str,
    code: str,
    now: datetime,
) -> None:
    """Write a card with its first code."""
    work.put(
        _ADD_CARD,
        programme_id=programme_id,
        id=card_id,
        member_id=member_id,
        pass_type_id=pass_type_id,
        serial=serial,
        key_id=key_id,
        issued_at=micros(now),
        voided_at=None,
        installed_at=None,
        removed_at=None,
        web_at=None,
        revision=0,
        downloaded_revision=0,
        stamped_revision=0,
        tag=0,
        changed=False,
        pace_full_at=micros(now),
    )
    add_code(work, programme_id=programme_id, card_id=card_id, code=code, now=now)


def add_code(work: Work, *, programme_id: int, card_id: int, code: str, now: datetime) -> None:
    """Write one more code that leads to a card."""
    work.put(_ADD_CODE, programme_id=programme_id, code=code, card_id=card_id, added_at=micros(now))


def add_link(
    work: Work, *, programme_id: int, card_id: int, number: int, secret_hash: bytes, now: datetime
) -> None:
    """Write a card link; only the hash of its secret is kept."""
    work.put(
        _ADD_LINK,
        secret_hash=secret_hash,
        programme_id=programme_id,
        card_id=card_id,
        number=number,
        created_at=micros(now),
        revoked_at=None,
    )


def by_link(read: Read, secret_hash: bytes) -> Row | None:
    """Programme and card of a link that still holds, to a card that was not withdrawn."""
    return read.ask(_BY_LINK, secret_hash=secret_hash).one()


def is_in_a_wallet(read: Read, programme_id: int, card_id: int) -> bool:
    """Whether some phone's wallet holds this card now."""
    return read.ask(_IN_A_WALLET, programme_id=programme_id, card_id=card_id).one() is not None


def count_join(
    work: Work,
    *,
    programme_id: int,
    local_day: int,
    source: str,
    location: str | None,
    step: str,
    times: int = 1,
) -> None:
    """So many more views or sendings of the join form on this day: a number, never a person."""
    found = work.ask(
        _COUNT_AGAIN,
        programme=programme_id,
        day=local_day,
        from_source=source,
        at_location=location or "",
        at_step=step,
        more=times,
    ).one()
    if found is None:
        work.put(
            _COUNT_FIRST,
            programme_id=programme_id,
            local_day=local_day,
            source=source,
            location=location or "",
            step=step,
            count=times,
        )
