"""What several offers do to one purchase: which of them go together, in which order, and what they take off.

The order is always the same: amounts off items, percentages off items,
percentages off the order, amounts off the order. Points paid as money come
after all of these. A percentage is rounded to the nearest minor unit, halves
up; parts of an order's discount are allocated by largest remainder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fractions import Fraction

from passes.loyalty.basket import Basket, Line, allocate
from passes.loyalty.conditions import Condition
from passes.loyalty.earn_rules import Bonus, Multiplier
from passes.loyalty.offers import (
    AmountOff,
    BonusPoints,
    CodeKind,
    Effect,
    FreeItem,
    Offer,
    PercentOff,
    PointsTimes,
    Scope,
    Situation,
    Stacking,
    Standing,
    applicable,
    earning_key,
    folded,
)
from passes.loyalty.refusals import (
    OfferBudgetUsedUp,
    OfferCodeUnknown,
    OfferNoEffect,
    OfferNotCombinable,
    Refused,
)


class Stage(IntEnum):
    """In which order discounts are computed."""

    LINE_AMOUNT = 1
    LINE_PERCENT = 2
    ORDER_PERCENT = 3
    ORDER_AMOUNT = 4
    POINTS = 5


@dataclass(frozen=True, slots=True)
class Use:
    """An offer that a purchase uses, and what it took off."""

    standing: Standing
    discount_minor: int

    @property
    def key(self) -> str:
        """The offer's key."""
        return self.standing.offer.key


