"""What the purchases of the last days would have earned under other rules. Nothing is written.

Everything that happened is read in its order and run through the new rules
(passes.loyalty.backtest); every figure is defined in docs/backtest.md.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from heapq import nlargest
from typing import Any

import orjson

from passes.language import say
from passes.loyalty.backtest import (
    RETURNS,
    Booked,
    Change,
    Counted,
    Kept,
    Member,
    Rerun,
    parts_of,
    parts_of_earned,
    point_worth,
)
from passes.loyalty.conditions import Place
from passes.loyalty.dates import add_months, day_start, local_date, next_day_start
from passes.loyalty.earned import Earned
from passes.loyalty.liability import Outstanding
from passes.loyalty.metrics import to_minor
from passes.loyalty.offers import earning_key
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import parse
from passes.loyalty.refusals import ProgrammeNotComparable
from passes.loyalty.returns import BackLine, earning_left, left
from passes.loyalty.rewards import Reward
from passes.loyalty.tiers import Tier, TierMetric, TierStanding, TierWindow, period_of, tier_for, window_of
from passes.loyalty.unearning import take_back
from passes.store import Read, Row, Store, allowances, due, insights, programmes
from passes.store import backtest as history
from passes.store import returns as returned
from passes.store.instants import instant, instant_or_none
from passes.store.programmes import Loaded

LARGEST = 10
HISTORY_MONTHS = 12
_OF_OFFER = earning_key("")
_BUDGET = "multiplier:"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

NOTES = (
    "Offers are not simulated: what they gave is left out on both sides, and discounts stay as they were.",
    "Every member begins with the tier held when the window began; afterwards the new rules decide.",
    "People behave as they did: points spent, and what was bought, do not change with the rules.",
    "Gifts for joining, for coming back and for birthdays are not compared.",
)


# Figures -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """Points that one rule gave; caps and returns are negative. All of them add up to the points."""

    rule: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class CostFigures:
    """What the points are worth. None where nobody said it: `known_from` is then `unknown`."""

    before_minor: int | None
    after_minor: int | None
    difference_minor: int | None
    hundred_points_before_minor: Fraction | None
    hundred_points_after_minor: Fraction | None
    known_from_before: str
    known_from_after: str


@dataclass(frozen=True, slots=True)
class LiabilityFigures:
    """Points outstanding today, and had the new rules held, with what they are expected to cost.

    `redemption_rate` is the share that will ever be used: `rate_from` says
    whether it comes from the shop's own `history` or was `stated`.
    """

    outstanding_before: int
    outstanding_after: int
    redemption_rate: Fraction
    rate_from: str
    before_minor: int | None
    after_minor: int | None


@dataclass(frozen=True, slots=True)
class MemberFigures:
    """One member's points of the window. `name` only where it was asked for."""

    member_id: int
    before: int
    after: int
    difference: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class SideFigures:
    """Everybody who wins, or everybody who loses."""

    members: int
    points: int
    largest: tuple[MemberFigures, ...]


@dataclass(frozen=True, slots=True)
class TierFigures:
    """Members on a level: now, had the new rules held, and were everybody looked at today.

    `at_review` is by what counts in the present window alone; None where each
    member has a year of their own.
    """

    tier: str
    before: int
    after: int
    at_review: int | None


@dataclass(frozen=True, slots=True)
class RewardFigures:
    """What a reward costs and how many members could pay for it; None where there is none.

    `change` is `more`, `less` or `same` by those members, or `new` or `gone`.
    """

    reward: str
    points_before: int | None
    points_after: int | None
    members_before: int | None
    members_after: int | None
    change: str


@dataclass(frozen=True, slots=True)
class BacktestFigures:
    """The purchases of a window under other rules, against what they were booked under.

    `refused` are purchases that a till would no longer have taken.
    `offer_points` came from offers and are compared nowhere.
    """

    programme: str
    version: int
    currency: str
    since: datetime
    until: datetime
    purchases: int
    members: int
    refused: int
    points_before: int
    points_after: int
    difference: int
    offer_points: int
    stamps_before: int
    stamps_after: int
    rules: tuple[RuleFigures, ...]
    cost: CostFigures
    liability: LiabilityFigures
    winners: SideFigures
    losers: SideFigures
    unchanged: int
    tiers: tuple[TierFigures, ...]
    rewards: tuple[RewardFigures, ...]
    notes: tuple[str, ...] = NOTES


