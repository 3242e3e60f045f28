"""Who comes back, what they are worth, and which kinds of them there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from passes.insights.naming import (
    label,
    middle_of,
    minor_or_none,
    narrowed,
    numbering,
    start_before,
)
from passes.loyalty import metrics
from passes.loyalty.dates import local_date
from passes.loyalty.metrics import (
    SEGMENTS,
    discounted_lifetime_value,
    lifetime_value,
    segment,
    share,
    to_minor,
)
from passes.store import Store, insights, programmes
from passes.store.insights import (
    By,
    Cut,
    Kept,
    Window,
    month_number,
)


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
            both = narrowed(cut, Window(start_before(window), window.end))
            kept = insights.kept(read, loaded.id, both, middle=window.start)
            return [_retained(f"{window.start}", kept, complete=window.end <= today)]
        number, start_of = numbering(by)
        # Whole periods only, and one more to compare the first with.
        first, last = number(window.start), number(window.end - date.resolution)
        whole = Window(start_of(first - 1), start_of(last + 1))
        series = insights.kept_by(read, loaded.id, narrowed(cut, whole), by)
        return [
            _retained(label(by, period) or "", kept, complete=start_of(period + 1) <= today)
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
    middle = middle_of(window)
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
        average_order_minor=minor_or_none(found.average_order),
        customer_value_minor=minor_or_none(value),
        churn=kept.churn,
        lifespan=lifespan,
        lifetime_value_minor=(
            None if value is None or lifespan is None else to_minor(lifetime_value(value, lifespan, margin))
        ),
        discounted_lifetime_value_minor=minor_or_none(discounted),
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
        CohortFigures(label(By.MONTH, cohort.month) or "", cohort.size, cohort.active, cohort.rates)
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
