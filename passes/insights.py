"""The marketer's numbers: what was sold, who comes back, what points and offers do.

Every figure is defined in docs/insights.md. Amounts are minor units of the
programme's currency; rates are exact fractions, None where there is nothing to
divide by or where the time that they need is not over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import TypeVar

from passes.loyalty import metrics
from passes.loyalty.dates import add_months, day_start, local_date
from passes.loyalty.experiments import (
    FEWEST,
    Effect,
    Proportion,
    cuped,
    incremental_margin_minor,
    means,
    proportions,
    return_on_investment,
)
from passes.loyalty.liability import PointsMonth, journal
from passes.loyalty.lifetime_value import (
    REPEATING_FEWEST,
    History,
    correlation,
    fit_buying,
    fit_spending,
)
from passes.loyalty.metrics import (
    CLOSED,
    JOINED,
    SEGMENTS,
    IssueCohort,
    PointsFlow,
    discounted_lifetime_value,
    lifetime_value,
    migration,
    segment,
    share,
    to_minor,
)
from passes.loyalty.offers import Arm
from passes.loyalty.refusals import OfferUnknown
from passes.store import Store, insights, programmes
from passes.store.insights import (
    SLOT_SECONDS,
    Basis,
    Bucketed,
    By,
    Cut,
    Kept,
    Kind,
    Steps,
    Visits,
    Window,
    month_number,
    month_start,
    week_number,
    week_start,
)

ACTIVE_DAYS = 90

_Found = TypeVar("_Found")


# Sales -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SalesFigures:
    """Sales of one month, week, channel, …; `bucket` is None for the whole and for what is not known."""

    bucket: str | None
    orders: int
    gross_minor: int
    discount_minor: int
    returned_minor: int
    net_minor: int
    average_order_minor: int | None
    orders_of_members: int
    net_of_members_minor: int
    member_share: Fraction | None
    attach_rate: Fraction | None


def sales(store: Store, *, programme: str, cut: Cut, by: By | None = None) -> list[SalesFigures]:
    """Orders, gross, net, average order; members' share of net, and of orders (attach rate)."""
    with store.read() as read:
        found = insights.sales(read, programmes.by_slug(read, programme).id, cut, by)
    return [
        SalesFigures(
            bucket=_label(by, one.bucket),
            orders=one.orders,
            gross_minor=one.gross_minor,
            discount_minor=one.discount_minor,
            returned_minor=one.returned_minor,
            net_minor=one.net_minor,
            average_order_minor=_minor(share(one.net_minor, one.orders)),
            orders_of_members=one.orders_of_members,
            net_of_members_minor=one.net_of_members_minor,
            member_share=share(one.net_of_members_minor, one.net_minor),
            attach_rate=share(one.orders_of_members, one.orders),
        )
        for one in _sorted(found, lambda one: one.bucket)
    ]


@dataclass(frozen=True, slots=True)
class CustomerFigures:
    """Orders of one kind: first-time, returning, guest."""

    bucket: str | None
    kind: Kind
    orders: int
    customers: int
    gross_minor: int
    net_minor: int
    average_order_minor: int | None


def customers(store: Store, *, programme: str, cut: Cut, by: By | None = None) -> list[CustomerFigures]:
    """First-time, returning and guest orders, a row for each kind of each bucket."""
    with store.read() as read:
        found = insights.kinds(read, programmes.by_slug(read, programme).id, cut, by)
    cells = {(one.bucket, one.kind): one for one in found}
    rows = []
    for bucket in _sorted({one.bucket for one in found} if by else {None}, lambda bucket: bucket):
        for kind in Kind:
            one = cells.get((bucket, kind)) or insights.KindOfSales(bucket, kind, 0, 0, 0, 0)
            rows.append(
                CustomerFigures(
                    bucket=_label(by, bucket),
                    kind=kind,
                    orders=one.orders,
                    customers=one.customers,
                    gross_minor=one.gross_minor,
                    net_minor=one.net_minor,
                    average_order_minor=_minor(share(one.net_minor, one.orders)),
                )
            )
    return rows


# Who comes back ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetentionFigures:
    """Customers of the period before (`start`), seen again in this one.

    `complete` says whether the period is over; its rates are None before.
    """

    bucket: str
    complete: bool
    start: int
    active: int
    new: int
    kept: int
    retention: Fraction | None
    churn: Fraction | None
    net_revenue_retention: Fraction | None
    net_churn: Fraction | None
    churn_is_negative: bool


