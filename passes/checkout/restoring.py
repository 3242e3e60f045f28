"""What a purchase moved besides its own points is moved back: rewards, stamps, budgets, tiers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from passes.booking import Booking
from passes.checkout import progress, purchases
from passes.loyalty.earned import Earned
from passes.loyalty.ledger import POINTS, PostingKind
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import RewardUnknown
from passes.loyalty.returns import SoldLine, given_back, paid_by_reward
from passes.loyalty.rewards import RewardKind
from passes.loyalty.stamps import STAMPS, StampRule, take_stamps_back
from passes.loyalty.tiers import TierStanding, TierWindow, after_return, period_of, window_of
from passes.store import Row, allowances, due, journal, members, redemptions, tiers
from passes.store.instants import instant, micros
from passes.store.members import Standing
from passes.store.returns import Sold

# Parts of a reward that costs nothing, to see whether all of it came back.
_WHOLE = 1_000_000


def earned_by(row: Row) -> Earned:
    """What a stored receipt of a purchase says it earned."""
    (earned,) = [reason for reason in json.loads(row.reasons) if reason["rule"] == "earn"]
    return Earned.from_json(earned)


def budgets_back(booking: Booking, budgets: Mapping[str, int]) -> None:
    """Bounded multipliers have added so much less."""
    for key, points in budgets.items():
        name = purchases.budget_name(key)
        allowances.give_back(booking.work, booking.loaded.id, name, points)
        allowances.member_give_back(booking.work, booking.loaded.id, booking.standing.member_id, name, points)


# What was spent on it -----------------------------------------------------------------


def give_back_spent(
    booking: Booking,
    sale: Sold,
    lines: Sequence[SoldLine],
    *,
    before: Sequence[SoldLine],
    after: Sequence[SoldLine],
) -> int:
    """Put points and rewards that were used in a purchase back, in proportion to what comes back.

    Points return to their old lots; a reward that cost none is there again.
    Returns how much of the price was paid with points as a tender: that is not
    refunded in money.
    """
    work, loaded = booking.work, booking.loaded
    tender_minor = 0
    for one in redemptions.of_purchase(work, loaded.id, sale.id):
        if one.state != redemptions.USED:
            continue
        kind = _kind_of(loaded.programme, one.reward_key)
        spent, worth_minor = _spent(booking, one)
        is_tender = (
            kind is RewardKind.POINTS_AS_MONEY
            and worth_minor <= sale.basket.unearning_minor
            and worth_minor > sale.basket.gross_minor - sale.net_minor
        )
        weights = paid_by_reward(kind, lines, is_tender=is_tender)
        back = given_back(spent, weights, lines, after) - given_back(spent, weights, lines, before)
        if back:
            (spending,) = _taking(booking, one)
            booking.restore(spending, amount=back)
        if is_tender:
            tender_minor += given_back(worth_minor, weights, lines, after)
            tender_minor -= given_back(worth_minor, weights, lines, before)
        is_whole = given_back(_WHOLE, weights, lines, after) == _WHOLE
        if is_whole:
            redemptions.change(work, loaded.id, one.id, was=redemptions.USED, becomes=redemptions.RESTORED)
            booking.give_back_stock(one.reward_key)
            if one.source != "points":
                _issue_again(booking, one)
        if back or is_whole:
            booking.reasons.append({"rule": "restore", "reward": one.reward_key, "points": back})
    return tender_minor


def _kind_of(rules: Programme, reward_key: str) -> RewardKind | None:
    if reward_key == STAMPS:
        return RewardKind.FREE_ITEM
    try:
        return rules.reward(reward_key).kind
    except RewardUnknown:
        return None


def _spent(booking: Booking, one: Row) -> tuple[int, int]:
    """The points that a used reward took, and what it was worth: a hold may have been captured in part."""
    worth_minor = one.amount_minor or 0
    hold = redemptions.hold_by_id(booking.work, booking.loaded.id, one.receipt_id)
    if hold is None or not hold.amount:
        return one.points, worth_minor
    return hold.captured, worth_minor * hold.captured // hold.amount


def _taking(booking: Booking, one: Row) -> list[Row]:
    """The posting that took the points of a reward out of their lots."""
    entries = journal.postings_of(booking.work, booking.loaded.id, one.receipt_id)
    took = (PostingKind.HOLD, PostingKind.REDEEM)
    return [entry for entry in entries if entry.kind in took and entry.asset == POINTS]


def _issue_again(booking: Booking, one: Row) -> None:
    """A reward that cost no points can be used again, and lasts as it did or for the days of grace."""
    points = booking.loaded.programme.points
    grace = booking.now + timedelta(days=points.restore_grace_days)
    redemptions.add(
        booking.work,
        programme_id=booking.loaded.id,
        member_id=booking.standing.member_id,
        card_id=booking.standing.card_id,
        reward_key=one.reward_key,
        source=one.source,
        points=0,
        amount_minor=one.amount_minor,
        state=redemptions.ISSUED,
        receipt_id=booking.id,
        purchase_id=None,
        expires_at=None if one.expires_at is None else max(instant(one.expires_at), grace),
        now=booking.now,
    )


# Stamps -------------------------------------------------------------------------------


def stamps_back(booking: Booking, rule: StampRule, receipt_id: int, given: Sequence[int], taken: int) -> None:
    """Take back stamps of a purchase, `given` being their postings, and with them rewards not used yet."""
    work, loaded = booking.work, booking.loaded
    balance = progress.stamps_of(work, loaded.id, booking.standing)
    unused = _unused_stamp_rewards(booking, receipt_id)
    revoked = take_stamps_back(rule, balance, taken, unused_rewards=len(unused)).revoked
    for redemption_id, entry in unused[:revoked]:
        redemptions.change(
            work, loaded.id, redemption_id, was=redemptions.ISSUED, becomes=redemptions.CANCELLED
        )
        booking.restore(entry, amount=entry.amount)
    booking.claw_back(taken, first=given, asset=STAMPS)


def _unused_stamp_rewards(booking: Booking, receipt_id: int) -> list[tuple[int, Row]]:
    """The member's unused rewards of a punch card, each with the posting of its stamps.

    Those that this purchase filled come first, then the newest.
    """
    found = []
    for one in redemptions.issued_to(booking.work, booking.loaded.id, booking.standing.member_id):
        lapsed = one.expires_at is not None and one.expires_at <= micros(booking.now)
        if one.source == "stamps" and not lapsed and (entry := _stamps_of_reward(booking, one)):
            found.append((one.receipt_id != receipt_id, -one.id, entry))
    return [(-negative, entry) for _, negative, entry in sorted(found, key=lambda one: one[:2])]


def _stamps_of_reward(booking: Booking, one: Row) -> Row | None:
    """The posting that turned stamps into this reward; None where it was given again without any."""
    postings = journal.postings_of(booking.work, booking.loaded.id, one.receipt_id)
    spent = [entry for entry in postings if entry.kind == PostingKind.REDEEM and entry.asset == STAMPS]
    issued = [
        other.id
        for other in redemptions.of_receipt(booking.work, booking.loaded.id, one.receipt_id)
        if other.source == "stamps"
    ]
    # They were written in pairs.
    return dict(zip(issued, spent, strict=False)).get(one.id)


# How the member stands -----------------------------------------------------------------


class LevelBefore:
    """What counts towards tiers in the present window and in the one before, asked before anything moves."""

    def __init__(self, booking: Booking) -> None:
        rules, standing = booking.loaded.programme, booking.standing
        joined_at = instant(standing.joined_at)
        self.since, self.until = window_of(rules.tiering, booking.occurred_at, rules.zone, joined_at)
        windows = [due.MetricWindow(standing.member_id, self.since, self.until)]
        self.earlier_since: datetime | None = None
        is_yearly = rules.tiering.window in (TierWindow.CALENDAR_YEAR, TierWindow.MEMBERSHIP_YEAR)
        if is_yearly and self.since is not None:
            earlier_at = self.since - timedelta(microseconds=1)
            self.earlier_since, _ = window_of(rules.tiering, earlier_at, rules.zone, joined_at)
            windows.append(due.MetricWindow(standing.member_id, self.earlier_since, self.since))
        found = due.metrics(booking.work, booking.loaded.id, rules.tiering.metric, windows)
        self.present = found[0].value
        self.earlier = found[1].value if len(found) > 1 else 0

    def less(self, lost: int, sold_at: datetime) -> tuple[int, int]:
        """Both without what came back of a sale."""
        if (self.since is None or self.since <= sold_at) and (self.until is None or sold_at < self.until):
            return self.present - lost, self.earlier
        if self.earlier_since is not None and self.earlier_since <= sold_at:
            return self.present, self.earlier - lost
        return self.present, self.earlier


def stand_after_return(
    booking: Booking,
    level: LevelBefore | None,
    *,
    sold_at: datetime,
    lost: int,
    carried: str | None,
    is_all: bool,
) -> None:
    """Keep how the member stands after a return: less towards tiers in the period of the sale alone."""
    rules, standing = booking.loaded.programme, booking.standing
    joined_at = instant(standing.joined_at)
    standing = replace(standing, carried=carried, purchases=standing.purchases - int(is_all))
    if counts_still(rules, standing, sold_at, booking.occurred_at):
        standing = standing.on_metric(standing.metric - lost)
    if level is not None:
        metric, earlier = level.less(lost, sold_at)
        step = after_return(
            rules.tiering,
            rules.tiers,
            standing.level,
            metric=metric,
            earlier=earlier,
            at=booking.occurred_at,
            zone=rules.zone,
            joined_at=joined_at,
        )
        if step.change is not None:
            log_step(booking, standing.tier, step, cause="return")
        standing = standing.on_level(step)
    booking.standing = standing
    members.keep(booking.work, booking.loaded.id, standing)


def counts_still(rules: Programme, standing: Standing, sold_at: datetime, at: datetime) -> bool:
    """Whether a sale is part of what the member's row counts towards tiers."""
    joined_at = instant(standing.joined_at)
    if rules.tiering.window is TierWindow.ROLLING:
        since, _ = window_of(rules.tiering, at, rules.zone, joined_at)
        return since is None or since <= sold_at
    return period_of(rules.tiering, sold_at, rules.zone, joined_at) == standing.metric_period


def log_step(booking: Booking, from_key: str | None, step: TierStanding, *, cause: str) -> None:
    """Write down that a member's tier changed."""
    booking.reasons.append({"rule": "tier", "change": cause, "tier": step.tier})
    tiers.add_change(
        booking.work,
        programme_id=booking.loaded.id,
        member_id=booking.standing.member_id,
        from_key=from_key,
        to_key=step.tier,
        cause=cause,
        metric_period=step.metric_period,
        metric=step.metric,
        receipt_id=booking.id,
        reason=None,
        now=booking.now,
    )
