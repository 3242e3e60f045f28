"""A loyalty programme as plain values, and its arithmetic.

What a purchase earns, which rewards a balance pays for, which comes next.
Fractions are exact; the single rounding of a purchase is named in the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from passes.loyalty.codes import CodeKind
from passes.loyalty.design import Design, Symbology
from passes.loyalty.money import Money
from passes.loyalty.refusals import AmountInvalid, AmountTooLarge, RewardUnknown


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in several languages; the first one stands in for any that is missing."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, words: Mapping[str, str]) -> Text:
        """From `{language: words}`; the order of the mapping is kept."""
        return cls(tuple(words.items()))

    def in_(self, language: str) -> str:
        """The words in this language, else in its base language (`tr-TR` → `tr`), else in the default one."""
        words = dict(self.pairs)
        base = language.replace("_", "-").partition("-")[0]
        return words.get(language) or words.get(base) or (self.pairs[0][1] if self.pairs else "")


@dataclass(frozen=True, slots=True)
class Unit:
    """What the points are called: `one` bean, `other` beans."""

    one: Text
    other: Text

    def name(self, count: int, language: str) -> str:
        """The name that stands after this number."""
        return (self.one if count == 1 else self.other).in_(language)


class Rounding(StrEnum):
    """What becomes of part-points, once per purchase."""

    FLOOR = "floor"
    HALF_UP = "half_up"
    CEIL = "ceil"
    BLOCK = "block"  # only full blocks of the amount count at all


@dataclass(frozen=True, slots=True)
class EarnRule:
    """`points` for every `per_minor` minor units spent.

    Purchases below `minimum_minor` earn nothing; those above `limit_minor` are
    refused as typing mistakes. `welcome_points` come with joining.
    """

    points: int
    per_minor: int
    rounding: Rounding = Rounding.FLOOR
    minimum_minor: int = 0
    limit_minor: int = 1_000_000
    welcome_points: int = 0

    @property
    def rate(self) -> Fraction:
        """Points per minor unit, exactly."""
        return Fraction(self.points, self.per_minor)


class RewardKind(StrEnum):
    """What a reward is worth at the till."""

    FREE_ITEM = "free_item"
    AMOUNT_OFF = "amount_off"


@dataclass(frozen=True, slots=True)
class Reward:
    """Something bought with points; `amount_minor` only for AMOUNT_OFF."""

    key: str
    name: Text
    points: int
    kind: RewardKind
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """A level reached by spending `spend_minor` within a calendar year of the programme's zone.

    `multiplier` applies to what purchases earn; `perk` is a benefit in words.
    """

    key: str
    name: Text
    spend_minor: int
    multiplier: Fraction
    perk: Text | None = None


@dataclass(frozen=True, slots=True)
class StampRule:
    """A punch card: `target` stamps make one reward called `name`."""

    name: Text
    target: int


@dataclass(frozen=True, slots=True)
class Shop:
    """A location: cards may surface near it, and sales name it by `key`."""

    key: str
    name: Text
    address: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Contact:
    """How members reach the shop; empty where there is none (at least one is given)."""

    email: str = ""
    phone: str = ""
    website: str = ""


@dataclass(frozen=True, slots=True)
class Consent:
    """A question asked when joining. `version` is stored with each answer."""

    purpose: str
    version: str
    text: Text


@dataclass(frozen=True, slots=True)
class Programme:
    """Everything a programme file says, checked.

    `languages[0]` is the default one. Amounts are minor units of `currency`;
    `zone` is the IANA zone in which its days and years begin. `undo_seconds`
    is how long a cashier may undo a receipt. `warnings` are sentences about
    what is allowed but unwise, for whoever writes the file.
    """

    slug: str
    name: Text
    organisation: Text
    description: Text
    languages: tuple[str, ...]
    currency: str
    zone: str
    unit: Unit
    code_kind: CodeKind
    symbology: Symbology
    earning: EarnRule
    rewards: tuple[Reward, ...]
    tiers: tuple[Tier, ...]
    stamps: StampRule | None
    design: Design
    shops: tuple[Shop, ...]
    contact: Contact
    terms: Text
    consents: tuple[Consent, ...]
    undo_seconds: int = 600
    can_alert_offers: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def language(self) -> str:
        """The default language."""
        return self.languages[0]

    def reward(self, key: str) -> Reward:
        """The reward with this key; RewardUnknown when there is none."""
        for reward in self.rewards:
            if reward.key == key:
                return reward
        raise RewardUnknown


@dataclass(frozen=True, slots=True)
class Earned:
    """What a purchase earns and how that was computed, so that it can be explained and re-run.

    `raw`, `rate` (points per minor unit) and `multiplier` are exact fractions
    as text, such as `"744/5"`.
    """

    points: int
    amount_minor: int
    rate: str
    multiplier: str
    raw: str
    rounding: Rounding


def earn(programme: Programme, amount_minor: int, *, multiplier: Fraction = Fraction(1)) -> Earned:
    """Points for one purchase.

    AmountInvalid when the amount is not positive, AmountTooLarge above the
    programme's limit for one purchase. Below its minimum nothing is earned.
    """
    rule = programme.earning
    if amount_minor <= 0:
        raise AmountInvalid
    if amount_minor > rule.limit_minor:
        raise AmountTooLarge(limit=Money(rule.limit_minor, programme.currency))
    counted_minor = amount_minor
    if rule.rounding is Rounding.BLOCK:
        counted_minor -= amount_minor % rule.per_minor
    raw = counted_minor * rule.rate * multiplier
    points = 0 if amount_minor < rule.minimum_minor else _rounded(raw, rule.rounding)
    return Earned(
        points=points,
        amount_minor=amount_minor,
        rate=str(rule.rate),
        multiplier=str(multiplier),
        raw=str(raw),
        rounding=rule.rounding,
    )


def affordable(programme: Programme, balance: int) -> tuple[Reward, ...]:
    """The rewards that this balance pays for, cheapest first."""
    return tuple(reward for reward in by_price(programme) if reward.points <= balance)


def next_reward(programme: Programme, balance: int) -> Reward | None:
    """The cheapest reward that this balance does not yet pay for; None when it pays for all."""
    return next((reward for reward in by_price(programme) if reward.points > balance), None)


def by_price(programme: Programme) -> tuple[Reward, ...]:
    """All rewards, cheapest first, in the file's order where prices are equal."""
    return tuple(sorted(programme.rewards, key=lambda reward: reward.points))


def _rounded(raw: Fraction, rounding: Rounding) -> int:
    match rounding:
        case Rounding.FLOOR | Rounding.BLOCK:
            return raw.numerator // raw.denominator
        case Rounding.HALF_UP:
            return (2 * raw.numerator + raw.denominator) // (2 * raw.denominator)
        case Rounding.CEIL:
            return -(-raw.numerator // raw.denominator)