@dataclass(frozen=True, slots=True)
class Step:
    """One discount in its place: `base_minor` is what it was computed from."""

    key: str
    stage: Stage
    base_minor: int
    discount_minor: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What offers do to a purchase.

    `line_discounts_minor` (one per line) and `order_discount_minor` come on
    top of what the basket already had. `multipliers` and `bonuses` are for the
    earning rules. `net_minor` is to be paid; `other_order_net_minor` is what
    it would be if amounts and percentages off the order changed places, None
    where that makes no difference. `refused` has a reason for each offer that
    does not hold, by its key, or by the code where no offer has it.
    """

    line_discounts_minor: tuple[int, ...]
    order_discount_minor: int
    multipliers: tuple[Multiplier, ...]
    bonuses: tuple[Bonus, ...]
    uses: tuple[Use, ...]
    steps: tuple[Step, ...]
    net_minor: int
    other_order_net_minor: int | None
    refused: tuple[tuple[str, Refused], ...]

    @property
    def discount_minor(self) -> int:
        """Everything that is taken off."""
        return sum(self.line_discounts_minor) + self.order_discount_minor

    def discounted(self, basket: Basket) -> Basket:
        """The basket with these discounts; the tax of a line shrinks with it."""
        return replace(
            basket,
            lines=tuple(
                _reduced(line, discount)
                for line, discount in zip(basket.lines, self.line_discounts_minor, strict=True)
            ),
            discount_minor=basket.discount_minor + self.order_discount_minor,
            unearning_minor=min(basket.unearning_minor, self.net_minor),
        )


def best(
    standings: Iterable[Standing],
    basket: Basket,
    situation: Situation,
    *,
    codes: Collection[str] = (),
    percent_first: bool = True,
) -> Applied:
    """The offers that this purchase gets, and what they do to it.

    Of each stacking group the offer with the highest priority counts, then the
    one worth more. An exclusive offer stands alone beside those that always
    hold: it wins over the stackable ones when its priority is above all of
    theirs, loses when it is below, and otherwise wins if it is worth more.
    Worth is money first, then points. An offer that changes nothing is not used.
    """
    refused: list[tuple[str, Refused]] = []
    given = {folded(code): code for code in codes}
    candidates = []
    unknown = dict(given)
    for standing in sorted(standings, key=lambda one: (-one.offer.priority, one.offer.key)):
        offer = standing.offer
        if offer.code_kind is not CodeKind.NONE:
            code = (standing.code if offer.code_kind is CodeKind.UNIQUE else offer.code) or ""
            unknown.pop(code, None)
            if code not in given:
                continue
        reason = applicable(standing, basket, situation)
        if reason is None:
            alone = _applied([standing], basket, percent_first)
            reason = alone.reasons.get(offer.key)
            if reason is None:
                candidates.append(_Candidate(standing, alone.worth))
                continue
        refused.append((offer.key, reason))
    refused += ((code, OfferCodeUnknown()) for code in unknown.values())

    chosen = _chosen(candidates, lambda some: _applied(some, basket, percent_first).worth)
    result = _applied(chosen, basket, percent_first)
    used = {use.key for use in result.uses}
    refused += (
        (key, result.reasons.get(key, OfferNotCombinable()))
        for candidate in candidates
        if (key := candidate.standing.offer.key) not in used
    )
    return Applied(
        line_discounts_minor=tuple(result.line_discounts),
        order_discount_minor=result.order_discount,
        multipliers=tuple(result.multipliers),
        bonuses=tuple(result.bonuses),
        uses=tuple(result.uses),
        steps=tuple(result.steps),
        net_minor=sum(result.left),
        other_order_net_minor=_other_order(result, chosen, basket, percent_first),
        refused=tuple(refused),
    )


_Worth = tuple[int, int, Fraction]


@dataclass(frozen=True, slots=True)
class _Candidate:
    standing: Standing
    worth: _Worth


def _chosen(
    candidates: Sequence[_Candidate], worth: Callable[[Sequence[Standing]], _Worth]
) -> list[Standing]:
    """Who takes part: at most one exclusive offer, one of each group."""
    by_rank = sorted(candidates, key=lambda one: (one.standing.offer.priority, one.worth), reverse=True)
    groups: set[str] = set()
    together: list[Standing] = []
    exclusives: list[Standing] = []
    for candidate in by_rank:
        offer = candidate.standing.offer
        if offer.stacking is Stacking.EXCLUSIVE:
            exclusives.append(candidate.standing)
        elif offer.group is None or offer.group not in groups:
            together.append(candidate.standing)
            if offer.group is not None:
                groups.add(offer.group)
    always = [one for one in together if one.offer.stacking is Stacking.ALWAYS]
    stackable = [one for one in together if one.offer.stacking is Stacking.STACKABLE]
    if not exclusives:
        return together
    alone = [exclusives[0], *always]
    if not stackable:
        return alone
    priority, other = exclusives[0].offer.priority, max(one.offer.priority for one in stackable)
    if priority != other:
        return alone if priority > other else together
    return alone if worth(alone) > worth(together) else together


@dataclass(slots=True)
class _Result:
    """A purchase while offers are applied to it: what is left of each line."""

    left: list[int]
    line_discounts: list[int]
    order_discount: int = 0
    multipliers: list[Multiplier] = field(default_factory=list)
    bonuses: list[Bonus] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    reasons: dict[str, Refused] = field(default_factory=dict)

    @property
    def worth(self) -> _Worth:
        """Money first, then fixed points, then multiplied ones."""
        return (
            sum(use.discount_minor for use in self.uses),
            sum(bonus.points for bonus in self.bonuses),
            sum((multiplier.factor for multiplier in self.multipliers), Fraction(0)),
        )


def _applied(standings: Sequence[Standing], basket: Basket, percent_first: bool) -> _Result:
    nets = [line.net_minor for line in basket.lines]
    shares = allocate(basket.discount_minor, nets)
    result = _Result(
        left=[net - share for net, share in zip(nets, shares, strict=True)],
        line_discounts=[0] * len(nets),
    )
    for standing in sorted(standings, key=lambda one: _turn(one.offer, percent_first)):
        _apply(standing, basket, result)
    return result


def _turn(offer: Offer, percent_first: bool) -> tuple[int, int, str]:
    stage = stage_of(offer.effect)
    swapped = {Stage.ORDER_PERCENT: Stage.ORDER_AMOUNT, Stage.ORDER_AMOUNT: Stage.ORDER_PERCENT}
    return (stage if percent_first else swapped.get(stage, stage), -offer.priority, offer.key)


def stage_of(effect: Effect) -> Stage:
    """When an effect takes its turn."""
    match effect:
        case PercentOff(scope=scope):
            return Stage.LINE_PERCENT if scope is Scope.ITEMS else Stage.ORDER_PERCENT
        case AmountOff(scope=scope):
            return Stage.LINE_AMOUNT if scope is Scope.ITEMS else Stage.ORDER_AMOUNT
        case FreeItem():
            return Stage.LINE_AMOUNT
        case BonusPoints() | PointsTimes():
            return Stage.POINTS


def _apply(standing: Standing, basket: Basket, result: _Result) -> None:
    """One offer's turn; without effect or money for it, a reason instead."""
    offer, effect = standing.offer, standing.offer.effect
    places = [place for place, line in enumerate(basket.lines) if offer.items.fits_line(line)]
    base = sum(result.left[place] for place in places)
    if stage_of(effect) is Stage.POINTS:
        if not base:
            result.reasons[offer.key] = OfferNoEffect()
            return
        _give_points(offer, result)
        result.uses.append(Use(standing, 0))
        return
    parts = _parts(effect, basket.lines, places, result.left)
    discount = sum(parts)
    left_of_budget = standing.budget_left_minor
    if not discount:
        result.reasons[offer.key] = OfferNoEffect()
        return
    if left_of_budget is not None and discount > left_of_budget:
        result.reasons[offer.key] = OfferBudgetUsedUp()
        return
    on_order = stage_of(effect) in (Stage.ORDER_PERCENT, Stage.ORDER_AMOUNT) and not offer.items.chooses_lines
    for place, part in zip(places, parts, strict=True):
        result.left[place] -= part
        if not on_order:
            result.line_discounts[place] += part
    result.order_discount += discount if on_order else 0
    result.uses.append(Use(standing, discount))
    result.steps.append(Step(offer.key, stage_of(effect), base, discount))


