"""What a card says now: the store's facts become the face that every wallet shows.

Apple's passes, Google's objects, the web card and all previews begin here, so
that they cannot say different things.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from passes import language
from passes.loyalty.card import CardFace, OfferLine, compose
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import LinkUnknown
from passes.store import Read, cards, offers
from passes.store.cards import CardFacts
from passes.store.programmes import Loaded


def face(read: Read, loaded: Loaded, card_id: int, *, now: datetime) -> CardFace:
    """What the card says now, in its member's language. Raises LinkUnknown."""
    found = cards.facts(read, loaded.id, card_id)
    if found is None:
        raise LinkUnknown()
    return face_of(read, loaded, found, now=now)


def face_of(read: Read, loaded: Loaded, facts: CardFacts, *, now: datetime) -> CardFace:
    """As `face`, for a card of which the facts are known."""
    programme = loaded.programme
    shown = _offers_on(read, loaded, facts, now=now)
    return compose(
        programme,
        member_name=facts.name,
        balance=facts.balance,
        tier=programme.tier(facts.tier),
        stamps=facts.stamps,
        offers=shown,
        code=facts.code,
        language=facts.language,
        say=language.say,
        voided=facts.voided_at is not None,
        last_change=_last_change(programme, facts, ZoneInfo(programme.zone)),
        rings=any(offer.rings for offer in shown),
    )


def _offers_on(read: Read, loaded: Loaded, facts: CardFacts, *, now: datetime) -> tuple[OfferLine, ...]:
    if not (loaded.has_offers or loaded.programme.win_back):
        return ()
    return offers.for_card(read, loaded, facts.member_id, language=facts.language, now=now)


def _last_change(programme: Programme, facts: CardFacts, zone: ZoneInfo) -> str | None:
    moved = facts.last_movement
    if moved is None or moved.points == 0:
        return None
    return language.say(
        facts.language,
        "Last change: %(points)s %(unit)s on %(day)s.",
        points=f"{'+' if moved.points > 0 else '−'}{language.shown(facts.language, abs(moved.points))}",
        unit=programme.unit.name(abs(moved.points), facts.language),
        day=language.shown(facts.language, moved.occurred_at.astimezone(zone).date()),
    )
