"""Everything that is the one member's becomes the other's, and is written down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from passes.loyalty import tiers
from passes.loyalty.dates import local_date
from passes.loyalty.earning import carried_points, carried_text
from passes.loyalty.ledger import POINTS, Bucket, PostingKind
from passes.loyalty.programme import Programme
from passes.loyalty.stamps import STAMPS
from passes.loyalty.tiers import TierStanding, TierWindow
from passes.merging.side import Merged, Side, answer, fresh_until, kept, log_tier, side_of, write_person
from passes.store import Work, allowances, cards, club, journal, members, redemptions, team
from passes.store import merging as rows
from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.members import Standing
from passes.store.merging import Gift
from passes.store.programmes import Loaded


def unite(
    work: Work, loaded: Loaded, stays: Standing, leaves: Standing, proof: str, by: str, now: datetime
) -> Merged:
    """Merge two members whose rows are locked. What is moved is kept with the merge."""
    leaving_id, staying_id = leaves.member_id, stays.member_id
    merge_id = new_id(now)
    staying = side_of(work, loaded, stays, by, now)
    leaving = side_of(work, loaded, leaves, by, now)
    detail: dict[str, Any] = {
        "survivor": kept(stays),
        "loser": {"tier_due_at": leaves.tier_due_at, "points_lapse_at": leaves.points_lapse_at},
    }
    detail["lots"], detail["holes"] = _move_points(leaving, staying)
    detail["taken"] = _given_twice(staying, leaving, detail["lots"])
    detail["welcome"] = _welcome(staying, leaving)
    standing, whole = _joined(loaded.programme, staying.standing, leaving.standing, now)
    if whole:
        # What rounding had left to both makes a whole point together.
        staying.credit(whole, expires_at=fresh_until(loaded.programme, staying.standing, now))
        staying.reasons.append({"rule": "carried", "points": whole})
    if detail["welcome"] or leaves.welcome_given:
        standing = replace(standing, welcome_given=True)
    staying.standing = standing
    members.keep(work, loaded.id, standing)
    detail["after"], detail["whole"] = kept(standing), whole
    detail["metric_added"] = standing.metric - (
        stays.metric if stays.metric_period == standing.metric_period else 0
    )
    detail["loser_purchases"], detail["loser_carried"] = leaves.purchases, leaves.carried
    detail |= _move_rows(work, loaded, staying.standing, leaving.standing, now)
    _level_rewards(staying, stays.tier, leaves.tier)
    staying.reasons.append(
        {"rule": "merge", "merge": merge_id, "from": leaving_id, "points": staying.carried}
    )
    leaving.reasons.append(
        {"rule": "merge", "merge": merge_id, "into": staying_id, "points": leaving.carried}
    )
    gave = leaving.finish(face_changed=False)
    got = staying.finish(face_changed=True)
    detail["receipts"] = {"survivor": got.id, "loser": gave.id}
    if standing.tier != stays.tier:
        log_tier(work, loaded, stays, standing, got, f"merge {merge_id}", now)
    rows.add(
        work,
        programme_id=loaded.id,
        merge_id=merge_id,
        survivor_id=staying_id,
        loser_id=leaving_id,
        proof=proof,
        person=by,
        detail=detail,
        now=now,
    )
    rows.close(work, loaded.id, leaving_id, survivor_id=staying_id, now=now)
    team.follow_merge(work, programme_id=loaded.id, from_member=leaving_id, to_member=staying_id)
    club.note(work, loaded.id, by=by, action="merge", about=f"merge {merge_id}", detail=proof, now=now)
    return Merged(merge_id, staying_id, leaving_id, got.points, got.stamps, got.balance_after, standing.tier)


def _move_points(leaving: Side, staying: Side) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Every lot goes over with its dates. Returns what went where, and balances below zero that went too."""
    work, programme_id, now = leaving.work, leaving.loaded.id, leaving.now
    held = leaving.standing
    open_lots = journal.open_lots(work, programme_id, held.points_account_id)
    lapsed = leaving.expire(
        [lot for lot in open_lots if lot.expires_at is not None and lot.expires_at <= now]
    )
    if lapsed:
        leaving.reasons.append({"rule": "expire", "points": lapsed})
    moved: list[dict[str, Any]] = []
    for account_id, bucket, asset in (
        (held.points_account_id, Bucket.AVAILABLE, POINTS),
        (held.pending_account_id, Bucket.PENDING, POINTS),
        (held.stamps_account_id, Bucket.AVAILABLE, STAMPS),
    ):
        lots = rows.lots_in(work, programme_id, account_id) if account_id is not None else []
        if not lots:
            continue
        taken = {lot.id: lot.remaining for lot in lots}
        leaving.hand_over(sum(taken.values()), taken, bucket=bucket, asset=asset)
        for lot in lots:
            got, copy = staying.receive(lot)
            moved.append(
                {
                    "from": lot.id,
                    "origin": lot.posting_id,
                    "to": copy,
                    "got": got,
                    "asset": asset,
                    "amount": lot.remaining,
                }
            )
    holes = {asset: hole for asset in (POINTS, STAMPS) if (hole := _hole(leaving, asset))}
    for asset, hole in holes.items():
        leaving.fill_hole(hole, asset, expires_at=None)
        staying.take_hole(hole, asset)
    return moved, holes


