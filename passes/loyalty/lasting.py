"""How long points wait, last and are held."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ExpiryKind(StrEnum):
    """When points lapse."""

    NONE = "none"
    ROLLING = "rolling"  # so many months after they were earned
    FIXED_DAY = "fixed_day"  # on a day of the year
    INACTIVITY = "inactivity"  # all of them, so many months after the last purchase or redemption


class MonthsTo(StrEnum):
    """To where a rolling expiry is rounded up."""

    EXACT = "exact"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class ClockStart(StrEnum):
    """From when the months of a rolling expiry count."""

    EARNING = "earning"
    ACTIVATION = "activation"


class Shortfall(StrEnum):
    """What happens when a return takes back more points than there are."""

    NEGATIVE = "negative"  # the balance goes below zero; new points fill the hole first
    FORGIVE = "forgive"
    DEDUCT = "deduct_from_refund"  # their worth is kept back from the money refunded


class ReturnPolicy(StrEnum):
    """How many points a partial return takes back."""

    RECOMPUTE = "recompute"  # the original rules on what remains
    PROPORTIONAL = "proportional"  # the share of the amount returned


@dataclass(frozen=True, slots=True)
class Expiry:
    """When points lapse. `months` for ROLLING and INACTIVITY, `month` and `day` for FIXED_DAY."""

    kind: ExpiryKind = ExpiryKind.NONE
    months: int = 0
    to: MonthsTo = MonthsTo.EXACT
    starts: ClockStart = ClockStart.EARNING
    month: int = 0
    day: int = 0


@dataclass(frozen=True, slots=True)
class PointsRule:
    """What becomes of points once they were earned.

    They wait `pending_days` before they can be spent (`pending_by_category`
    where a line says otherwise: the longest of a purchase counts). Members are
    told `notice_days` before points lapse. A hold lasts `hold_minutes`. Points
    given back after their expiry last `restore_grace_days` more. A return is
    taken within `return_days`, None for ever. `hundred_points_minor` is what
    100 points are worth in money, for DEDUCT and for liability.
    """

    expiry: Expiry = Expiry()
    pending_days: int = 0
    pending_by_category: tuple[tuple[str, int], ...] = ()
    notice_days: tuple[int, ...] = (30, 7, 1)
    hold_minutes: int = 15
    restore_grace_days: int = 30
    returns: ReturnPolicy = ReturnPolicy.RECOMPUTE
    shortfall: Shortfall = Shortfall.NEGATIVE
    return_days: int | None = None
    hundred_points_minor: int | None = None
