"""What time makes due: points open and lapse, levels end, birthdays come, members are told.

Every `…_due` does the next few of everything that is due at `now` in short
transactions and says how many; called again it goes on, and when nothing is
left it answers 0. Days on which nobody called are caught up in order. A crash
between two calls loses nothing and does nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Any

from passes.booking import Booking
from passes.language import plural, say
from passes.loyalty import dates, lasting, occasions, tiers
from passes.loyalty.lasting import ExpiryKind
from passes.loyalty.ledger import Bucket, PostingKind
from passes.loyalty.occasions import Birthday
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, ReceiptKind
from passes.loyalty.stamps import STAMPS
from passes.loyalty.tiers import Tier, TierStep
from passes.store import Store, Work, allowances, due, mail, members, programmes, redemptions
from passes.store.due import Bookings, DueLot, DueMember, Metric, MetricWindow
from passes.store.ids import block_of_ids
from passes.store.instants import instant, instant_or_none, micros
from passes.store.programmes import Loaded

# So many that PostgreSQL is not asked too often, and tills of these members
# wait a tenth of a second at most; so few that SQLite's one writer is free
# again within milliseconds.
_MANY, _FEW = 1_000, 100
# Each of these is a booking of its own, with a dozen statements.
_BOOKINGS_MANY, _BOOKINGS_FEW = 50, 10
# Whom a notice may concern is only read, which nobody waits for.
_READ = 2_000


@dataclass(frozen=True, slots=True)
class DueDone:
    """How many of each were due and are done."""

    activated: int = 0
    rewards_lapsed: int = 0
    levels: int = 0
    expired: int = 0
    idle: int = 0
    holds: int = 0
    birthdays: int = 0
    notices: int = 0


def run_due(store: Store, *, now: datetime, stopped: Callable[[], bool] = lambda: False) -> DueDone:
    """Do everything that is due, in the order in which it has to happen (reference: loyalty A19).

    Points open before levels are reviewed, and levels are reviewed before
    points lapse, because a level may suspend that. Ends early, between two
    transactions, once `stopped` says so.
    """
    steps: Mapping[str, Callable[..., int]] = {
        "activated": activate_due,
        "rewards_lapsed": lapse_rewards_due,
        "levels": review_due,
        "expired": expire_due,
        "idle": lapse_idle_due,
        "holds": release_holds_due,
        "birthdays": birthdays_due,
        "notices": notices_due,
    }
    counts = dict.fromkeys((field.name for field in fields(DueDone)), 0)
    for name, step in steps.items():
        while not stopped() and (done := step(store, now=now)):
            counts[name] += done
    return DueDone(**counts)


# Points ----------------------------------------------------------------------------


def activate_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Let points be spent that waited long enough. Returns how many lots."""

    def decide(work: Work, loaded: Loaded, most: int) -> int:
        lots = due.ripe_lots(work, loaded.id, at=now, limit=most)
        if not lots:
            # Only now: these have no index of their own among all that still wait.
            return due.open_emptied(work, loaded.id, at=now, limit=most)
        _book(work, loaded, _activations(loaded, lots, now), now)
        return len(lots)

    return _each(store, decide, limit)


def expire_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Let points lapse whose time is over, dated at the instant at which they lapsed. Returns how many lots.

    Where a member's level suspends expiry, they are looked at again when it ends.
    """

    def decide(work: Work, loaded: Loaded, most: int) -> int:
        lots = due.lapsed_lots(work, loaded.id, at=now, limit=most)
        suspending = _suspending(loaded.programme)
        kept = [lot for lot in lots if lot.tier in suspending]
        due.extend_lots(work, loaded.id, {lot.id: _until_level_ends(lot.tier_due_at, now) for lot in kept})
        over = [lot for lot in lots if lot.tier not in suspending]
        _book(work, loaded, _expiries(loaded, over, "expire", now), now)
        return len(lots)

    return _each(store, decide, limit)


def lapse_idle_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Let all points of members lapse who did nothing for as long as the programme says. Returns how many."""

    def decide(work: Work, loaded: Loaded, most: int) -> int:
        idle, lots = due.idle_lots(work, loaded.id, at=now, limit=most)
        suspending = _suspending(loaded.programme)
        again: dict[int, int | None] = dict.fromkeys(idle)
        for lot in lots:
            if lot.tier in suspending:
                again[lot.member_id] = _until_level_ends(lot.tier_due_at, now)
        due.lapse_again(work, loaded.id, again)
        # What came after the lapse, while nobody looked, stays.
        over = [
            replace(lot, expires_at=lot.points_lapse_at)
            for lot in lots
            if lot.tier not in suspending and lot.available_at < (lot.points_lapse_at or 0)
        ]
        _book(work, loaded, _expiries(loaded, over, "inactivity", now), now)
        return len(idle)

    return _each(store, decide, limit)


