"""Taking back mistakes of the last minutes: as if they had never been made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from passes.booking import Booking
from passes.checkout import arrival, restoring
from passes.loyalty.earned import Earned
from passes.loyalty.ledger import PostingKind
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import AlreadyUndone, ReceiptUnknown, UndoAfterReturn, UndoTooLate
from passes.loyalty.returns import accumulates, all_gone, sold
from passes.loyalty.stamps import STAMPS
from passes.loyalty.tiers import TierMetric, grant_name
from passes.loyalty.unearning import take_back
from passes.store import (
    Row,
    Store,
    Work,
    allowances,
    journal,
    members,
    merging,
    offers,
    programmes,
    purchases,
    redemptions,
)
from passes.store import returns as returned
from passes.store.instants import micros
from passes.store.members import Standing
from passes.store.programmes import Finding


def undo(store: Store, *, programme: str, receipt_id: int, key: str, at: Counter, now: datetime) -> Receipt:
    """Reverse a purchase or redemption and all that came of it: new entries, nothing is edited.

    Restored points keep their old lots. Undoing a purchase whose points are
    spent may leave the balance below zero. Raises ReceiptUnknown, OwnCard,
    AlreadyUndone, UndoTooLate, UndoAfterReturn, KeyInvalid or KeyReused.
    """
    if not 0 < receipt_id < arrival.ID_LIMIT:
        raise ReceiptUnknown()

    def decide(work: Work) -> Receipt:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "undo", {"receipt": receipt_id})
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        row, standing = arrival.receipt(work, loaded, receipt_id)
        arrival.refuse_own(work, loaded, standing.member_id, at.person)
        undone = journal.receipt_of(row, loaded.programme)
        if undone.undone_by is not None:
            raise AlreadyUndone()
        if not undone.may_be_undone(now):
            raise UndoTooLate()
        if merging.survivor_of(work, loaded.id, row.member_id) != row.member_id:
            # Its points are in another member's lots by now: goods can come back, mistakes cannot.
            raise UndoTooLate()
        booking = Booking(work, loaded, standing, kind=ReceiptKind.UNDO, at=at, occurred_at=now, now=now)
        booking.reasons.append({"rule": "undo", "receipt": undone.id})
        if undone.kind is ReceiptKind.ACCRUE:
            _undo_purchase(booking, row, undone)
        else:
            _undo_redemption(booking, undone)
        booked = booking.finish(
            amount_minor=undone.amount_minor,
            purchase_id=row.purchase_id,
            reward_key=undone.reward_key,
            undoes=undone.id,
            face_changed=True,
        )
        journal.mark_undone(work, loaded.id, undone.id, by=booked.id)
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide)


def _undo_purchase(booking: Booking, row: Row, undone: Receipt) -> None:
    work, loaded = booking.work, booking.loaded
    if returned.any_of(work, loaded.id, row.purchase_id):
        raise UndoAfterReturn()
    sale = returned.sale(work, loaded.id, row.purchase_id)
    assert sale is not None
    earned = restoring.earned_by(row)
    lines = sold(sale.basket, [line.paid_minor for line in earned.lines])
    restoring.give_back_spent(booking, sale, lines, before=lines, after=all_gone(lines))
    postings = journal.postings_of(work, loaded.id, undone.id)
    settled = _take_away_rewards(booking, undone.id, postings)
    # The last first, so that every posting finds its own lots as it left them.
    for entry in reversed(postings):
        if entry.id not in settled:
            booking.reverse(entry)
    carried = _carried(booking, earned, undone.programme_version)
    restoring.budgets_back(booking, earned.budgets)
    offers.restore(work, loaded, undone.id, now=booking.now, undone=True)
    purchases.void(work, loaded.id, sale.id, by=booking.id)
    _stand_as_before(booking, sale, undone, carried)


def _undo_redemption(booking: Booking, undone: Receipt) -> None:
    work, loaded = booking.work, booking.loaded
    issued = redemptions.of_receipt(work, loaded.id, undone.id)
    given = redemptions.used_by(
        work, loaded.id, booking.standing.member_id, undone.reward_key or "", undone.id
    )
    for one in (*issued, *given):
        # A return of the goods gave it back already.
        if one.state != redemptions.USED:
            raise AlreadyUndone()
    for entry in reversed(journal.postings_of(work, loaded.id, undone.id)):
        booking.reverse(entry)
    for one in issued:
        redemptions.change(work, loaded.id, one.id, was=redemptions.USED, becomes=redemptions.CANCELLED)
        booking.give_back_stock(one.reward_key)
    for one in given:
        redemptions.unuse(work, loaded.id, one.id)


def _take_away_rewards(booking: Booking, receipt_id: int, postings: Sequence[Row]) -> set[int]:
    """Take away the rewards that a purchase brought. Returns the postings of stamps that stay as they are.

    Of a reward that was used the stamps are gone, and may make the card's
    number negative; of one that a return revoked they were given back.
    """
    work, loaded, standing = booking.work, booking.loaded, booking.standing
    issued = redemptions.of_receipt(work, loaded.id, receipt_id)
    filled = [one for one in postings if one.kind == PostingKind.REDEEM and one.asset == STAMPS]
    stamped = [one for one in issued if one.source == "stamps"]
    for one in issued:
        if one.state == redemptions.ISSUED:
            redemptions.change(work, loaded.id, one.id, was=redemptions.ISSUED, becomes=redemptions.CANCELLED)
    granted = [one for one in issued if one.source == "tier"]
    if granted and all(one.state == redemptions.ISSUED for one in granted):
        name = grant_name(standing.tier or "", standing.metric_period)
        allowances.member_give_back(work, loaded.id, standing.member_id, name, 1)
    return {entry.id for one, entry in zip(stamped, filled, strict=True) if one.state != redemptions.ISSUED}


def _carried(booking: Booking, earned: Earned, version: int) -> str | None:
    """What the member carries without this purchase.

    Where another purchase came between, what is carried now may be worth a
    point more or less than it was then.
    """
    rule = programmes.at_version(booking.work, booking.loaded.id, version).earning
    carried = booking.standing.carried
    if not accumulates(rule):
        return carried
    nets = [line.net_minor for line in earned.lines]
    taken = take_back(rule, earned, before=nets, after=[0] * len(nets), carried=carried)
    if taken.points > earned.points:
        booking.claw_back(taken.points - earned.points)
    elif taken.points < earned.points:
        booking.credit(earned.points - taken.points)
    return taken.carried


def _stand_as_before(booking: Booking, sale: returned.Sold, undone: Receipt, carried: str | None) -> None:
    work, loaded, standing = booking.work, booking.loaded, booking.standing
    rules = loaded.programme
    lost = {
        TierMetric.SPEND: sale.net_minor,
        TierMetric.POINTS: sum(reason["points"] for reason in undone.reasons if reason["rule"] == "earn"),
        TierMetric.VISITS: 1,
    }
    if restoring.counts_still(rules, standing, sale.occurred_at, booking.occurred_at):
        standing = standing.on_metric(standing.metric - lost[rules.tiering.metric])
    for reason in undone.reasons:
        if reason["rule"] == "welcome":
            standing = replace(standing, welcome_given=False)
        if reason["rule"] == "tier" and _is_unearned(rules, standing, reason["tier"]):
            from_key, standing = standing.tier, replace(standing, **reason["was"])
            if from_key != standing.tier:
                restoring.log_step(booking, from_key, standing.level, cause="undo")
    last = returned.last_before(work, loaded.id, standing.member_id, besides=sale.id)
    stamp = micros(sale.occurred_at) if standing.last_stamp_at == micros(sale.occurred_at) else None
    booking.standing = replace(
        standing,
        carried=carried,
        purchases=standing.purchases - 1,
        last_purchase_at=last.purchase_at,
        last_stamp_at=standing.last_stamp_at if stamp is None else last.stamp_at,
    )
    members.keep(work, loaded.id, booking.standing)


def _is_unearned(rules: Programme, standing: Standing, reached: str) -> bool:
    """Whether the level that the purchase brought rests on it alone."""
    tier = rules.tier(standing.tier)
    return tier is not None and tier.key == reached and standing.metric < tier.threshold
