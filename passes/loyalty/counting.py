"""From lines with their rates and multipliers to points: the part of earning that a return runs again.

Whole numbers over a common denominator, because a Fraction for every step of
every line would take most of the time of a purchase.

A multiplier whose budget or share for one member is bounded adds at most what
is left. Whether something is left is decided in whole points: first everything
that is not bounded is counted and rounded, then the bounded ones join one
after the other, the smallest factor first. One that would add more than it has
left adds exactly that, as loose points, and is not in the product of the
others; together they never give more than if none had been short.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd, prod
from typing import NamedTuple

from passes.loyalty.earn_rules import CapMode, Combine, EarnRule, Rate, Rounding
from passes.loyalty.earned import CapName, Cut, Earned, EarnedBonus, EarnedLine, EarnedMultiplier, Missed
from passes.loyalty.refusals import CapReached


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
    counter = _Counter(rule, parts, boosts, carried)
    count = counter.count(active)
    added: dict[int, int] = {}
    short: list[int] = []
    if len(active) < len(boosts):
        count = _join_bounded(counter, active, count, added, short)
    gained = {
        place: count.points - counter.count(active - {place}).points
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


def _one_of_each_group(bonuses: Sequence[EarnedBonus]) -> tuple[EarnedBonus, ...]:
    """Of each group only one counts: the highest priority, then the most points, then the first."""
    if not bonuses:
        return ()
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

_Ratio = tuple[int, int]


class _Count(NamedTuple):
    """Raw points of each line with its multiplier, of all, in whole points, and what is carried on."""

    figures: list[tuple[_Ratio, _Ratio]]
    raw: _Ratio
    points: int
    carried: str | None


class _Counter:
    """Counts the lines of one purchase with any of its multipliers."""

    def __init__(
        self, rule: EarnRule, parts: Sequence[Part], boosts: Sequence[Boost], carried: str | None
    ) -> None:
        self.rule = rule
        self.parts = parts
        self.boosts = boosts
        self.carried = self.carried_on = carried
        self.factors: dict[tuple[int, ...], _Ratio] = {(): (1, 1)}
        self.bases = [
            (part.net_minor * (part.rate or rule).points, (part.rate or rule).per_minor) for part in parts
        ]
        if rule.rounding is Rounding.BLOCK:
            blocks, self.carried_on = _blocks(rule, parts, carried)
            shares = [blocks[part.rate.key if part.rate else None] for part in parts]
            self.bases = [
                (base * above, per_minor * below)
                for (base, per_minor), (above, below) in zip(self.bases, shares, strict=True)
            ]

    def count(self, active: set[int]) -> _Count:
        """The points when these multipliers are active, by their places."""
        figures = []
        total, common = 0, 1
        is_partial = len(active) < len(self.boosts)
        for part, (base, under) in zip(self.parts, self.bases, strict=True):
            fitting = part.boosts
            if fitting and is_partial:
                fitting = tuple(place for place in fitting if place in active)
            factor = self.factors.get(fitting)
            if factor is None:
                factor = self.factors[fitting] = self._combined(fitting)
            raw, under = base * factor[0], under * factor[1]
            figures.append(((raw, under), factor))
            if raw:
                shared = common * under // gcd(common, under)
                total, common = total * (shared // common) + raw * (shared // under), shared
        points, carried = self._rounded(total, common, figures)
        return _Count(figures, (total, common), points, carried)

    def _combined(self, places: Sequence[int]) -> _Ratio:
        factors = [self.boosts[place].factor for place in places]
        match self.rule.combine:
            case Combine.BEST:
                one = max(factors)
            case Combine.SUM_BONUS:
                one = max(sum(factors, start=Fraction(1 - len(factors))), Fraction(0))
            case Combine.PRODUCT:
                one = prod(factors, start=Fraction(1))
        return (one.numerator, one.denominator)

    def _rounded(
        self, total: int, common: int, figures: Sequence[tuple[_Ratio, _Ratio]]
    ) -> tuple[int, str | None]:
        match self.rule.rounding:
            case Rounding.HALF_UP:
                return (2 * total + common) // (2 * common), self.carried_on
            case Rounding.CEIL:
                return -(-total // common), self.carried_on
            case Rounding.PER_LINE_FLOOR:
                return sum(raw // under for (raw, under), _ in figures), self.carried_on
            case Rounding.CARRY:
                rest = Fraction(total, common) + carried_points(self.carried)
                points = rest.numerator // rest.denominator
                return points, carried_text(rest - points)
            case _:
                return total // common, self.carried_on


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


def _join_bounded(
    counter: _Counter, active: set[int], count: _Count, added: dict[int, int], short: list[int]
) -> _Count:
    """Let the bounded multipliers join `active`; `added` gets what each adds, `short` who could not."""
    boosts = counter.boosts
    bounded = sorted(set(range(len(boosts))) - active, key=lambda place: (boosts[place].factor, place))
    for place in bounded:
        bound = boosts[place].bound or 0
        joined = counter.count(active | {place})
        more = max(joined.points - count.points, 0)
        added[place] = min(more, bound)
        if more <= bound:
            active.add(place)
            count = joined
        else:
            short.append(place)
    if short:
        everything = counter.count(set(range(len(boosts))))
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
