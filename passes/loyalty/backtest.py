"""What purchases would have earned under other rules: the counter's own rules, run again in their order.

Every purchase is run through `earn`, `stamps_for` and `after_purchase` as at
the till, with the tier, the carried rest, the day's points, the budgets and
the facts that the new rules would have led to. What does not depend on the
rules, such as points spent meanwhile, is as it really was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fractions import Fraction

from passes.loyalty.basket import Basket
from passes.loyalty.conditions import MemberFacts, Place
from passes.loyalty.dates import local_date
from passes.loyalty.earned import Earned
from passes.loyalty.earning import Situation, earn
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import AmountTooLarge, CapReached
from passes.loyalty.returns import (
    BackLine,
    SoldLine,
    accumulates,
    basket_left,
    earning_left,
    is_nothing,
    left,
    sold,
    unearned,
)
from passes.loyalty.rewards import worth
from passes.loyalty.stamps import stamps_for
from passes.loyalty.tiers import (
    OnReturn,
    TierMetric,
    TierStanding,
    TierStep,
    TierWindow,
    after_delay,
    after_purchase,
    after_return,
    after_review,
    period_of,
    period_start,
    review_at,
    review_window,
    ripe_window,
    tier_for,
    window_of,
)

_DAYS_KEPT = 8
"""Of so many days of shopping it is known what they brought: no till is offline for longer."""

_REVIEWS_MAX = 8
"""Reviews of one member that may have become due between two purchases; more means rules that never rest."""


# What happened -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Booked:
    """A purchase as it was booked.

    `balance` is what the member could spend before it, `other_points` came
    with it without having been earned by it. `carried` and `carried_after`
    are what the member carried before and after it. `earned` is known only
    where something came of it later: goods that came back, or an undo.
    """

    id: int
    at: datetime
    place: Place
    basket: Basket
    balance: int
    carried: str | None
    carried_after: str | None
    points: int
    other_points: int
    stamps: int
    earned: Earned | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a tier that no purchase made. `id` orders it among receipts."""

    id: int
    at: datetime
    from_key: str | None
    to_key: str | None
    cause: str


@dataclass(slots=True)
class Counted:
    """What a purchase counts towards a tier within a rolling window."""

    at: datetime
    net_minor: int
    points: int
    returned_minor: int = 0

    def value(self, metric: TierMetric) -> int:
        """What of it counts."""
        match metric:
            case TierMetric.SPEND:
                return self.net_minor - self.returned_minor
            case TierMetric.VISITS:
                return int(self.net_minor > self.returned_minor)
            case TierMetric.POINTS:
                return self.points


@dataclass(slots=True)
class Member:
    """How one member goes through the purchases of the window.

    `points` and `stamps` are those under the new rules, `points_really` and
    `stamps_really` those that were booked. `carried` likewise. `days` holds
    the points and stamps of local days, `counted` what a rolling window
    counts, `changes` those of the tier that are still to come, `answers` what
    the member said to which purpose, by an id that orders it among receipts.
    """

    id: int
    joined_at: datetime
    language: str
    level: TierStanding
    purchases: int = 0
    last_purchase_at: datetime | None = None
    last_stamp_at: datetime | None = None
    carried: str | None = None
    carried_really: str | None = None
    points: int = 0
    points_really: int = 0
    stamps: int = 0
    stamps_really: int = 0
    used: dict[str, int] = field(default_factory=dict)
    days: dict[date, list[int]] = field(default_factory=dict)
    counted: dict[int, Counted] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    answers: list[tuple[int, str, bool]] = field(default_factory=list)