def retention(
    store: Store, *, programme: str, cut: Cut, by: By | None = None, now: datetime
) -> list[RetentionFigures]:
    """Retention, churn and net revenue retention against the period before.

    Without `by` the period is the window, compared with the equally long one
    before it; `by` months or weeks gives a row for each that the window touches.
    ValueError for any other `by`.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        today = local_date(now, loaded.programme.zone)
        window = cut.window
        if by is None:
            both = _cut_to(cut, Window(_before(window), window.end))
            kept = insights.kept(read, loaded.id, both, middle=window.start)
            return [_retained(f"{window.start}", kept, complete=window.end <= today)]
        number, start_of = _numbering(by)
        # Whole periods only, and one more to compare the first with.
        first, last = number(window.start), number(window.end - date.resolution)
        whole = Window(start_of(first - 1), start_of(last + 1))
        series = insights.kept_by(read, loaded.id, _cut_to(cut, whole), by)
        return [
            _retained(_label(by, period) or "", kept, complete=start_of(period + 1) <= today)
            for period, kept in series.items()
        ]


def _retained(bucket: str, kept: Kept, *, complete: bool) -> RetentionFigures:
    people, revenue = kept.customers, kept.revenue
    return RetentionFigures(
        bucket=bucket,
        complete=complete,
        start=people.start,
        active=people.active,
        new=people.new,
        kept=people.kept,
        retention=people.rate if complete else None,
        churn=people.churn if complete else None,
        net_revenue_retention=revenue.rate if complete else None,
        net_churn=revenue.net_churn if complete else None,
        churn_is_negative=complete and revenue.churn_is_negative,
    )


@dataclass(frozen=True, slots=True)
class WorthFigures:
    """What identified customers are worth.

    `churn` is that between the two halves of the window, `lifespan` is in
    windows, the lifetime values are gross margin where a margin was given.
    """

    customers: int
    repeating: int
    orders: int
    net_minor: int
    repeat_rate: Fraction | None
    frequency: Fraction | None
    average_order_minor: int | None
    customer_value_minor: int | None
    churn: Fraction | None
    lifespan: Fraction | None
    lifetime_value_minor: int | None
    discounted_lifetime_value_minor: int | None


def worth(
    store: Store,
    *,
    programme: str,
    cut: Cut,
    margin: Fraction = Fraction(1),
    discount: Fraction | None = None,
) -> WorthFigures:
    """Repeat rate, frequency, average order, customer value, lifespan and lifetime value of a window.

    Churn is measured from the first half of the window to the second.
    `discount` is the rate of half a window, for the discounted value.
    """
    window = cut.window
    middle = _middle(window)
    with store.read() as read:
        programme_id = programmes.by_slug(read, programme).id
        found = insights.worth(read, programme_id, cut).get(None, metrics.Worth(0, 0, 0, 0))
        kept = insights.kept(read, programme_id, cut, middle=middle).customers
    value = found.customer_value
    # Two halves make the window that the value belongs to.
    lifespan = None if kept.lifespan is None else kept.lifespan / 2
    discounted = None
    if value is not None and kept.rate is not None and discount:
        discounted = discounted_lifetime_value(value / 2 * margin, kept.rate, discount)
    return WorthFigures(
        customers=found.customers,
        repeating=found.repeating,
        orders=found.orders,
        net_minor=found.net_minor,
        repeat_rate=found.repeat_rate,
        frequency=found.frequency,
        average_order_minor=_minor(found.average_order),
        customer_value_minor=_minor(value),
        churn=kept.churn,
        lifespan=lifespan,
        lifetime_value_minor=(
            None if value is None or lifespan is None else to_minor(lifetime_value(value, lifespan, margin))
        ),
        discounted_lifetime_value_minor=_minor(discounted),
    )


@dataclass(frozen=True, slots=True)
class CohortFigures:
    """Customers by the month of their first order.

    `active[k]` bought k months later; None where that month is not over.
    """

    month: str
    size: int
    active: tuple[int | None, ...]
    rates: tuple[Fraction | None, ...]


def cohorts(store: Store, *, programme: str, window: Window, now: datetime) -> list[CohortFigures]:
    """The cohort matrix of everybody whose first order fell into the window's months."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        today = local_date(now, loaded.programme.zone)
        cells = insights.cohort_cells(read, loaded.id, Window(window.start, max(window.end, today)))
    last = month_number(window.end - date.resolution)
    sizes = {first: people for (first, month), people in cells.items() if first == month and first <= last}
    matrix = metrics.cohorts(
        {cell: people for cell, people in cells.items() if cell[0] in sizes},
        sizes,
        present=month_number(today),
    )
    return [
        CohortFigures(_label(By.MONTH, cohort.month) or "", cohort.size, cohort.active, cohort.rates)
        for cohort in matrix
    ]


