"""What today's customers will buy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from passes.insights.naming import Found
from passes.loyalty.dates import local_date
from passes.loyalty.lifetime_value import (
    REPEATING_FEWEST,
    History,
    correlation,
    fit_buying,
    fit_spending,
)
from passes.store import Store, insights, programmes
from passes.store.insights import (
    Visits,
    Window,
)

PREDICTED_DAYS_FEWEST = 182
_FITTED_MOST = 1_500


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

    Several orders of a day are one. Fitted to at most 1,500 customers, evenly chosen.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        today = local_date(now, loaded.programme.zone)
        begun = insights.first_sale(read, loaded.id) or today
        days = max((today - begun).days, 0)
        held_out = begun + timedelta(days=days * 3 // 4)
        found = insights.visits(read, loaded.id, Window(begun, max(today, begun)), middle=held_out)
    repeating = sum(one.days > 1 for one in found)
    if repeating < REPEATING_FEWEST or days < PREDICTED_DAYS_FEWEST:
        return PredictedFigures(
            len(found), repeating, days, False, weeks, None, None, None, None, None, None, None
        )
    alive, purchases, net_minor = _forecast(found, today, weeks)
    predicted_repeats, actual_repeats = _judged(found, held_out, today)
    together = correlation(_means(found))
    return PredictedFigures(
        customers=len(found),
        repeating=repeating,
        days=days,
        enough=True,
        weeks=weeks,
        alive=round(alive),
        purchases=round(purchases),
        net_minor=round(net_minor * float(margin)),
        net_per_customer_minor=round(net_minor * float(margin) / len(found)),
        correlation=None if together is None else Fraction(together).limit_denominator(10_000),
        repeats_predicted=round(predicted_repeats),
        repeats_actual=actual_repeats,
    )


def _forecast(found: Sequence[Visits], today: date, weeks: int) -> tuple[float, float, float]:
    """Customers expected to be alive, and their purchases and net in the weeks to come."""
    histories = [_history(one.days, one.first_day, one.last_day, today) for one in found]
    buying, spending = fit_buying(_evenly(histories)), fit_spending(_evenly(_means(found)))
    expects = {
        history: (buying.alive(history), buying.purchases(history, weeks)) for history in set(histories)
    }
    alive = purchases = net_minor = 0.0
    for one, history in zip(found, histories, strict=True):
        living, expected = expects[history]
        # What came back in full says nothing about what people pay.
        repeats = history.repeats if one.net_of_repeats_minor > 0 else 0
        mean = one.net_of_repeats_minor / repeats if repeats else 0.0
        alive += living
        purchases += expected
        net_minor += expected * spending.value(repeats, mean)
    return alive, purchases, net_minor


def _judged(found: Sequence[Visits], held_out: date, today: date) -> tuple[float, int]:
    """Repeats of the time from `held_out` on: as predicted from what was known then, and as they came."""
    known = [
        (one, _history(one.early_days, one.first_day, one.last_early_day, held_out))
        for one in found
        if one.last_early_day is not None
    ]
    model = fit_buying(_evenly([history for _, history in known]))
    ahead = (today - held_out).days / 7
    counted = Counter(history for _, history in known)
    expected = sum(people * model.purchases(history, ahead) for history, people in counted.items())
    return expected, sum(one.days - one.early_days for one, _ in known)


def _means(found: Sequence[Visits]) -> list[tuple[int, float]]:
    return [
        (one.days - 1, one.net_of_repeats_minor / (one.days - 1))
        for one in found
        if one.days > 1 and one.net_of_repeats_minor > 0
    ]


def _history(days: int, first: date, last: date, today: date) -> History:
    # Whole weeks: people alike are then computed once.
    return History(days - 1, (last - first).days // 7, max((today - first).days // 7, 1))


def _evenly(rows: Sequence[Found]) -> Sequence[Found]:
    return rows[:: -(-len(rows) // _FITTED_MOST)]