def _activations(loaded: Loaded, lots: Sequence[DueLot], now: datetime) -> Bookings:
    """What opening these lots means; a balance below zero swallows its share first."""
    booked = Bookings()
    ids = iter(block_of_ids(now, 2 * len(lots)))
    for of_member in _by_member(lots, lambda lot: lot.available_at):
        balance = of_member[0].balance
        for _, of_day in groupby(of_member, lambda lot: _local_day(lot.available_at, loaded.programme.zone)):
            receipt_id, before, reasons, at = next(ids), balance, [], 0
            for lot in of_day:
                booked.opened[lot.id] = lot.points_account_id
                posting_id, at = next(ids), lot.available_at
                booked.postings.append(
                    {
                        "id": posting_id,
                        "receipt_id": receipt_id,
                        "kind": PostingKind.ACTIVATE.value,
                        "asset": lot.asset,
                        "source": lot.account_id,
                        "target": lot.points_account_id,
                        "amount": lot.remaining,
                        "occurred_at": lot.available_at,
                    }
                )
                if swallowed := min(lot.remaining, max(-balance, 0)):
                    booked.take(lot.id, posting_id, swallowed)
                booked.move(lot.account_id, -lot.remaining)
                booked.move(lot.points_account_id, lot.remaining)
                balance += lot.remaining
                reasons.append({"rule": "activate", "points": lot.remaining, "lot": lot.id})
            _add_receipt(
                booked,
                of_member[0],
                receipt_id,
                ReceiptKind.ACTIVATE,
                points=0,
                balance_change=balance - before,
                balance_after=balance,
                at=at,
                reasons=reasons,
            )
    return booked


def _expiries(loaded: Loaded, lots: Sequence[DueLot], rule: str, now: datetime) -> Bookings:
    """What lapsing of these lots means: a receipt for each member and local day."""
    booked = Bookings()
    ids = iter(block_of_ids(now, 2 * len(lots)))
    for of_member in _by_member(lots, _lapsed_at):
        balance = of_member[0].balance
        for _, of_day in groupby(of_member, lambda lot: _local_day(_lapsed_at(lot), loaded.programme.zone)):
            receipt_id, before, stamps, reasons, at = next(ids), balance, 0, [], 0
            for lot in of_day:
                posting_id, at = next(ids), _lapsed_at(lot)
                booked.postings.append(
                    {
                        "id": posting_id,
                        "receipt_id": receipt_id,
                        "kind": PostingKind.EXPIRE.value,
                        "asset": lot.asset,
                        "source": lot.account_id,
                        "target": _expired_account(loaded, lot.asset),
                        "amount": lot.remaining,
                        "occurred_at": at,
                    }
                )
                booked.take(lot.id, posting_id, lot.remaining)
                booked.move(lot.account_id, -lot.remaining)
                if lot.asset == STAMPS:
                    stamps -= lot.remaining
                else:
                    balance -= lot.remaining
                reasons.append({"rule": rule, "asset": lot.asset, "points": lot.remaining, "lot": lot.id})
            _add_receipt(
                booked,
                of_member[0],
                receipt_id,
                ReceiptKind.EXPIRE,
                points=balance - before,
                balance_change=balance - before,
                balance_after=balance,
                stamps=stamps,
                at=at,
                reasons=reasons,
            )
    return booked


def _book(work: Work, loaded: Loaded, booked: Bookings, now: datetime) -> None:
    due.keep_bookings(work, loaded.id, booked, programme_version=loaded.version, now=now)


def _add_receipt(
    booked: Bookings,
    lot: DueLot,
    receipt_id: int,
    kind: ReceiptKind,
    *,
    points: int,
    balance_change: int,
    balance_after: int,
    at: int,
    reasons: Sequence[Mapping[str, Any]],
    stamps: int = 0,
) -> None:
    booked.members.add(lot.member_id)
    booked.receipts.append(
        {
            "id": receipt_id,
            "kind": kind.value,
            "member_id": lot.member_id,
            "card_id": lot.card_id,
            "points": points,
            "balance_change": balance_change,
            "balance_after": balance_after,
            "stamps": stamps,
            "occurred_at": at,
            "reasons": json.dumps(reasons, separators=(",", ":")),
        }
    )


