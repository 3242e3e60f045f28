"""What a card should say now: the wallet-neutral face.

`CardFace` is frozen: every wallet, the web card and the previews are drawn
from it and from nothing else. `compose` makes it from plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from passes.loyalty.codes import grouped
from passes.loyalty.design import Colours as Colours
from passes.loyalty.design import StripKind as StripKind
from passes.loyalty.design import Symbology as Symbology
from passes.loyalty.earning import Rounding
from passes.loyalty.letters import cleaned, upper
from passes.loyalty.money import Money
from passes.loyalty.programme import Programme, affordable, by_price, next_reward
from passes.loyalty.tiers import Tier


@dataclass(frozen=True, slots=True)
class Barcode:
    """The scannable code: `message` is what a scanner reads, `text` what a person types."""

    symbology: Symbology
    message: str
    text: str


class FieldKind(StrEnum):
    """How a value is to be formatted by the wallet."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class FaceField:
    """One labelled value.

    `key` never changes for the same fact: wallets match old and new values by
    it. `value` is a str for TEXT, an int for NUMBER, an int of minor units for
    MONEY (with `currency`), an aware datetime for INSTANT.
    """

    key: str
    label: str
    value: str | int | datetime
    kind: FieldKind = FieldKind.TEXT
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """The picture: `step` of `steps` are lit (0 ≤ step ≤ steps)."""

    kind: StripKind
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class OfferLine:
    """A limited-time offer as the card shows it.

    `is_news` for the one that came last of those that ask to ring; `rings`
    when its coming may ring the phones of this card.
    """

    key: str
    title: str
    text: str
    ends_at: datetime
    is_news: bool = False
    rings: bool = False


@dataclass(frozen=True, slots=True)
class ChangeText:
    """The one sentence a phone may show when `field_key` changed; `text` contains %@ once."""

    field_key: str
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """A shop near which the card may surface."""

    latitude: float
    longitude: float
    text: str


@dataclass(frozen=True, slots=True)
class CardFace:
    """Everything a card shows, in one language, at one moment.

    `design` names the artwork (the programme's slug); `row` holds at most four
    fields. `change` names the field whose change is announced, the balance.
    `news` is there where the programme lets offers ring: the newest of them, or
    words that there is none. `offer_change` names it while this member's phones
    may ring for it, and is missing when it goes away.
    """

    design: str
    organisation: str
    programme_name: str
    description: str
    language: str
    colours: Colours
    header: FaceField
    primary: FaceField
    row: tuple[FaceField, ...]
    strip: Strip
    back: tuple[FaceField, ...]
    offers: tuple[OfferLine, ...]
    change: ChangeText | None
    barcode: Barcode
    places: tuple[Place, ...] = ()
    voided: bool = False
    expires_at: datetime | None = None
    news: FaceField | None = None
    offer_change: ChangeText | None = None


NEWS_KEY = "news"

PLACES_MAX = 10
"""Wallets ignore or refuse a card with more places."""

Say = Callable[..., str]
"""`say(language, words, **values)`: an English template in another language, filled in."""


def compose(
    programme: Programme,
    *,
    member_name: str,
    balance: int,
    tier: Tier | None,
    code: str,
    language: str,
    say: Say,
    offers: Sequence[OfferLine] = (),
    stamps: int = 0,
    voided: bool = False,
    last_change: str | None = None,
    rings: bool = False,
) -> CardFace:
    """What the card says now, in one language.

    `offers` are those that run at this moment, the most important first;
    `last_change` is the newest movement in words, for the back. `rings` when
    the newest offer may ring this member's phones (see `offers.silence`). Any
    balance gives a face, a negative one too.
    """
    newest = None if voided else next((offer for offer in offers if offer.is_news), None)
    organisation = programme.organisation.in_(language)
    programme_name = programme.name.in_(language)
    unit = programme.unit.name(balance, language)
    return CardFace(
        design=programme.slug,
        organisation=organisation,
        programme_name=programme_name,
        description=say(
            language,
            "Loyalty card, %(programme)s, %(organisation)s",
            programme=programme_name,
            organisation=organisation,
        ),
        language=language,
        colours=programme.design.colours,
        header=FaceField(
            "balance", upper(programme.unit.other.in_(language), language), balance, FieldKind.NUMBER
        ),
        primary=_primary(programme, balance, language, say, voided=voided),
        row=_row(programme, member_name, tier, offers, stamps, language, say),
        strip=_strip(programme, balance, stamps),
        back=_back(programme, tier, last_change, language, say),
        offers=tuple(offers),
        change=None
        if voided
        else ChangeText("balance", say(language, "You now have %%@ %(unit)s", unit=unit)),
        barcode=Barcode(programme.symbology, code, grouped(code)),
        places=tuple(
            Place(
                shop.latitude,
                shop.longitude,
                say(
                    language,
                    "Nearby: %(shop)s, %(address)s",
                    shop=shop.name.in_(language),
                    address=shop.address,
                ),
            )
            for shop in programme.shops[:PLACES_MAX]
        ),
        voided=voided,
        news=_news(programme, newest, language, say),
        offer_change=ChangeText(NEWS_KEY, say(language, "New offer: %@"))
        if rings and newest and programme.can_alert_offers
        else None,
    )


def _news(programme: Programme, newest: OfferLine | None, language: str, say: Say) -> FaceField | None:
    """The newest offer, or that there is none.

    It is always there: a phone announces the new value of a field that it knew
    before, and says nothing of a field that appears.
    """
    if not programme.can_alert_offers:
        return None
    value = cleaned(newest.title) if newest else say(language, "Nothing new right now.")
    return FaceField(NEWS_KEY, say(language, "Newest offer"), value)


