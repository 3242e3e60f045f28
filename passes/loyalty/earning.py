"""What a purchase earns, and why.

The order is always the same: exclusions, the rate of each line, multipliers,
the sum, one rounding, fixed bonuses, minimums, caps. Fractions are exact; the
result keeps every intermediate value, so that it can be explained and re-run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from passes.loyalty.basket import Basket, Line, allocate
from passes.loyalty.conditions import Condition, MemberFacts, Place
from passes.loyalty.counting import Boost, Part, settle
from passes.loyalty.counting import carried_minor as carried_minor
from passes.loyalty.counting import carried_points as carried_points
from passes.loyalty.counting import carried_text as carried_text
from passes.loyalty.earn_rules import Bonus as Bonus
from passes.loyalty.earn_rules import CapMode as CapMode
from passes.loyalty.earn_rules import Caps as Caps
from passes.loyalty.earn_rules import Combine as Combine
from passes.loyalty.earn_rules import EarnRule as EarnRule
from passes.loyalty.earn_rules import Multiplier as Multiplier
from passes.loyalty.earn_rules import Rate as Rate
from passes.loyalty.earn_rules import Rounding as Rounding
from passes.loyalty.earned import Earned as Earned
from passes.loyalty.earned import EarnedBonus
from passes.loyalty.money import Money
from passes.loyalty.refusals import AmountInvalid, AmountTooLarge
from passes.loyalty.tiers import Tier

_COUNTER = Place()
_ANYBODY = MemberFacts()


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything but the basket that a purchase's points depend on, as it was at `at`.

    `zone` is the programme's. `tier` multiplies like every other multiplier,
    under the key `tier:<key>`. `carried` is what rounding left over before: an
    exact fraction of a point for CARRY, minor units for BLOCK that carries.
    `day_points` were earned by this member on this local day already. `used`
    and `member_used` hold by multiplier key what it has added so far, for
    everybody and for this member. Offers that run add `multipliers` and `bonuses`.
    """

    at: datetime
    zone: str
    place: Place = _COUNTER
    member: MemberFacts = _ANYBODY
    tier: Tier | None = None
    carried: str | None = None
    day_points: int = 0
    used: Mapping[str, int] = field(default_factory=dict)
    member_used: Mapping[str, int] = field(default_factory=dict)
    multipliers: tuple[Multiplier, ...] = ()
    bonuses: tuple[Bonus, ...] = ()


def earn(rule: EarnRule, basket: Basket, *, currency: str, situation: Situation) -> Earned:
    """What a purchase earns.

    A basket of which a discount leaves nothing to pay earns 0. Raises
    AmountInvalid for impossible amounts and where nothing is sold,
    AmountTooLarge above the rule's limit, CapReached where caps reject.
    """
    amount_minor = basket.net_minor
    if amount_minor > rule.limit_minor:
        raise AmountTooLarge(limit=Money(rule.limit_minor, currency))
    basket.check()
    if not basket.gross_minor:
        raise AmountInvalid()
    occurs = _occasions(situation)
    excluded = _exclusions(rule, basket, occurs)
    paid = basket.paid_by_line([place is None for place in excluded])
    nets = _eligible(rule, basket, paid, excluded)
    eligible_minor = sum(nets)
    boosts, conditions = _boosts(rule, situation, occurs, eligible_minor)
    rates = [
        rate
        for rate in sorted(rule.rates, key=lambda rate: -rate.priority)
        if rate.when.minimum_minor <= eligible_minor and occurs(rate.when)
    ]
    parts = [
        Part(
            number=number,
            paid_minor=paid_minor,
            net_minor=net_minor,
            excluded=exclusion,
            rate=next((rate for rate in rates if rate.when.fits_line(line)), None),
            boosts=tuple(
                place
                for place, condition in enumerate(conditions)
                if condition is None or condition.fits_line(line)
            ),
        )
        if exclusion is None
        else Part(number, paid_minor, 0, exclusion)
        for number, (line, paid_minor, net_minor, exclusion) in enumerate(
            zip(basket.lines, paid, nets, excluded, strict=True), start=1
        )
    ]
    cap = rule.caps.day_points
    return settle(
        rule,
        parts,
        boosts,
        _bonuses((*rule.bonuses, *situation.bonuses), occurs, basket.lines, nets, eligible_minor),
        carried=situation.carried,
        day_left=None if cap is None else max(cap - situation.day_points, 0),
    )


