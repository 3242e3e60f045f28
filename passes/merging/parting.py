"""A merge is taken apart: each member gets back what is still there of what they had."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from passes.loyalty.ledger import POINTS, Bucket, PostingKind, consume
from passes.loyalty.refusals import MergeSpent
from passes.loyalty.stamps import STAMPS
from passes.merging.side import Merged, Side, answer, fresh_until, log_tier, side_of, write_person
from passes.store import Row, Work, allowances, club, journal, members, redemptions
from passes.store import merging as rows
from passes.store.instants import instant, instant_or_none
from passes.store.members import Standing
from passes.store.programmes import Loaded


def part(
    work: Work,
    loaded: Loaded,
    row: Row,
    stays: Standing,
    leaves: Standing,
    serial: str,
    proof: str,
    by: str,
    now: datetime,
) -> Merged:
    """Undo the merge of `row`, both members locked. Raises MergeSpent where points are missing."""
    detail: dict[str, Any] = json.loads(row.detail)
    staying, leaving = side_of(work, loaded, stays, by, now), side_of(work, loaded, leaves, by, now)
    _points_back(staying, leaving, detail)
    parted, carried = _alone(staying.standing, detail)
    staying.standing = parted
    members.keep(work, loaded.id, parted)
    card_id = rows.issue_anew(work, loaded.id, detail["card"], serial=serial, now=now)
    leaving.standing = replace(leaving.standing, card_id=card_id)
    _rows_back(work, loaded, row, detail, card_id, now)
    rows.reopen(
        work,
        loaded.id,
        row.loser_id,
        tier_due_at=detail["loser"]["tier_due_at"],
        points_lapse_at=detail["loser"]["points_lapse_at"],
        carried=carried,
    )
    reason = {"rule": "unmerge", "merge": row.id}
    staying.reasons.append({**reason, "to": row.loser_id, "points": staying.carried})
    leaving.reasons.append({**reason, "from": row.survivor_id, "points": leaving.carried})
    gave = staying.finish(undoes=detail["receipts"]["survivor"], face_changed=True)
    got = leaving.finish(undoes=detail["receipts"]["loser"], face_changed=False)
    journal.mark_undone(work, loaded.id, detail["receipts"]["survivor"], by=gave.id)
    journal.mark_undone(work, loaded.id, detail["receipts"]["loser"], by=got.id)
    if parted.tier != stays.tier:
        log_tier(work, loaded, stays, parted, gave, f"merge {row.id} undone", now)
    rows.mark_undone(work, loaded.id, row.id, now=now)
    club.note(work, loaded.id, by=by, action="unmerge", about=f"merge {row.id}", detail=proof, now=now)
    return Merged(
        row.id, row.survivor_id, row.loser_id, gave.points, gave.stamps, gave.balance_after, parted.tier
    )


def _points_back(staying: Side, leaving: Side, detail: Mapping[str, Any]) -> None:
    """Give every lot back what is owed to it. Raises MergeSpent where the survivor cannot."""
    work, programme_id, rules = staying.work, staying.loaded.id, staying.loaded.programme
    fresh = fresh_until(rules, staying.standing, staying.now)
    for asset, hole in detail["holes"].items():
        staying.fill_hole(hole, asset, expires_at=fresh if asset == POINTS else None)
    for gift in detail["taken"]:
        expires_at = instant_or_none(gift["expires_at"])
        # Each gets back what of the second gift it paid.
        for side, points in (
            (staying, gift["points"] - gift["from_copies"]),
            (leaving, gift["from_copies"]),
        ):
            if points:
                side.credit(points, kind=PostingKind.BONUS, expires_at=expires_at)
                side.reasons.append({"rule": f"{gift['rule']}_back", "points": points})
        for redemption_id in gift["rewards"]:
            redemptions.change(
                work, programme_id, redemption_id, was=redemptions.CANCELLED, becomes=redemptions.ISSUED
            )
    back: dict[tuple[Bucket, str], dict[int, int]] = {}
    taken: dict[tuple[Bucket, str], dict[int, int]] = {}
    for moved in detail["lots"]:
        copy, old = (rows.lot_row(work, programme_id, moved[side]) for side in ("to", "from"))
        gone = rows.gone_from(work, programme_id, copy.id, but_posting_id=moved["got"])
        # Stamps that filled a card stay used; points that were spent are owed.
        is_spent_for_good = copy.pending or moved["asset"] == STAMPS
        owed = copy.remaining if is_spent_for_good else max(moved["amount"] - gone, 0)
        where = (Bucket.PENDING if copy.pending else Bucket.AVAILABLE, moved["asset"])
        if old.pending and not copy.pending:
            journal.activate_lot(work, programme_id, old.id, account_id=leaving.standing.points_account_id)
        if old.expires_at != copy.expires_at and copy.expires_at is not None:
            journal.extend_lot(work, programme_id, old.id, expires_at=instant(copy.expires_at))
        if owed:
            back.setdefault(where, {})[old.id] = owed
            taken.setdefault(where, {})[copy.id] = min(copy.remaining, owed)
    for where, given in back.items():
        bucket, asset = where
        amount = sum(given.values())
        if bucket is Bucket.AVAILABLE and asset == POINTS:
            if amount > staying.balance:
                raise MergeSpent(needed=amount, available=max(staying.balance, 0))
            _from_others(staying, taken[where], amount)
        staying.hand_over(amount, taken[where], bucket=bucket, asset=asset)
        leaving.get_back(given, bucket=bucket, asset=asset)
    for asset, hole in detail["holes"].items():
        leaving.take_hole(hole, asset)


def _from_others(staying: Side, taken: dict[int, int], amount: int) -> None:
    """What the lots that came do not hold any more is paid by the survivor's other ones."""
    missing = amount - sum(taken.values())
    open_lots = journal.open_lots(staying.work, staying.loaded.id, staying.standing.points_account_id)
    for part in consume([lot for lot in open_lots if lot.id not in taken], missing):
        taken[part.lot_id] = part.amount