def backtest(
    store: Store,
    *,
    programme: str,
    source: str,
    days: int = 90,
    redemption_rate: Fraction = Fraction(1),
    with_names: bool = False,
    now: datetime,
) -> BacktestFigures:
    """Run the purchases of today and of the `days` before it through the rules of a programme file.

    `redemption_rate` is the share of points believed to be used ever, for
    shops with less than a year of history. Raises ProgrammeUnknown,
    ProgrammeInvalid, and ProgrammeNotComparable for another currency or zone.
    """
    with store.read(snapshot=True) as read:
        loaded = programmes.by_slug(read, programme)
        rules = parse(source, name=programme, say=say)
        _compare(loaded.programme, rules)
        since = day_start(local_date(now, rules.zone) - timedelta(days=days), rules.zone)
        return _Run(read, loaded, rules, since, now).figures(redemption_rate, with_names=with_names)


def _compare(present: Programme, rules: Programme) -> None:
    expected, found = (f"{one.currency}, {one.zone}" for one in (present, rules))
    if expected != found:
        raise ProgrammeNotComparable(expected=expected, found=found)


# The run --------------------------------------------------------------------------------


class _Run:
    """One backtest: reads what happened, lets the new rules run, and counts what really was."""

    def __init__(
        self, read: Read, loaded: Loaded, rules: Programme, since: datetime, until: datetime
    ) -> None:
        self.read = read
        self.loaded = loaded
        self.rules = rules
        self.since = since
        self.until = until
        self.members: dict[int, Member] = {}
        self.kept: dict[int, Kept] = {}
        self.really: Counter[str] = Counter()
        self.offer_points = 0
        self.purchases = 0
        self.first_id = 0
        # Levels are the same when they are reached alike; what they bring may differ.
        self.same_levels = rules.tiering == loaded.programme.tiering and _ladder(rules) == _ladder(
            loaded.programme
        )
        self.rerun = Rerun(rules, used={}, same_levels=self.same_levels, count=self._count)
        self._start_budgets()
        merged: deque[Row] = deque()
        for batch in self._batches():
            if not self.first_id:
                self.first_id = batch.rows[0].id
                merged = deque(history.merged_after(read, loaded.id, self.first_id))
            self._meet({row.member_id for row in batch.rows})
            for row in batch.rows:
                while merged and merged[0].id < row.id:
                    self._unite(merged.popleft())
                self._again(row, batch)
        for one in merged:
            self._unite(one)
        for member in self.members.values():
            self.rerun.catch_up(member, until)

    def _batches(self) -> Iterable[history.Batch]:
        return history.happened(
            self.read,
            self.loaded.id,
            first_day=local_date(self.since, self.rules.zone) - timedelta(days=1),
            since=self.since,
            until=self.until,
        )

    def _unite(self, merged: Row) -> None:
        """Two members go on as one."""
        self._meet({merged.survivor_id, merged.loser_id})
        leaves = self.members.pop(merged.loser_id)
        self.rerun.unite(self.members[merged.survivor_id], leaves, at=instant(merged.at), order=merged.id)

    def _again(self, row: Row, batch: history.Batch) -> None:
        member, reasons = self.members[row.member_id], orjson.loads(row.reasons)
        match row.kind:
            case "accrue":
                self._buy(member, row, reasons, batch)
            case "return":
                self._take_back(member, row, reasons)
            case "undo" if row.voided_by == row.id:
                self._undo(member, row)

    def _buy(
        self, member: Member, row: Row, reasons: Sequence[Mapping[str, Any]], batch: history.Batch
    ) -> None:
        earn = next(reason for reason in reasons if reason["rule"] == "earn")
        parts = _booked_parts(earn)
        offers = sum(parts.pop(key) for key in list(parts) if key.startswith(_OF_OFFER))
        if row.voided_by is None:
            self.purchases += 1
            self.offer_points += offers
        self.really.update(parts)
        booked = Booked(
            id=row.purchase_id,
            at=instant(row.occurred_at),
            place=Place(location=row.location, channel=row.channel),
            basket=batch.baskets[row.purchase_id],
            balance=row.balance_after - row.balance_change,
            carried=earn["carried_before"],
            carried_after=earn["carried_after"],
            points=earn["points"] - offers,
            other_points=row.points - earn["points"],
            stamps=sum(reason["stamps"] for reason in reasons if reason["rule"] == "stamp"),
            earned=Earned.from_json(earn) if row.purchase_id in batch.kept else None,
        )
        if booked.at < self.since:
            self._know_day(member, booked.at, row.id)
        kept = self.rerun.buy(member, booked, order=row.id, rules_then=self._version(row.programme_version))
        if kept is not None:
            self.kept[row.purchase_id] = kept

    def _know_day(self, member: Member, at: datetime, receipt_id: int) -> None:
        """What a day before the window had brought: a till that was offline tells of it only now."""
        zone = self.rules.zone
        day = local_date(at, zone)
        if day not in member.days:
            points, stamps = history.day_before(
                self.read,
                self.loaded.id,
                member.id,
                since=day_start(day, zone),
                until=next_day_start(at, zone),
                start=self.since,
                receipt_id=receipt_id,
            )
            member.days[day] = [points, stamps]

    def _take_back(self, member: Member, row: Row, reasons: Sequence[Mapping[str, Any]]) -> None:
        told = next(reason for reason in reasons if reason["rule"] == "return")
        kept = self.kept.get(row.purchase_id) or self._old(row.purchase_id, told["receipt"], row.id)
        self.kept[row.purchase_id] = kept
        if kept.counts:
            self.really[RETURNS] -= told["unearned"]
        self.rerun.take_back(
            member,
            kept,
            [BackLine(**line) for line in told["lines"]],
            taken_really=told["unearned"],
            stamps_really=told["stamps"],
            short=told["short"],
            at=instant(row.happened_at),
            order=row.id,
        )

    def _undo(self, member: Member, row: Row) -> None:
        kept = self.kept.pop(row.purchase_id, None) or self._old(row.purchase_id, row.undoes, row.id)
        before = member.points_really
        self.rerun.undo(
            member,
            kept,
            last_purchase_at=history.last_purchase_before(
                self.read, self.loaded.id, row.member_id, besides=row.purchase_id, receipt_id=row.id
            ),
            order=row.id,
        )
        if kept.counts:
            self.really.subtract(
                {
                    key: points
                    for key, points in parts_of_earned(kept.really).items()
                    if not key.startswith(_OF_OFFER)
                }
            )
            self.really[RETURNS] += kept.booked.points - (before - member.points_really)

    def _old(self, purchase_id: int, receipt_id: int, before: int) -> Kept:
        """A purchase of before the window, as it stood before a receipt."""
        row = history.receipt_of(self.read, self.loaded.id, receipt_id)
        sale = returned.sale(self.read, self.loaded.id, purchase_id)
        assert sale is not None
        earned = _earned_of(row)
        back, taken = history.back_before(self.read, self.loaded.id, purchase_id, before)
        booked = Booked(
            id=purchase_id,
            at=sale.occurred_at,
            place=Place(),
            basket=sale.basket,
            balance=0,
            carried=earned.carried_before,
            carried_after=earned.carried_after,
            points=earned.points,
            other_points=0,
            stamps=0,
            earned=earned,
        )
        rules_then = self._version(row.programme_version)
        return Kept.of(booked, earned, earned, rules_then, back=back, counts=False, taken=taken)

    def _version(self, version: int) -> Programme:
        return programmes.at_version(self.read, self.loaded.id, version)

    def _count(
        self, member_id: int, since: datetime | None, until: datetime | None
    ) -> tuple[int, datetime | None]:
        window = due.MetricWindow(member_id, since, until)
        (found,) = due.metrics(self.read, self.loaded.id, self.rules.tiering.metric, [window])
        return found.value, found.last_purchase_at

    # How it began -----------------------------------------------------------------------

    def _meet(self, ids: Iterable[int]) -> None:
        """Get to know members as they were when the window began."""
        new = [member_id for member_id in ids if member_id not in self.members]
        if not new:
            return
        rules, start, programme_id = self.rules, self.since, self.loaded.id
        rows = history.members_of(self.read, programme_id, new)
        counts_since = {}
        for member_id in new:
            joined_at = instant(rows[member_id].joined_at)
            first, _ = window_of(rules.tiering, start, rules.zone, joined_at)
            counts_since[member_id] = first or _LONG_AGO
        before = history.before(self.read, programme_id, counts_since, start=start)
        changes = history.changes_since(self.read, programme_id, new, receipt_id=self.first_id)
        answers: Mapping[int, Sequence[Row]] = {}
        if rules.earning.asks_consent:
            answers = history.answers_of(self.read, programme_id, new)
        stamped: Mapping[int, datetime] = {}
        if rules.stamps and rules.stamps.minutes_between:
            stamped = history.stamped_before(self.read, programme_id, new, start=start)
        by_points = bool(rules.tiers) and rules.tiering.metric is TierMetric.POINTS
        points: Mapping[int, Mapping[int, int]] = {}
        if by_points:
            points = history.points_before(self.read, programme_id, counts_since, start=start)
        old: Mapping[int, Sequence[history.OldPurchase]] = {}
        if rules.tiers and rules.tiering.window is TierWindow.ROLLING:
            old = history.purchases_before(self.read, programme_id, counts_since, start=start)
        for member_id in new:
            known = before.get(member_id, history.Before())
            earned = points.get(member_id, {})
            metric = {
                TierMetric.SPEND: known.spend,
                TierMetric.VISITS: known.visits,
                TierMetric.POINTS: sum(earned.values()),
            }[rules.tiering.metric]
            changed = changes.get(member_id, ())
            row = rows[member_id]
            self.members[member_id] = Member(
                id=member_id,
                joined_at=instant(row.joined_at),
                language=row.language,
                level=self._level(row, changed, metric),
                purchases=known.purchases,
                last_purchase_at=known.last_purchase_at,
                last_stamp_at=stamped.get(member_id),
                used=self._used_by(member_id),
                answers=[(one.id, one.purpose, bool(one.given)) for one in answers.get(member_id, ())],
                counted={
                    one.id: Counted(one.at, one.net_minor, earned.get(one.id, 0), one.returned_minor)
                    for one in old.get(member_id, ())
                },
                changes=[
                    Change(one.id, instant(one.at), one.from_key, one.to_key, one.cause)
                    for one in changed
                    if self._is_by_itself(one)
                ],
            )

    def _level(self, row: Row, changed: Sequence[Row], metric: int) -> TierStanding:
        """The tier of then. Until when it was held is known where it has not changed since."""
        rules = self.rules
        is_dated = not changed and not self.same_levels
        return TierStanding(
            tier=changed[0].from_key if changed else row.tier,
            tier_until=instant_or_none(row.tier_until) if is_dated else None,
            tier_due_at=instant_or_none(row.tier_due_at) if is_dated else None,
            tier_waiting=None,
            metric_period=period_of(rules.tiering, self.since, rules.zone, instant(row.joined_at)),
            metric=metric,
        )

    def _is_by_itself(self, change: Row) -> bool:
        """Whether a change of tier does not follow from the purchases that are run again."""
        if change.cause == "upgrade":
            return change.receipt_id is None
        return change.cause in ("review", "by_hand") or (
            change.cause in ("return", "merge") and self.same_levels
        )

    def _start_budgets(self) -> None:
        """What bounded multipliers had added when the window began: all by now, less what the window did."""
        used = {
            one.key: allowances.used(self.read, self.loaded.id, _BUDGET + one.key)
            for one in self.rules.earning.multipliers
            if one.budget_points is not None or one.member_points is not None
        }
        self._charged: dict[int, Counter[str]] = {}
        self._budgets: tuple[str, ...] = ()
        if not any(used.values()):
            return
        self._budgets = tuple(used)
        for batch in self._batches():
            for row in batch.rows:
                if taken := self._taken(row):
                    self._charged.setdefault(row.member_id, Counter()).update(taken)
        for of_member in self._charged.values():
            for key in used:
                used[key] -= of_member[key]
        self.rerun.used.update({key: max(points, 0) for key, points in used.items()})

    def _taken(self, row: Row) -> Mapping[str, int]:
        """What a receipt took from budgets by now, negative where it gave back."""
        reasons = orjson.loads(row.reasons)
        if row.kind == "accrue" and row.voided_by is None:
            earn = next(reason for reason in reasons if reason["rule"] == "earn")
            return {one["key"]: one["charged"] for one in earn["multipliers"] if one["charged"]}
        if row.kind == "return":
            told = next(reason for reason in reasons if reason["rule"] == "return")
            kept = self._old(row.purchase_id, told["receipt"], row.id)
            after = left(kept.here, [BackLine(**line) for line in told["lines"]])
            nets = [earning_left(kept.really, kept.lines, here) for here in (kept.here, after)]
            back = take_back(
                kept.rules_then.earning, kept.really, before=nets[0], after=nets[1], carried=None
            )
            return {key: -points for key, points in back.budgets.items()}
        if row.kind == "undo" and row.voided_by == row.id:
            made = history.receipt_of(self.read, self.loaded.id, row.undoes)
            if instant(made.recorded_at) < self.since:
                return {key: -points for key, points in _earned_of(made).budgets.items()}
        return {}

    def _used_by(self, member_id: int) -> dict[str, int]:
        """What bounded multipliers had added for a member when the window began."""
        if not self._budgets:
            return {}
        had = allowances.member_used(self.read, self.loaded.id, member_id)
        charged = self._charged.get(member_id, Counter())
        return {
            key: max(had[_BUDGET + key][0] - charged[key], 0) for key in self._budgets if _BUDGET + key in had
        }

    # Figures ----------------------------------------------------------------------------

    def figures(self, redemption_rate: Fraction, *, with_names: bool) -> BacktestFigures:
        """What came of it all."""
        before = sum(member.points_really for member in self.members.values())
        after = sum(member.points for member in self.members.values())
        changed = [
            MemberFigures(one.id, one.points_really, one.points, one.points - one.points_really)
            for one in self.members.values()
            if one.points != one.points_really
        ]
        winners = _side([one for one in changed if one.difference > 0])
        losers = _side([one for one in changed if one.difference < 0])
        if with_names:
            winners, losers = self._named(winners), self._named(losers)
        tiers, rewards = self._everybody()
        return BacktestFigures(
            programme=self.loaded.slug,
            version=self.loaded.version,
            currency=self.rules.currency,
            since=self.since,
            until=self.until,
            purchases=self.purchases,
            members=len(self.members),
            refused=self.rerun.refused,
            points_before=before,
            points_after=after,
            difference=after - before,
            offer_points=self.offer_points,
            stamps_before=sum(member.stamps_really for member in self.members.values()),
            stamps_after=sum(member.stamps for member in self.members.values()),
            rules=self._by_rule(),
            cost=self._cost(before, after),
            liability=self._liability(after - before, redemption_rate),
            winners=winners,
            losers=losers,
            unchanged=len(self.members) - len(changed),
            tiers=tiers,
            rewards=rewards,
        )

    def _by_rule(self) -> tuple[RuleFigures, ...]:
        keys = sorted({*self.really, *self.rerun.parts}, key=lambda key: (key != "base", key))
        rows = (RuleFigures(key, self.really[key], self.rerun.parts.get(key, 0)) for key in keys)
        return tuple(row for row in rows if row.before or row.after)

    def _cost(self, before: int, after: int) -> CostFigures:
        (worth_before, from_before), (worth_after, from_after) = map(
            point_worth, (self.loaded.programme, self.rules)
        )
        before_minor = None if worth_before is None else to_minor(before * worth_before)
        after_minor = None if worth_after is None else to_minor(after * worth_after)
        known = before_minor is not None and after_minor is not None
        return CostFigures(
            before_minor,
            after_minor,
            (after_minor or 0) - (before_minor or 0) if known else None,
            None if worth_before is None else worth_before * 100,
            None if worth_after is None else worth_after * 100,
            from_before,
            from_after,
        )

    def _liability(self, more: int, stated: Fraction) -> LiabilityFigures:
        found = insights.outstanding(self.read, self.loaded.id)
        after = Outstanding(found.pending, max(found.available + more, 0), found.held, found.deficit)
        rate, rate_from = self._redemption_rate(stated)
        minor = [
            None if worth is None else outstanding.liability_minor(cost_minor=worth, redemption_rate=rate)
            for outstanding, (worth, _) in (
                (found, point_worth(self.loaded.programme)),
                (after, point_worth(self.rules)),
            )
        ]
        return LiabilityFigures(found.points, after.points, rate, rate_from, minor[0], minor[1])

    def _redemption_rate(self, stated: Fraction) -> tuple[Fraction, str]:
        """Of the points that are a year old or older, the share that was used; else what was stated."""
        zone = self.rules.zone
        year_ago = day_start(add_months(local_date(self.until, zone), -HISTORY_MONTHS), zone)
        first_at = history.first_points_at(self.read, self.loaded.id)
        if first_at is None or first_at >= year_ago:
            return stated, "stated"
        cohort = insights.issue_cohort(self.read, self.loaded.id, since=first_at, until=year_ago)
        rate = cohort.redemption_rate
        return (stated, "stated") if rate is None else (rate, "history")

    def _named(self, side: SideFigures) -> SideFigures:
        names = history.names_of(self.read, self.loaded.id, [one.member_id for one in side.largest])
        return replace(
            side, largest=tuple(replace(one, name=names.get(one.member_id)) for one in side.largest)
        )

    def _everybody(self) -> tuple[tuple[TierFigures, ...], tuple[RewardFigures, ...]]:
        """Where all open members stand and what they can pay for, now and had the new rules held."""
        now: Counter[tuple[str | None, int]] = Counter()
        then: Counter[tuple[str | None, int]] = Counter()
        present, rules = self.loaded.programme, self.rules
        gained: Counter[int] = Counter()
        for row in history.everybody(self.read, self.loaded.id):
            member = self.members.get(row.id)
            now[_known(present, row.tier), row.balance] += 1
            if member is None:
                then[_known(rules, row.tier), row.balance] += 1
            else:
                more = member.points - member.points_really
                then[_known(rules, member.level.tier), row.balance + more] += 1
                gained[row.id] = more
        standing, standing_then = (_by_tier(stand) for stand in (now, then))
        reviewed = self._reviewed(sum(now.values()), gained)
        keys = dict.fromkeys(tier.key for rule in (rules, present) for tier in rule.tiers)
        tiers = tuple(
            TierFigures(key, standing[key], standing_then[key], None if reviewed is None else reviewed[key])
            for key in keys
        )
        rewards = dict.fromkeys(reward.key for rule in (present, rules) for reward in rule.rewards)
        return tiers, tuple(_reward(key, present, rules, now, then) for key in rewards)

    def _reviewed(self, members: int, gained: Mapping[int, int]) -> Counter[str] | None:
        """Members on each level by what counts in the present window alone."""
        rules = self.rules
        if rules.tiering.window is TierWindow.MEMBERSHIP_YEAR or not rules.tiers:
            return None
        since, until = window_of(rules.tiering, self.until, rules.zone, self.until)
        found: Counter[str] = Counter()
        if rules.tiering.metric is TierMetric.POINTS:
            counted = Counter(
                points + gained.get(member_id, 0)
                for member_id, points in history.points_counted(
                    self.read, self.loaded.id, since=since, until=until
                )
            )
        else:
            counted = Counter(
                history.counted(self.read, self.loaded.id, rules.tiering.metric, since=since, until=until)
            )
        counted[0] += members - sum(counted.values())
        for metric, people in counted.items():
            tier = tier_for(rules.tiers, metric)
            assert tier is not None
            found[tier.key] += people
        return found