@dataclass(frozen=True, slots=True)
class SegmentFigures:
    """Customers of one segment of recency and frequency, and what they spent in the window."""

    segment: str
    customers: int
    share_of_customers: Fraction | None
    orders: int
    net_minor: int
    share_of_net: Fraction | None


def segments(store: Store, *, programme: str, cut: Cut) -> list[SegmentFigures]:
    """Customers of a window by how lately and how often they ordered, all segments, best first."""
    with store.read() as read:
        found = insights.scored(read, programmes.by_slug(read, programme).id, cut)
    rows = dict.fromkeys(SEGMENTS, (0, 0, 0))
    for one in found:
        name = segment(one.recency, one.frequency)
        people, orders, net = rows[name]
        rows[name] = (people + one.customers, orders + one.orders, net + one.net_minor)
    everybody, everything = sum(row[0] for row in rows.values()), sum(row[2] for row in rows.values())
    return [
        SegmentFigures(name, people, share(people, everybody), orders, net, share(net, everything))
        for name, (people, orders, net) in rows.items()
    ]


# What they will do -----------------------------------------------------------------

PREDICTED_DAYS_FEWEST = 182
_FITTED_MOST = 2_000


@dataclass(frozen=True, slots=True)
class PredictedFigures:
    """What today's customers are expected to do in the weeks to come.

    `enough` is False, and the figures are None, below 200 customers with a
    repeat or half a year of history. `alive` is the expected number who are
    still customers. `repeats_predicted` and `repeats_actual` are those of the
    last quarter of the time, predicted from the rest: how far to trust it.
    `correlation` is between how often and how much people buy; the model takes
    it to be none.
    """

    customers: int
    repeating: int
    days: int
    enough: bool
    weeks: int
    alive: int | None
    purchases: int | None
    net_minor: int | None
    net_per_customer_minor: int | None
    correlation: Fraction | None
    repeats_predicted: int | None
    repeats_actual: int | None


