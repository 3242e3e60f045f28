"""What a purchase earns, and why.

The order is always the same: exclusions, the rate of each line, multipliers,
the sum, one rounding, fixed bonuses, minimums, caps. Fractions are exact; the
result keeps every intermediate value, so that it can be explained and re-run.

A multiplier whose budget or share for one member is bounded adds at most what
is left. Whether something is left is decided in whole points: first everything
that is not bounded is counted and rounded, then the bounded ones join one
after the other, the smallest factor first. One that would add more than it has
left adds exactly that, as loose points, and is not in the product of the
others; together they never give more than if none had been short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from math import gcd, prod
from typing import NamedTuple

from passes.loyalty.basket import Basket, Line, allocate
from passes.loyalty.conditions import Condition, MemberFacts, Place
from passes.loyalty.earn_rules import Bonus as Bonus
from passes.loyalty.earn_rules import CapMode as CapMode
from passes.loyalty.earn_rules import Caps as Caps
from passes.loyalty.earn_rules import Combine as Combine
from passes.loyalty.earn_rules import EarnRule as EarnRule
from passes.loyalty.earn_rules import Multiplier as Multiplier
from passes.loyalty.earn_rules import Rate as Rate
from passes.loyalty.earn_rules import Rounding as Rounding
from passes.loyalty.earned import CapName, Cut, EarnedBonus, EarnedLine, EarnedMultiplier, Missed
from passes.loyalty.earned import Earned as Earned
from passes.loyalty.money import Money
from passes.loyalty.refusals import AmountInvalid, AmountTooLarge, CapReached
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


class Part(NamedTuple):
    """One line as far as counting needs it; `boosts` are the places of those that fit it."""

    number: int
    paid_minor: int
    net_minor: int
    excluded: int | None = None
    rate: Rate | None = None
    boosts: tuple[int, ...] = ()


class Boost(NamedTuple):
    """A multiplier whose occasion and minimum hold; `bound` is what it may still add."""

    key: str
    factor: Fraction
    minimum_minor: int
    bound: int | None


def settle(
    rule: EarnRule,
    parts: Sequence[Part],
    boosts: Sequence[Boost],
    bonuses: Sequence[EarnedBonus],
    *,
    carried: str | None,
    day_left: int | None,
) -> Earned:
    """From lines with their rates and multipliers to points: the part that a return runs again."""
    eligible_minor = sum(part.net_minor for part in parts)
    active = {place for place, boost in enumerate(boosts) if boost.bound is None}
    count = _count(rule, parts, boosts, active, carried)
    added: dict[int, int] = {}
    short: list[int] = []
    if len(active) < len(boosts):
        count = _join_bounded(rule, parts, boosts, active, carried, count, added, short)
    gained = {
        place: count.points - _count(rule, parts, boosts, active - {place}, carried).points
        for place, boost in enumerate(boosts)
        if boost.bound is None
    } | added
    chosen = _one_of_each_group(bonuses)
    points = count.points + sum(added[place] for place in short)
    points += sum(bonus.points for bonus in chosen if bonus.counts)
    missed = _missed(rule, eligible_minor, points)
    cuts: list[Cut] = []
    charged = dict(added)
    if missed:
        points, charged = 0, {}
    else:
        for cap, limit in ((CapName.PURCHASE, rule.caps.purchase_points), (CapName.DAY, day_left)):
            if limit is not None and points > limit:
                if rule.caps.mode is CapMode.REJECT:
                    raise CapReached(points=points, limit=limit)
                cuts.append(Cut(cap, lost=points - limit, limit=limit))
                points = limit
        # What a cap takes is taken from the budgets' share first: they pay for what was given.
        _take_off(charged, reversed(added), sum(cut.lost for cut in cuts))
    return Earned(
        points=points,
        amount_minor=sum(part.paid_minor for part in parts),
        eligible_minor=eligible_minor,
        raw=_text(*count.raw),
        rounding=rule.rounding,
        rounded=count.points,
        lines=tuple(
            _line(rule, part, boosts, figure) for part, figure in zip(parts, count.figures, strict=True)
        ),
        multipliers=tuple(
            EarnedMultiplier(
                boost.key,
                str(boost.factor),
                boost.minimum_minor,
                boost.bound,
                gained[place],
                charged.get(place, 0),
                place in short,
            )
            for place, boost in enumerate(boosts)
        ),
        bonuses=chosen,
        missed=missed,
        cuts=tuple(cuts),
        carried_before=carried,
        carried_after=carried if missed else count.carried,
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
    tendered = allocate(basket.unearning_minor, paid) if basket.unearning_minor else (0,) * len(paid)
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


def _one_of_each_group(bonuses: Sequence[EarnedBonus]) -> tuple[EarnedBonus, ...]:
    """Of each group only one counts: the highest priority, then the most points, then the first."""
    best: dict[str, EarnedBonus] = {}
    for bonus in bonuses:
        if bonus.group is not None:
            rival = best.setdefault(bonus.group, bonus)
            if (bonus.priority, bonus.points) > (rival.priority, rival.points):
                best[bonus.group] = bonus
    return tuple(
        replace(bonus, counts=bonus.group is None or best[bonus.group] is bonus) for bonus in bonuses
    )


def _missed(rule: EarnRule, eligible_minor: int, points: int) -> Missed | None:
    if eligible_minor < rule.minimum_minor:
        return Missed.AMOUNT
    return Missed.POINTS if points < rule.minimum_points else None


# Counting ----------------------------------------------------------------------
#
# Whole numbers over a common denominator: a Fraction for every step of every
# line would take most of the time of a purchase.

_Ratio = tuple[int, int]


class _Count(NamedTuple):
    """Raw points of each line with its multiplier, of all, in whole points, and what is carried on."""

    figures: list[tuple[_Ratio, _Ratio]]
    raw: _Ratio
    points: int
    carried: str | None


def _count(
    rule: EarnRule, parts: Sequence[Part], boosts: Sequence[Boost], active: set[int], carried: str | None
) -> _Count:
    """The points of all lines when these multipliers are active."""
    counted, carried_on = _blocks(rule, parts, carried) if rule.rounding is Rounding.BLOCK else ({}, carried)
    factors: dict[tuple[int, ...], _Ratio] = {(): (1, 1)}
    figures = []
    total, common = 0, 1
    for part in parts:
        factor = factors.get(part.boosts)
        if factor is None:
            factor = factors[part.boosts] = _combined(
                rule.combine, [boosts[place].factor for place in part.boosts if place in active]
            )
        raw = part.net_minor * (part.rate or rule).points * factor[0]
        under = (part.rate or rule).per_minor * factor[1]
        if counted:
            above, below = counted[part.rate.key if part.rate else None]
            raw, under = raw * above, under * below
        figures.append(((raw, under), factor))
        if raw:
            shared = common * under // gcd(common, under)
            total, common = total * (shared // common) + raw * (shared // under), shared
    match rule.rounding:
        case Rounding.HALF_UP:
            points = (2 * total + common) // (2 * common)
        case Rounding.CEIL:
            points = -(-total // common)
        case Rounding.PER_LINE_FLOOR:
            points = sum(raw // under for (raw, under), _ in figures)
        case Rounding.CARRY:
            with_rest = Fraction(total, common) + carried_points(carried)
            points = with_rest.numerator // with_rest.denominator
            carried_on = carried_text(with_rest - points)
        case _:
            points = total // common
    return _Count(figures, (total, common), points, carried_on)


def _blocks(
    rule: EarnRule, parts: Sequence[Part], carried: str | None
) -> tuple[dict[str | None, _Ratio], str | None]:
    """By rate: which share of what was spent at it makes full blocks, and what is carried on.

    Blocks are counted over all lines of a rate, before any multiplier; a
    multiplier of some lines then counts for their share of the blocks. Only
    the programme's own rate carries.
    """
    spent: dict[str | None, int] = {}
    sizes: dict[str | None, int] = {}
    for part in parts:
        key = part.rate.key if part.rate else None
        spent[key] = spent.get(key, 0) + part.net_minor
        sizes[key] = (part.rate or rule).per_minor
    shares = {}
    for key, minor in spent.items():
        before = carried_minor(carried) if rule.carries and key is None else 0
        rest = (minor + before) % sizes[key]
        shares[key] = (minor + before - rest, minor) if minor else (0, 1)
        if rule.carries and key is None and minor:
            carried = str(rest)
    return shares, carried


def _combined(combine: Combine, factors: Sequence[Fraction]) -> _Ratio:
    if not factors:
        return (1, 1)
    match combine:
        case Combine.BEST:
            one = max(factors)
        case Combine.SUM_BONUS:
            one = max(sum(factors, start=Fraction(1 - len(factors))), Fraction(0))
        case Combine.PRODUCT:
            one = prod(factors, start=Fraction(1))
    return (one.numerator, one.denominator)


def _join_bounded(
    rule: EarnRule,
    parts: Sequence[Part],
    boosts: Sequence[Boost],
    active: set[int],
    carried: str | None,
    count: _Count,
    added: dict[int, int],
    short: list[int],
) -> _Count:
    """Let the bounded multipliers join `active`; `added` gets what each adds, `short` who could not."""
    bounded = sorted(set(range(len(boosts))) - active, key=lambda place: (boosts[place].factor, place))
    for place in bounded:
        bound = boosts[place].bound or 0
        joined = _count(rule, parts, boosts, active | {place}, carried)
        more = max(joined.points - count.points, 0)
        added[place] = min(more, bound)
        if more <= bound:
            active.add(place)
            count = joined
        else:
            short.append(place)
    if short:
        everything = _count(rule, parts, boosts, set(range(len(boosts))), carried)
        loose = sum(added[place] for place in short)
        _take_off(added, reversed(short), count.points + loose - everything.points)
    return count


def _take_off(added: dict[int, int], places: Iterable[int], points: int) -> None:
    """Lower what these multipliers have added, one after the other, by so many points in all."""
    for place in list(places):
        if points <= 0:
            return
        less = min(added[place], points)
        added[place] -= less
        points -= less


def _line(rule: EarnRule, part: Part, boosts: Sequence[Boost], figure: tuple[_Ratio, _Ratio]) -> EarnedLine:
    raw, factor = figure
    source = part.rate or rule
    return EarnedLine(
        number=part.number,
        paid_minor=part.paid_minor,
        net_minor=part.net_minor,
        excluded=part.excluded,
        rate_key=part.rate.key if part.rate else None,
        rate=_text(source.points, source.per_minor),
        multipliers=tuple(boosts[place].key for place in part.boosts),
        multiplier=_text(*factor),
        raw=_text(*raw),
    )


def _text(above: int, below: int) -> str:
    """An exact fraction as `str(Fraction)` writes it."""
    common = gcd(above, below)
    return f"{above // common}/{below // common}" if below != common else str(above // common)


# What rounding leaves over -----------------------------------------------------

_FINEST = 10**18
"""Kept fractions have no larger denominator, so that their text has an end; what is finer is dropped."""


def carried_points(carried: str | None) -> Fraction:
    """The part of a point that CARRY kept.

    What a BLOCK rule had kept in minor units before the programme changed its
    rounding is no fraction of a point and counts as nothing.
    """
    rest = Fraction(carried or 0)
    return rest if 0 <= rest < 1 else Fraction(0)


def carried_minor(carried: str | None) -> int:
    """The minor units that BLOCK kept; nothing where CARRY had kept a fraction."""
    return int(carried) if carried and carried.isdecimal() else 0


def carried_text(rest: Fraction) -> str:
    """A fraction of a point as it is kept."""
    if rest.denominator > _FINEST:
        rest = Fraction(rest.numerator * _FINEST // rest.denominator, _FINEST)
    return str(rest)
