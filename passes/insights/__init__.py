"""The marketer's numbers: what was sold, who comes back, what points and offers do.

Every figure is defined in docs/insights.md. Amounts are minor units of the
programme's currency; rates are exact fractions, None where there is nothing to
divide by or where the time that they need is not over. Every function raises
ProgrammeUnknown.
"""

from passes.insights.balances import (
    IssueFigures,
    JournalFigures,
    LiabilityFigures,
    PointsFigures,
    issued,
    liability,
    liability_journal,
    points,
)
from passes.insights.experiments import (
    DetectableFigures,
    EffectFigures,
    OfferFigures,
    detectable,
    offer,
)
from passes.insights.members import (
    ACTIVE_DAYS,
    ActiveFigures,
    FunnelFigures,
    RemovalFigures,
    TierFigures,
    active,
    funnel,
    removals,
    tiers,
)
from passes.insights.prediction import PredictedFigures, predicted
from passes.insights.returning import (
    CohortFigures,
    RetentionFigures,
    SegmentFigures,
    WorthFigures,
    cohorts,
    retention,
    segments,
    worth,
)
from passes.insights.turnover import CustomerFigures, SalesFigures, customers, sales
from passes.insights.watching import LOOKUPS_A_DAY, Alert, Pattern, watch

__all__ = [
    "ACTIVE_DAYS",
    "LOOKUPS_A_DAY",
    "ActiveFigures",
    "Alert",
    "CohortFigures",
    "CustomerFigures",
    "DetectableFigures",
    "EffectFigures",
    "FunnelFigures",
    "IssueFigures",
    "JournalFigures",
    "LiabilityFigures",
    "OfferFigures",
    "Pattern",
    "PointsFigures",
    "PredictedFigures",
    "RemovalFigures",
    "RetentionFigures",
    "SalesFigures",
    "SegmentFigures",
    "TierFigures",
    "WorthFigures",
    "active",
    "cohorts",
    "customers",
    "detectable",
    "funnel",
    "issued",
    "liability",
    "liability_journal",
    "offer",
    "points",
    "predicted",
    "removals",
    "retention",
    "sales",
    "segments",
    "tiers",
    "watch",
    "worth",
]
