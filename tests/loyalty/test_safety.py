"""What a till may book by itself, what needs a manager, and what looks like a slip."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from passes.loyalty.money import Money
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import (
    ApprovalNeeded,
    LooksRepeated,
    Refused,
    ReturnNeedsApproval,
    VisitsNeedApproval,
)
from passes.loyalty.safety import Approved, Earlier, Watch, watch_purchase, watch_return
from passes.loyalty.till_rules import TillRules

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
FRONT, BACK = Counter(location="west", till="front"), Counter(location="west", till="back")
RULES = TillRules(approval_minor=20_000, return_approval_minor=5_000, member_day_limit=2, repeat_seconds=60)


def before(*, minutes: float, amount_minor: int = 900, at: Counter = FRONT) -> Earlier:
    return Earlier(amount_minor, at, NOW - timedelta(minutes=minutes))


def purchase(amount_minor: int, *earlier: Earlier, **options: Any) -> tuple[Approved, ...]:
    watch = Watch(RULES, **options)
    return watch_purchase(
        watch, amount=Money(amount_minor, "USD"), at=FRONT, same_day=earlier, happened_at=NOW
    )


@pytest.mark.parametrize(
    ("amount_minor", "earlier", "options", "outcome"),
    [
        (20_000, (), {}, ()),
        (20_001, (), {}, ApprovalNeeded),
        (20_001, (), {"approved_by": "dee"}, (Approved.AMOUNT,)),
        (900, (before(minutes=0.9),), {}, LooksRepeated),
        (900, (before(minutes=0.9),), {"is_meant": True}, ()),
        (900, (before(minutes=0.9, at=BACK),), {}, LooksRepeated),
        (901, (before(minutes=0.9),), {}, ()),
        (900, (before(minutes=1.1),), {}, ()),
        # A till that was offline tells of the earlier one afterwards.
        (900, (before(minutes=-0.5),), {}, LooksRepeated),
        (500, (before(minutes=90), before(minutes=30)), {}, VisitsNeedApproval),
        (500, (before(minutes=90), before(minutes=30)), {"approved_by": "dee"}, (Approved.VISITS,)),
        # Another till counts for itself.
        (500, (before(minutes=90), before(minutes=30, at=BACK)), {}, ()),
        (
            30_000,
            (before(minutes=90), before(minutes=30)),
            {"approved_by": "dee"},
            (Approved.AMOUNT, Approved.VISITS),
        ),
    ],
)
def test_a_purchase_is_booked_approved_or_refused(
    amount_minor: int,
    earlier: tuple[Earlier, ...],
    options: dict[str, Any],
    outcome: tuple[Approved, ...] | type[Refused],
) -> None:
    if isinstance(outcome, tuple):
        assert purchase(amount_minor, *earlier, **options) == outcome
    else:
        with pytest.raises(outcome):
            purchase(amount_minor, *earlier, **options)


def test_a_return_above_the_limit_needs_a_manager() -> None:
    assert watch_return(Watch(RULES), amount=Money(5_000, "USD")) == ()
    with pytest.raises(ReturnNeedsApproval):
        watch_return(Watch(RULES), amount=Money(5_001, "USD"))
    assert watch_return(Watch(RULES, "dee"), amount=Money(5_001, "USD")) == (Approved.RETURN,)


def test_without_limits_nothing_is_asked() -> None:
    free = Watch(TillRules(repeat_seconds=0))
    same = [before(minutes=0)]
    assert watch_purchase(free, amount=Money(900, "USD"), at=FRONT, same_day=same, happened_at=NOW) == ()
    assert watch_return(free, amount=Money(10**9, "USD")) == ()
