"""What points did, what of them is left, and what that is worth in the books."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction

from passes.insights.naming import (
    in_order,
    instants,
    label,
    numbering,
)
from passes.loyalty.dates import local_date
from passes.loyalty.liability import PointsMonth, journal
from passes.loyalty.metrics import (
    IssueCohort,
    PointsFlow,
)
from passes.store import Store, insights, programmes
from passes.store.insights import (
    SLOT_SECONDS,
    Basis,
    Bucketed,
    By,
    Cut,
    Window,
    month_number,
    month_start,
)


@dataclass(frozen=True, slots=True)
class PointsFigures:
    """Points that moved. The redemption rate is that of the flow: burned / (earned + bonus)."""

    bucket: str | None
    earned: int
    bonus: int
    burned: int
    expired: int
    redemption_rate: Fraction | None
    burn_ratio: Fraction | None
    earn_to_burn: Fraction | None


def points(store: Store, *, programme: str, window: Window, by: By | None = None) -> list[PointsFigures]:
    """Points earned, given, burned and expired. ValueError for `by` channel: the books do not know it."""
    if by is By.CHANNEL:
        raise ValueError("points are not booked by channel")
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        zone = loaded.programme.zone
        since, until = instants(window, zone)
        flows = insights.points(read, loaded.id, since=since, until=until, by=by)
    if by in (By.MONTH, By.WEEK):
        flows = _folded(flows, zone, numbering(by)[0])
    elif by is None:
        flows = flows or {None: PointsFlow(0, 0, 0, 0)}
    return [
        PointsFigures(
            bucket=label(by, bucket),
            earned=flow.earned,
            bonus=flow.bonus,
            burned=flow.burned,
            expired=flow.expired,
            redemption_rate=flow.redemption_rate,
            burn_ratio=flow.burn_ratio,
            earn_to_burn=flow.earn_to_burn,
        )
        for bucket, flow in in_order(flows.items(), lambda pair: pair[0])
    ]


def _folded(
    flows: dict[Bucketed, PointsFlow], zone: str, number: Callable[[date], int]
) -> dict[Bucketed, PointsFlow]:
    folded: dict[Bucketed, PointsFlow] = {}
    days: dict[int, int] = {}
    for slot, flow in flows.items():
        assert isinstance(slot, int)
        period = days.get(slot)
        if period is None:
            at = datetime.fromtimestamp(slot * SLOT_SECONDS, UTC)
            period = days[slot] = number(local_date(at, zone))
        known = folded.get(period, PointsFlow(0, 0, 0, 0))
        folded[period] = PointsFlow(
            known.earned + flow.earned,
            known.bonus + flow.bonus,
            known.burned + flow.burned,
            known.expired + flow.expired,
        )
    return folded


@dataclass(frozen=True, slots=True)
class IssueFigures:
    """The points issued in a window and what became of them so far.

    `redemption_rate` is that of the cohort; `breakage` is None while some are left.
    """

    issued: int
    used: int
    expired: int
    taken_back: int
    remaining: int
    redemption_rate: Fraction | None
    breakage: Fraction | None


def issued(store: Store, *, programme: str, window: Window) -> IssueFigures:
    """Redemption rate and breakage of the lots of a window."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        since, until = instants(window, loaded.programme.zone)
        found = insights.issue_cohort(read, loaded.id, since=since, until=until)
    return _issue_figures(found)


def _issue_figures(found: IssueCohort) -> IssueFigures:
    return IssueFigures(
        issued=found.issued,
        used=found.used,
        expired=found.expired,
        taken_back=found.taken_back,
        remaining=found.remaining,
        redemption_rate=found.redemption_rate,
        breakage=found.breakage,
    )


@dataclass(frozen=True, slots=True)
class LiabilityFigures:
    """Points that could still be used, and what they will cost.

    `deficit` is what accounts below zero lack; it lowers nothing.
    `liability_minor` is None while nobody said what points are worth.
    """

    at: datetime
    pending: int
    available: int
    held: int
    deficit: int
    points: int
    hundred_points_minor: int | None
    redemption_rate: Fraction
    liability_minor: int | None


def liability(
    store: Store,
    *,
    programme: str,
    at: datetime | None = None,
    redemption_rate: Fraction = Fraction(1),
    hundred_points_minor: int | None = None,
    now: datetime,
) -> LiabilityFigures:
    """Outstanding points now, or at an earlier instant, and their liability.

    `redemption_rate` is the share that is expected to be used ever: all of them
    unless the shop knows better. Their worth is the programme's unless given.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        found = insights.outstanding(read, loaded.id, at=at)
    worth_minor = hundred_points_minor or loaded.programme.points.hundred_points_minor
    return LiabilityFigures(
        at=at or now,
        pending=found.pending,
        available=found.available,
        held=found.held,
        deficit=found.deficit,
        points=found.points,
        hundred_points_minor=worth_minor,
        redemption_rate=redemption_rate,
        liability_minor=(
            None
            if worth_minor is None
            else found.liability_minor(cost_minor=Fraction(worth_minor, 100), redemption_rate=redemption_rate)
        ),
    )


@dataclass(frozen=True, slots=True)
class JournalFigures:
    """One month's bookings of the points liability: opening + deferred − recognised = closing."""

    month: str
    opening_minor: int
    deferred_minor: int
    recognised_minor: int
    closing_minor: int


def liability_journal(
    store: Store,
    *,
    programme: str,
    window: Window,
    rates: Mapping[date, Fraction],
    hundred_points_minor: int | None = None,
) -> list[JournalFigures]:
    """The monthly journal of what points defer and release, for the months of the window.

    `rates` is the share of points that will ever be used, by the first day from
    which the shop believes so; before all of them it is 1. ValueError while
    nobody said what points are worth.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        zone = loaded.programme.zone
        whole = Window(date(1970, 1, 1), window.end)
        since, until = instants(whole, zone)
        # Returns count in their own month: a month that was closed stays as it was.
        sold = insights.sales(read, loaded.id, Cut(whole, basis=Basis.EVENT_DATE), By.MONTH)
        slots = insights.points(read, loaded.id, since=since, until=until, by=By.MONTH)
    worth_minor = hundred_points_minor or loaded.programme.points.hundred_points_minor
    if worth_minor is None:
        raise ValueError("nobody said what points are worth")
    flows = _folded(slots, zone, month_number)
    nets = {int(one.bucket): one.net_of_members_minor for one in sold if one.bucket is not None}
    known = [number for number in (*nets, *flows) if isinstance(number, int)]
    last = month_number(window.end - date.resolution)
    months = []
    for number in range(min(known, default=last), last + 1):
        flow = flows.get(number, PointsFlow(0, 0, 0, 0))
        months.append(
            PointsMonth(
                number,
                nets.get(number, 0),
                flow.earned,
                flow.bonus,
                flow.burned,
                _rate_at(rates, month_start(number + 1) - date.resolution),
            )
        )
    return [
        JournalFigures(
            label(By.MONTH, booked.month) or "",
            booked.opening_minor,
            booked.deferred_minor,
            booked.recognised_minor,
            booked.closing_minor,
        )
        for booked in journal(months, point_minor=Fraction(worth_minor, 100))
        if booked.month >= month_number(window.start)
    ]


def _rate_at(rates: Mapping[date, Fraction], day: date) -> Fraction:
    begun = [since for since in rates if since <= day]
    return rates[max(begun)] if begun else Fraction(1)