def _alone(stays: Standing, detail: Mapping[str, Any]) -> tuple[Standing, str | None]:
    """How the survivor stands without the other, and what rounding has left to the other.

    What changed since the merge stays as it became; everything else is as it
    was before.
    """
    before, after = detail["survivor"], detail["after"]
    changed: dict[str, Any] = {"purchases": stays.purchases - detail["loser_purchases"]}
    if stays.metric_period == after["metric_period"]:
        changed["metric"] = stays.metric - detail["metric_added"]
    level = ("tier", "tier_until", "tier_due_at", "tier_waiting")
    if all(getattr(stays, name) == after[name] for name in level):
        changed |= {name: before[name] for name in level}
    for name in ("last_purchase_at", "last_stamp_at", "points_lapse_at"):
        if getattr(stays, name) == after[name]:
            changed[name] = before[name]
    if not detail["welcome"]:
        changed["welcome_given"] = before["welcome_given"]
    carried = None
    # Where it made a point together or was used since, nothing is left to share out.
    if stays.carried == after["carried"] and not detail["whole"]:
        changed["carried"], carried = before["carried"], detail["loser_carried"]
    return replace(stays, **changed), carried


def _rows_back(
    work: Work, loaded: Loaded, row: Row, detail: Mapping[str, Any], card_id: int, now: datetime
) -> None:
    from_id, to_id = row.survivor_id, row.loser_id
    for code in detail["codes"]:
        rows.move_code(work, loaded.id, code["code"], card_id=card_id, added_at=code["added_at"])
    rows.move_purchases(work, loaded.id, detail["purchase_cards"], from_id=from_id, to_id=to_id)
    rows.move_belongings(
        work, loaded.id, detail["belongings"], from_id=from_id, to_id=to_id, to_card_id=card_id
    )
    rows.move_wishes(work, loaded.id, detail["wishes"], from_id=from_id, to_id=to_id)
    used = allowances.member_used(work, loaded.id, from_id)
    for name, amount in detail["limits"].items():
        back = min(amount, used[name][0]) if name in used else 0
        if back:
            allowances.member_give_back(work, loaded.id, from_id, name, back)
    answers = rows.consents(work, loaded.id, from_id)
    for purpose in detail["consents"]:
        if answers[purpose].source == "merge":
            answer(work, loaded, from_id, answers[purpose], given=True, source="unmerge", now=now)
    known = rows.person_of(work, loaded.id, from_id)
    filled = {name: None for name, value in detail["person"].items() if getattr(known, name) == value}
    if filled:
        write_person(work, loaded, known, filled)
    if detail["candidate_of"] is not None:
        rows.set_candidate(work, loaded.id, from_id, detail["candidate_of"])