def _primary(programme: Programme, balance: int, language: str, say: Say, *, voided: bool) -> FaceField:
    """The large words: how far to the next reward, or that the best one is ready."""
    upcoming = next_reward(programme, balance)
    if voided:
        return FaceField(
            "next", upper(programme.name.in_(language), language), say(language, "No longer valid")
        )
    if upcoming:
        label = say(language, "Next: %(reward)s", reward=upcoming.name.in_(language))
        return FaceField(
            "next", upper(label, language), say(language, "%(count)s to go", count=upcoming.points - balance)
        )
    if priced := by_price(programme):
        best = priced[-1]
        return FaceField("next", upper(best.name.in_(language), language), say(language, "Ready"))
    return FaceField("next", "", programme.name.in_(language))


def _row(
    programme: Programme,
    member_name: str,
    tier: Tier | None,
    offers: Sequence[OfferLine],
    stamps: int,
    language: str,
    say: Say,
) -> tuple[FaceField, ...]:
    """Member, tier, stamps and today's offer, as far as there are any: never more than four."""
    row = []
    if name := cleaned(member_name):
        row.append(FaceField("member", upper(say(language, "Member"), language), name))
    if tier:
        row.append(FaceField("tier", upper(say(language, "Tier"), language), tier.name.in_(language)))
    if programme.stamps:
        # The picture shows the same, but a screen reader cannot see it.
        row.append(
            FaceField(
                "stamps",
                upper(programme.stamps.name.in_(language), language),
                f"{_within(stamps, programme.stamps.target)}/{programme.stamps.target}",
            )
        )
    if offers:
        row.append(FaceField("offer", upper(say(language, "Today"), language), cleaned(offers[0].title)))
    return tuple(row)


def _strip(programme: Programme, balance: int, stamps: int) -> Strip:
    """How many marks of the picture are lit."""
    design = programme.design
    match design.strip:
        case StripKind.PLAIN:
            return Strip(design.strip, 0, design.steps)
        case StripKind.STAMPS:
            return Strip(design.strip, _within(stamps, design.steps), design.steps)
        case StripKind.PROGRESS:
            upcoming = next_reward(programme, balance)
            if upcoming is None:
                return Strip(design.strip, design.steps, design.steps)
            # Counted from the last reward passed, so that every reward has the whole row to itself.
            passed = max((reward.points for reward in affordable(programme, balance)), default=0)
            lit = (balance - passed) * design.steps // (upcoming.points - passed)
            return Strip(design.strip, _within(lit, design.steps), design.steps)


def _within(step: int, steps: int) -> int:
    return min(max(step, 0), steps)


def _back(
    programme: Programme, tier: Tier | None, last_change: str | None, language: str, say: Say
) -> tuple[FaceField, ...]:
    """Everything that needs reading: rewards, shops, why this balance, contact, terms, how to leave."""
    rewards = "\n".join(
        say(
            language,
            "%(reward)s: %(points)s %(unit)s",
            reward=reward.name.in_(language),
            points=reward.points,
            unit=programme.unit.name(reward.points, language),
        )
        for reward in by_price(programme)
    )
    if tier and tier.perk:
        rewards += f"\n{tier.name.in_(language)}: {tier.perk.in_(language)}"
    shops = "\n".join(f"{shop.name.in_(language)}, {shop.address}" for shop in programme.shops)
    contact = programme.contact
    reached = "\n".join(filter(None, (contact.email, contact.phone, contact.website)))
    leave = say(
        language,
        "Delete this card from your wallet whenever you like. "
        "To leave %(programme)s and have your data erased, write to us: %(contact)s",
        programme=programme.name.in_(language),
        contact=contact.email or contact.phone or contact.website,
    )
    fields = (
        ("rewards", "Rewards", rewards),
        ("shops", "Shops", shops),
        ("why", "Why this balance", _why(programme, tier, last_change, language, say)),
        ("contact", "Contact", reached),
        ("terms", "Terms", programme.terms.in_(language)),
        ("leave", "How to leave", leave),
    )
    return tuple(FaceField(key, say(language, label), value) for key, label, value in fields if value)


_ROUNDING_WORDS = {
    Rounding.FLOOR: "Part points are dropped.",
    Rounding.HALF_UP: "Part points are rounded to the nearest whole.",
    Rounding.CEIL: "Part points are rounded up.",
    Rounding.PER_LINE_FLOOR: "Part points are dropped, line by line.",
    Rounding.BLOCK: "Only full amounts count.",
    Rounding.CARRY: "Part points wait for your next purchase.",
}


def _why(programme: Programme, tier: Tier | None, last_change: str | None, language: str, say: Say) -> str:
    """The earn rule in words, with what the member's tier adds and the newest movement."""
    rule = programme.earning
    lines = [
        say(
            language,
            "You get %(points)s %(unit)s for every %(amount)s you spend.",
            points=rule.points,
            unit=programme.unit.name(rule.points, language),
            amount=Money(rule.per_minor, programme.currency),
        )
    ]
    if tier and tier.multiplier != 1:
        factor = Decimal(tier.multiplier.numerator) / tier.multiplier.denominator
        lines.append(
            say(
                language,
                "As %(tier)s you get %(factor)s times as many.",
                tier=tier.name.in_(language),
                factor=factor,
            )
        )
    lines.append(say(language, _ROUNDING_WORDS[rule.rounding]))
    if last_change:
        lines.append(last_change)
    return "\n".join(lines)