@dataclass(slots=True)
class Kept:
    """A purchase that something may come of.

    `really` is what it earned, `earned` what it would have, None where it
    would have been refused. `here` is what of it has not come back. One of
    before the window does not count: both are what it really earned.
    """

    booked: Booked
    really: Earned
    earned: Earned | None
    rules_then: Programme
    lines: tuple[SoldLine, ...]
    here: tuple[SoldLine, ...]
    counts: bool = True
    taken: int = 0
    taken_really: int = 0
    stamps: int = 0
    stamped_before: datetime | None = None
    was: TierStanding | None = None
    reached: str | None = None

    @classmethod
    def of(
        cls,
        booked: Booked,
        really: Earned,
        earned: Earned | None,
        rules_then: Programme,
        *,
        back: Iterable[BackLine] = (),
        counts: bool = True,
        taken: int = 0,
    ) -> Kept:
        """A purchase of which `back` came back before."""
        lines = sold(booked.basket, [line.paid_minor for line in really.lines])
        here = left(lines, back)
        return cls(booked, really, earned, rules_then, lines, here, counts, taken, taken)


# What the rules gave ---------------------------------------------------------------

RETURNS = "returns"
"""What goes off for goods that came back, among the parts of what was given."""


def parts_of(
    points: int,
    *,
    missed: bool,
    multipliers: Iterable[tuple[str, int]],
    bonuses: Iterable[tuple[str, int]],
    cuts: Iterable[tuple[str, int]],
) -> dict[str, int]:
    """What each rule gave of the points of a purchase; caps are negative, and all add up to the points.

    A multiplier's is what would be missing without it; `base` is all the rest,
    so also what several multipliers give only together. Where a minimum was
    `missed` nothing gave anything.
    """
    if missed:
        return {}
    found = {(key if ":" in key else f"multiplier:{key}"): more for key, more in multipliers if more}
    found |= {(key if ":" in key else f"bonus:{key}"): more for key, more in bonuses if more}
    found |= {f"cap:{cap}": -lost for cap, lost in cuts if lost}
    return {"base": points - sum(found.values()), **found}


def parts_of_earned(earned: Earned) -> dict[str, int]:
    """As `parts_of`, of what was just computed."""
    return parts_of(
        earned.points,
        missed=earned.missed is not None,
        multipliers=((one.key, one.points) for one in earned.multipliers),
        bonuses=((one.key, one.points) for one in earned.bonuses if one.counts),
        cuts=((cut.cap.value, cut.lost) for cut in earned.cuts),
    )


def point_worth(rules: Programme) -> tuple[Fraction | None, str]:
    """What a point is worth in minor units, and from where that is known: `stated`, `reward` or `unknown`.

    A programme that does not say is asked for its cheapest reward: what that
    takes off, for its price. Where that is an item, nobody knows.
    """
    if rules.points.hundred_points_minor is not None:
        return Fraction(rules.points.hundred_points_minor, 100), "stated"
    priced = [reward for reward in rules.rewards if reward.points > 0]
    if priced:
        cheapest = min(priced, key=lambda reward: reward.points)
        minor = worth(cheapest, points=cheapest.points, basket_minor=None)
        if minor:
            return Fraction(minor, cheapest.points), "reward"
    return None, "unknown"


# Running it again --------------------------------------------------------------------

CountIn = Callable[[int, datetime | None, datetime | None], tuple[int, datetime | None]]
"""What really counts for a member (id) from one instant until another, and the last purchase there."""


