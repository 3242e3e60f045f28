"""What may be abuse: patterns in what is stored, for a person to look into. Reference: loyalty G.

None of them is proof: a family shares a card, a regular comes four times a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import chain

from passes.loyalty.dates import day_number, day_start
from passes.loyalty.distance import FAR_WITHIN, far_from
from passes.store import Read, Store, programmes, watching
from passes.store.insights import Window
from passes.store.programmes import Loaded
from passes.store.watching import Days

FAVOURITE_TIMES = 8
"""So many purchases of one member served by one cashier …"""

FAVOURITE_SHARE, FAVOURITE_LIFT = 0.8, 2
"""… which are this share of the member's, and so many times the cashier's share of everybody's."""

ROW_TIMES, ROW_WITHIN = 3, timedelta(minutes=10)
RETURN_TIMES, RETURN_SHARE = 3, 0.5
CLAIM_TIMES = 3
LATE_AFTER = timedelta(days=1)
ENROLMENTS = 20
LOOKUPS_A_DAY = 30
_MICROSECOND = timedelta(microseconds=1)


class Pattern(StrEnum):
    """What was seen."""

    MANY_VISITS = "many_visits"  # one member, one till, one day: more than a till books alone
    ONE_CASHIER = "one_cashier"  # a member whom nearly always the same person serves
    IN_A_ROW = "in_a_row"  # three purchases of a member at one till within ten minutes
    TWO_PLACES = "two_places"  # a card in two shops that nobody gets between so fast
    RETURNS = "returns"  # a member who brings half of what they buy back
    CLAIMS = "claims"  # a member who claims receipts of guests again and again
    LATE = "late"  # a till that tells of purchases a day later
    ENROLMENTS = "enrolments"  # many people who joined at one till on one day
    LOOKUPS = "lookups"  # somebody who looks many members up
    APPROVALS = "approvals"  # what managers agreed to


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to look into: how often, of how many where that means something, and whom it is about.

    `day` is a local day (yyyymmdd) where it happened on one.
    """

    pattern: Pattern
    times: int
    of: int | None = None
    member_id: int | None = None
    person: str | None = None
    location: str | None = None
    till: str | None = None
    day: int | None = None


def watch(store: Store, *, programme: str, window: Window) -> list[Alert]:
    """What to look into of some days, pattern by pattern, the most striking first."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        days = Days(day_number(window.start), day_number(window.end))
        return list(
            chain(
                _visits(read, loaded, days),
                _one_cashier(read, loaded, days),
                _fast(read, loaded, days),
                _returns(read, loaded, days),
                _enrolments(read, loaded, days),
                _staff(read, loaded, window),
            )
        )


def _visits(read: Read, loaded: Loaded, days: Days) -> list[Alert]:
    most = loaded.programme.till.member_day_limit
    return [
        Alert(
            Pattern.MANY_VISITS,
            row.times,
            member_id=row.member_id,
            location=row.location,
            till=row.till,
            day=row.local_day,
        )
        for row in watching.days_at_a_till(read, loaded.id, days, most=most)
    ]


def _one_cashier(read: Read, loaded: Loaded, days: Days) -> list[Alert]:
    found = []
    for row in watching.favourites(read, loaded.id, days, least=FAVOURITE_TIMES):
        theirs, usual = row.times / row.all_times, row.served_times / row.every_time
        if theirs >= FAVOURITE_SHARE and theirs >= FAVOURITE_LIFT * usual:
            found.append(
                Alert(
                    Pattern.ONE_CASHIER,
                    row.times,
                    of=int(row.all_times),
                    member_id=row.member_id,
                    person=row.person,
                )
            )
    return found


def _fast(read: Read, loaded: Loaded, days: Days) -> list[Alert]:
    found = [
        Alert(
            Pattern.IN_A_ROW,
            ROW_TIMES,
            member_id=row.member_id,
            location=row.location,
            till=row.till,
            day=row.local_day,
        )
        for row in watching.in_a_row(
            read, loaded.id, days, times=ROW_TIMES, within=ROW_WITHIN // _MICROSECOND
        )
    ]
    for row in watching.elsewhere(read, loaded.id, days, within=FAR_WITHIN // _MICROSECOND):
        if row.earlier_location in far_from(loaded.programme.shops, row.location):
            found.append(
                Alert(
                    Pattern.TWO_PLACES,
                    2,
                    member_id=row.member_id,
                    location=row.location,
                    day=row.local_day,
                )
            )
    return found


def _returns(read: Read, loaded: Loaded, days: Days) -> list[Alert]:
    found = [
        Alert(Pattern.RETURNS, row.returned, of=row.purchases, member_id=row.member_id)
        for row in watching.returners(read, loaded.id, days, least=RETURN_TIMES)
        if row.returned >= RETURN_SHARE * row.purchases
    ]
    found += [
        Alert(Pattern.CLAIMS, row.times, member_id=row.member_id)
        for row in watching.claimers(read, loaded.id, days, least=CLAIM_TIMES)
    ]
    found += [
        Alert(Pattern.LATE, row.times, person=row.person, location=row.location, till=row.till)
        for row in watching.late(read, loaded.id, days, within=LATE_AFTER // _MICROSECOND)
    ]
    return found


def _enrolments(read: Read, loaded: Loaded, days: Days) -> list[Alert]:
    found = []
    for row in watching.enrolled(read, loaded.id, days, least=ENROLMENTS):
        day, location, till = row.name.removeprefix(watching.ENROLLED).split(":", 2)
        found.append(
            Alert(
                Pattern.ENROLMENTS,
                row.used,
                location=location or None,
                till=till or None,
                day=int(day),
            )
        )
    return found


def _staff(read: Read, loaded: Loaded, window: Window) -> list[Alert]:
    zone = loaded.programme.zone
    since, until = (day_start(day, zone) for day in (window.start, window.end))
    length = (window.end - window.start).days
    kinds = (
        (Pattern.LOOKUPS, "member_lookup", LOOKUPS_A_DAY * max(length, 1)),
        (Pattern.APPROVALS, "till_approved", 1),
    )
    return [
        Alert(pattern, row.times, person=row.login)
        for pattern, action, least in kinds
        for row in watching.noted(read, loaded.id, action=action, since=since, until=until, least=least)
    ]
