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


def _evenly(rows: Sequence[Found]) -> Sequence[Found]:
    return rows[:: -(-len(rows) // _FITTED_MOST)]
