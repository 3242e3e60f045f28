"""Limited-time offers: what one says, whom it is for, and whether it holds for a purchase.

An offer is refused for one stated reason, checked from the most basic to the
most particular. What several offers do to one purchase is in `stacking`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from passes.loyalty import codes
from passes.loyalty.basket import Basket
from passes.loyalty.conditions import Condition, MemberFacts, Place, Segment, Window
from passes.loyalty.money import Money
from passes.loyalty.refusals import (
    OfferBudgetUsedUp,
    OfferCodeUnknown,
    OfferCodeUsed,
    OfferEnded,
    OfferItems,
    OfferMemberLimit,
    OfferMinimum,
    OfferNotForYou,
    OfferNotHere,
    OfferNotNow,
    OfferNotStarted,
    OfferPaused,
    OfferQuotaUsedUp,
    Refused,
)
from passes.loyalty.text import Text

HASH_MODULUS = 2**31 - 1
"""A prime: `(multiplier * id + offset) % HASH_MODULUS` is then a universal hash (Carter, Wegman 1979)."""

MARKS = 10_000
"""Marks a member may draw for an offer: hundredths of a percent."""


class OfferState(StrEnum):
    """Where an offer stands; it only moves forward, but for pausing and resuming."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    LIVE = "live"
    PAUSED = "paused"
    ENDED = "ended"


class Arm(StrEnum):
    """Treated members see and get the offer. The holdout does not, so that its effect can be measured."""

    TREATED = "treated"
    HOLDOUT = "holdout"


class Audience(StrEnum):
    """Whom an offer is for."""

    ALL = "all"
    SEGMENT = "segment"  # who is in the segment when it starts
    REQUESTED = "requested"  # who asked for the product, before it starts or while it runs


class CodeKind(StrEnum):
    """Whether a code must be given: none, one for everybody, or one that works once."""

    NONE = "none"
    SHARED = "shared"
    UNIQUE = "unique"


class Stacking(StrEnum):
    """Whether an offer goes together with others."""

    EXCLUSIVE = "exclusive"
    STACKABLE = "stackable"
    ALWAYS = "always"


class Scope(StrEnum):
    """What a discount is computed from: each chosen item by itself, or the order."""

    ITEMS = "items"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class PercentOff:
    """1 to 100 percent off each chosen line, or off the sum of them; at most `most_minor`."""

    percent: int
    scope: Scope = Scope.ORDER
    most_minor: int | None = None


@dataclass(frozen=True, slots=True)
class AmountOff:
    """An amount off each chosen piece, or once off the order; on items at most `most_minor` together."""

    amount_minor: int
    scope: Scope = Scope.ORDER
    most_minor: int | None = None


@dataclass(frozen=True, slots=True)
class FreeItem:
    """One chosen piece: the dearest of those that cost at most `most_minor`."""

    most_minor: int | None = None


@dataclass(frozen=True, slots=True)
class BonusPoints:
    """Fixed points, once per purchase."""

    points: int


@dataclass(frozen=True, slots=True)
class PointsTimes:
    """Chosen lines earn `factor` times as many points."""

    factor: Fraction


Effect = PercentOff | AmountOff | FreeItem | BonusPoints | PointsTimes


