"""Levels are reviewed when they are over, and upgrades that were held back are looked at again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import datetime

from passes.due_work.gifts import give
from passes.due_work.turns import each
from passes.loyalty import lasting, tiers
from passes.loyalty.lasting import ExpiryKind
from passes.loyalty.programme import Programme
from passes.loyalty.tiers import Tier, TierStep
from passes.store import Store, Work, allowances, due
from passes.store.due import DueMember, Metric, MetricWindow
from passes.store.instants import micros
from passes.store.programmes import Loaded


def review_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Review levels whose validity and grace are over, and look again at upgrades that were held back.

    Returns how many members were looked at.
    """

    def decide(work: Work, loaded: Loaded, most: int) -> int:
        found = due.due_members(work, loaded.id, at=now, limit=most)
        steps = list(zip(found, _steps(work, loaded, found, now), strict=True))
        due.keep_levels(work, loaded.id, steps, now=now)
        rules = loaded.programme
        again: dict[int, int | None] = {}
        for one, step in steps:
            before, after = rules.tier(one.standing.tier), rules.tier(step.tier)
            if after and (before is None or after.threshold > before.threshold):
                _grant(work, loaded, one, after, step, now)
            if rules.points.expiry.kind is ExpiryKind.INACTIVITY and before and before.points_last:
                lapse_at = lasting.lapse_at(rules.points, now, rules.zone, after)
                again[one.id] = None if lapse_at is None else micros(lapse_at)
        due.lapse_again(work, loaded.id, again)
        return len(found)

    return each(store, decide, limit)


def _steps(work: Work, loaded: Loaded, found: Sequence[DueMember], now: datetime) -> list[TierStep]:
    """Where each of these members stands after what was due."""
    rule, zone = loaded.programme.tiering, loaded.programme.zone
    windows: list[MetricWindow] = []
    for one in found:
        at, standing = one.standing.tier_due_at or now, one.standing
        if standing.tier_waiting:
            since, ripe, until = tiers.ripe_window(rule, at, zone, one.joined_at)
            windows += [MetricWindow(one.id, since, ripe), MetricWindow(one.id, since, until)]
        if standing.tier_until:
            window = tiers.review_window(rule, standing.tier_until, now, zone, one.joined_at)
            windows.append(MetricWindow(one.id, *window))
    counted = iter(due.metrics(work, loaded.id, rule.metric, windows))
    return [_step_of(loaded.programme, one, counted, now) for one in found]


def _step_of(rules: Programme, one: DueMember, counted: Iterator[Metric], now: datetime) -> TierStep:
    rule, zone, standing = rules.tiering, rules.zone, one.standing
    at = standing.tier_due_at or now
    step = TierStep(*(getattr(standing, field.name) for field in fields(standing)))
    if standing.tier_waiting:
        step = tiers.after_delay(
            rule,
            rules.tiers,
            standing,
            metric=next(counted).value,
            coming=next(counted).value,
            at=at,
            zone=zone,
            joined_at=one.joined_at,
        )
    window = next(counted) if standing.tier_until else None
    review_at = tiers.review_at(rule, standing.tier_until, zone)
    if window and step.tier_until == standing.tier_until and review_at and review_at <= now:
        return tiers.after_review(
            rule,
            rules.tiers,
            step,
            metric=window.value,
            last_purchase_at=window.last_purchase_at,
            now=now,
            zone=zone,
            joined_at=one.joined_at,
        )
    if not standing.tier_waiting:
        # Nothing was due but the look itself: it was set for a rule that has changed since.
        return replace(step, tier_due_at=review_at)
    return step


def _grant(work: Work, loaded: Loaded, one: DueMember, tier: Tier, step: TierStep, now: datetime) -> None:
    """A level's free rewards, once for each qualification period."""
    if not tier.grants:
        return
    name = tiers.grant_name(tier.key, step.metric_period)
    if allowances.member_take(work, loaded.id, one.id, name, 1, now=now) > 1:
        return
    for key in tier.grants:
        give(work, loaded, one.id, one.card_id, key, source="tier", until=None, now=now)