def _by_member(lots: Sequence[DueLot], at: Callable[[DueLot], int]) -> Iterator[list[DueLot]]:
    ordered = sorted(lots, key=lambda lot: (lot.member_id, at(lot), lot.id))
    for _, of_member in groupby(ordered, lambda lot: lot.member_id):
        yield list(of_member)


def _lapsed_at(lot: DueLot) -> int:
    """The instant at which a lot lapsed: not before its points could be spent at all."""
    assert lot.expires_at is not None
    return max(lot.expires_at, lot.available_at)


def _expired_account(loaded: Loaded, asset: str) -> int:
    bucket = Bucket.EXPIRED.value
    return loaded.accounts[f"{STAMPS}:{bucket}" if asset == STAMPS else bucket]


def _suspending(rules: Programme) -> frozenset[str]:
    """The levels on which points do not lapse."""
    return frozenset(tier.key for tier in rules.tiers if tier.points_last)


def _until_level_ends(tier_due_at: int | None, now: datetime) -> int | None:
    """When to look again at what a level suspends. A review that is due itself comes first, so: tomorrow."""
    if tier_due_at is not None and tier_due_at <= micros(now):
        return micros(now + timedelta(days=1))
    return tier_due_at


# Most lots of a run lapse at the same few midnights.
@lru_cache(maxsize=4096)
def _local_day(at: int, zone: str) -> date:
    return dates.local_date(instant(at), zone)


# Levels ----------------------------------------------------------------------------


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

    return _each(store, decide, limit)


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
        _give(work, loaded, one.id, one.card_id, key, source="tier", until=None, now=now)


def _give(
    work: Work,
    loaded: Loaded,
    member_id: int,
    card_id: int,
    reward_key: str,
    *,
    source: str,
    until: datetime | None,
    receipt_id: int | None = None,
    now: datetime,
) -> None:
    """Put a free reward into a member's hands, to be used within its days of validity or `until`."""
    reward = loaded.programme.reward(reward_key)
    if reward.valid_days is not None:
        until = now + timedelta(days=reward.valid_days)
    redemptions.add(
        work,
        programme_id=loaded.id,
        member_id=member_id,
        card_id=card_id,
        reward_key=reward_key,
        source=source,
        points=0,
        amount_minor=None,
        state=redemptions.ISSUED,
        receipt_id=receipt_id,
        purchase_id=None,
        expires_at=until,
        now=now,
    )


# Rewards and holds -------------------------------------------------------------------


def lapse_rewards_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Let rewards lapse that were given and not used in time. Returns how many."""

    def decide(work: Work, loaded: Loaded, most: int) -> int:
        return due.lapse_rewards(work, loaded.id, at=now, limit=most)

    return _each(store, decide, limit)


def release_holds_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Give back points held for payments that never came, and the rewards they were for. Returns how many."""
    most, _ = _bounds(store, limit)
    with store.read() as read:
        held = [
            (loaded, hold_id)
            for loaded in programmes.every(read)
            for hold_id in due.lapsed_holds(read, loaded.id, at=now, limit=most)
        ]
    return sum(
        store.write(lambda work, loaded=loaded, hold_id=hold_id: _release(work, loaded, hold_id, now))  # type: ignore[misc]
        for loaded, hold_id in held
    )


def _release(work: Work, loaded: Loaded, hold_id: int, now: datetime) -> int:
    hold = redemptions.hold_by_id(work, loaded.id, hold_id)
    assert hold is not None
    standing = members.standing(members.of_card(work, loaded.id, hold.card_id))
    # Read again under the member's lock: a till may have resolved or extended it meanwhile.
    hold = redemptions.hold_by_id(work, loaded.id, hold_id)
    assert hold is not None
    assert standing is not None
    if hold.state != redemptions.AUTHORISED or hold.lapses_at > micros(now):
        return 0
    booking = Booking(
        work,
        loaded,
        standing,
        kind=ReceiptKind.VOID,
        at=Counter(),
        occurred_at=instant(hold.lapses_at),
        now=now,
    )
    booking.end_hold(hold, becomes=redemptions.EXPIRED, rule="timeout")
    booking.finish(redemption_id=hold.redemption_id)
    return 1


# Birthdays ---------------------------------------------------------------------------

_BIRTHDAYS, _NOTICES = "due:birthdays", "due:notices"


