"""What one of two members gives or gets when they are merged or part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from passes.booking import Booking
from passes.loyalty import lasting
from passes.loyalty.ledger import POINTS, Bucket, Consumption, PostingKind, consume
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.store import Row, Work, journal, members
from passes.store import merging as rows
from passes.store import tiers as tier_log
from passes.store.instants import instant, instant_or_none
from passes.store.members import Standing
from passes.store.programmes import Loaded


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


class Side(Booking):
    """What one of the two gives or gets; the programme's account of merged points is between them.

    `carried` counts the points that came from the other, below zero those that went.
    """

    carried = 0

    def hand_over(self, amount: int, taken: Mapping[int, int], *, bucket: Bucket, asset: str) -> int:
        """Give points or stamps away, out of these lots. Returns the posting's id."""
        account_id = self._account(bucket, asset)
        posting_id = self.post(
            PostingKind.MERGE, account_id, self._system(Bucket.MERGED, asset), amount, asset=asset
        )
        journal.change_lots(self.work, self.loaded.id, posting_id, taken)
        self._count(account_id, -amount, asset=asset, can_be_spent=bucket is Bucket.AVAILABLE)
        self.carried += -amount if asset == POINTS else 0
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
        lot_id = journal.open_lot(
            self.work,
            programme_id=self.loaded.id,
            account_id=account_id,
            posting_id=posting_id,
            asset=lot.asset,
            amount=lot.remaining,
            swallowed=0 if lot.pending else min(lot.remaining, self._hole(account_id)),
            pending=lot.pending,
            earned_at=instant(lot.earned_at),
            available_at=instant(lot.available_at),
            expires_at=instant_or_none(lot.expires_at),
            programme_version=lot.programme_version,
            now=self.now,
        )
        self._count(account_id, lot.remaining, asset=lot.asset, can_be_spent=not lot.pending)
        self.carried += lot.remaining if lot.asset == POINTS else 0
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
        self.carried += amount if asset == POINTS else 0

    def hole(self, asset: str) -> int:
        """How far the balance is below zero."""
        return self._hole(self._account(Bucket.AVAILABLE, asset))

    def take_hole(self, amount: int, asset: str) -> None:
        """Take over a balance below zero: what there is pays for it, the rest is owed from now on."""
        account_id = self._account(Bucket.AVAILABLE, asset)
        open_lots = journal.open_lots(self.work, self.loaded.id, account_id)
        self.hand_over(amount, by_lot(consume(open_lots, amount)), bucket=Bucket.AVAILABLE, asset=asset)

    def fill_hole(self, amount: int, asset: str, *, expires_at: datetime | None) -> None:
        """The other takes over `amount` of what this one owed or paid: points like new."""
        account_id = self._account(Bucket.AVAILABLE, asset)
        posting_id = self.post(
            PostingKind.MERGE, self._system(Bucket.MERGED, asset), account_id, amount, asset=asset
        )
        journal.open_lot(
            self.work,
            programme_id=self.loaded.id,
            account_id=account_id,
            posting_id=posting_id,
            asset=asset,
            amount=amount,
            swallowed=min(amount, self._hole(account_id)),
            pending=False,
            earned_at=self.now,
            available_at=self.now,
            expires_at=expires_at,
            programme_version=self.loaded.version,
            now=self.now,
        )
        self._count(account_id, amount, asset=asset)
        self.carried += amount if asset == POINTS else 0


def by_lot(parts: tuple[Consumption, ...]) -> dict[int, int]:
    """How much of each lot."""
    return {part.lot_id: part.amount for part in parts}


def side_of(work: Work, loaded: Loaded, standing: Standing, by: str, now: datetime) -> Side:
    """One of the two, with a receipt of its own."""
    at = Counter(person=by, channel="console")
    return Side(work, loaded, standing, kind=ReceiptKind.MERGE, at=at, occurred_at=now, now=now)


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


def kept(standing: Standing) -> dict[str, Any]:
    """What of a standing changes with a merge."""
    return {name: getattr(standing, name) for name in _KEPT}


def fresh_until(rules: Programme, standing: Standing, now: datetime) -> datetime | None:
    """When points given now lapse."""
    return lasting.expires_at(
        rules.points, earned_at=now, available_at=now, zone=rules.zone, tier=rules.tier(standing.tier)
    )


def log_tier(
    work: Work,
    loaded: Loaded,
    before: Standing,
    after: Standing,
    receipt: Receipt,
    reason: str,
    now: datetime,
) -> None:
    """Write down that a merge changed the tier."""
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


def answer(
    work: Work, loaded: Loaded, member_id: int, like: Row, *, given: bool, source: str, now: datetime
) -> None:
    """Answer a question of consent in somebody's name, as it was asked before."""
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


def write_person(work: Work, loaded: Loaded, known: Row, changed: Mapping[str, Any]) -> None:
    """Change some of what is known of a person."""
    fields = ("email", "phone", "birthday_month", "birthday_day")
    values = {name: changed[name] if name in changed else getattr(known, name) for name in fields}
    rows.fill_person(work, loaded.id, known.id, **values)