@dataclass(frozen=True, slots=True)
class Offer:
    """A limited-time offer as it was written.

    `quota` bounds all uses together, `member_limit` those of one member,
    `budget_minor` the sum of discounts; None is without bound. `segment`
    belongs to the audience SEGMENT, `product` to REQUESTED. `new_members_only`
    asks for members who never bought. `minimum_minor` is what the purchase
    comes to before any offer. `categories`, `skus` and `brands` choose lines as
    those of a Condition do. `code` belongs to SHARED, folded as by `folded`.

    Members of the standing holdout never get it; `holdout_percent` of the
    others are kept apart too. `rings` asks for an alert on phones whose owners
    agreed, `by_day` for none between 21:00 and 9:00. `partner` is who pays for it, empty for the shop itself.
    """

    key: str
    title: Text
    text: Text
    effect: Effect
    window: Window
    quota: int | None = None
    member_limit: int | None = None
    budget_minor: int | None = None
    audience: Audience = Audience.ALL
    segment: Segment | None = None
    product: str | None = None
    new_members_only: bool = False
    minimum_minor: int = 0
    categories: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    locations: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    code_kind: CodeKind = CodeKind.NONE
    code: str | None = None
    stacking: Stacking = Stacking.STACKABLE
    group: str | None = None
    priority: int = 0
    holdout_percent: int = 0
    restore_on_return: bool = False
    rings: bool = False
    by_day: bool = False
    partner: str = ""

    @property
    def items(self) -> Condition:
        """Which lines it is about."""
        return Condition(categories=self.categories, skus=self.skus, brands=self.brands)

    @property
    def when(self) -> Condition:
        """When, where and for whom it holds, and for which lines."""
        return replace(
            self.items,
            locations=self.locations,
            channels=self.channels,
            window=self.window,
            segment=self.segment,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """An offer as it stands for one member: what was used of it, by all and by this member.

    `arm` is None for a member whom the offer is not for. `code` is the
    single-use code that was given, folded; `code_used` when it was used before.
    """

    id: int
    offer: Offer
    state: OfferState = OfferState.LIVE
    used: int = 0
    spent_minor: int = 0
    arm: Arm | None = Arm.TREATED
    member_uses: int = 0
    code: str | None = None
    code_used: bool = False

    @property
    def budget_left_minor(self) -> int | None:
        """What may still be taken off; None is without bound."""
        budget = self.offer.budget_minor
        return None if budget is None else max(budget - self.spent_minor, 0)

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left of its quota."""
        return self.offer.quota is not None and self.used >= self.offer.quota


@dataclass(frozen=True, slots=True)
class Situation:
    """When and where a purchase happens, in which currency, and what is known of the member."""

    at: datetime
    currency: str
    place: Place
    facts: MemberFacts


# Who gets it -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draw:
    """How members are kept apart for one offer: those whose mark is below `holdout_marks` are held out.

    The mark of a member is `(multiplier * (id % HASH_MODULUS) + offset) %
    HASH_MODULUS % MARKS`: stable, nothing to do with other offers' marks, and
    plain enough for a database to compute over a million rows.
    """

    multiplier: int
    offset: int
    holdout_marks: int

    def arm(self, member_id: int, *, holdout: bool) -> Arm:
        """The arm of a member; `holdout` when the member is in the standing holdout."""
        mark = (self.multiplier * (member_id % HASH_MODULUS) + self.offset) % HASH_MODULUS % MARKS
        return Arm.HOLDOUT if holdout or mark < self.holdout_marks else Arm.TREATED


def draw(programme: str, offer: Offer) -> Draw:
    """How this offer keeps members apart. The programme's slug and the offer's key are the salt."""
    digest = hashlib.sha256(f"offer:{programme}:{offer.key}".encode()).digest()
    return Draw(
        multiplier=int.from_bytes(digest[:8], "big") % (HASH_MODULUS - 1) + 1,
        offset=int.from_bytes(digest[8:16], "big") % HASH_MODULUS,
        holdout_marks=offer.holdout_percent * MARKS // 100,
    )


class Silence(StrEnum):
    """Why an offer appears on a phone without ringing."""

    OFFER = "offer"  # it does not ask to ring
    PROGRAMME = "programme"  # the shop lets no offer ring
    NIGHT = "night"  # it begins at night, and is to ring by day only
    MEMBER = "member"  # the member did not ask for offers
    NOTICES = "notices"  # it had as many notices as it may have in a day


NOTICES_A_DAY_MAX = 3
"""So many notices Google takes for one card within 24 hours; and so many offers may ring any phone."""


def silence(
    offer: Offer, *, can_alert_offers: bool, agreed: bool, at_night: bool = False, used_up: bool = False
) -> Silence | None:
    """Why a member's phone stays silent about an offer; None when it rings. The card shows it either way.

    `agreed` is the member's newest answer to the question of `ring_purpose`,
    `at_night` whether the offer comes, or would ring, in the quiet hours, and
    `used_up` whether the card had as many notices as it may have in a day.
    """
    if not offer.rings:
        return Silence.OFFER
    if not can_alert_offers:
        return Silence.PROGRAMME
    if offer.by_day and at_night:
        return Silence.NIGHT
    if not agreed:
        return Silence.MEMBER
    return Silence.NOTICES if used_up else None


OFFERS = "offers"
"""The purpose of the question whether a member wants to be told of offers."""

RING = "ring"
"""The purpose of the question whether a member's phone may ring for them."""


def ring_purpose(asked: Collection[str]) -> str:
    """The question that decides about ringing, of the purposes that a programme asks for."""
    return RING if RING in asked else OFFERS


# Codes -----------------------------------------------------------------------------


def folded(code: str) -> str:
    """A code as it is compared: capitals, no blanks or dashes, look-alikes made one."""
    return codes.normalise(code).translate(_LOOK_ALIKES)


_LOOK_ALIKES = str.maketrans("OIL", "011")


# Whether it holds --------------------------------------------------------------------


def applicable(standing: Standing, basket: Basket, situation: Situation) -> Refused | None:
    """Why the offer does not hold for this purchase, or None when it does."""
    if (refused := holds(standing, situation)) is not None:
        return refused
    offer = standing.offer
    if basket.net_minor < offer.minimum_minor:
        return OfferMinimum(minimum=Money(offer.minimum_minor, situation.currency))
    if not any(offer.items.fits_line(line) for line in basket.lines):
        return OfferItems()
    return None


def holds(standing: Standing, situation: Situation) -> Refused | None:
    """Why the offer does not hold here and now for this member, whatever is bought; None when it does."""
    offer, window = standing.offer, standing.offer.window
    if standing.state is OfferState.DRAFT:
        return OfferCodeUnknown()
    if standing.code_used:
        return OfferCodeUsed()
    if standing.is_used_up:
        return OfferQuotaUsedUp()
    if standing.budget_left_minor == 0:
        return OfferBudgetUsedUp()
    if standing.state is OfferState.ENDED or (window.ends_at and situation.at >= window.ends_at):
        return OfferEnded()
    if standing.state is OfferState.PAUSED:
        return OfferPaused()
    if window.starts_at and situation.at < window.starts_at:
        return OfferNotStarted()
    if standing.arm is not Arm.TREATED:
        return OfferNotForYou()
    if offer.new_members_only and situation.facts.purchases:
        return OfferNotForYou()
    if offer.member_limit is not None and standing.member_uses >= offer.member_limit:
        return OfferMemberLimit()
    if offer.locations and situation.place.location not in offer.locations:
        return OfferNotHere()
    if offer.channels and situation.place.channel not in offer.channels:
        return OfferNotHere()
    if not window.contains(situation.at):
        return OfferNotNow()
    return None


def gives_points(offer: Offer) -> bool:
    """Whether it gives points, rather than take something off what is paid."""
    return isinstance(offer.effect, (BonusPoints, PointsTimes))


def earning_key(offer_key: str) -> str:
    """The key under which the earning rules know an offer, so that their explanation names it."""
    return f"offer:{offer_key}"
