"""What an offer does on phones, as numbers: whom it will reach, and how far its change has come.

Counted over sets, once for each question of a marketer: nothing here is kept,
and nothing is fetched for a single member.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Subquery,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
)

from passes.loyalty.dates import is_quiet
from passes.loyalty.offers import (
    NOTICES_A_DAY_MAX,
    Arm,
    Offer,
    OfferState,
    Silence,
    draw,
    ring_purpose,
    silence,
)
from passes.store import offers
from passes.store.audiences import is_held_out, is_meant
from passes.store.installs import APPLE, GOOGLE
from passes.store.instants import micros
from passes.store.models import card, consent, google_alert, member, offer_assignment, owed, registration
from passes.store.programmes import Loaded
from passes.store.work import Read

NOTICES_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Phones:
    """How many phones of a wallet ring for an offer, and how many show it without a sound, by reason."""

    rings: int = 0
    silent: Mapping[Silence, int] = field(default_factory=dict)

    @property
    def stay_silent(self) -> int:
        """All that show it without a sound."""
        return sum(self.silent.values())


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom an offer would reach if it started now.

    `treated` and `holdout` are members; `agreed` are those treated whose phones
    may ring. Phones are those that hold a card of somebody treated. `web_cards`
    are cards on no phone that their members open as a page; `nowhere` are those
    that nobody has put anywhere.
    """

    treated: int
    holdout: int
    agreed: int
    iphones: Phones
    androids: Phones
    web_cards: int
    nowhere: int


def of_offer(read: Read, loaded: Loaded, read_offer: Offer, *, now: datetime) -> Reach:
    """Whom the offer would reach if it started now, and what each wallet would do."""
    held_out = is_held_out(draw(loaded.slug, read_offer))
    meant = and_(member.c.programme_id == loaded.id, is_meant(read_offer, now, loaded.programme.zone))
    if read_offer.new_members_only:
        # Who has bought is in the audience, but the card does not show it.
        meant = and_(meant, member.c.purchases == 0)
    answers = _answers(loaded)
    agreed = and_(answers.c.yes.is_not(None), answers.c.yes == answers.c.newest)
    asked = member.outerjoin(answers, answers.c.member_id == member.c.id)
    people = read.ask(
        select(
            func.count().filter(~held_out).label("treated"),
            func.count().filter(held_out).label("holdout"),
            func.count().filter(and_(~held_out, agreed)).label("agreed"),
        )
        .select_from(asked)
        .where(meant)
    ).one()
    assert people is not None
    of_member = and_(card.c.programme_id == member.c.programme_id, card.c.member_id == member.c.id)
    its_phones = and_(registration.c.pass_type_id == card.c.pass_type_id, registration.c.card_id == card.c.id)
    used_up = _used_up(loaded, now)
    treated = and_(meant, ~held_out, card.c.voided_at.is_(None))
    # SQLite groups by columns, not by their numbers in the list, so each has a name of its own.
    said_yes, has_rung = case((agreed, 1), else_=0), case((used_up.c.card_id.is_not(None), 1), else_=0)
    enough = case((_had_enough(read, loaded, read_offer, now), 1), else_=0)
    phones = read.ask(
        select(
            registration.c.wallet,
            said_yes.label("said_yes"),
            has_rung.label("has_rung"),
            enough.label("enough"),
            func.count().label("phones"),
        )
        .select_from(
            asked.join(card, of_member)
            .join(registration, its_phones)
            .outerjoin(used_up, used_up.c.card_id == card.c.id)
        )
        .where(treated)
        .group_by(registration.c.wallet, said_yes, has_rung, enough)
    ).all()
    elsewhere = read.ask(
        select(
            func.count().filter(card.c.web_at.is_not(None)).label("web"),
            func.count().filter(card.c.web_at.is_(None)).label("nowhere"),
        )
        .select_from(member.join(card, of_member))
        .where(treated, ~exists().where(its_phones))
    ).one()
    assert elsewhere is not None
    comes_at = max(read_offer.window.starts_at or now, now)
    at_night = is_quiet(comes_at, loaded.programme.zone)
    found: dict[str, Counter[Silence | None]] = {APPLE: Counter(), GOOGLE: Counter()}
    for row in phones:
        why = silence(
            read_offer,
            can_alert_offers=loaded.programme.can_alert_offers,
            agreed=bool(row.said_yes),
            at_night=at_night,
            used_up=bool(row.enough) or (row.wallet == GOOGLE and bool(row.has_rung)),
        )
        found[row.wallet][why] += row.phones
    return Reach(
        treated=people.treated,
        holdout=people.holdout,
        agreed=people.agreed,
        iphones=_phones(found[APPLE]),
        androids=_phones(found[GOOGLE]),
        web_cards=elsewhere.web,
        nowhere=elsewhere.nowhere,
    )


def _phones(counted: Mapping[Silence | None, int]) -> Phones:
    silent = {why: count for why, count in counted.items() if why is not None}
    return Phones(counted.get(None, 0), dict(sorted(silent.items())))


