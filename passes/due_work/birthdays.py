"""Birthday gifts, once for each local day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from passes.booking import Booking
from passes.due_work.gifts import give
from passes.due_work.turns import bounds, days_due, mark
from passes.language import plural, say
from passes.loyalty import dates, lasting, occasions
from passes.loyalty.ledger import PostingKind
from passes.loyalty.occasions import Birthday
from passes.loyalty.receipt import Counter, ReceiptKind
from passes.store import Store, Work, allowances, due, members, programmes
from passes.store.instants import instant, instant_or_none, micros
from passes.store.programmes import Loaded

_MARK = "due:birthdays"


def birthdays_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Give birthday gifts, once for each local day, with the days that were missed. Returns how many."""
    given = 0
    with store.read() as read:
        loadeds = programmes.every(read)
    for loaded in loadeds:
        rule = loaded.programme.birthday
        days = days_due(store, loaded, _MARK, now) if rule else []
        if rule is None or not days:
            continue
        for month, day in occasions.birthdays_due(rule, days[0], days[-1]):
            given += _give_birthday(store, loaded, rule, month, day, days, now=now, limit=limit)
        mark(store, loaded, _MARK, days[-1])
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
    _, most = bounds(store, limit)
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
        give(
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
