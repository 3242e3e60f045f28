"""One receipt in the making: every movement of one member's points that has one cause.

Use cases decide what is to happen; a booking writes it down so that postings,
lots, balances and the receipt always agree. The member's rows are locked by
whoever made the `Standing` it begins with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from passes.loyalty.lasting import restored_expiry
from passes.loyalty.ledger import (
    MAY_OVERDRAW,
    POINTS,
    Bucket,
    Consumption,
    Lot,
    OwnerKind,
    PostingKind,
    check_movement,
    consume,
    in_order,
    spendable,
)
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import NotEnoughPoints
from passes.loyalty.rewards import Reward
from passes.loyalty.stamps import STAMPS
from passes.store import Row, Work, allowances, journal, members, redemptions
from passes.store.ids import new_id
from passes.store.members import Standing
from passes.store.programmes import Loaded


@dataclass(frozen=True, slots=True)
class ClawedBack:
    """Where points that were taken back came from; `short` is what nothing was left for."""

    pending: int
    available: int
    short: int


class Booking:
    """Movements of one member that share a receipt. Nothing is kept before `finish`'s transaction commits.

    `points` is what the member gains or loses in all, `balance_change` what of
    it moves the balance that can be spent, `reasons` what explains it.
    """

    def __init__(
        self,
        work: Work,
        loaded: Loaded,
        standing: Standing,
        *,
        kind: ReceiptKind,
        at: Counter,
        occurred_at: datetime,
        now: datetime,
    ) -> None:
        self.work = work
        self.loaded = loaded
        self.standing = standing
        self.kind = kind
        self.at = at
        self.occurred_at = occurred_at
        self.now = now
        self.id = new_id(now)
        self.points = 0
        self.balance_change = 0
        self.stamps = 0
        self.reasons: list[Mapping[str, Any]] = []
        self._moves: dict[int, int] = {}
        self._changed = False

    @property
    def balance(self) -> int:
        """What can be spent after everything booked so far."""
        return self.standing.balance + self.balance_change

    # Giving ---------------------------------------------------------------------

    def credit(
        self,
        amount: int,
        *,
        kind: PostingKind = PostingKind.EARN,
        available_at: datetime | None = None,
        expires_at: datetime | None = None,
        asset: str = POINTS,
        stamps_balance: int = 0,
    ) -> int:
        """Give points: a new lot, waiting when `available_at` is still to come. Returns the posting's id.

        A balance below zero is filled first; of stamps the caller says what it is.
        """
        opens_at = max(available_at or self.occurred_at, self.occurred_at)
        pending = opens_at > self.now
        account_id = self._account(Bucket.PENDING if pending else Bucket.AVAILABLE, asset)
        source = self._system(Bucket.ADJUST if kind is PostingKind.ADJUST else Bucket.ISSUE, asset)
        posting_id = self.post(kind, source, account_id, amount, asset=asset)
        before = self.balance if asset == POINTS else stamps_balance
        journal.open_lot(
            self.work,
            programme_id=self.loaded.id,
            account_id=account_id,
            posting_id=posting_id,
            asset=asset,
            amount=amount,
            swallowed=0 if pending else min(amount, max(-before, 0)),
            pending=pending,
            earned_at=self.occurred_at,
            available_at=opens_at,
            expires_at=expires_at,
            programme_version=self.loaded.version,
            now=self.now,
        )
        self._count(account_id, amount, asset=asset, can_be_spent=not pending)
        return posting_id

    def restore(self, spent: Row, *, amount: int) -> int:
        """Give back `amount` of what the posting `spent` took, at most all of it. Returns how much.

        The lots keep their expiry; one that lapsed meanwhile lasts for the
        programme's days of grace. What lasts longest comes back first. What
        was spent before a merge comes back into lots like those it came from.
        """
        account_id = self._account(Bucket.AVAILABLE, spent.asset)
        given = self._part_of(spent.id, amount)
        if spent.source != account_id:
            for lot, back in given:
                self._restore_anew(account_id, spent, lot, back)
        elif given:
            total = sum(back for _, back in given)
            redeemed = self._system(Bucket.REDEEMED, spent.asset)
            posting_id = self.post(
                PostingKind.RESTORE, redeemed, account_id, total, asset=spent.asset, reverses=spent.id
            )
            self._put_back(posting_id, given, account_id=account_id)
            self._count(account_id, total, asset=spent.asset)
        return sum(back for _, back in given)

    def _restore_anew(self, account_id: int, spent: Row, lot: Lot, amount: int) -> None:
        redeemed = self._system(Bucket.REDEEMED, spent.asset)
        posting_id = self.post(
            PostingKind.RESTORE, redeemed, account_id, amount, asset=spent.asset, reverses=spent.id
        )
        journal.open_lot(
            self.work,
            programme_id=self.loaded.id,
            account_id=account_id,
            posting_id=posting_id,
            asset=spent.asset,
            amount=amount,
            swallowed=min(amount, self._hole(account_id)),
            pending=False,
            earned_at=lot.earned_at,
            available_at=lot.available_at,
            expires_at=self._expiry_restored(lot),
            programme_version=self.loaded.version,
            now=self.now,
        )
        self._count(account_id, amount, asset=spent.asset)

    def _part_of(self, posting_id: int, amount: int) -> list[tuple[Lot, int]]:
        """`amount` of what a posting took out of lots: out of those first that last longest."""
        taken = journal.consumed_by(self.work, self.loaded.id, posting_id)
        taken.sort(key=lambda part: (part[0].expires_at is not None, _negative(part[0].expires_at)))
        given = []
        for lot, part in taken:
            back = min(amount, part.amount)
            if back > 0:
                given.append((lot, back))
                amount -= back
        return given

    # Taking ---------------------------------------------------------------------

    def spend(self, amount: int, *, kind: PostingKind = PostingKind.REDEEM, asset: str = POINTS) -> int:
        """Take points or stamps out of the lots in their order. Returns the posting's id.

        Raises NotEnoughPoints where the balance does not cover it and the kind
        may not overdraw; that there are enough stamps is the caller's to know.
        """
        account_id = self._account(Bucket.AVAILABLE, asset)
        lots = in_order(self._lots_in(account_id))
        if kind not in MAY_OVERDRAW and asset == POINTS:
            lots = spendable(lots, self.now)
            self.require(amount, among=lots)
        target = {
            PostingKind.REDEEM: Bucket.REDEEMED,
            PostingKind.ADJUST: Bucket.ADJUST,
            PostingKind.EXPIRE: Bucket.EXPIRED,
            PostingKind.HOLD: Bucket.HELD,
        }[kind]
        to_id = self._account(Bucket.HELD) if kind is PostingKind.HOLD else self._system(target, asset)
        posting_id = self.post(kind, account_id, to_id, amount, asset=asset)
        journal.change_lots(self.work, self.loaded.id, posting_id, _by_lot(consume(lots, amount)))
        if kind is PostingKind.HOLD:
            self._move(to_id, amount)
        self._count(account_id, -amount, asset=asset, is_gain=kind is not PostingKind.HOLD)
        return posting_id

    def require(self, amount: int, *, among: Iterable[Lot] | None = None) -> None:
        """Refuse by NotEnoughPoints unless the balance covers the amount.

        Points that lapsed but are still in the books do not count.
        """
        lots = among
        if lots is None:
            lots = spendable(self._lots_in(self.standing.points_account_id), self.now)
        usable = min(self.balance, sum(lot.remaining for lot in lots))
        if usable < amount:
            rules = self.loaded.programme
            ready = [reward.key for reward in rules.rewards if reward.price(self.standing.tier) <= usable]
            raise NotEnoughPoints(
                unit=rules.unit.name(amount, rules.language), needed=amount, available=usable, ready=ready
            )

    def capture(self, hold_posting_id: int, held: int, amount: int) -> None:
        """Spend `amount` of points that are held; the rest goes back to its lots."""
        held_id = self._account(Bucket.HELD)
        if amount:
            redeemed = self._system(Bucket.REDEEMED)
            self.post(PostingKind.CAPTURE, held_id, redeemed, amount, reverses=hold_posting_id)
            self._move(held_id, -amount)
            self.points -= amount
            self._changed = True
        if held > amount:
            self.release(hold_posting_id, held - amount)

    def release(self, hold_posting_id: int, amount: int) -> None:
        """Give held points back to their old lots."""
        held_id, account_id = self._account(Bucket.HELD), self.standing.points_account_id
        posting_id = self.post(PostingKind.VOID, held_id, account_id, amount, reverses=hold_posting_id)
        self._put_back(posting_id, self._part_of(hold_posting_id, amount), grace=False)
        self._move(held_id, -amount)
        self._count(account_id, amount, is_gain=False)

    def claw_back(
        self, amount: int, *, first: Sequence[int] = (), may_overdraw: bool = True, asset: str = POINTS
    ) -> ClawedBack:
        """Take back those of the postings `first` while they wait, what is left of them, then others.

        What is missing then makes the balance negative, or stays `short` when
        that is not allowed. Reference: loyalty A20.
        """
        account_id = self._account(Bucket.AVAILABLE, asset)
        clawback = self._system(Bucket.CLAWBACK, asset)
        own = [lot for one in first for lot in journal.lots_of_posting(self.work, self.loaded.id, one)]
        reverses = first[0] if len(first) == 1 else None
        waiting = consume([lot for lot in own if lot.pending], amount)
        pending = sum(part.amount for part in waiting)
        if pending:
            pending_id = self._account(Bucket.PENDING)
            posting_id = self.post(PostingKind.CLAWBACK, pending_id, clawback, pending, reverses=reverses)
            journal.change_lots(self.work, self.loaded.id, posting_id, _by_lot(waiting))
            self._count(pending_id, -pending, can_be_spent=False)
        left = amount - pending
        mine = consume([lot for lot in own if not lot.pending], left)
        known = {lot.id for lot in own}
        others = [lot for lot in self._lots_in(account_id) if lot.id not in known]
        rest = consume(others, left - sum(part.amount for part in mine))
        available = sum(part.amount for part in (*mine, *rest))
        if may_overdraw:
            available = left
        if available:
            posting_id = self.post(
                PostingKind.CLAWBACK, account_id, clawback, available, asset=asset, reverses=reverses
            )
            journal.change_lots(self.work, self.loaded.id, posting_id, _by_lot((*mine, *rest)))
            self._count(account_id, -available, asset=asset)
        return ClawedBack(pending, available, left - available)

    def open_early(self, lots: Sequence[Lot]) -> None:
        """Let points be spent that still wait; a balance below zero swallows its share first."""
        account_id = self.standing.points_account_id
        for lot in lots:
            pending_id = self._account(Bucket.PENDING)
            posting_id = self.post(PostingKind.ACTIVATE, pending_id, account_id, lot.remaining)
            journal.activate_lot(self.work, self.loaded.id, lot.id, account_id=account_id)
            swallowed = min(lot.remaining, self._hole(account_id))
            journal.change_lots(self.work, self.loaded.id, posting_id, {lot.id: swallowed})
            self._move(pending_id, -lot.remaining)
            self._count(account_id, lot.remaining, is_gain=False)

    def expire(self, lots: Sequence[Lot], *, at: datetime | None = None) -> int:
        """Let what is left of these lots lapse, each at its own instant or at `at`. Returns how much."""
        account_id = self.standing.points_account_id
        total = 0
        for lot in lots:
            if not lot.remaining:
                continue
            posting_id = self.post(
                PostingKind.EXPIRE,
                account_id,
                self._system(Bucket.EXPIRED),
                lot.remaining,
                occurred_at=at or lot.expires_at,
            )
            journal.change_lots(self.work, self.loaded.id, posting_id, {lot.id: lot.remaining})
            total += lot.remaining
        if total:
            self._count(account_id, -total)
        return total

    def reverse(self, entry: Row) -> None:
        """Undo one stored posting of this member: the same way backwards.

        Points that waited then and can be spent by now are taken from where they went.
        """
        if entry.target == self.standing.pending_account_id:
            opened = journal.lots_of_posting(self.work, self.loaded.id, entry.id)
            if not all(lot.pending for lot in opened):
                self.claw_back(entry.amount, first=(entry.id,))
                return
        reversal_id = self.post(
            PostingKind.REVERSAL,
            entry.target,
            entry.source,
            entry.amount,
            asset=entry.asset,
            reverses=entry.id,
        )
        mine = {
            self.standing.points_account_id,
            self.standing.pending_account_id,
            self.standing.held_account_id,
            self.standing.stamps_account_id,
        }
        if entry.target in mine:
            self._take_from(entry.target, reversal_id, entry)
        if entry.source in mine:
            self._give_to(entry.source, reversal_id, entry)

    def _take_from(self, account_id: int, reversal_id: int, entry: Row) -> None:
        # The lots that the posting opened pay first, then the others in their order.
        own = journal.lots_of_posting(self.work, self.loaded.id, entry.id)
        first = consume(own, entry.amount)
        known = {lot.id for lot in own}
        others = [lot for lot in self._lots_in(account_id) if lot.id not in known]
        rest = consume(others, entry.amount - sum(part.amount for part in first))
        journal.change_lots(self.work, self.loaded.id, reversal_id, _by_lot((*first, *rest)))
        self._count(
            account_id,
            -entry.amount,
            asset=entry.asset,
            can_be_spent=account_id != self.standing.pending_account_id,
        )

    def _give_to(self, account_id: int, reversal_id: int, entry: Row) -> None:
        given = journal.consumed_by(self.work, self.loaded.id, entry.id)
        self._put_back(
            reversal_id, [(lot, part.amount) for lot, part in given], grace=False, account_id=account_id
        )
        self._count(account_id, entry.amount, asset=entry.asset)

    # Rewards --------------------------------------------------------------------

    def issue(
        self,
        reward: Reward,
        *,
        source: str,
        points: int = 0,
        amount_minor: int | None = None,
        is_used: bool = False,
    ) -> int:
        """Put a reward into the member's hands, used at once or to be used later. Returns its id.

        What was bought with points lasts as long as its hold, everything else
        as long as the reward says.
        """
        lasts = None
        if source != "points" and reward.valid_days is not None:
            lasts = self.now + timedelta(days=reward.valid_days)
        self._changed = True
        return redemptions.add(
            self.work,
            programme_id=self.loaded.id,
            member_id=self.standing.member_id,
            card_id=self.standing.card_id,
            reward_key=reward.key,
            source=source,
            points=points,
            amount_minor=amount_minor,
            state=redemptions.USED if is_used else redemptions.ISSUED,
            receipt_id=self.id,
            purchase_id=None,
            expires_at=lasts,
            now=self.now,
        )

    def give_back_stock(self, reward_key: str) -> None:
        """One more of a reward with a stock can be had again."""
        for reward in self.loaded.programme.rewards:
            if reward.key == reward_key and reward.stock is not None:
                allowances.give_back(self.work, self.loaded.id, allowances.stock_name(reward_key), 1)

    def end_hold(self, hold: Row, *, becomes: str, rule: str) -> None:
        """Give back what was held, with the reward that it was for and its place in the stock."""
        self.release(hold.posting_id, hold.amount)
        self.reasons.append({"rule": rule, "hold": hold.id, "points": hold.amount})
        issued = redemptions.by_id(self.work, self.loaded.id, hold.redemption_id)
        assert issued is not None
        redemptions.change(
            self.work, self.loaded.id, issued.id, was=redemptions.ISSUED, becomes=redemptions.CANCELLED
        )
        self.give_back_stock(issued.reward_key)
        redemptions.resolve_hold(
            self.work,
            self.loaded.id,
            hold.id,
            becomes=becomes,
            captured=0,
            receipt_id=self.id,
            now=self.now,
        )

    # Writing it down --------------------------------------------------------------

    def post(
        self,
        kind: PostingKind,
        source: int,
        target: int,
        amount: int,
        *,
        asset: str = POINTS,
        reverses: int | None = None,
        occurred_at: datetime | None = None,
    ) -> int:
        """Append one posting between account ids; balances and lots are the caller's. Returns its id.

        ValueError for one that the journal could not mean.
        """
        check_movement(kind, self._bucket(source), self._bucket(target), amount, reverses=reverses)
        return journal.add_posting(
            self.work,
            self.loaded.id,
            journal.Entry(kind, source, target, amount, reverses=reverses, asset=asset),
            receipt_id=self.id,
            programme_version=self.loaded.version,
            occurred_at=occurred_at or self.occurred_at,
            now=self.now,
        )

    def finish(
        self,
        *,
        amount_minor: int | None = None,
        purchase_id: int | None = None,
        reward_key: str | None = None,
        undoes: int | None = None,
        is_undoable: bool = False,
        redemption_id: int | None = None,
        face_changed: bool | None = None,
    ) -> Receipt:
        """Write receipt and balances. The member's cards say something new if anything moved, or as told."""
        rules = self.loaded.programme
        receipt = Receipt(
            id=self.id,
            kind=self.kind,
            member_id=self.standing.member_id,
            card_id=self.standing.card_id,
            points=self.points,
            balance_change=self.balance_change,
            balance_after=self.balance,
            amount_minor=amount_minor,
            currency=rules.currency,
            reward_key=reward_key,
            counter=self.at,
            occurred_at=self.occurred_at,
            recorded_at=self.now,
            programme_version=self.loaded.version,
            reasons=tuple(self.reasons),
            undoes=undoes,
            undo_until=self.now + timedelta(seconds=rules.undo_seconds) if is_undoable else None,
            stamps=self.stamps,
            redemption_id=redemption_id,
        )
        for account_id, delta in self._moves.items():
            if delta:
                journal.move(self.work, self.loaded.id, account_id, delta)
        journal.add_receipt(self.work, self.loaded.id, receipt, purchase_id=purchase_id)
        if self._changed if face_changed is None else face_changed:
            members.revise_cards(self.work, self.loaded.id, self.standing.member_id)
        return receipt

    # Bookkeeping ------------------------------------------------------------------

    def _count(
        self,
        account_id: int,
        amount: int,
        *,
        asset: str = POINTS,
        can_be_spent: bool = True,
        is_gain: bool = True,
    ) -> None:
        self._move(account_id, amount)
        self._changed = True
        if asset == STAMPS:
            self.stamps += amount
            return
        if is_gain:
            self.points += amount
        if can_be_spent:
            self.balance_change += amount

    def _move(self, account_id: int, amount: int) -> None:
        self._moves[account_id] = self._moves.get(account_id, 0) + amount

    def _put_back(
        self,
        posting_id: int,
        given: Sequence[tuple[Lot, int]],
        *,
        grace: bool = True,
        account_id: int | None = None,
    ) -> None:
        """Put points back into lots; a hole that opened meanwhile swallows its share."""
        changes = {lot.id: -amount for lot, amount in given}
        for lot, _ in given if grace else ():
            until = self._expiry_restored(lot)
            if until is not None and until != lot.expires_at:
                journal.extend_lot(self.work, self.loaded.id, lot.id, expires_at=until)
        refilled = [replace(lot, remaining=amount) for lot, amount in given]
        hole = self._hole(account_id or self.standing.points_account_id)
        for part in consume(refilled, hole):
            changes[part.lot_id] += part.amount
        journal.change_lots(self.work, self.loaded.id, posting_id, changes)

    def _expiry_restored(self, lot: Lot) -> datetime | None:
        rules = self.loaded.programme
        days = rules.points.restore_grace_days
        return restored_expiry(lot.expires_at, now=self.now, grace_days=days, zone=rules.zone)

    def _hole(self, account_id: int) -> int:
        """How far an account is below zero after everything booked so far."""
        if account_id == self.standing.points_account_id:
            return max(-self.balance, 0)
        if account_id == self.standing.stamps_account_id:
            return max(-journal.balance_of(self.work, self.loaded.id, account_id) - self.stamps, 0)
        return 0

    def _lots_in(self, account_id: int) -> list[Lot]:
        return journal.open_lots(self.work, self.loaded.id, account_id)

    def _system(self, bucket: Bucket, asset: str = POINTS) -> int:
        return self.loaded.accounts[bucket.value if asset == POINTS else f"{asset}:{bucket.value}"]

    def _bucket(self, account_id: int) -> Bucket:
        """What an account of this member or of the system is for."""
        standing = self.standing
        if account_id in (standing.points_account_id, standing.stamps_account_id):
            return Bucket.AVAILABLE
        if account_id == standing.pending_account_id:
            return Bucket.PENDING
        if account_id == standing.held_account_id:
            return Bucket.HELD
        name = next((name for name, known in self.loaded.accounts.items() if known == account_id), None)
        if name is None:
            raise ValueError("a posting goes between this member and the system")
        return Bucket(name.rpartition(":")[2])

    def _account(self, bucket: Bucket, asset: str = POINTS) -> int:
        """The member's account, opened when it is used for the first time."""
        name = "stamps_account_id" if asset == STAMPS else f"{_ACCOUNT_NAMES[bucket]}_account_id"
        found: int | None = getattr(self.standing, name)
        if found is None:
            found = journal.add_account(
                self.work,
                programme_id=self.loaded.id,
                owner_kind=OwnerKind.MEMBER.value,
                owner_id=str(self.standing.member_id),
                bucket=bucket.value,
                asset=asset,
                now=self.now,
            )
            opened: Mapping[str, Any] = {name: found}
            self.standing = replace(self.standing, **opened)
            members.keep(self.work, self.loaded.id, self.standing)
        return found


_ACCOUNT_NAMES = {Bucket.AVAILABLE: "points", Bucket.PENDING: "pending", Bucket.HELD: "held"}


def _by_lot(parts: Iterable[Consumption]) -> dict[int, int]:
    taken: dict[int, int] = {}
    for part in parts:
        taken[part.lot_id] = taken.get(part.lot_id, 0) + part.amount
    return taken


def _negative(at: datetime | None) -> float:
    return -at.timestamp() if at else 0.0