class Rerun:
    """The new rules, going through what happened in its order.

    `used` holds by multiplier key what bounded ones had added before. Where
    the levels are `same_levels` as those that were really in force, changes
    that no purchase made happen as they did; otherwise they follow from the
    new rules, which ask `count` what counted.
    """

    def __init__(self, rules: Programme, *, used: dict[str, int], same_levels: bool, count: CountIn) -> None:
        self.rules = rules
        self.used = used
        self.same_levels = same_levels
        self.count = count
        self.refused = 0
        self.parts: dict[str, int] = {}
        self._bounded = {
            one.key
            for one in rules.earning.multipliers
            if one.budget_points is not None or one.member_points is not None
        }
        self._needs_days = rules.earning.caps.day_points is not None or (
            rules.stamps is not None and rules.stamps.day_limit is not None
        )
        self._is_rolling = bool(rules.tiers) and rules.tiering.window is TierWindow.ROLLING

    # A purchase -----------------------------------------------------------------------

    def buy(self, member: Member, booked: Booked, *, order: int, rules_then: Programme) -> Kept | None:
        """A purchase is made again. `order` is its receipt's id; returns it if something came of it later."""
        rules = self.rules
        self.catch_up(member, booked.at, order)
        if member.carried == member.carried_really:
            # Where both agree the books know best: what merges and corrections did is in them.
            member.carried = booked.carried
        member.carried_really = booked.carried_after
        earned = self._earn(member, booked, order)
        member.points_really += booked.points
        member.stamps_really += booked.stamps
        if earned is None:
            self.refused += 1
            return self._kept(booked, None, rules_then)
        member.points += earned.points
        self._add(parts_of_earned(earned))
        for key, points in earned.budgets.items():
            if key in self._bounded:
                self.used[key] = self.used.get(key, 0) + points
                member.used[key] = member.used.get(key, 0) + points
        stamped_before, stamps = member.last_stamp_at, self._stamp(member, booked)
        if self._needs_days:
            today = member.days.setdefault(local_date(booked.at, rules.zone), [0, 0])
            today[0] += earned.points + booked.other_points
            today[1] += stamps
            if len(member.days) > _DAYS_KEPT:
                del member.days[min(member.days)]
        was = member.level
        step = self._climb(member, booked, earned.points)
        member.level = step
        member.carried = earned.carried_after
        member.purchases += 1
        member.last_purchase_at = max(member.last_purchase_at or booked.at, booked.at)
        kept = self._kept(booked, earned, rules_then)
        if kept is not None:
            kept.stamps, kept.stamped_before = stamps, stamped_before
            if step.change is not None:
                kept.was, kept.reached = was, step.tier
        return kept

    def _kept(self, booked: Booked, earned: Earned | None, rules_then: Programme) -> Kept | None:
        if booked.earned is None:
            return None
        return Kept.of(booked, booked.earned, earned, rules_then)

    def _earn(self, member: Member, booked: Booked, order: int) -> Earned | None:
        """What it earns; None where a till would have refused it."""
        rules, level = self.rules, member.level
        day_points = 0
        if self._needs_days:
            day_points = member.days.get(local_date(booked.at, rules.zone), [0])[0]
        newest = {purpose: given for answered, purpose, given in member.answers if answered < order}
        situation = Situation(
            at=booked.at,
            zone=rules.zone,
            place=booked.place,
            member=MemberFacts(
                tier=level.tier,
                joined_at=member.joined_at,
                last_purchase_at=member.last_purchase_at,
                purchases=member.purchases,
                balance=booked.balance + member.points - member.points_really,
                language=member.language,
                consents=frozenset(purpose for purpose, given in newest.items() if given),
            ),
            tier=rules.tier(level.tier) or tier_for(rules.tiers, level.metric),
            carried=member.carried,
            day_points=day_points,
            used=self.used,
            member_used=member.used,
        )
        try:
            return earn(rules.earning, booked.basket, currency=rules.currency, situation=situation)
        except (AmountTooLarge, CapReached):
            return None

    def _stamp(self, member: Member, booked: Booked) -> int:
        rule = self.rules.stamps
        if rule is None:
            return 0
        day_stamps = 0
        if rule.day_limit is not None:
            day_stamps = member.days.get(local_date(booked.at, self.rules.zone), [0, 0])[1]
        count = stamps_for(
            rule, booked.basket, at=booked.at, last_stamp_at=member.last_stamp_at, day_stamps=day_stamps
        ).count
        if count:
            member.last_stamp_at = max(member.last_stamp_at or booked.at, booked.at)
            member.stamps += count
        return count

    def _climb(self, member: Member, booked: Booked, points: int) -> TierStep:
        rules = self.rules
        level, net_minor = member.level, booked.basket.net_minor
        if self._is_rolling:
            level = replace(level, metric=self._rolling(member, booked.at))
            member.counted[booked.id] = Counted(booked.at, net_minor, points)
        added = {TierMetric.SPEND: net_minor, TierMetric.POINTS: points, TierMetric.VISITS: 1}
        return after_purchase(
            rules.tiering,
            rules.tiers,
            level,
            added=added[rules.tiering.metric],
            at=booked.at,
            zone=rules.zone,
            joined_at=member.joined_at,
        )

    def _rolling(self, member: Member, at: datetime) -> int:
        rules = self.rules
        since, until = window_of(rules.tiering, at, rules.zone, member.joined_at)
        assert since is not None
        assert until is not None
        metric = rules.tiering.metric
        return sum(one.value(metric) for one in member.counted.values() if since <= one.at < until)

    # What came of it --------------------------------------------------------------------

    def take_back(
        self,
        member: Member,
        kept: Kept,
        back: Sequence[BackLine],
        *,
        taken_really: int,
        stamps_really: int,
        short: int,
        at: datetime,
        order: int,
    ) -> None:
        """Goods come back. `taken_really` points went with them, of which `short` were no longer there."""
        self.catch_up(member, at, order)
        rules = self.rules
        before, after = kept.here, left(kept.here, back)
        kept.here = after
        is_all = is_nothing(after)
        really = unearned(
            kept.rules_then.earning,
            kept.rules_then.points.returns,
            kept.really,
            before=earning_left(kept.really, kept.lines, before),
            after=earning_left(kept.really, kept.lines, after),
            taken=kept.taken_really,
            carried=member.carried_really,
        )
        kept.taken_really += taken_really
        member.carried_really = really.carried
        if kept.counts:
            member.points_really -= taken_really
            member.stamps_really -= stamps_really
        if kept.earned is None:
            return
        then = rules if kept.counts else kept.rules_then
        taken = unearned(
            then.earning,
            then.points.returns,
            kept.earned,
            before=earning_left(kept.earned, kept.lines, before),
            after=earning_left(kept.earned, kept.lines, after),
            taken=kept.taken,
            carried=member.carried,
        )
        kept.taken += taken.points
        member.carried = taken.carried
        if kept.counts:
            member.points -= taken.points
            self._add({RETURNS: -taken.points})
            member.stamps -= self._stamps_back(kept, before, after)
        self._budgets_back(member, taken.budgets)
        member.purchases -= int(is_all)
        net_minor = sum(line.net_minor for line in back)
        lost = {
            TierMetric.SPEND: net_minor,
            TierMetric.POINTS: max(taken.points - short, 0),
            TierMetric.VISITS: int(is_all),
        }
        self._stand_after_return(member, kept, lost[rules.tiering.metric], at)
        if counted := member.counted.get(kept.booked.id):
            counted.returned_minor += net_minor
            counted.points -= lost[TierMetric.POINTS]

    def undo(self, member: Member, kept: Kept, *, last_purchase_at: datetime | None, order: int) -> None:
        """A purchase had never been made. `last_purchase_at` is when the member's last other one was."""
        booked, rules = kept.booked, self.rules
        self.catch_up(member, booked.at, order)
        gone, carried = _undone(kept.rules_then, kept.really, kept.really.points, member.carried_really)
        member.carried_really = carried
        if kept.counts:
            # What an offer had given of it is not counted here.
            member.points_really -= booked.points + gone - kept.really.points
            member.stamps_really -= booked.stamps
        if kept.earned is None:
            return
        then = rules if kept.counts else kept.rules_then
        gone, member.carried = _undone(then, kept.earned, kept.earned.points, member.carried)
        if kept.counts:
            member.points -= gone
            self._add({key: -points for key, points in parts_of_earned(kept.earned).items()})
            self._add({RETURNS: kept.earned.points - gone})
            member.stamps -= kept.stamps
        self._budgets_back(member, kept.earned.budgets)
        if self._needs_days and (today := member.days.get(local_date(booked.at, rules.zone))):
            today[0] -= kept.earned.points + booked.other_points
            today[1] -= kept.stamps
        lost = {
            TierMetric.SPEND: booked.basket.net_minor,
            TierMetric.POINTS: kept.earned.points,
            TierMetric.VISITS: 1,
        }
        if self._counts_still(member, booked.at, booked.at):
            member.level = replace(member.level, metric=member.level.metric - lost[rules.tiering.metric])
        member.counted.pop(booked.id, None)
        tier = rules.tier(member.level.tier)
        if kept.was and tier and tier.key == kept.reached and member.level.metric < tier.threshold:
            was = kept.was
            member.level = replace(
                member.level,
                tier=was.tier,
                tier_until=was.tier_until,
                tier_due_at=was.tier_due_at,
                tier_waiting=was.tier_waiting,
            )
        member.purchases -= 1
        member.last_purchase_at = last_purchase_at
        if kept.stamps and member.last_stamp_at == booked.at:
            member.last_stamp_at = kept.stamped_before

    def _stamps_back(self, kept: Kept, before: Sequence[SoldLine], after: Sequence[SoldLine]) -> int:
        rule = self.rules.stamps
        if rule is None or not kept.stamps:
            return 0

        def deserved(here: Sequence[SoldLine]) -> int:
            basket = basket_left(kept.booked.basket, here)
            return min(kept.stamps, stamps_for(rule, basket, at=kept.booked.at).count) if basket.lines else 0

        return max(deserved(before) - deserved(after), 0)

    def _budgets_back(self, member: Member, budgets: Mapping[str, int]) -> None:
        for key, points in budgets.items():
            if key in self._bounded:
                self.used[key] = max(self.used.get(key, 0) - points, 0)
                member.used[key] = max(member.used.get(key, 0) - points, 0)

    def _stand_after_return(self, member: Member, kept: Kept, lost: int, at: datetime) -> None:
        rules = self.rules
        if self._counts_still(member, kept.booked.at, at):
            member.level = replace(member.level, metric=member.level.metric - lost)
        # Under the same levels what it did to the level is among the changes.
        if rules.tiering.on_return is not OnReturn.IMMEDIATE or self.same_levels:
            return
        since, until = window_of(rules.tiering, at, rules.zone, member.joined_at)
        present = member.level.metric
        if self._is_rolling:
            present = self._rolling(member, at) - lost
        earlier = 0
        if since is not None and not self._is_rolling:
            period = period_of(rules.tiering, at, rules.zone, member.joined_at)
            earlier_at = period_start(rules.tiering, period - 1, rules.zone, member.joined_at)
            earlier, _ = self.count(member.id, earlier_at, since)
            if member.level.metric_period != period:
                present, _ = self.count(member.id, since, until)
        member.level = after_return(
            rules.tiering,
            rules.tiers,
            member.level,
            metric=present,
            earlier=earlier,
            at=at,
            zone=rules.zone,
            joined_at=member.joined_at,
        )

    def _counts_still(self, member: Member, sold_at: datetime, at: datetime) -> bool:
        rules = self.rules
        if rules.tiering.window is TierWindow.ROLLING:
            since, _ = window_of(rules.tiering, at, rules.zone, member.joined_at)
            return since is None or since <= sold_at
        period = period_of(rules.tiering, sold_at, rules.zone, member.joined_at)
        return period == member.level.metric_period

    def _add(self, parts: dict[str, int]) -> None:
        for key, points in parts.items():
            self.parts[key] = self.parts.get(key, 0) + points

    def unite(self, stays: Member, leaves: Member, *, at: datetime, order: int) -> None:
        """Two members become one: the better level, and together what counts."""
        rules = self.rules
        for member in (stays, leaves):
            self.catch_up(member, at, order)
        period = max(stays.level.metric_period, leaves.level.metric_period)
        metrics = [one.level.metric if one.level.metric_period == period else 0 for one in (stays, leaves)]
        level = max(stays.level, leaves.level, key=self._height)
        level = replace(level, metric_period=period, metric=metrics[0])
        if metrics[1] > 0 and rules.tiers and not self._is_rolling:
            level = after_purchase(
                rules.tiering,
                rules.tiers,
                level,
                added=metrics[1],
                at=at,
                zone=rules.zone,
                joined_at=stays.joined_at,
            )
        stays.level = replace(level, metric=sum(metrics))
        stays.purchases += leaves.purchases
        stays.last_purchase_at = _later(stays.last_purchase_at, leaves.last_purchase_at)
        stays.last_stamp_at = _later(stays.last_stamp_at, leaves.last_stamp_at)
        stays.points += leaves.points
        stays.points_really += leaves.points_really
        stays.stamps += leaves.stamps
        stays.stamps_really += leaves.stamps_really
        stays.counted |= leaves.counted
        for key, points in leaves.used.items():
            stays.used[key] = stays.used.get(key, 0) + points

    def _height(self, level: TierStanding) -> int:
        tier = self.rules.tier(level.tier)
        return tier.threshold if tier else -1

    # What time does to levels -------------------------------------------------------------

    def catch_up(self, member: Member, at: datetime, order: int | None = None) -> None:
        """Let everything happen to a member's level that came before; all of it without `order`."""
        while member.changes and (order is None or member.changes[0].id < order):
            self._change(member, member.changes.pop(0))
        if not self.same_levels:
            self._review(member, at)

    def _change(self, member: Member, change: Change) -> None:
        level = member.level
        by_hand = change.cause in ("by_hand", "merge")
        if self.same_levels:
            if by_hand or level.tier == change.from_key:
                member.level = replace(level, tier=change.to_key, tier_until=None, tier_waiting=None)
        elif by_hand:
            if self.rules.tier(change.to_key):
                member.level = replace(level, tier=change.to_key, tier_until=None, tier_due_at=None)
        elif change.cause == "review" and level.tier_until is None and self.rules.tier(level.tier):
            # Until when the level held was not written down: until it was looked at.
            member.level = replace(level, tier_until=change.at, tier_due_at=change.at)
            self._review(member, change.at)

    def _review(self, member: Member, at: datetime) -> None:
        rules, zone = self.rules, self.rules.zone
        rule = rules.tiering
        for _ in range(_REVIEWS_MAX):
            level = member.level
            due_at = level.tier_due_at
            if not rules.tiers or due_at is None or due_at > at:
                return
            step = level
            if level.tier_waiting:
                since, ripe, until = ripe_window(rule, due_at, zone, member.joined_at)
                step = after_delay(
                    rule,
                    rules.tiers,
                    level,
                    metric=self.count(member.id, since, ripe)[0],
                    coming=self.count(member.id, since, until)[0],
                    at=due_at,
                    zone=zone,
                    joined_at=member.joined_at,
                )
            look_at = review_at(rule, level.tier_until, zone)
            if level.tier_until and step.tier_until == level.tier_until and look_at and look_at <= at:
                window = review_window(rule, level.tier_until, look_at, zone, member.joined_at)
                metric, last = self.count(member.id, *window)
                step = after_review(
                    rule,
                    rules.tiers,
                    step,
                    metric=metric,
                    last_purchase_at=last,
                    now=look_at,
                    zone=zone,
                    joined_at=member.joined_at,
                )
            elif not level.tier_waiting:
                step = replace(step, tier_due_at=look_at)
            member.level = step


def _undone(rules: Programme, earned: Earned, points: int, carried: str | None) -> tuple[int, str | None]:
    """How many points go when a purchase is undone, and what is carried then."""
    if not accumulates(rules.earning):
        return points, carried
    lines = _nets(earned)
    taken = unearned(
        rules.earning,
        rules.points.returns,
        earned,
        before=lines,
        after=[0] * len(lines),
        taken=0,
        carried=carried,
    )
    return taken.points, taken.carried


def _nets(earned: Earned) -> list[int]:
    return [line.net_minor for line in earned.lines]


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)
