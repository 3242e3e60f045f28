"""What a return takes back of what a purchase earned.

Nothing is looked up again: when, where and for whom the purchase was made
decided once which multipliers and bonuses there were, and the receipt keeps
that. What is run again is how much they make of the goods that stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from passes.loyalty.counting import Boost, Part, carried_minor, carried_points, carried_text, settle
from passes.loyalty.earn_rules import CapMode, EarnRule, Rate, Rounding
from passes.loyalty.earned import Earned, EarnedBonus, EarnedLine


@dataclass(frozen=True, slots=True)
class TakenBack:
    """`points` go back, `carried` replaces what the member carries, `budgets` are used by so much less."""

    points: int
    carried: str | None
    budgets: Mapping[str, int]


def net_left(line: EarnedLine, *, quantity: int, returned: int) -> int:
    """What of a line still earns when `returned` of its `quantity` pieces came back, all returns together.

    Counted from the beginning, so that several returns take as much as one.
    """
    if not 0 <= returned <= quantity:
        raise ValueError("only what was bought can come back")
    return line.net_minor - line.net_minor * returned // quantity


def take_back(
    rule: EarnRule, original: Earned, *, before: Sequence[int], after: Sequence[int], carried: str | None
) -> TakenBack:
    """What a return takes back by running the original rule again.

    `rule` is the version under which the purchase was made; `before` and
    `after` are what earned on each of its lines before and after this return
    (minor units, see `net_left`), all of them 0 when everything is gone.
    `carried` is what the member carries now: where rounding carries, returned
    spend is taken from there, and only what that does not cover costs whole
    points or blocks.
    """
    earlier, later = earn_again(rule, original, before), earn_again(rule, original, after)
    budgets = {
        key: points - later.budgets.get(key, 0)
        for key, points in earlier.budgets.items()
        if points > later.budgets.get(key, 0)
    }
    match rule.rounding:
        case Rounding.CARRY:
            points, carried = _uncarry_points(earlier, later, carried)
        case Rounding.BLOCK if rule.carries:
            points, carried = _uncarry_blocks(rule, earlier, later, carried)
        case _:
            return TakenBack(max(earlier.points - later.points, 0), carried, budgets)
    points += _extra(earlier) - _extra(later)
    # What a cap had taken away from the purchase need not be given back.
    points -= sum(cut.lost for cut in earlier.cuts)
    return TakenBack(max(points, 0), carried, budgets)


def proportional(original: Earned, returned_minor: int, *, before_minor: int = 0) -> int:
    """The points of a share of the amount, to the nearest one.

    `returned_minor` of what earned comes back now, `before_minor` had come
    back already; several returns together take as much as one.
    """
    if not 0 <= before_minor <= before_minor + returned_minor <= original.eligible_minor:
        raise ValueError("only what was bought can come back")

    def share(minor: int) -> int:
        if not minor:
            return 0
        return (2 * original.points * minor + original.eligible_minor) // (2 * original.eligible_minor)

    return share(before_minor + returned_minor) - share(before_minor)


def earn_again(rule: EarnRule, original: Earned, left_minor: Sequence[int]) -> Earned:
    """What the purchase would have earned, had only so much been bought of each line.

    Same rates, multipliers, bonuses, budgets and carried rest as at the time,
    except for those whose minimum is no longer reached; where that was a
    rate's, the programme's own takes its place. Never more than the original.
    """
    if not all(0 <= left <= line.net_minor for left, line in zip(left_minor, original.lines, strict=True)):
        raise ValueError("only what was bought can stay")
    eligible_minor = sum(left_minor)
    boosts = [
        Boost(one.key, Fraction(one.factor), one.minimum_minor, one.bound)
        for one in original.multipliers
        if one.minimum_minor <= eligible_minor
    ]
    places = {boost.key: place for place, boost in enumerate(boosts)}
    rates = {rate.key: rate for rate in rule.rates if rate.when.minimum_minor <= eligible_minor}
    return settle(
        # Whatever the purchase was allowed then is no reason to refuse its return now.
        replace(rule, caps=replace(rule.caps, mode=CapMode.CLAMP)),
        [_part(line, left, rates, places) for line, left in zip(original.lines, left_minor, strict=True)],
        boosts,
        [bonus for bonus in original.bonuses if _still_met(bonus, left_minor)],
        carried=original.carried_before,
        day_left=original.points,
    )


def _part(line: EarnedLine, left: int, rates: Mapping[str, Rate], places: Mapping[str, int]) -> Part:
    return Part(
        number=line.number,
        paid_minor=line.paid_minor * left // line.net_minor if line.net_minor else line.paid_minor,
        net_minor=left,
        excluded=line.excluded,
        rate=rates.get(line.rate_key) if line.rate_key else None,
        boosts=tuple(places[key] for key in line.multipliers if key in places),
    )


def _still_met(bonus: EarnedBonus, left_minor: Sequence[int]) -> bool:
    return 0 < sum(left_minor) >= bonus.minimum_minor and (
        not bonus.lines or any(left_minor[number - 1] for number in bonus.lines)
    )


def _extra(earned: Earned) -> int:
    """What came on top of the rounded points."""
    if earned.missed:
        return 0
    loose = sum(one.points for one in earned.multipliers if one.is_short)
    return loose + sum(bonus.points for bonus in earned.bonuses if bonus.counts)


def _uncarry_points(earlier: Earned, later: Earned, carried: str | None) -> tuple[int, str]:
    rest = carried_points(carried) - (_raw(earlier) - _raw(later))
    points = max(-(rest.numerator // rest.denominator), 0)
    return points, carried_text(rest + points)


def _raw(earned: Earned) -> Fraction:
    return Fraction(0) if earned.missed else Fraction(earned.raw)


def _uncarry_blocks(rule: EarnRule, earlier: Earned, later: Earned, carried: str | None) -> tuple[int, str]:
    """Blocks of the programme's own rate come from what is carried, others are counted again."""
    spent = _own_minor(earlier)
    rest = carried_minor(carried) - (spent - _own_minor(later))
    blocks = max(-(rest // rule.per_minor), 0)
    weighed = sum(
        (line.net_minor * Fraction(line.multiplier) for line in _own_lines(earlier)), start=Fraction(0)
    )
    points = Fraction(blocks * rule.points) * (weighed / spent if spent else 1)
    points += _other_raw(earlier) - _other_raw(later)
    return points.numerator // points.denominator, str(rest + blocks * rule.per_minor)


def _own_lines(earned: Earned) -> list[EarnedLine]:
    return [] if earned.missed else [line for line in earned.lines if line.rate_key is None]


def _own_minor(earned: Earned) -> int:
    return sum(line.net_minor for line in _own_lines(earned))


def _other_raw(earned: Earned) -> Fraction:
    others = [] if earned.missed else [line for line in earned.lines if line.rate_key is not None]
    return sum((Fraction(line.raw) for line in others), start=Fraction(0))
