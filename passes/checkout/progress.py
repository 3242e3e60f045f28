"""What a purchase moves besides points: stamps and tiers."""

from __future__ import annotations

from passes.booking import Booking
from passes.loyalty import dates
from passes.loyalty.basket import Basket
from passes.loyalty.ledger import PostingKind
from passes.loyalty.rewards import Reward, RewardKind
from passes.loyalty.stamps import STAMPS, StampRule, rewards_from, stamps_for
from passes.loyalty.tiers import (
    TierMetric,
    TierStanding,
    TierStep,
    TierWindow,
    after_purchase,
    grant_name,
    window_of,
)
from passes.store import Read, allowances, due, journal, tiers
from passes.store.instants import instant, instant_or_none
from passes.store.members import Standing


def level(booking: Booking) -> TierStanding:
    """Where the member stands before the purchase: asked before it is written, for it is not to count yet."""
    standing, rules = booking.standing, booking.loaded.programme
    if not rules.tiers or rules.tiering.window is not TierWindow.ROLLING:
        return standing.level
    joined_at = instant(standing.joined_at)
    since, until = window_of(rules.tiering, booking.occurred_at, rules.zone, joined_at)
    window = due.MetricWindow(standing.member_id, since, until)
    (found,) = due.metrics(booking.work, booking.loaded.id, rules.tiering.metric, [window])
    return standing.on_metric(found.value).level


def climb(booking: Booking, before: TierStanding, *, amount_minor: int, points: int) -> TierStep:
    """The tier after the purchase; an upgrade is written down, and what comes with it is given."""
    loaded, standing = booking.loaded, booking.standing
    rules = loaded.programme
    added = {TierMetric.SPEND: amount_minor, TierMetric.POINTS: points, TierMetric.VISITS: 1}
    step = after_purchase(
        rules.tiering,
        rules.tiers,
        before,
        added=added[rules.tiering.metric],
        at=booking.occurred_at,
        zone=rules.zone,
        joined_at=instant(standing.joined_at),
    )
    if step.change is None:
        return step
    # Kept as it was, so that the purchase can be undone whole.
    was = {
        "tier": standing.tier,
        "tier_until": standing.tier_until,
        "tier_due_at": standing.tier_due_at,
        "tier_waiting": standing.tier_waiting,
    }
    booking.reasons.append({"rule": "tier", "change": step.change, "tier": step.tier, "was": was})
    if step.change == "upgrade":
        tiers.add_change(
            booking.work,
            programme_id=loaded.id,
            member_id=standing.member_id,
            from_key=standing.tier,
            to_key=step.tier,
            cause="upgrade",
            metric_period=step.metric_period,
            metric=step.metric,
            receipt_id=booking.id,
            reason=None,
            now=booking.now,
        )
        _grant(booking, step)
    return step


def _grant(booking: Booking, step: TierStep) -> None:
    """The rewards that come with a tier: once per member, tier and qualification period."""
    loaded = booking.loaded
    tier = loaded.programme.tier(step.tier)
    if tier is None or not tier.grants:
        return
    name, member_id = grant_name(tier.key, step.metric_period), booking.standing.member_id
    if allowances.member_take(booking.work, loaded.id, member_id, name, 1, now=booking.now) == 1:
        for key in tier.grants:
            booking.issue(loaded.programme.reward(key), source="tier")


def stamp(booking: Booking, basket: Basket) -> bool:
    """The stamps of the purchase, and the rewards that they fill up to. Whether there were any."""
    rule, standing, zone = booking.loaded.programme.stamps, booking.standing, booking.loaded.programme.zone
    if rule is None:
        return False
    day_stamps = 0
    if rule.day_limit is not None:
        day_stamps = journal.stamped_between(
            booking.work,
            booking.loaded.id,
            standing.member_id,
            since=dates.day_start(dates.local_date(booking.occurred_at, zone), zone),
            until=dates.next_day_start(booking.occurred_at, zone),
        )
    earned = stamps_for(
        rule,
        basket,
        at=booking.occurred_at,
        last_stamp_at=instant_or_none(standing.last_stamp_at),
        day_stamps=day_stamps,
    )
    if not earned.count:
        return False
    balance = stamps_of(booking.work, booking.loaded.id, standing)
    lasts = None
    if rule.months:
        day = dates.add_months(dates.local_date(booking.occurred_at, zone), rule.months)
        lasts = dates.day_start(day, zone)
    booking.credit(earned.count, asset=STAMPS, stamps_balance=balance, expires_at=lasts)
    punched = rewards_from(rule, balance, earned.count)
    booking.reasons.append(
        {
            "rule": "stamp",
            "stamps": earned.count,
            "fewer": earned.reason,
            "rewards": punched.rewards,
            "balance": punched.balance,
        }
    )
    for _ in range(punched.rewards):
        booking.spend(rule.target, asset=STAMPS)
        booking.issue(stamped_reward(rule), source="stamps")
    surplus = balance + earned.count - punched.rewards * rule.target - punched.balance
    if surplus:
        booking.spend(surplus, kind=PostingKind.EXPIRE, asset=STAMPS)
    return True


def stamps_of(read: Read, programme_id: int, standing: Standing) -> int:
    """How many stamps the member has."""
    if standing.stamps_account_id is None:
        return 0
    return journal.balance_of(read, programme_id, standing.stamps_account_id)


def stamped_reward(rule: StampRule) -> Reward:
    """What a full punch card is worth, as a reward."""
    return Reward(
        key=STAMPS,
        name=rule.name,
        points=0,
        kind=RewardKind.FREE_ITEM,
        amount_minor=rule.reward_minor,
        categories=rule.categories,
        skus=rule.skus,
        valid_days=rule.reward_valid_days,
    )