def predicted(
    store: Store, *, programme: str, weeks: int = 52, margin: Fraction = Fraction(1), now: datetime
) -> PredictedFigures:
    """Predicted lifetime value over some weeks, of everybody who ever bought, times `margin`.

    Several orders of a day are one. Fitted to at most 2,000 customers, evenly chosen.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        today = local_date(now, loaded.programme.zone)
        everything = Window(date(1970, 1, 1), today)
        found = insights.visits(read, loaded.id, everything)
        begun = min((one.first_day for one in found), default=today)
        days = (today - begun).days
        held_out = begun + timedelta(days=days * 3 // 4)
        earlier = insights.visits(read, loaded.id, Window(everything.start, held_out))
    repeating = sum(one.days > 1 for one in found)
    if repeating < REPEATING_FEWEST or days < PREDICTED_DAYS_FEWEST:
        return PredictedFigures(
            len(found), repeating, days, False, weeks, None, None, None, None, None, None, None
        )
    histories = [_history(one, today) for one in found]
    buying = fit_buying(_evenly(histories))
    means_seen = [
        (one.days - 1, one.net_of_repeats_minor / (one.days - 1))
        for one in found
        if one.days > 1 and one.net_of_repeats_minor > 0
    ]
    spending = fit_spending(_evenly(means_seen))
    expects = {history: buying.purchases(history, weeks) for history in set(histories)}
    purchases = net = alive = 0.0
    for one, history in zip(found, histories, strict=True):
        expected = expects[history]
        repeats = history.repeats if one.net_of_repeats_minor > 0 else 0
        mean = one.net_of_repeats_minor / repeats if repeats else 0.0
        purchases += expected
        net += expected * spending.value(repeats, mean)
        alive += buying.alive(history)
    before = [_history(one, held_out) for one in earlier]
    model = fit_buying(_evenly(before))
    ahead = (today - held_out).days / 7
    counted = Counter(before)
    known = {one.member_id: one.days for one in earlier}
    together = correlation(means_seen)
    return PredictedFigures(
        customers=len(found),
        repeating=repeating,
        days=days,
        enough=True,
        weeks=weeks,
        alive=round(alive),
        purchases=round(purchases),
        net_minor=round(net * float(margin)),
        net_per_customer_minor=round(net * float(margin) / len(found)),
        correlation=None if together is None else Fraction(together).limit_denominator(10_000),
        repeats_predicted=round(
            sum(people * model.purchases(history, ahead) for history, people in counted.items())
        ),
        repeats_actual=sum(one.days - known[one.member_id] for one in found if one.member_id in known),
    )


def _history(one: Visits, today: date) -> History:
    # Whole weeks: people alike are then computed once.
    return History(
        one.days - 1, (one.last_day - one.first_day).days // 7, max((today - one.first_day).days // 7, 1)
    )


def _evenly(rows: Sequence[_Found]) -> Sequence[_Found]:
    return rows[:: -(-len(rows) // _FITTED_MOST)]


# Points ------------------------------------------------------------------------


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
        since, until = _instants(window, zone)
        flows = insights.points(read, loaded.id, since=since, until=until, by=by)
    if by in (By.MONTH, By.WEEK):
        flows = _folded(flows, zone, _numbering(by)[0])
    elif by is None:
        flows = flows or {None: PointsFlow(0, 0, 0, 0)}
    return [
        PointsFigures(
            bucket=_label(by, bucket),
            earned=flow.earned,
            bonus=flow.bonus,
            burned=flow.burned,
            expired=flow.expired,
            redemption_rate=flow.redemption_rate,
            burn_ratio=flow.burn_ratio,
            earn_to_burn=flow.earn_to_burn,
        )
        for bucket, flow in _sorted(flows.items(), lambda pair: pair[0])
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
        since, until = _instants(window, loaded.programme.zone)
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
        since, until = _instants(whole, zone)
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
            _label(By.MONTH, booked.month) or "",
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


# Members -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ActiveFigures:
    """Open members, and those of them who earned or burned in the last days."""

    at: datetime
    days: int
    active: int
    members: int
    rate: Fraction | None


def active(
    store: Store, *, programme: str, days: int = ACTIVE_DAYS, at: datetime | None = None, now: datetime
) -> ActiveFigures:
    """The active member rate at an instant: now, or an earlier one."""
    instant = at or now
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        found, everybody = insights.active_members(
            read, loaded.id, since=instant - timedelta(days=days), at=instant
        )
    return ActiveFigures(instant, days, found, everybody, share(found, everybody))


@dataclass(frozen=True, slots=True)
class TierFigures:
    """Members of one tier at the start of the window, and where they are at its end.

    Tier None is that of members without one. `(joined)` is the row of those
    who were no members yet, `(closed)` the column of those who are no longer.
    """

    tier: str | None
    members: int
    to: dict[str, int]


NO_TIER = "(none)"


def tiers(store: Store, *, programme: str, window: Window) -> list[TierFigures]:
    """The tier migration matrix of a window; each row adds up to the tier's size at its start."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        since, until = _instants(window, loaded.programme.zone)
        moves = insights.tier_moves(read, loaded.id, since=since, until=until)
    matrix = migration(
        (
            JOINED if move.state_start == "joined" else move.tier_start or NO_TIER,
            CLOSED if move.state_end == "closed" else move.tier_end or NO_TIER,
            move.members,
        )
        for move in moves
        if move.state_start != "closed" and move.state_end != "joined"
    )
    order = [tier.key for tier in loaded.programme.tiers]
    order += sorted(set(matrix) - {*order, JOINED})
    return [
        TierFigures(None if tier == NO_TIER else tier, sum(matrix[tier].values()), matrix[tier])
        for tier in (*order, JOINED)
        if tier in matrix
    ]


_STEPS = ("joined", "issued", "installed", "scanned", "earned", "redeemed")


@dataclass(frozen=True, slots=True)
class FunnelFigures:
    """How far those came who joined in the window, in all (source None) or from one source.

    `views` and `forms` count page views, the others distinct members.
    `seconds_to` has the median time from one step to the next, of those who
    took both in that order.
    """

    source: str | None
    views: int
    forms: int
    joined: int
    issued: int
    installed: int
    scanned: int
    earned: int
    redeemed: int
    install_rate: Fraction | None
    seconds_to: dict[str, int | None]


