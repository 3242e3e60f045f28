"""Two members turn out to be one person: their cards, points and history become one, and can part again.

The survivor keeps its number. The other's codes find the survivor's card from
then on, its points keep their expiry, and the whole merge is written down so
that it can be undone for a while. Reference: loyalty A21.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from passes.booking import Booking
from passes.loyalty import codes, lasting, tiers
from passes.loyalty.dates import local_date
from passes.loyalty.earning import carried_points, carried_text
from passes.loyalty.ledger import POINTS, Bucket, Consumption, PostingKind, consume
from passes.loyalty.letters import cleaned
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import (
    AlreadyUndone,
    CardForeign,
    CardVoided,
    CodeUnknown,
    MergeCovered,
    MergeHeld,
    MergeSame,
    MergeSpent,
    MergeTooOld,
    MergeUnknown,
    WordsInvalid,
)
from passes.loyalty.stamps import STAMPS
from passes.loyalty.tiers import TierStanding, TierWindow
from passes.store import (
    Read,
    Row,
    Store,
    Work,
    allowances,
    cards,
    club,
    journal,
    members,
    programmes,
    redemptions,
)
from passes.store import merging as rows
from passes.store import tiers as tier_log
from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.members import Standing
from passes.store.merging import Alike, Gift
from passes.store.programmes import Finding, Loaded

UNDO_DAYS = 30
PROOF_LETTERS_MAX = 200
_SERIAL_BYTES = 18
_ID_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Merged:
    """A merge, or its undoing. `points` and `stamps` are what the survivor gained (below zero: gave)."""

    id: int
    survivor_id: int
    loser_id: int
    points: int
    stamps: int
    balance: int
    tier: str | None

    def as_json(self) -> str:
        """As kept for the request key."""
        return json.dumps(asdict(self), separators=(",", ":"))


def find(store: Store, *, programme: str, limit: int = 100) -> list[Alike]:
    """Pairs of members that may be one person: same e-mail address, phone, or name and birthday.

    Sharing these proves nothing: families share an address, and a phone number
    may have gone to somebody else. Raises ProgrammeUnknown.
    """
    with store.read() as read:
        return rows.alike(read, programmes.by_slug(read, programme).id, limit=limit)


def merge(
    store: Store,
    *,
    programme: str,
    survivor: str,
    loser: str,
    proof: str,
    by: str,
    key: str,
    now: datetime,
) -> Merged:
    """Make the member of the card `loser` the member of the card `survivor`.

    `proof` says how `by`, who does it, knows that both are one person. A code
    of somebody who was merged before stands for the survivor. Raises
    CodeMistyped, CodeUnknown, CardForeign, CardVoided (the survivor's),
    MergeSame, MergeHeld, WordsInvalid, ProgrammeUnknown, KeyInvalid or KeyReused.
    """
    reason = _proof(proof)
    staying_code, leaving_code = codes.normalise(survivor), codes.normalise(loser)
    content = {"survivor": staying_code, "loser": leaving_code, "proof": reason, "by": by}

    def decide(work: Work) -> Merged:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "merge", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Merged(**json.loads(before))
        pair = _locked(work, loaded, staying_code, leaving_code)
        merged = _merge(work, loaded, pair, reason, by, now)
        asked.answered(work, merged.as_json(), now=now)
        return merged

    return store.write(decide)


def undo(
    store: Store, *, programme: str, merge_id: int, proof: str, by: str, key: str, now: datetime
) -> Merged:
    """Take a merge apart again, within UNDO_DAYS: they were two people after all.

    What lapsed or was taken back meanwhile stays gone; what was spent comes
    out of the survivor's other points, and where those do not suffice nothing
    happens. Raises MergeUnknown, AlreadyUndone, MergeTooOld, MergeCovered,
    MergeSpent, WordsInvalid, ProgrammeUnknown, KeyInvalid or KeyReused.
    """
    reason = _proof(proof)
    serial = secrets.token_urlsafe(_SERIAL_BYTES)

    def decide(work: Work) -> Merged:
        finding = Finding(work, programme)
        asked = journal.Asked(
            work, finding.id, key, "unmerge", {"merge": merge_id, "proof": reason, "by": by}
        )
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Merged(**json.loads(before))
        row, staying, leaving = _merged_before(work, loaded, merge_id)
        if row.undone_at is not None:
            raise AlreadyUndone()
        if now >= instant(row.at) + timedelta(days=UNDO_DAYS):
            raise MergeTooOld(days=UNDO_DAYS)
        if rows.person_of(work, loaded.id, row.survivor_id).merged_into is not None:
            raise MergeCovered()
        parted = _part(work, loaded, row, staying, leaving, serial, reason, by, now)
        asked.answered(work, parted.as_json(), now=now)
        return parted

    return store.write(decide)


def _proof(text: str) -> str:
    reason = cleaned(text, PROOF_LETTERS_MAX + 1)
    if not reason or len(reason) > PROOF_LETTERS_MAX:
        raise WordsInvalid(limit=PROOF_LETTERS_MAX)
    return reason


# Who it is about -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both members, locked."""

    staying: Standing
    leaving: Standing


def _locked(work: Work, loaded: Loaded, staying_code: str, leaving_code: str) -> _Pair:
    staying, leaving = _looked(work, loaded, staying_code), _looked(work, loaded, leaving_code)
    while True:
        if staying.member_id == leaving.member_id:
            raise MergeSame()
        held = _lock(work, loaded, staying, leaving)
        # Whoever was waited for may have merged one of them.
        staying, leaving = _looked(work, loaded, staying_code), _looked(work, loaded, leaving_code)
        if {staying.card_id, leaving.card_id} == {standing.card_id for standing in held.values()}:
            break
    staying, leaving = held[staying.member_id], held[leaving.member_id]
    if staying.voided_at is not None:
        raise CardVoided()
    return _Pair(staying, leaving)


def _looked(read: Read, loaded: Loaded, code: str) -> Standing:
    checked = codes.read(code, loaded.programme.code_kind)
    standing = members.standing(members.look(read, loaded.id, checked))
    if standing is None:
        raise CardForeign() if members.code_elsewhere(read, checked) else CodeUnknown()
    return standing


def _lock(work: Work, loaded: Loaded, *standings: Standing) -> dict[int, Standing]:
    """Both by the order of their ids, so that two merges never wait for each other."""
    held: dict[int, Standing] = {}
    for standing in sorted(standings, key=lambda one: one.member_id):
        locked = members.standing(members.of_card(work, loaded.id, standing.card_id))
        assert locked is not None
        held[standing.member_id] = locked
    return held


def _merged_before(work: Work, loaded: Loaded, merge_id: int) -> tuple[Row, Standing, Standing]:
    row = rows.by_id(work, loaded.id, merge_id) if 0 < merge_id < _ID_LIMIT else None
    if row is None:
        raise MergeUnknown()
    held: dict[int, Standing] = {}
    for member_id in sorted((row.survivor_id, row.loser_id)):
        standing = rows.standing_of(work, loaded.id, member_id)
        assert standing is not None
        held[member_id] = standing
    row = rows.by_id(work, loaded.id, merge_id)
    assert row is not None
    return row, held[row.survivor_id], held[row.loser_id]


# Points between two members ----------------------------------------------------------


class _Side(Booking):
    """What one of the two gives or gets; the programme's account of merged points is between them."""

    def hand_over(self, amount: int, taken: Mapping[int, int], *, bucket: Bucket, asset: str) -> int:
        """Give points or stamps away, out of these lots. Returns the posting's id."""
        account_id = self._account(bucket, asset)
        posting_id = self.post(
            PostingKind.MERGE, account_id, self._system(Bucket.MERGED, asset), amount, asset=asset
        )
        journal.change_lots(self.work, self.loaded.id, posting_id, taken)
        self._count(account_id, -amount, asset=asset, can_be_spent=bucket is Bucket.AVAILABLE)
        return posting_id

    def receive(self, lot: Row) -> tuple[int, int]:
        """Get what is left of the other's lot, as a lot that lasts as long. Returns posting and lot.

        A balance below zero is filled first.
        """
        bucket = Bucket.PENDING if lot.pending else Bucket.AVAILABLE
        account_id = self._account(bucket, lot.asset)
        posting_id = self.post(
            PostingKind.MERGE,
            self._system(Bucket.MERGED, lot.asset),
            account_id,
            lot.remaining,
            asset=lot.asset,
        )
        fills = lot.asset == POINTS and not lot.pending
        lot_id = journal.open_lot(
            self.work,
            programme_id=self.loaded.id,
            account_id=account_id,
            posting_id=posting_id,
            asset=lot.asset,
            amount=lot.remaining,
            swallowed=min(lot.remaining, max(-self.balance, 0)) if fills else 0,
            pending=lot.pending,
            earned_at=instant(lot.earned_at),
            available_at=instant(lot.available_at),
            expires_at=instant_or_none(lot.expires_at),
            programme_version=lot.programme_version,
            now=self.now,
        )
        self._count(account_id, lot.remaining, asset=lot.asset, can_be_spent=not lot.pending)
        return posting_id, lot_id

    def get_back(self, given: Mapping[int, int], *, bucket: Bucket, asset: str) -> None:
        """Get points or stamps back into the lots that they came from."""
        amount = sum(given.values())
        if not amount:
            return
        account_id = self._account(bucket, asset)
        posting_id = self.post(
            PostingKind.MERGE, self._system(Bucket.MERGED, asset), account_id, amount, asset=asset
        )
        journal.change_lots(
            self.work, self.loaded.id, posting_id, {lot_id: -part for lot_id, part in given.items()}
        )
        self._count(account_id, amount, asset=asset, can_be_spent=bucket is Bucket.AVAILABLE)

    def take_hole(self, amount: int) -> None:
        """Take over a balance below zero: what there is pays for it, the rest is owed from now on."""
        open_lots = journal.open_lots(self.work, self.loaded.id, self.standing.points_account_id)
        self.hand_over(amount, _by_lot(consume(open_lots, amount)), bucket=Bucket.AVAILABLE, asset=POINTS)

    def fill_hole(self, amount: int, *, expires_at: datetime | None) -> None:
        """The other takes over `amount` of what this one owed or paid: points like new."""
        account_id = self.standing.points_account_id
        posting_id = self.post(PostingKind.MERGE, self._system(Bucket.MERGED), account_id, amount)
        journal.open_lot(
            self.work,
            programme_id=self.loaded.id,
            account_id=account_id,
            posting_id=posting_id,
            asset=POINTS,
            amount=amount,
            swallowed=min(amount, max(-self.balance, 0)),
            pending=False,
            earned_at=self.now,
            available_at=self.now,
            expires_at=expires_at,
            programme_version=self.loaded.version,
            now=self.now,
        )
        self._count(account_id, amount)


def _by_lot(parts: tuple[Consumption, ...]) -> dict[int, int]:
    return {part.lot_id: part.amount for part in parts}


def _side(work: Work, loaded: Loaded, standing: Standing, by: str, now: datetime) -> _Side:
    at = Counter(person=by, channel="console")
    return _Side(work, loaded, standing, kind=ReceiptKind.MERGE, at=at, occurred_at=now, now=now)


# Merging ------------------------------------------------------------------------------


def _merge(work: Work, loaded: Loaded, pair: _Pair, proof: str, by: str, now: datetime) -> Merged:
    leaving_id, staying_id = pair.leaving.member_id, pair.staying.member_id
    if rows.holds_points(work, loaded.id, leaving_id):
        raise MergeHeld()
    merge_id = new_id(now)
    staying = _side(work, loaded, pair.staying, by, now)
    leaving = _side(work, loaded, pair.leaving, by, now)
    detail: dict[str, Any] = {
        "survivor": _kept(pair.staying),
        "loser": {"tier_due_at": pair.leaving.tier_due_at, "points_lapse_at": pair.leaving.points_lapse_at},
    }
    detail["lots"], detail["hole"] = _move_points(leaving, staying)
    detail["taken"] = _given_twice(staying, leaving, detail["lots"])
    detail["welcome"] = _welcome(staying, leaving)
    standing, whole = _joined(loaded.programme, staying.standing, leaving.standing, now)
    if whole:
        # What rounding had left to both makes a whole point together.
        staying.credit(whole, expires_at=_expires_at(loaded.programme, staying.standing, now))
        staying.reasons.append({"rule": "carried", "points": whole})
    if detail["welcome"] or pair.leaving.welcome_given:
        standing = replace(standing, welcome_given=True)
    staying.standing = standing
    members.keep(work, loaded.id, standing)
    detail["after"], detail["whole"] = _kept(standing), whole
    detail["metric_added"] = standing.metric - (
        pair.staying.metric if pair.staying.metric_period == standing.metric_period else 0
    )
    detail["loser_purchases"], detail["loser_carried"] = pair.leaving.purchases, pair.leaving.carried
    detail |= _move_rows(work, loaded, staying.standing, leaving.standing, now)
    _level_rewards(staying, pair.staying.tier, pair.leaving.tier)
    staying.reasons.append(
        {"rule": "merge", "merge": merge_id, "from": leaving_id, "points": -leaving.points}
    )
    leaving.reasons.append({"rule": "merge", "merge": merge_id, "into": staying_id, "points": leaving.points})
    gave = leaving.finish(face_changed=False)
    got = staying.finish(face_changed=True)
    detail["receipts"] = {"survivor": got.id, "loser": gave.id}
    if standing.tier != pair.staying.tier:
        _log_tier(work, loaded, pair.staying, standing, got, f"merge {merge_id}", now)
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
    club.note(work, loaded.id, by=by, action="merge", about=f"merge {merge_id}", detail=proof, now=now)
    return Merged(merge_id, staying_id, leaving_id, got.points, got.stamps, got.balance_after, standing.tier)


def _move_points(leaving: _Side, staying: _Side) -> tuple[list[dict[str, Any]], int]:
    """Every lot goes over with its dates. Returns what went where, and a balance below zero that went too."""
    work, programme_id, now = leaving.work, leaving.loaded.id, leaving.now
    held = leaving.standing
    open_lots = journal.open_lots(work, programme_id, held.points_account_id)
    leaving.expire([lot for lot in open_lots if lot.expires_at is not None and lot.expires_at <= now])
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
    hole = max(-leaving.balance, 0)
    if hole:
        leaving.fill_hole(hole, expires_at=None)
        staying.take_hole(hole)
    return moved, hole


def _given_twice(staying: _Side, leaving: _Side, moved: list[dict[str, Any]]) -> list[dict[str, Any]]:
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
    staying: _Side, rule: str, gifts: Sequence[Gift], moved: Sequence[dict[str, Any]]
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


def _welcome(staying: _Side, leaving: _Side) -> int:
    """Welcome points for somebody who had none on either card, if they are due. Returns how many."""
    rule = staying.loaded.programme.earning
    had = staying.standing.welcome_given or leaving.standing.welcome_given
    bought = staying.standing.purchases + leaving.standing.purchases
    if had or not rule.welcome_points or (rule.welcome_waits and not bought):
        return 0
    expires_at = _expires_at(staying.loaded.programme, staying.standing, staying.now)
    staying.credit(rule.welcome_points, kind=PostingKind.BONUS, expires_at=expires_at)
    staying.reasons.append({"rule": "welcome", "points": rule.welcome_points})
    return rule.welcome_points


def _level_rewards(staying: _Side, *before: str | None) -> None:
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
    for purpose, answer in sorted(mine.items()):
        other = others.get(purpose)
        if answer.given and not (other and other.given):
            _answer(work, loaded, to_id, answer, given=False, source="merge", now=now)
            withdrawn.append(purpose)
    return withdrawn


def _answer(
    work: Work, loaded: Loaded, member_id: int, like: Row, *, given: bool, source: str, now: datetime
) -> None:
    members.add_consent(
        work,
        programme_id=loaded.id,
        member_id=member_id,
        purpose=like.purpose,
        given=given,
        text_version=like.text_version,
        text_digest=like.text_digest,
        language=like.language,
        source=source,
        now=now,
    )


def _fill(work: Work, loaded: Loaded, from_id: int, to_id: int) -> tuple[dict[str, Any], int | None]:
    """What the survivor never said is taken from the other; what both said stays the survivor's."""
    mine, other = (rows.person_of(work, loaded.id, one) for one in (to_id, from_id))
    filled: dict[str, Any] = {}
    for names in (("email",), ("phone",), ("birthday_month", "birthday_day")):
        if getattr(mine, names[0]) is None and getattr(other, names[0]) is not None:
            filled |= {name: getattr(other, name) for name in names}
    if filled:
        _write_person(work, loaded, mine, filled)
    if mine.merge_candidate_of is not None:
        rows.set_candidate(work, loaded.id, to_id, None)
    return filled, mine.merge_candidate_of


def _write_person(work: Work, loaded: Loaded, known: Row, changed: Mapping[str, Any]) -> None:
    fields = ("email", "phone", "birthday_month", "birthday_day")
    values = {name: changed[name] if name in changed else getattr(known, name) for name in fields}
    rows.fill_person(work, loaded.id, known.id, **values)


# Parting --------------------------------------------------------------------------------


def _part(
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
    detail: dict[str, Any] = json.loads(row.detail)
    staying, leaving = _side(work, loaded, stays, by, now), _side(work, loaded, leaves, by, now)
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
    staying.reasons.append({**reason, "to": row.loser_id, "points": -leaving.points})
    leaving.reasons.append({**reason, "from": row.survivor_id, "points": leaving.points})
    gave = staying.finish(undoes=detail["receipts"]["survivor"], face_changed=True)
    got = leaving.finish(undoes=detail["receipts"]["loser"], face_changed=False)
    journal.mark_undone(work, loaded.id, detail["receipts"]["survivor"], by=gave.id)
    journal.mark_undone(work, loaded.id, detail["receipts"]["loser"], by=got.id)
    if parted.tier != stays.tier:
        _log_tier(work, loaded, stays, parted, gave, f"merge {row.id} undone", now)
    rows.mark_undone(work, loaded.id, row.id, now=now)
    club.note(work, loaded.id, by=by, action="unmerge", about=f"merge {row.id}", detail=proof, now=now)
    return Merged(
        row.id, row.survivor_id, row.loser_id, gave.points, gave.stamps, gave.balance_after, parted.tier
    )


def _points_back(staying: _Side, leaving: _Side, detail: Mapping[str, Any]) -> None:
    """Give every lot back what is owed to it. Raises MergeSpent where the survivor cannot."""
    work, programme_id, rules = staying.work, staying.loaded.id, staying.loaded.programme
    fresh = _expires_at(rules, staying.standing, staying.now)
    if detail["hole"]:
        staying.fill_hole(detail["hole"], expires_at=fresh)
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
    if detail["hole"]:
        leaving.take_hole(detail["hole"])


def _from_others(staying: _Side, taken: dict[int, int], amount: int) -> None:
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
            _answer(work, loaded, from_id, answers[purpose], given=True, source="unmerge", now=now)
    known = rows.person_of(work, loaded.id, from_id)
    filled = {name: None for name, value in detail["person"].items() if getattr(known, name) == value}
    if filled:
        _write_person(work, loaded, known, filled)
    if detail["candidate_of"] is not None:
        rows.set_candidate(work, loaded.id, from_id, detail["candidate_of"])


# Small things ---------------------------------------------------------------------------


_KEPT = (
    "welcome_given",
    "metric_period",
    "metric",
    "tier",
    "tier_until",
    "tier_due_at",
    "tier_waiting",
    "carried",
    "purchases",
    "last_purchase_at",
    "last_stamp_at",
    "points_lapse_at",
)


def _kept(standing: Standing) -> dict[str, Any]:
    return {name: getattr(standing, name) for name in _KEPT}


def _expires_at(rules: Programme, standing: Standing, now: datetime) -> datetime | None:
    return lasting.expires_at(
        rules.points, earned_at=now, available_at=now, zone=rules.zone, tier=rules.tier(standing.tier)
    )


def _log_tier(
    work: Work,
    loaded: Loaded,
    before: Standing,
    after: Standing,
    receipt: Receipt,
    reason: str,
    now: datetime,
) -> None:
    tier_log.add_change(
        work,
        programme_id=loaded.id,
        member_id=after.member_id,
        from_key=before.tier,
        to_key=after.tier,
        cause="merge",
        metric_period=after.metric_period,
        metric=after.metric,
        receipt_id=receipt.id,
        reason=reason,
        now=now,
    )


def _later(mine: int | None, other: int | None) -> int | None:
    return max((at for at in (mine, other) if at is not None), default=None)


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)