# Who and what takes part -------------------------------------------------------

_Occurs = Callable[[Condition], bool]


def _occasions(situation: Situation) -> _Occurs:
    """Whether a condition's when, where and for whom hold in this situation."""
    at, zone, place, member = situation.at, situation.zone, situation.place, situation.member
    if situation.tier and member.tier != situation.tier.key:
        member = replace(member, tier=situation.tier.key)
    return lambda condition: condition.fits_occasion(at=at, zone=zone, place=place, member=member)


def _exclusions(rule: EarnRule, basket: Basket, occurs: _Occurs) -> list[int | None]:
    """For each line the first exclusion that it falls under, counted from 1."""
    if not rule.excluded:
        return [None] * len(basket.lines)
    holding = [
        (place, condition)
        for place, condition in enumerate(rule.excluded, start=1)
        if condition.minimum_minor <= basket.net_minor and occurs(condition)
    ]
    return [
        next((place for place, condition in holding if condition.fits_line(line)), None)
        for line in basket.lines
    ]


def _eligible(
    rule: EarnRule, basket: Basket, paid: Sequence[int], excluded: Sequence[int | None]
) -> list[int]:
    """What of each line earns: what was paid with earning tender, without tax unless tax earns."""
    tendered = allocate(basket.unearning_minor, paid) if basket.unearning_minor else [0] * len(paid)
    nets = []
    for line, paid_minor, tender, exclusion in zip(basket.lines, paid, tendered, excluded, strict=True):
        left = paid_minor - tender
        if left and line.tax_minor and not rule.tax_earns:
            # Discounts lower the tax too, and other tender paid its share of it.
            left -= (2 * line.tax_minor * left + line.net_minor) // (2 * line.net_minor)
        nets.append(left if exclusion is None else 0)
    return nets


def _boosts(
    rule: EarnRule, situation: Situation, occurs: _Occurs, eligible_minor: int
) -> tuple[list[Boost], list[Condition | None]]:
    """The multipliers that apply to this purchase, each with the condition that chooses its lines."""
    boosts: list[Boost] = []
    conditions: list[Condition | None] = []
    tier = situation.tier
    if tier and tier.multiplier != 1:
        boosts.append(Boost(f"tier:{tier.key}", tier.multiplier, 0, None))
        conditions.append(None)
    for one in (*rule.multipliers, *situation.multipliers):
        if one.when.minimum_minor <= eligible_minor and occurs(one.when):
            boosts.append(Boost(one.key, one.factor, one.when.minimum_minor, _bound(one, situation)))
            conditions.append(one.when if one.when.chooses_lines else None)
    return boosts, conditions


def _bound(multiplier: Multiplier, situation: Situation) -> int | None:
    """What a multiplier may still add; None when nothing bounds it."""
    left = [
        max(limit - used.get(multiplier.key, 0), 0)
        for limit, used in (
            (multiplier.budget_points, situation.used),
            (multiplier.member_points, situation.member_used),
        )
        if limit is not None
    ]
    return min(left, default=None)


def _bonuses(
    bonuses: Sequence[Bonus], occurs: _Occurs, lines: Sequence[Line], nets: Sequence[int], eligible_minor: int
) -> list[EarnedBonus]:
    """The bonuses whose conditions hold. Only lines that earn count as having been bought."""
    met = []
    for bonus in bonuses:
        when = bonus.when
        if not eligible_minor or when.minimum_minor > eligible_minor or not occurs(when):
            continue
        numbers = tuple(
            number
            for number, (line, net) in enumerate(zip(lines, nets, strict=True), start=1)
            if net and when.chooses_lines and when.fits_line(line)
        )
        if numbers or not when.chooses_lines:
            met.append(
                EarnedBonus(bonus.key, bonus.points, when.minimum_minor, numbers, bonus.group, bonus.priority)
            )
    return met