def funnel(store: Store, *, programme: str, window: Window, by: By | None = None) -> list[FunnelFigures]:
    """From the join page to the first redemption. ValueError for any `by` but the source."""
    if by not in (None, By.SOURCE):
        raise ValueError("the funnel is told by source only")
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        since, until = _instants(window, loaded.programme.zone)
        counts = insights.join_counts(read, loaded.id, window)
        taken = insights.steps(read, loaded.id, since=since, until=until)
    if by is None:
        pages = {
            step: sum(number for (_, name), number in counts.items() if name == step)
            for step in ("view", "send")
        }
        return [_funnel_row(None, pages["view"], pages["send"], taken)]
    sources: dict[str | None, list[Steps]] = {source: [] for source, _ in counts}
    for one in taken:
        sources.setdefault(one.source, []).append(one)
    return [
        _funnel_row(
            source, counts.get((source or "", "view"), 0), counts.get((source or "", "send"), 0), members
        )
        for source, members in _sorted(sources.items(), lambda pair: pair[0])
    ]


def _funnel_row(source: str | None, views: int, forms: int, taken: Sequence[Steps]) -> FunnelFigures:
    reached = {step: sum(getattr(one, f"{step}_at") is not None for one in taken) for step in _STEPS}
    return FunnelFigures(
        source=source,
        views=views,
        forms=forms,
        **reached,
        install_rate=share(reached["installed"], reached["issued"]),
        seconds_to={step: _median_seconds(taken, before, step) for before, step in pairwise(_STEPS)},
    )


def _median_seconds(taken: Sequence[Steps], before: str, after: str) -> int | None:
    pairs = ((getattr(one, f"{before}_at"), getattr(one, f"{after}_at")) for one in taken)
    waits = [end - start for start, end in pairs if start is not None and end is not None and start <= end]
    return int(median(waits)) // 1_000_000 if waits else None


@dataclass(frozen=True, slots=True)
class RemovalFigures:
    """Cards on a phone when the window began, and those whose last phone let go of them in it."""

    installed_at_start: int
    removed: int
    uninstall_rate: Fraction | None


def removals(store: Store, *, programme: str, window: Window) -> RemovalFigures:
    """The uninstall rate of a window."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        since, until = _instants(window, loaded.programme.zone)
        before, removed = insights.removals(read, loaded.id, since=since, until=until)
    return RemovalFigures(before, removed, share(removed, before))


# Offers ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EffectFigures:
    """A difference between the arms; `shown` is False for "not shown", which is not "no effect"."""

    treated: float
    holdout: float
    difference: float
    low: float
    high: float
    lift: float | None
    z: float | None
    p: float | None
    shown: bool


@dataclass(frozen=True, slots=True)
class OfferFigures:
    """What an offer changed, counting everybody assigned.

    `conversion` is the share who ordered, `spend_minor` the net per person,
    with and without what was known of them before (CUPED). The effects are
    None while an arm has fewer than thirty people. `final` says whether the
    offer is over: looking early finds effects that are none.
    """

    since: datetime | None
    until: datetime | None
    final: bool
    treated: int
    holdout: int
    buyers_treated: int
    buyers_holdout: int
    uses: int
    discount_minor: int
    points: int
    conversion: EffectFigures | None
    spend_minor: EffectFigures | None
    spend_adjusted_minor: EffectFigures | None
    incremental_margin_minor: int | None
    cost_minor: int
    return_on_investment: Fraction | None
    return_low: Fraction | None
    return_high: Fraction | None


def offer(
    store: Store,
    *,
    programme: str,
    key: str,
    margin: Fraction | None = None,
    cost_minor: int | None = None,
    now: datetime,
) -> OfferFigures:
    """The result of an offer: lift, interval, and with a `margin` the return on what it cost.

    What it brought is the difference in net per person, of all who were
    treated, times the margin. The cost is the discount given, the points at
    their worth, and `cost_minor` for the rest. Raises OfferUnknown.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        times = insights.offer_times(read, loaded.id, key)
        if times is None:
            raise OfferUnknown()
        until = min(times.until or now, now)
        arms: dict[str, insights.Arm] = {}
        if times.since is not None and times.since < until:
            arms = insights.arms(
                read,
                loaded.id,
                times.id,
                before=times.since - (until - times.since),
                since=times.since,
                until=until,
            )
        uses, discount_minor, given = insights.offer_uses(read, loaded.id, times.id)
    treated, holdout = arms.get(Arm.TREATED.value), arms.get(Arm.HOLDOUT.value)
    conversion, spend, adjusted = _effects(treated, holdout)
    worth_minor = loaded.programme.points.hundred_points_minor or 0
    spent_minor = discount_minor + to_minor(Fraction(given * worth_minor, 100)) + (cost_minor or 0)
    people = treated.spend.size if treated else 0
    brought: list[Fraction] = []
    if margin is not None and spend is not None:
        brought = [
            incremental_margin_minor(people, Fraction(each), value_minor=1, margin=margin)
            for each in (spend.difference, spend.low, spend.high)
        ]
    returned = [return_on_investment(amount, spent_minor) for amount in brought] or [None] * 3
    return OfferFigures(
        since=times.since,
        until=times.until,
        final=times.until is not None and times.until <= now,
        treated=people,
        holdout=holdout.spend.size if holdout else 0,
        buyers_treated=treated.buyers if treated else 0,
        buyers_holdout=holdout.buyers if holdout else 0,
        uses=uses,
        discount_minor=discount_minor,
        points=given,
        conversion=conversion,
        spend_minor=spend,
        spend_adjusted_minor=adjusted,
        incremental_margin_minor=to_minor(brought[0]) if brought else None,
        cost_minor=spent_minor,
        return_on_investment=returned[0],
        return_low=returned[1],
        return_high=returned[2],
    )