def birthdays_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Give birthday gifts, once for each local day, with the days that were missed. Returns how many."""
    given = 0
    with store.read() as read:
        loadeds = programmes.every(read)
    for loaded in loadeds:
        rule = loaded.programme.birthday
        days = _days_due(store, loaded, _BIRTHDAYS, now) if rule else []
        if rule is None or not days:
            continue
        for month, day in occasions.birthdays_due(rule, days[0], days[-1]):
            given += _give_birthday(store, loaded, rule, month, day, days, now=now, limit=limit)
        _mark(store, loaded, _BIRTHDAYS, days[-1])
    return given


def _give_birthday(
    store: Store,
    loaded: Loaded,
    rule: Birthday,
    month: int,
    day: int,
    days: Sequence[date],
    *,
    now: datetime,
    limit: int | None,
) -> int:
    """Gifts to all members with this birthday, a few at a time."""
    zone, given, after = loaded.programme.zone, 0, 0
    _, most = _bounds(store, limit)
    while True:
        with store.read() as read:
            page = due.born_on(read, loaded.id, month=month, day=day, after=after, limit=most)
        if not page:
            return given
        after = page[-1].id
        gifts = []
        for row in page:
            year = occasions.birthday_year(
                rule,
                month=month,
                day=day,
                tier=row.tier,
                joined_at=instant(row.joined_at),
                changed_at=instant_or_none(row.birthday_changed_at),
                since=days[0],
                today=days[-1],
                zone=zone,
            )
            if year is not None:
                _, last = occasions.birthday_span(rule, month, day, year, row.tier)
                until = max(dates.day_start(last + timedelta(days=1), zone), dates.next_day_start(now, zone))
                gifts.append((row.card_id, year, until))

        def decide(work: Work, gifts: Sequence[tuple[int, int, datetime]] = tuple(gifts)) -> int:
            return sum(_gift(work, loaded, rule, *gift, now=now) for gift in gifts)

        if gifts:
            given += store.write(decide)


def _gift(
    work: Work,
    loaded: Loaded,
    rule: Birthday,
    card_id: int,
    year: int,
    until: datetime,
    *,
    now: datetime,
) -> bool:
    """One member's gift; False when it was given before."""
    standing = members.standing(members.of_card(work, loaded.id, card_id))
    if standing is None:
        return False
    name = occasions.birthday_name(year)
    if allowances.member_take(work, loaded.id, standing.member_id, name, 1, now=now) > 1:
        return False
    rules = loaded.programme
    booking = Booking(
        work, loaded, standing, kind=ReceiptKind.BIRTHDAY, at=Counter(), occurred_at=now, now=now
    )
    booking.reasons.append({"rule": "birthday", "year": year, "points": rule.points})
    words = ""
    if rule.points:
        tier = rules.tier(standing.tier)
        expires_at = lasting.expires_at(
            rules.points, earned_at=now, available_at=now, zone=rules.zone, tier=tier
        )
        booking.credit(rule.points, kind=PostingKind.BONUS, expires_at=expires_at)
        lapse_at = lasting.lapse_at(rules.points, now, rules.zone, tier)
        if lapse_at and booking.standing.points_lapse_at is None:
            members.keep(work, loaded.id, replace(booking.standing, points_lapse_at=micros(lapse_at)))
        words = plural(
            standing.language,
            "Happy birthday! %(count)s %(unit)s is yours.",
            "Happy birthday! %(count)s %(unit)s are yours.",
            rule.points,
            unit=rules.unit.name(rule.points, standing.language),
        )
    if rule.reward_key:
        _give(
            work,
            loaded,
            standing.member_id,
            standing.card_id,
            rule.reward_key,
            source="birthday",
            until=until,
            receipt_id=booking.id,
            now=now,
        )
        reward = rules.reward(rule.reward_key).name.in_(standing.language)
        words = words or say(standing.language, "Happy birthday! Your gift: %(reward)s", reward=reward)
    booking.finish(reward_key=rule.reward_key, face_changed=True)
    due.add_notices(work, loaded.id, [due.Notice(standing.member_id, "birthday", str(year), words)], now=now)
    return True


# Notices -----------------------------------------------------------------------------


