"""A loyalty programme as plain values: everything that its file says, checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from passes.loyalty.actions import Action, AdjustmentRule
from passes.loyalty.codes import CodeKind
from passes.loyalty.design import Design, Symbology
from passes.loyalty.earning import EarnRule
from passes.loyalty.joining import Joining
from passes.loyalty.lasting import PointsRule
from passes.loyalty.occasions import Birthday, WinBack
from passes.loyalty.refusals import RewardUnknown
from passes.loyalty.rewards import Reward, RewardKind
from passes.loyalty.stamps import StampRule
from passes.loyalty.text import Text, Unit
from passes.loyalty.tiers import Tier, TierRule
from passes.loyalty.till_rules import TillRules


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
    `zone` is the IANA zone in which its days and years begin. `categories` are
    those that rules and lines may name, `category_names` what people call them.
    `terms` are those that follow from the rules and then the file's own.
    `undo_seconds` is how long a cashier may undo a receipt. `warnings` are
    sentences about what is allowed but unwise, for whoever writes the file.
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
    categories: frozenset[str] = frozenset()
    points: PointsRule = field(default_factory=PointsRule)
    tiering: TierRule = field(default_factory=TierRule)
    actions: tuple[Action, ...] = ()
    birthday: Birthday | None = None
    win_back: WinBack | None = None
    adjustments: AdjustmentRule = field(default_factory=AdjustmentRule)
    category_names: tuple[tuple[str, Text], ...] = ()
    joining: Joining = field(default_factory=Joining)
    till: TillRules = field(default_factory=TillRules)

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

    def tier(self, key: str | None) -> Tier | None:
        """The tier with this key; None when there is none."""
        return next((tier for tier in self.tiers if tier.key == key), None)


def affordable(programme: Programme, balance: int) -> tuple[Reward, ...]:
    """The rewards that this balance pays for, cheapest first."""
    return tuple(reward for reward in by_price(programme) if reward.points <= balance)


def next_reward(programme: Programme, balance: int) -> Reward | None:
    """The cheapest reward that this balance does not yet pay for; None when it pays for all."""
    return next((reward for reward in by_price(programme) if reward.points > balance), None)


def by_price(programme: Programme) -> tuple[Reward, ...]:
    """The rewards with a price of their own, cheapest first, in the file's order where prices are equal."""
    priced = (reward for reward in programme.rewards if reward.kind is not RewardKind.POINTS_AS_MONEY)
    return tuple(sorted(priced, key=lambda reward: reward.points))