def _effects(
    treated: insights.Arm | None, holdout: insights.Arm | None
) -> tuple[EffectFigures | None, EffectFigures | None, EffectFigures | None]:
    if treated is None or holdout is None or min(treated.spend.size, holdout.spend.size) < FEWEST:
        return None, None, None
    bought = proportions(*(Proportion(arm.buyers, arm.spend.size) for arm in (treated, holdout)))
    return (
        _effect(bought),
        _effect(means(treated.spend.sample, holdout.spend.sample)),
        _effect(cuped(treated.spend, holdout.spend).effect),
    )


def _effect(effect: Effect) -> EffectFigures:
    low, high = effect.interval
    return EffectFigures(
        treated=effect.control + effect.difference,
        holdout=effect.control,
        difference=effect.difference,
        low=low,
        high=high,
        lift=effect.lift,
        z=effect.z,
        p=effect.p,
        shown=effect.shown,
    )


# Days, months and names ------------------------------------------------------------


def _instants(window: Window, zone: str) -> tuple[datetime, datetime]:
    return day_start(window.start, zone), day_start(window.end, zone)


def _cut_to(cut: Cut, window: Window) -> Cut:
    return Cut(window, cut.channel, cut.location, cut.basis)


def _whole_months(window: Window) -> int | None:
    if window.start.day == window.end.day == 1:
        return month_number(window.end) - month_number(window.start)
    return None


def _before(window: Window) -> date:
    """The start of the equally long window before: as many months, or else as many days."""
    months = _whole_months(window)
    return add_months(window.start, -months) if months else window.start - (window.end - window.start)


def _middle(window: Window) -> date:
    months = _whole_months(window)
    if months and months % 2 == 0:
        return add_months(window.start, months // 2)
    return window.start + (window.end - window.start) // 2


def _numbering(by: By | None) -> tuple[Callable[[date], int], Callable[[int], date]]:
    if by is By.MONTH:
        return month_number, month_start
    if by is By.WEEK:
        return week_number, week_start
    raise ValueError("only months and weeks follow each other")


def _label(by: By | None, bucket: Bucketed) -> str | None:
    """2026-03 for a month, the Monday for a week, else the name itself."""
    if bucket is None or by is None:
        return None
    if by is By.MONTH:
        return f"{month_start(int(bucket)):%Y-%m}"
    if by is By.WEEK:
        return str(week_start(int(bucket)))
    return str(bucket)


def _sorted(found: Iterable[_Found], bucket_of: Callable[[_Found], Bucketed]) -> list[_Found]:
    """By bucket; what has none comes last."""
    rows = [(bucket_of(one), one) for one in found]
    known = [pair for pair in rows if pair[0] is not None]
    # Numbers sort as numbers, names as names: one report has only one of them.
    known.sort(key=lambda pair: (pair[0] if isinstance(pair[0], int) else 0, str(pair[0])))
    return [one for _, one in known] + [one for bucket, one in rows if bucket is None]


def _minor(amount: Fraction | None) -> int | None:
    return None if amount is None else to_minor(amount)
