"""What a till may book by itself, what needs a manager, and what looks like a slip.

Registers that book through the API are not watched: their own program knows
who stands there. Reference: loyalty G.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from passes.loyalty.money import Money
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import (
    AmountNeedsApproval,
    ApprovalNeeded,
    LooksRepeated,
    ReturnNeedsApproval,
    VisitsNeedApproval,
)
from passes.loyalty.till_rules import TillRules


class Approved(StrEnum):
    """What a manager agreed to."""

    AMOUNT = "amount"
    VISITS = "visits"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Watch:
    """A till's request under its programme's rules.

    `approved_by` is the manager who agreed to it, `is_meant` whether the
    cashier said that the same again is no slip.
    """

    rules: TillRules
    approved_by: str | None = None
    is_meant: bool = False


@dataclass(frozen=True, slots=True)
class Earlier:
    """A purchase that the same member made before, and was not undone."""

    amount_minor: int
    at: Counter
    occurred_at: datetime


def watch_purchase(
    watch: Watch,
    *,
    amount: Money,
    at: Counter,
    same_day: Iterable[Earlier] = (),
    happened_at: datetime,
) -> tuple[Approved, ...]:
    """What a manager agreed to in a purchase, nothing for most; `same_day` are the member's others.

    Raises LooksRepeated, AmountNeedsApproval or VisitsNeedApproval.
    """
    others = list(same_day)
    within = timedelta(seconds=watch.rules.repeat_seconds)
    for one in others:
        is_same = one.amount_minor == amount.minor and abs(happened_at - one.occurred_at) <= within
        if is_same and within and not watch.is_meant:
            raise LooksRepeated(amount=amount)
    needed = approvals(watch.rules, amount=amount, at=at, same_day=others)
    if needed and watch.approved_by is None:
        raise needed[0][1]
    return tuple(one for one, _ in needed)


def approvals(
    rules: TillRules, *, amount: Money, at: Counter, same_day: Iterable[Earlier] = ()
) -> list[tuple[Approved, ApprovalNeeded]]:
    """What a manager has to agree to before a purchase is booked, and how it is refused without."""
    needed: list[tuple[Approved, ApprovalNeeded]] = []
    if rules.approval_minor is not None and amount.minor > rules.approval_minor:
        limit = Money(rules.approval_minor, amount.currency)
        needed.append((Approved.AMOUNT, AmountNeedsApproval(limit=limit)))
    here = sum(_place(one.at) == _place(at) for one in same_day)
    if here >= rules.member_day_limit:
        needed.append((Approved.VISITS, VisitsNeedApproval(count=here)))
    return needed


def watch_return(watch: Watch, *, amount: Money) -> tuple[Approved, ...]:
    """What a manager agreed to in a return. Raises ReturnNeedsApproval."""
    limit_minor = watch.rules.return_approval_minor
    if limit_minor is None or amount.minor <= limit_minor:
        return ()
    if watch.approved_by is None:
        raise ReturnNeedsApproval(limit=Money(limit_minor, amount.currency))
    return (Approved.RETURN,)


def _place(at: Counter) -> tuple[str | None, str | None]:
    return at.location, at.till