def notices_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Tell members ahead which points lapse when, once for each local day. Returns how many were told.

    Each is told of one day and how much lapses on it, as it stands now.
    """
    told = 0
    with store.read() as read:
        loadeds = programmes.every(read)
    for loaded in loadeds:
        points = loaded.programme.points
        lapses = points.expiry.kind is not ExpiryKind.NONE
        days = _days_due(store, loaded, _NOTICES, now) if lapses else []
        if not days:
            continue
        ahead = lasting.notices_due(points.notice_days, days)
        if ahead:
            told += _tell(store, loaded, ahead, now=now, limit=limit)
        _mark(store, loaded, _NOTICES, days[-1])
    return told


def _tell(
    store: Store, loaded: Loaded, ahead: Mapping[date, int], *, now: datetime, limit: int | None
) -> int:
    rules = loaded.programme
    by_inactivity = rules.points.expiry.kind is ExpiryKind.INACTIVITY
    spans = {
        day: (dates.day_start(day, rules.zone), dates.day_start(day + timedelta(days=1), rules.zone))
        for day in ahead
    }
    with store.read() as read:
        # On most days nothing lapses where it lapses at the ends of months.
        days = [
            day
            for day, (since, until) in spans.items()
            if due.anything_lapses(read, loaded.id, since=since, until=until, by_inactivity=by_inactivity)
        ]
    most, _ = _bounds(store, limit)
    told = after = 0
    while days:
        with store.read() as read:
            last = due.members_end(read, loaded.id, after=after, limit=limit or _READ)
            if last is None:
                break
            found = {
                day: due.lapsing(
                    read,
                    loaded.id,
                    since=spans[day][0],
                    until=spans[day][1],
                    after=after,
                    last=last,
                    by_inactivity=by_inactivity,
                )
                for day in days
            }
        notices = [one for day in days for one in _notices(rules, day, ahead[day], found[day])]
        for start in range(0, len(notices), most):
            part = notices[start : start + most]
            store.write(lambda work, part=part: _keep_notices(work, loaded, part, now=now))  # type: ignore[misc]
        told += len(notices)
        after = last
    return told


def _keep_notices(work: Work, loaded: Loaded, notices: Sequence[due.Notice], *, now: datetime) -> None:
    """Tell members on their cards, and those who gave an address in a letter too."""
    due.add_notices(work, loaded.id, notices, now=now)
    letters = [
        mail.Wanted(one.member_id, one.about, {"day": int(one.about.partition(":")[0])}) for one in notices
    ]
    morning = dates.by_day(now, loaded.programme.zone)
    mail.want_many(work, loaded.id, mail.EXPIRY, letters, not_before=morning, now=now)


def _notices(rules: Programme, day: date, ahead: int, lapsing: Sequence[due.Lapsing]) -> Iterator[due.Notice]:
    """One notice for each member of how much lapses on a day."""
    for member_id, of_member in groupby(lapsing, lambda one: one.member_id):
        parts = list(of_member)
        points, language = sum(one.points for one in parts), parts[0].language
        words = plural(
            language,
            "%(count)s %(unit)s lapses on %(day)s.",
            "%(count)s %(unit)s lapse on %(day)s.",
            points,
            unit=rules.unit.name(points, language),
            day=day,
        )
        yield due.Notice(member_id, "points_lapse", f"{dates.day_number(day)}:{ahead}", words)


# What the steps above share ------------------------------------------------------------


def _each(store: Store, decide: Callable[[Work, Loaded, int], int], limit: int | None) -> int:
    """Do it once for every programme, each in a transaction of its own."""
    most, _ = _bounds(store, limit)
    with store.read() as read:
        loadeds = programmes.every(read)
    return sum(
        store.write(lambda work, loaded=loaded: decide(work, loaded, most))  # type: ignore[misc]
        for loaded in loadeds
    )


def _bounds(store: Store, limit: int | None) -> tuple[int, int]:
    """How many rows, and how many bookings, one transaction takes."""
    many, bookings = (_MANY, _BOOKINGS_MANY) if store.postgresql else (_FEW, _BOOKINGS_FEW)
    return (many, bookings) if limit is None else (limit, min(limit, bookings))


def _days_due(store: Store, loaded: Loaded, name: str, now: datetime) -> list[date]:
    """Today and the days before it on which nobody called; none when today's work is done.

    A programme that never had any begins today. After more than a year only
    the last one counts.
    """
    today = dates.local_date(now, loaded.programme.zone)
    with store.read() as read:
        marked = due.marked_day(read, loaded.id, name)
    if marked is None:
        return [today]
    done = date(marked // 10_000, marked // 100 % 100, marked % 100)
    missed = min((today - done).days, 366)
    return [today - timedelta(days=back) for back in range(missed - 1, -1, -1)]


def _mark(store: Store, loaded: Loaded, name: str, day: date) -> None:
    store.write(lambda work: due.mark_day(work, loaded.id, name, dates.day_number(day)))