_Standing = Counter[tuple[str | None, int]]


def _known(rules: Programme, key: str | None) -> str | None:
    """A tier that the rules know; the lowest where they do not."""
    tier: Tier | None = rules.tier(key) or tier_for(rules.tiers, 0)
    return tier.key if tier else None


def _by_tier(standing: _Standing) -> Counter[str]:
    found: Counter[str] = Counter()
    for (tier, _), people in standing.items():
        if tier is not None:
            found[tier] += people
    return found


def _side(rows: Sequence[MemberFigures]) -> SideFigures:
    largest = nlargest(LARGEST, rows, key=lambda one: (abs(one.difference), -one.member_id))
    return SideFigures(len(rows), sum(one.difference for one in rows), tuple(largest))


def _reward(key: str, present: Programme, rules: Programme, now: _Standing, then: _Standing) -> RewardFigures:
    before, after = (
        next((one for one in programme.rewards if one.key == key), None) for programme in (present, rules)
    )
    able_before, able_after = _able(before, now), _able(after, then)
    if able_before is None or able_after is None:
        change = "new" if able_before is None else "gone"
    else:
        change = "same" if able_before == able_after else "more" if able_after > able_before else "less"
    return RewardFigures(
        key,
        before.points if before else None,
        after.points if after else None,
        able_before,
        able_after,
        change,
    )


def _able(reward: Reward | None, standing: _Standing) -> int | None:
    """How many members could pay for a reward and may have it."""
    if reward is None:
        return None
    return sum(
        people
        for (tier, balance), people in standing.items()
        if balance >= max(reward.price(tier), reward.least_points)
        and (not reward.tiers or tier in reward.tiers)
    )


def _ladder(rules: Programme) -> list[tuple[str, int]]:
    return [(tier.key, tier.threshold) for tier in rules.tiers]


def _earned_of(row: Row) -> Earned:
    return Earned.from_json(next(one for one in orjson.loads(row.reasons) if one["rule"] == "earn"))


def _booked_parts(earn: Mapping[str, Any]) -> dict[str, int]:
    return parts_of(
        earn["points"],
        missed=earn["missed"] is not None,
        multipliers=((one["key"], one["points"]) for one in earn["multipliers"]),
        bonuses=((one["key"], one["points"]) for one in earn["bonuses"] if one["counts"]),
        cuts=((one["cap"], one["lost"]) for one in earn["cuts"]),
    )
