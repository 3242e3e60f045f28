"""Points become rewards: at once, or held until a payment is done; and rewards that were given are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from passes.booking import Booking
from passes.checkout import arrival, progress
from passes.checkout.proving import Proof, prove, proven
from passes.loyalty.lasting import lapse_at
from passes.loyalty.ledger import PostingKind
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import (
    HoldOver,
    HoldUnknown,
    NotAPurchase,
    NotEnoughStamps,
    PointsChosenWrong,
    ReceiptUnknown,
    RedemptionOver,
    RedemptionUnknown,
    RewardLimitReached,
    RewardSoldOut,
)
from passes.loyalty.rewards import Reward, RewardKind, choice, in_the_way, worth
from passes.loyalty.stamps import STAMPS, StampRule
from passes.store import Read, Row, Store, Work, allowances, journal, members, redemptions
from passes.store.instants import instant, micros
from passes.store.members import Standing
from passes.store.programmes import Finding, Loaded


@dataclass(frozen=True, slots=True)
class Held:
    """Points set aside for a reward until its payment is captured, released or `lapses_at`."""

    id: int
    redemption_id: int
    reward_key: str
    points: int
    amount_minor: int | None
    balance_after: int
    lapses_at: datetime


def redeem(
    store: Store,
    *,
    programme: str,
    code: str,
    reward: str,
    key: str,
    at: Counter,
    points: int | None = None,
    basket_minor: int | None = None,
    proof: Proof | None = None,
    now: datetime,
) -> Receipt:
    """Exchange points for a reward, hold and capture in one step.

    `points` are chosen where points are paid as money, up to what
    `basket_minor` takes. `proof` says whether the card was there, and the
    one-time code where one is needed. Raises NotEnoughPoints with `needed`,
    `available` and `ready` (what the balance does pay for), RewardUnknown, the
    other refusals of rewards, CardNeeded, OneTimeCodeNeeded, OneTimeCodeWrong,
    and what `accrue` raises for codes and keys.
    """
    typed = arrival.typed(code)
    content = _content(typed, reward, points, basket_minor)

    def decide(work: Work) -> Receipt | None:
        arrived = arrival.arrive(work, programme, typed, key, "redeem", content, at.person)
        loaded, asked = arrived.loaded, arrived.asked
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        standing = arrived.standing(work)
        booking = Booking(work, loaded, standing, kind=ReceiptKind.REDEEM, at=at, occurred_at=now, now=now)
        if reward == STAMPS and loaded.programme.stamps is not None:
            if not prove(work, loaded, standing, proof, points=0, at=at, now=now):
                return None
            booked = _redeem_stamps(booking, loaded.programme.stamps)
            asked.answered(work, booked.as_json(), now=now)
            return booked
        wanted = loaded.programme.reward(reward)
        price = _price(booking, wanted, points, basket_minor)
        if not prove(work, loaded, standing, proof, points=price, at=at, now=now):
            return None
        _allow(booking, wanted, at)
        booking.spend(price)
        _active(booking)
        booking.reasons.append({"rule": "reward", "reward": wanted.key, "points": price})
        redemption_id = _issue(booking, wanted, price, basket_minor, is_used=True)
        booked = booking.finish(reward_key=wanted.key, is_undoable=True, redemption_id=redemption_id)
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return proven(store.write(decide))


def authorise(
    store: Store,
    *,
    programme: str,
    code: str,
    reward: str,
    key: str,
    at: Counter,
    points: int | None = None,
    basket_minor: int | None = None,
    proof: Proof | None = None,
    now: datetime,
) -> Held:
    """Set points aside for a reward while the customer pays. They leave the balance now.

    Stock and limits are taken with them. Raises what `redeem` raises.
    """
    typed = arrival.typed(code)
    content = _content(typed, reward, points, basket_minor)

    def decide(work: Work) -> Held | None:
        arrived = arrival.arrive(work, programme, typed, key, "authorise", content, at.person)
        loaded, asked = arrived.loaded, arrived.asked
        if (before := asked.before()) is not None:
            return _held(orjson.loads(before))
        rules = loaded.programme
        wanted = rules.reward(reward)
        standing = arrived.standing(work)
        booking = Booking(work, loaded, standing, kind=ReceiptKind.HOLD, at=at, occurred_at=now, now=now)
        price = _price(booking, wanted, points, basket_minor)
        if not prove(work, loaded, standing, proof, points=price, at=at, now=now):
            return None
        _allow(booking, wanted, at)
        posting_id = booking.spend(price, kind=PostingKind.HOLD)
        _active(booking)
        booking.reasons.append({"rule": "hold", "reward": wanted.key, "points": price})
        redemption_id = _issue(booking, wanted, price, basket_minor, is_used=False)
        lapses_at = now + timedelta(minutes=rules.points.hold_minutes)
        redemptions.add_hold(
            work,
            programme_id=loaded.id,
            hold_id=booking.id,
            member_id=standing.member_id,
            card_id=standing.card_id,
            amount=price,
            posting_id=posting_id,
            redemption_id=redemption_id,
            lapses_at=lapses_at,
            now=now,
        )
        booking.finish(reward_key=wanted.key, redemption_id=redemption_id)
        held = Held(
            id=booking.id,
            redemption_id=redemption_id,
            reward_key=wanted.key,
            points=price,
            amount_minor=worth(wanted, points=price, basket_minor=basket_minor),
            balance_after=booking.balance,
            lapses_at=lapses_at,
        )
        asked.answered(work, orjson.dumps(held).decode(), now=now)
        return held

    return proven(store.write(decide))


def capture(
    store: Store,
    *,
    programme: str,
    hold_id: int,
    key: str,
    at: Counter,
    points: int | None = None,
    purchase_receipt_id: int | None = None,
    now: datetime,
) -> Receipt:
    """The payment is done: spend what is held, or `points` of it; the rest goes back.

    `purchase_receipt_id` names the purchase that the reward was used in, so
    that its return gives the points back. Done again it answers the same.
    Raises HoldUnknown, or HoldOver when it was released or its time ran out.
    """

    def change(booking: Booking, hold: Row) -> Receipt:
        taken = hold.amount if points is None else points
        if not 0 <= taken <= hold.amount:
            raise PointsChosenWrong(least=0, most=hold.amount, step=1)
        booking.capture(hold.posting_id, hold.amount, taken)
        booking.reasons.append({"rule": "capture", "hold": hold.id, "points": taken})
        issued = redemptions.by_id(booking.work, booking.loaded.id, hold.redemption_id)
        assert issued is not None
        redemptions.use(
            booking.work,
            booking.loaded.id,
            issued.id,
            receipt_id=booking.id,
            purchase_id=_purchase_of(booking, purchase_receipt_id),
            now=now,
        )
        redemptions.resolve_hold(
            booking.work,
            booking.loaded.id,
            hold.id,
            becomes=redemptions.CAPTURED,
            captured=taken,
            receipt_id=booking.id,
            now=now,
        )
        return booking.finish(reward_key=issued.reward_key, redemption_id=issued.id)

    return _resolve(
        store,
        programme=programme,
        hold_id=hold_id,
        key=key,
        verb="capture",
        content={"hold": hold_id, "points": points, "purchase": purchase_receipt_id},
        kind=ReceiptKind.CAPTURE,
        at=at,
        change=change,
        now=now,
    )


def release(store: Store, *, programme: str, hold_id: int, key: str, at: Counter, now: datetime) -> Receipt:
    """The payment did not happen: the points go back to where they were. Done again it answers the same.

    Raises HoldUnknown, or HoldOver when it was captured.
    """

    def change(booking: Booking, hold: Row) -> Receipt:
        booking.end_hold(hold, becomes=redemptions.VOIDED, rule="release")
        return booking.finish()

    return _resolve(
        store,
        programme=programme,
        hold_id=hold_id,
        key=key,
        verb="release",
        content={"hold": hold_id},
        kind=ReceiptKind.VOID,
        at=at,
        change=change,
        now=now,
    )


def extend(store: Store, *, programme: str, hold_id: int, key: str, now: datetime) -> datetime:
    """Give a hold as much time again, once. Returns when it lapses. Raises HoldUnknown or HoldOver."""

    def decide(work: Work) -> datetime:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "extend", {"hold": hold_id})
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return datetime.fromisoformat(before)
        hold, _ = _locked(work, loaded, hold_id)
        if hold.state != redemptions.AUTHORISED or hold.extended or hold.lapses_at <= micros(now):
            raise HoldOver()
        minutes = timedelta(minutes=loaded.programme.points.hold_minutes)
        until = instant(hold.lapses_at) + minutes
        redemptions.extend_hold(work, loaded.id, hold_id, lapses_at=until)
        asked.answered(work, until.isoformat(), now=now)
        return until

    return store.write(decide)


def use(
    store: Store,
    *,
    programme: str,
    code: str,
    redemption_id: int,
    key: str,
    at: Counter,
    purchase_receipt_id: int | None = None,
    proof: Proof | None = None,
    now: datetime,
) -> Receipt:
    """Use a reward that the member was given: a full stamp card's, a birthday's, a tier's.

    Raises RedemptionUnknown, RedemptionOver, CardNeeded, OneTimeCodeWrong, and
    what `accrue` raises for codes and keys.
    """
    typed = arrival.typed(code)
    content = {"code": typed, "redemption": redemption_id, "purchase": purchase_receipt_id}

    def decide(work: Work) -> Receipt | None:
        arrived = arrival.arrive(work, programme, typed, key, "use", content, at.person)
        loaded, asked = arrived.loaded, arrived.asked
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        standing = arrived.standing(work)
        found = None
        if 0 < redemption_id < arrival.ID_LIMIT:
            found = redemptions.by_id(work, loaded.id, redemption_id)
        if found is None or found.member_id != standing.member_id:
            raise RedemptionUnknown()
        lapsed = found.expires_at is not None and found.expires_at <= micros(now)
        held = found.source == "points"
        if found.state != redemptions.ISSUED or lapsed or held:
            raise RedemptionOver()
        if not prove(work, loaded, standing, proof, points=0, at=at, now=now):
            return None
        booking = Booking(work, loaded, standing, kind=ReceiptKind.REDEEM, at=at, occurred_at=now, now=now)
        booking.reasons.append({"rule": "reward", "reward": found.reward_key, "points": 0})
        redemptions.use(
            work,
            loaded.id,
            found.id,
            receipt_id=booking.id,
            purchase_id=_purchase_of(booking, purchase_receipt_id),
            now=now,
        )
        booked = booking.finish(
            reward_key=found.reward_key, redemption_id=found.id, is_undoable=True, face_changed=True
        )
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return proven(store.write(decide))


# What the steps above share -----------------------------------------------------


def _redeem_stamps(booking: Booking, rule: StampRule) -> Receipt:
    """A full punch card becomes its reward at once, where that happens on request."""
    stamps = progress.stamps_of(booking.work, booking.loaded.id, booking.standing)
    if stamps < rule.target:
        raise NotEnoughStamps(needed=rule.target, available=stamps)
    booking.spend(rule.target, asset=STAMPS)
    booking.reasons.append({"rule": "reward", "reward": STAMPS, "points": 0, "stamps": rule.target})
    redemption_id = booking.issue(progress.stamped_reward(rule), source="stamps", is_used=True)
    return booking.finish(reward_key=STAMPS, is_undoable=True, redemption_id=redemption_id)


def _content(code: str, reward: str, points: int | None, basket_minor: int | None) -> Mapping[str, Any]:
    return {"code": code, "reward": reward, "points": points, "basket_minor": basket_minor}


def _price(booking: Booking, wanted: Reward, points: int | None, basket_minor: int | None) -> int:
    if wanted.kind is not RewardKind.POINTS_AS_MONEY:
        price = wanted.price(booking.standing.tier)
        if points not in (None, price):
            raise PointsChosenWrong(least=price, most=price, step=price)
        return price
    offered = choice(wanted, balance=booking.balance, basket_minor=basket_minor or 0)
    chosen = offered.most if points is None else points
    if offered.most == 0:
        booking.require(offered.least)
    if not offered.least <= chosen <= offered.most or chosen % offered.step:
        raise PointsChosenWrong(least=offered.least, most=offered.most, step=offered.step)
    return chosen


def _allow(booking: Booking, wanted: Reward, at: Counter) -> None:
    """Whether this member may have this reward here and now; takes it from the stock."""
    standing, loaded, now = booking.standing, booking.loaded, booking.now
    if (refused := in_the_way(wanted, tier=standing.tier, location=at.location, now=now)) is not None:
        raise refused
    if limit_reached(booking.work, loaded, standing.member_id, wanted, now=now):
        raise RewardLimitReached(limit=wanted.member_limit)
    if wanted.stock is not None and not allowances.take(
        booking.work, loaded.id, allowances.stock_name(wanted.key), 1, limit=wanted.stock
    ):
        raise RewardSoldOut()


def limit_reached(read: Read, loaded: Loaded, member_id: int, wanted: Reward, *, now: datetime) -> bool:
    """Whether a member had a reward as often as one member may have it."""
    if wanted.member_limit is None:
        return False
    since = micros(now - timedelta(days=wanted.member_days)) if wanted.member_days is not None else 0
    had = redemptions.count_since(read, loaded.id, member_id, wanted.key, since=since)
    return had >= wanted.member_limit


def _issue(booking: Booking, wanted: Reward, price: int, basket_minor: int | None, *, is_used: bool) -> int:
    amount_minor = worth(wanted, points=price, basket_minor=basket_minor)
    return booking.issue(wanted, source="points", points=price, amount_minor=amount_minor, is_used=is_used)


def _active(booking: Booking) -> None:
    """A redemption is activity: it keeps points from lapsing where inactivity lets them."""
    rules, standing = booking.loaded.programme, booking.standing
    lapses_at = lapse_at(rules.points, booking.occurred_at, rules.zone, rules.tier(standing.tier))
    if lapses_at is not None and micros(lapses_at) > (standing.points_lapse_at or 0):
        booking.standing = replace(standing, points_lapse_at=micros(lapses_at))
        members.keep(booking.work, booking.loaded.id, booking.standing)


def _locked(work: Work, loaded: Loaded, hold_id: int) -> tuple[Row, Standing]:
    if not 0 < hold_id < arrival.ID_LIMIT:
        raise HoldUnknown()
    hold = redemptions.hold_by_id(work, loaded.id, hold_id)
    if hold is None:
        raise HoldUnknown()
    standing = members.standing(members.of_card(work, loaded.id, hold.card_id))
    assert standing is not None
    # Read again under the member's lock: another till may have resolved it meanwhile.
    hold = redemptions.hold_by_id(work, loaded.id, hold_id)
    assert hold is not None
    return hold, standing


def _resolve(
    store: Store,
    *,
    programme: str,
    hold_id: int,
    key: str,
    verb: str,
    content: Mapping[str, Any],
    kind: ReceiptKind,
    at: Counter,
    change: Callable[[Booking, Row], Receipt],
    now: datetime,
) -> Receipt:
    outcome = redemptions.CAPTURED if kind is ReceiptKind.CAPTURE else redemptions.VOIDED

    def decide(work: Work) -> Receipt:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, verb, content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        hold, standing = _locked(work, loaded, hold_id)
        if hold.state == outcome:
            done = journal.receipt_row(work, loaded.id, hold.resolved_by)
            assert done is not None
            used = hold.redemption_id if outcome == redemptions.CAPTURED else None
            return replace(journal.receipt_of(done, loaded.programme), redemption_id=used)
        if hold.state != redemptions.AUTHORISED:
            raise HoldOver()
        if outcome == redemptions.CAPTURED and hold.lapses_at <= micros(now):
            raise HoldOver()
        booking = Booking(work, loaded, standing, kind=kind, at=at, occurred_at=now, now=now)
        booked = change(booking, hold)
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide)


def _purchase_of(booking: Booking, receipt_id: int | None) -> int | None:
    if receipt_id is None:
        return None
    known = 0 < receipt_id < arrival.ID_LIMIT
    row = journal.receipt_row(booking.work, booking.loaded.id, receipt_id) if known else None
    if row is None or row.member_id != booking.standing.member_id:
        raise ReceiptUnknown()
    if row.kind != ReceiptKind.ACCRUE.value:
        raise NotAPurchase()
    purchase_id: int | None = row.purchase_id
    return purchase_id


def _held(values: Mapping[str, Any]) -> Held:
    return Held(**{**values, "lapses_at": datetime.fromisoformat(values["lapses_at"])})
