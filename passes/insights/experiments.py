"""What an offer changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import sqrt

from passes.loyalty.dates import local_date
from passes.loyalty.experiments import (
    FEWEST,
    Effect,
    Proportion,
    cuped,
    detectable_mean,
    detectable_proportion,
    incremental_margin_minor,
    means,
    proportions,
    return_on_investment,
)
from passes.loyalty.metrics import (
    to_minor,
)
from passes.loyalty.offers import Arm
from passes.loyalty.refusals import OfferUnknown
from passes.store import Store, insights, programmes
from passes.store.insights import Window


@dataclass(frozen=True, slots=True)
class EffectFigures:
    """A difference between the arms; `shown` is False for "not shown", which is not "no effect"."""

    treated: float
    holdout: float
    difference: float
    low: float
    high: float
    lift: float | None
    z: float | None
    p: float | None
    shown: bool


@dataclass(frozen=True, slots=True)
class OfferFigures:
    """What an offer changed, counting everybody assigned.

    `conversion` is the share who ordered, `spend_minor` the net per person,
    with and without what was known of them before (CUPED). The effects are
    None while an arm has fewer than thirty people. `final` says whether the
    offer is over: looking early finds effects that are none.
    """

    since: datetime | None
    until: datetime | None
    final: bool
    treated: int
    holdout: int
    buyers_treated: int
    buyers_holdout: int
    uses: int
    discount_minor: int
    points: int
    conversion: EffectFigures | None
    spend_minor: EffectFigures | None
    spend_adjusted_minor: EffectFigures | None
    incremental_margin_minor: int | None
    cost_minor: int
    return_on_investment: Fraction | None
    return_low: Fraction | None
    return_high: Fraction | None


def offer(
    store: Store,
    *,
    programme: str,
    key: str,
    margin: Fraction | None = None,
    cost_minor: int | None = None,
    now: datetime,
) -> OfferFigures:
    """The result of an offer: lift, interval, and with a `margin` the return on what it cost.

    What it brought is the difference in net per person, of all who were
    treated, times the margin. The cost is the discount given, the points at
    their worth, and `cost_minor` for the rest. Raises OfferUnknown.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        times = insights.offer_times(read, loaded.id, key)
        if times is None:
            raise OfferUnknown()
        until = min(times.until or now, now)
        arms: dict[str, insights.Arm] = {}
        if times.since is not None and times.since < until:
            before, zone = times.since - (until - times.since), loaded.programme.zone
            arms = insights.arms(
                read,
                loaded.id,
                times.id,
                days=Window(local_date(before, zone), local_date(until, zone) + date.resolution),
                before=before,
                since=times.since,
                until=until,
            )
        uses, discount_minor, given = insights.offer_uses(read, loaded.id, times.id)
    treated, holdout = arms.get(Arm.TREATED.value), arms.get(Arm.HOLDOUT.value)
    conversion, spend, adjusted = _effects(treated, holdout)
    worth_minor = loaded.programme.points.hundred_points_minor or 0
    spent_minor = discount_minor + to_minor(Fraction(given * worth_minor, 100)) + (cost_minor or 0)
    people = treated.spend.size if treated else 0
    brought: list[Fraction] = []
    if margin is not None and spend is not None:
        brought = [
            incremental_margin_minor(people, Fraction(each), value_minor=1, margin=margin)
            for each in (spend.difference, spend.low, spend.high)
        ]
    returned = [return_on_investment(amount, spent_minor) for amount in brought] or [None] * 3
    return OfferFigures(
        since=times.since,
        until=times.until,
        final=times.until is not None and times.until <= now,
        treated=people,
        holdout=holdout.spend.size if holdout else 0,
        buyers_treated=treated.buyers if treated else 0,
        buyers_holdout=holdout.buyers if holdout else 0,
        uses=uses,
        discount_minor=discount_minor,
        points=given,
        conversion=conversion,
        spend_minor=spend,
        spend_adjusted_minor=adjusted,
        incremental_margin_minor=to_minor(brought[0]) if brought else None,
        cost_minor=spent_minor,
        return_on_investment=returned[0],
        return_low=returned[1],
        return_high=returned[2],
    )


def _effects(
    treated: insights.Arm | None, holdout: insights.Arm | None
) -> tuple[EffectFigures | None, EffectFigures | None, EffectFigures | None]:
    if treated is None or holdout is None or min(treated.spend.size, holdout.spend.size) < FEWEST:
        return None, None, None
    bought = proportions(*(Proportion(arm.buyers, arm.spend.size) for arm in (treated, holdout)))
    return (
        _effect(bought),
        _effect(means(treated.spend.sample, holdout.spend.sample)),
        _effect(cuped(treated.spend, holdout.spend).effect),
    )


def _effect(effect: Effect) -> EffectFigures:
    low, high = effect.interval
    return EffectFigures(
        treated=effect.control + effect.difference,
        holdout=effect.control,
        difference=effect.difference,
        low=low,
        high=high,
        lift=effect.lift,
        z=effect.z,
        p=effect.p,
        shown=effect.shown,
    )


@dataclass(frozen=True, slots=True)
class DetectableFigures:
    """What an offer to so many people could show with 80 % power, going by the days before.

    `conversion` is the share of members who ordered in as many days as the
    offer would run, `spend_minor` their net per person. The detectable figures
    are the least changes that would usually be shown; None with too few people.
    """

    days: int
    treated: int
    holdout: int
    conversion: Fraction | None
    detectable_conversion: float | None
    spend_minor: int | None
    detectable_spend_minor: int | None


def detectable(
    store: Store,
    *,
    programme: str,
    days: int = 30,
    people: int | None = None,
    holdout_share: Fraction = Fraction(1, 10),
    now: datetime,
) -> DetectableFigures:
    """The least effect of an offer that its result could show, to be seen before it is launched.

    `people` are all open members if absent. The spend counts on what each
    person spent in the equally long time before.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        today = local_date(now, loaded.programme.zone)
        middle = today - timedelta(days=days)
        window = Window(middle - timedelta(days=days), today)
        _, members = insights.active_members(read, loaded.id, since=now, at=now)
        found = insights.everybody(read, loaded.id, window=window, middle=middle, members=members)
    audience = members if people is None else people
    holdout = round(audience * holdout_share)
    treated = audience - holdout
    if members < FEWEST or min(treated, holdout) < FEWEST:
        return DetectableFigures(days, treated, holdout, None, None, None, None)
    conversion = Fraction(min(found.buyers, members), members)
    spend = found.spend
    return DetectableFigures(
        days=days,
        treated=treated,
        holdout=holdout,
        conversion=conversion,
        detectable_conversion=detectable_proportion(float(conversion), treated=treated, control=holdout),
        spend_minor=round(spend.sample.mean),
        detectable_spend_minor=round(
            detectable_mean(
                sqrt(spend.sample.variance), treated=treated, control=holdout, correlation=spend.correlation
            )
        ),
    )
