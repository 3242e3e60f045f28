"""The marketer's questions, each as one statement that both engines answer alike.

Windows are half-open and made of days of the programme's zone, `yyyymmdd` as
in the tables, so that no question needs zone arithmetic. A voided purchase and
what came back of it count nowhere. Sums are whole numbers; dividing them is
the business of `passes.loyalty.metrics`.
"""

from passes.store.insights.asking import (
    Basis,
    Bucketed,
    By,
    Cut,
    Window,
    month_number,
    month_start,
    week_number,
    week_start,
)
from passes.store.insights.customers import (
    Kept,
    Scored,
    Visits,
    cohort_cells,
    first_sale,
    kept,
    kept_by,
    scored,
    visits,
    worth,
)
from passes.store.insights.members import (
    Moved,
    Steps,
    active_members,
    join_counts,
    removals,
    steps,
    tier_moves,
)
from passes.store.insights.offers import Arm, OfferTimes, arms, everybody, offer_times, offer_uses
from passes.store.insights.postings import SLOT_SECONDS, issue_cohort, outstanding, points
from passes.store.insights.turnover import Kind, KindOfSales, Sales, kinds, sales

__all__ = [
    "SLOT_SECONDS",
    "Arm",
    "Basis",
    "Bucketed",
    "By",
    "Cut",
    "Kept",
    "Kind",
    "KindOfSales",
    "Moved",
    "OfferTimes",
    "Sales",
    "Scored",
    "Steps",
    "Visits",
    "Window",
    "active_members",
    "arms",
    "cohort_cells",
    "everybody",
    "first_sale",
    "issue_cohort",
    "join_counts",
    "kept",
    "kept_by",
    "kinds",
    "month_number",
    "month_start",
    "offer_times",
    "offer_uses",
    "outstanding",
    "points",
    "removals",
    "sales",
    "scored",
    "steps",
    "tier_moves",
    "visits",
    "week_number",
    "week_start",
    "worth",
]