def _parts(
    effect: Effect, lines: Sequence[Line], places: Sequence[int], left: Sequence[int]
) -> tuple[int, ...]:
    """What is taken off each chosen line: never more than is left of it."""
    rest = [left[place] for place in places]
    match effect:
        case PercentOff(percent=percent, scope=Scope.ITEMS, most_minor=most):
            return _bounded([_percent(of, percent) for of in rest], most)
        case PercentOff(percent=percent, most_minor=most):
            off = _percent(sum(rest), percent)
            return allocate(off if most is None else min(off, most), rest)
        case AmountOff(amount_minor=amount, scope=Scope.ITEMS, most_minor=most):
            pieces = [lines[place].quantity for place in places]
            return _bounded([min(amount * count, of) for count, of in zip(pieces, rest, strict=True)], most)
        case AmountOff(amount_minor=amount):
            return allocate(min(amount, sum(rest)), rest)
        case FreeItem(most_minor=most):
            # The dearest piece of a line, where its price does not divide evenly.
            prices = [-(-of // lines[place].quantity) for place, of in zip(places, rest, strict=True)]
            allowed = [price for price in prices if most is None or price <= most]
            if not allowed:
                return (0,) * len(rest)
            chosen = prices.index(max(allowed))
            return tuple(price if place == chosen else 0 for place, price in enumerate(prices))
        case BonusPoints() | PointsTimes():
            return (0,) * len(rest)


def _bounded(parts: Sequence[int], most: int | None) -> tuple[int, ...]:
    if most is None or sum(parts) <= most:
        return tuple(parts)
    return allocate(most, parts)


def _percent(of: int, percent: int) -> int:
    """So many percent, to the nearest minor unit, halves up."""
    return (2 * of * percent + 100) // 200


def _give_points(offer: Offer, result: _Result) -> None:
    match offer.effect:
        case BonusPoints(points=points):
            result.bonuses.append(
                Bonus(key=earning_key(offer.key), name=offer.title, points=points, when=Condition())
            )
        case PointsTimes(factor=factor):
            result.multipliers.append(
                Multiplier(key=earning_key(offer.key), name=offer.title, factor=factor, when=offer.items)
            )


def _other_order(
    result: _Result, chosen: Sequence[Standing], basket: Basket, percent_first: bool
) -> int | None:
    if {Stage.ORDER_PERCENT, Stage.ORDER_AMOUNT} <= {step.stage for step in result.steps}:
        return sum(_applied(chosen, basket, not percent_first).left)
    return None


def _reduced(line: Line, discount_minor: int) -> Line:
    if not discount_minor:
        return line
    net = line.net_minor - discount_minor
    tax = (2 * line.tax_minor * net + line.net_minor) // (2 * line.net_minor)
    return replace(line, discount_minor=line.discount_minor + discount_minor, tax_minor=min(tax, net))