def _hole(side: Side, asset: str) -> int:
    return 0 if asset == STAMPS and side.standing.stamps_account_id is None else side.hole(asset)


def _given_twice(staying: Side, leaving: Side, moved: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Welcome and this year's birthday come once to a person: where both had one, the other's goes back."""
    work, loaded = staying.work, staying.loaded
    merged = [rows.merges_into(work, loaded.id, side.standing.member_id) for side in (staying, leaving)]
    gone = {
        one for row in merged[1] for taken in json.loads(row.detail)["taken"] for one in taken["receipts"]
    }
    mine, others = (
        [side.standing.member_id, *(row.loser_id for row in before)]
        for side, before in zip((staying, leaving), merged, strict=True)
    )
    twice: dict[str, list[Gift]] = {}
    if staying.standing.welcome_given and leaving.standing.welcome_given:
        twice["welcome"] = rows.gifts(work, loaded.id, others, "welcome")
    year = local_date(staying.now, loaded.programme.zone).year
    if any(gift.year == year for gift in rows.gifts(work, loaded.id, mine, "birthday")):
        birthdays = rows.gifts(work, loaded.id, others, "birthday")
        twice["birthday"] = [gift for gift in birthdays if gift.year == year]
    taken = []
    for rule, gifts in twice.items():
        again = [gift for gift in gifts if gift.receipt_id not in gone]
        if again:
            taken.append(_take_back(staying, rule, again, moved))
    return taken


def _take_back(
    staying: Side, rule: str, gifts: Sequence[Gift], moved: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Take gifts of the other member back: what is left of them first, and rewards that were not used."""
    work, loaded = staying.work, staying.loaded
    amount = sum(gift.points for gift in gifts)
    origins = {
        posting_id
        for gift in gifts
        for posting_id in rows.carried_postings(
            work,
            loaded.id,
            gift.member_id,
            [
                entry.id
                for entry in journal.postings_of(work, loaded.id, gift.receipt_id)
                if entry.kind == PostingKind.BONUS and entry.amount == gift.points
            ],
        )
    }
    own = [lot for lot in moved if lot["origin"] in origins]
    copies = [rows.lot_row(work, loaded.id, lot["to"]) for lot in moved]
    if amount:
        staying.claw_back(amount, first=[lot["got"] for lot in own])
        staying.reasons.append({"rule": rule, "points": -amount})
    cancelled = [
        reward.id
        for gift in gifts
        for reward in redemptions.of_receipt(work, loaded.id, gift.receipt_id)
        if reward.state == redemptions.ISSUED and reward.source == rule
    ]
    for redemption_id in cancelled:
        redemptions.change(
            work, loaded.id, redemption_id, was=redemptions.ISSUED, becomes=redemptions.CANCELLED
        )
    return {
        "rule": rule,
        "points": amount,
        "from_copies": sum(
            copy.remaining - rows.lot_row(work, loaded.id, copy.id).remaining for copy in copies
        ),
        "receipts": [gift.receipt_id for gift in gifts],
        "rewards": cancelled,
        "expires_at": next((copy.expires_at for copy in copies if own and copy.id == own[0]["to"]), None),
    }


def _welcome(staying: Side, leaving: Side) -> int:
    """Welcome points for somebody who had none on either card, if they are due. Returns how many."""
    rule = staying.loaded.programme.earning
    had = staying.standing.welcome_given or leaving.standing.welcome_given
    bought = staying.standing.purchases + leaving.standing.purchases
    if had or not rule.welcome_points or (rule.welcome_waits and not bought):
        return 0
    expires_at = fresh_until(staying.loaded.programme, staying.standing, staying.now)
    staying.credit(rule.welcome_points, kind=PostingKind.BONUS, expires_at=expires_at)
    staying.reasons.append({"rule": "welcome", "points": rule.welcome_points})
    return rule.welcome_points


def _level_rewards(staying: Side, *before: str | None) -> None:
    """A level that both together reached gives its rewards, once in its period."""
    work, loaded, standing = staying.work, staying.loaded, staying.standing
    tier = loaded.programme.tier(standing.tier)
    if tier is None or not tier.grants or tier.key in before:
        return
    name = tiers.grant_name(tier.key, standing.metric_period)
    if allowances.member_take(work, loaded.id, standing.member_id, name, 1, now=staying.now) == 1:
        for key in tier.grants:
            staying.issue(loaded.programme.reward(key), source="tier")


def _joined(rules: Programme, stays: Standing, leaves: Standing, now: datetime) -> tuple[Standing, int]:
    """How the survivor stands with what the other one did, and the points that two remainders make."""
    best = _better(rules, stays, leaves)
    period = max(stays.metric_period, leaves.metric_period)
    metric = sum(one.metric for one in (stays, leaves) if one.metric_period == period)
    standing = replace(
        stays,
        tier=best.tier,
        tier_until=best.tier_until,
        tier_due_at=best.tier_due_at,
        tier_waiting=best.tier_waiting,
        metric_period=period,
        metric=metric,
    )
    rule, joined_at = rules.tiering, instant(stays.joined_at)
    present = tiers.period_of(rule, now, rules.zone, joined_at)
    # Over a rolling window only the purchases themselves say what counts: the next one will.
    if (
        leaves.metric > 0
        and period == present == leaves.metric_period
        and rule.window is not TierWindow.ROLLING
    ):
        step = tiers.after_purchase(
            rule,
            rules.tiers,
            TierStanding(
                tier=standing.tier,
                tier_until=instant_or_none(standing.tier_until),
                tier_due_at=instant_or_none(standing.tier_due_at),
                tier_waiting=standing.tier_waiting,
                metric_period=period,
                metric=metric - leaves.metric,
            ),
            added=leaves.metric,
            at=now,
            zone=rules.zone,
            joined_at=joined_at,
        )
        standing = replace(
            standing,
            tier=step.tier,
            tier_until=_micros(step.tier_until),
            tier_due_at=_micros(step.tier_due_at),
            tier_waiting=step.tier_waiting,
        )
    carried, whole = _carried_together(stays.carried, leaves.carried)
    return (
        replace(
            standing,
            carried=carried,
            purchases=stays.purchases + leaves.purchases,
            last_purchase_at=_later(stays.last_purchase_at, leaves.last_purchase_at),
            last_stamp_at=_later(stays.last_stamp_at, leaves.last_stamp_at),
            points_lapse_at=_later(stays.points_lapse_at, leaves.points_lapse_at),
        ),
        whole,
    )


def _better(rules: Programme, stays: Standing, leaves: Standing) -> Standing:
    """Whose level is kept: the higher one, of equals the one that lasts longer."""

    def height(standing: Standing) -> tuple[int, float]:
        tier = rules.tier(standing.tier)
        until = float("inf") if standing.tier_until is None else standing.tier_until
        return (tier.threshold if tier else -1, until)

    return leaves if height(leaves) > height(stays) else stays


def _carried_together(mine: str | None, other: str | None) -> tuple[str | None, int]:
    """What rounding left to both together: the remainder, and whole points that it makes."""
    if not mine or not other:
        return mine or other, 0
    if mine.isdecimal() and other.isdecimal():
        return str(int(mine) + int(other)), 0
    rest = carried_points(mine) + carried_points(other)
    whole = int(rest)
    return carried_text(rest - whole), whole


def _move_rows(
    work: Work, loaded: Loaded, stays: Standing, leaves: Standing, now: datetime
) -> dict[str, Any]:
    """Everything that is no posting: codes, cards, purchases, rewards, limits, consents, the person."""
    moved: dict[str, Any] = {"codes": [], "cards": []}
    from_id, to_id = leaves.member_id, stays.member_id
    # Added last, so that the survivor's card goes on showing its own.
    shown = rows.codes_of(work, loaded.id, stays.card_id)
    added_at = max(micros(now), *(code.added_at + 1 for code in shown))
    for number, card in enumerate(rows.cards_of(work, loaded.id, from_id)):
        if not number:
            moved["card"] = card.id
        for code in rows.codes_of(work, loaded.id, card.id):
            moved["codes"].append({"code": code.code, "added_at": code.added_at})
            rows.move_code(work, loaded.id, code.code, card_id=stays.card_id, added_at=added_at)
        cards.void(work, loaded.id, card.id, now=now)
    moved["purchase_cards"] = rows.purchase_cards(work, loaded.id, from_id)
    rows.move_purchases(work, loaded.id, moved["purchase_cards"], from_id=from_id, to_id=to_id)
    moved["belongings"] = rows.belongings(work, loaded.id, from_id)
    rows.move_belongings(
        work, loaded.id, moved["belongings"], from_id=from_id, to_id=to_id, to_card_id=stays.card_id
    )
    moved["wishes"] = sorted(rows.wishes(work, loaded.id, from_id) - rows.wishes(work, loaded.id, to_id))
    rows.move_wishes(work, loaded.id, moved["wishes"], from_id=from_id, to_id=to_id)
    moved["limits"] = _add_limits(work, loaded, from_id, to_id)
    moved["consents"] = _stricter(work, loaded, from_id, to_id, now)
    moved["person"], moved["candidate_of"] = _fill(work, loaded, from_id, to_id)
    return moved


def _add_limits(work: Work, loaded: Loaded, from_id: int, to_id: int) -> dict[str, int]:
    mine = allowances.member_used(work, loaded.id, to_id)
    added: dict[str, int] = {}
    for name, (used, last_at) in sorted(allowances.member_used(work, loaded.id, from_id).items()):
        at = max(last_at, mine[name][1]) if name in mine else last_at
        allowances.member_take(work, loaded.id, to_id, name, used, now=at)
        added[name] = used
    return added


def _stricter(work: Work, loaded: Loaded, from_id: int, to_id: int, now: datetime) -> list[str]:
    """A yes stays only where both said yes. Returns the questions whose answer became no."""
    mine, others = (rows.consents(work, loaded.id, one) for one in (to_id, from_id))
    withdrawn = []
    for purpose, said in sorted(mine.items()):
        other = others.get(purpose)
        if said.given and not (other and other.given):
            answer(work, loaded, to_id, said, given=False, source="merge", now=now)
            withdrawn.append(purpose)
    return withdrawn


def _fill(work: Work, loaded: Loaded, from_id: int, to_id: int) -> tuple[dict[str, Any], int | None]:
    """What the survivor never said is taken from the other; what both said stays the survivor's."""
    mine, other = (rows.person_of(work, loaded.id, one) for one in (to_id, from_id))
    filled: dict[str, Any] = {}
    for names in (("email",), ("phone",), ("birthday_month", "birthday_day")):
        if getattr(mine, names[0]) is None and getattr(other, names[0]) is not None:
            filled |= {name: getattr(other, name) for name in names}
    if filled:
        write_person(work, loaded, mine, filled)
    if mine.merge_candidate_of is not None:
        rows.set_candidate(work, loaded.id, to_id, None)
    return filled, mine.merge_candidate_of


def _later(mine: int | None, other: int | None) -> int | None:
    return max((at for at in (mine, other) if at is not None), default=None)


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)
