"""Members are told ahead which points lapse when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby

from passes.due_work.turns import bounds, days_due, mark
from passes.language import plural
from passes.loyalty import dates, lasting
from passes.loyalty.lasting import ExpiryKind
from passes.loyalty.programme import Programme
from passes.store import Store, Work, due, mail, programmes
from passes.store.programmes import Loaded

_MARK = "due:notices"
# Whom a notice may concern is only read, which nobody waits for.
_READ = 2_000


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
        days = days_due(store, loaded, _MARK, now) if lapses else []
        if not days:
            continue
        ahead = lasting.notices_due(points.notice_days, days)
        if ahead:
            told += _tell(store, loaded, ahead, now=now, limit=limit)
        mark(store, loaded, _MARK, days[-1])
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
    most, _ = bounds(store, limit)
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