def _answers(loaded: Loaded) -> Subquery:
    """Of each member who was asked: the newest answer about ringing, and the newest that was a yes."""
    purpose = ring_purpose({question.purpose for question in loaded.programme.consents})
    return (
        select(
            consent.c.member_id,
            func.max(consent.c.id).label("newest"),
            func.max(case((consent.c.given, consent.c.id))).label("yes"),
        )
        .where(consent.c.programme_id == loaded.id, consent.c.purpose == purpose)
        .group_by(consent.c.member_id)
        .subquery()
    )


def _used_up(loaded: Loaded, now: datetime) -> Subquery:
    """Cards for which Google takes no more notices today."""
    return (
        select(google_alert.c.card_id)
        .where(google_alert.c.programme_id == loaded.id, google_alert.c.at > micros(now - NOTICES_WINDOW))
        .group_by(google_alert.c.card_id)
        .having(func.count() >= NOTICES_A_DAY_MAX)
        .subquery()
    )


def _had_enough(read: Read, loaded: Loaded, read_offer: Offer, now: datetime) -> ColumnElement[bool]:
    """Members to whom as many offers as may ring in a day came in the day before this one begins."""
    since = micros(max(read_offer.window.starts_at or now, now) - NOTICES_WINDOW)
    came: list[ColumnElement[bool]] = []
    for row in offers.every(read, loaded):
        window, other = row.offer.window, row.offer
        has_come = row.published_at is not None and row.state is not OfferState.SCHEDULED
        if not (has_come and other.rings and other.key != read_offer.key):
            continue
        if window.ends_at is None or micros(window.ends_at) <= since:
            continue
        came.append(and_(offer_assignment.c.offer_id == row.id, offer_assignment.c.at > since))
    if len(came) < NOTICES_A_DAY_MAX:
        return false()
    return member.c.id.in_(
        select(offer_assignment.c.member_id)
        .where(
            offer_assignment.c.programme_id == loaded.id,
            offer_assignment.c.arm == Arm.TREATED.value,
            or_(*came),
        )
        .group_by(offer_assignment.c.member_id)
        .having(func.count() >= NOTICES_A_DAY_MAX)
    )


# How far a change has come -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spread:
    """How far an offer's last change has come on the phones of a wallet.

    Of `phones`, so many were `told`, and so many still wait; of those,
    `troubled` were tried at least once without success.
    """

    phones: int = 0
    told: int = 0
    waiting: int = 0
    troubled: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an offer's last change has come: members written down, and phones by wallet."""

    treated: int
    holdout: int
    iphones: Spread
    androids: Spread


_ARMS = (
    select(offer_assignment.c.arm, func.count().label("members"))
    .where(
        offer_assignment.c.programme_id == bindparam("programme"),
        offer_assignment.c.offer_id == bindparam("which"),
    )
    .group_by(offer_assignment.c.arm)
)


def _is_waiting() -> ColumnElement[bool]:
    return or_(card.c.changed.is_(True), owed.c.card_id.is_not(None))


_SPREAD = (
    select(
        registration.c.wallet,
        func.count().label("phones"),
        func.count().filter(_is_waiting()).label("waiting"),
        func.count().filter(owed.c.attempts > literal(0)).label("troubled"),
    )
    .select_from(
        offer_assignment.join(
            card,
            and_(
                card.c.programme_id == offer_assignment.c.programme_id,
                card.c.member_id == offer_assignment.c.member_id,
            ),
        )
        .join(
            registration,
            and_(registration.c.pass_type_id == card.c.pass_type_id, registration.c.card_id == card.c.id),
        )
        .outerjoin(
            owed,
            and_(
                owed.c.pass_type_id == registration.c.pass_type_id,
                owed.c.device_id == registration.c.device_id,
                owed.c.card_id == registration.c.card_id,
            ),
        )
    )
    .where(
        offer_assignment.c.programme_id == bindparam("programme"),
        offer_assignment.c.offer_id == bindparam("which"),
        offer_assignment.c.arm == Arm.TREATED.value,
        card.c.voided_at.is_(None),
    )
    .group_by(registration.c.wallet)
)


def progress(read: Read, loaded: Loaded, offer_id: int) -> Progress:
    """How far an offer's last change has come, of those who have been written down for it."""
    values = {"programme": loaded.id, "which": offer_id}
    arms = {row.arm: row.members for row in read.ask(_ARMS, **values).all()}
    wallets = {
        row.wallet: Spread(row.phones, row.phones - row.waiting, row.waiting, row.troubled)
        for row in read.ask(_SPREAD, **values).all()
    }
    return Progress(
        treated=arms.get(Arm.TREATED.value, 0),
        holdout=arms.get(Arm.HOLDOUT.value, 0),
        iphones=wallets.get(APPLE, Spread()),
        androids=wallets.get(GOOGLE, Spread()),
    )
