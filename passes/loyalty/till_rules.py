"""What holds at the till: when a manager has to agree, what may be done without network, who is looked up."""

from __future__ import annotations

from dataclasses import dataclass

from passes.loyalty.toml_table import Table

SECONDS_MAX = 3_600
DAY_LIMIT_MAX = 10_000
POINTS_MAX = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TillRules:
    """The programme's rules for its tills. Amounts are minor units; None is without bound.

    Members may be looked up by name or number where `lookup` is on. A till
    locks after `lock_seconds` without a touch and is back at scanning
    `back_seconds` after a booking. A manager agrees to purchases above
    `approval_minor`, to returns above `return_approval_minor`, and to more
    than `member_day_limit` purchases of one member at one till and day; more
    than `enrolment_day_limit` people do not join at one. The same member with
    the same amount within `repeat_seconds` is asked about. Without network a
    member may redeem up to `offline_points`; more than `proof_points` only
    with the card and a one-time code.
    """

    lookup: bool = True
    lock_seconds: int = 120
    back_seconds: int = 4
    approval_minor: int | None = None
    return_approval_minor: int | None = None
    member_day_limit: int = 4
    enrolment_day_limit: int = 50
    repeat_seconds: int = 60
    offline_points: int = 0
    proof_points: int | None = None
    practice: bool = True


def till_rules(table: Table) -> TillRules:
    """`[till]` of a programme file."""
    standard = TillRules()
    return TillRules(
        lookup=table.flag("lookup", default=standard.lookup),
        lock_seconds=table.whole("lock_seconds", least=15, most=SECONDS_MAX, default=standard.lock_seconds),
        back_seconds=table.whole("back_seconds", least=0, most=10, default=standard.back_seconds),
        approval_minor=table.amount_or_none("amount_approval"),
        return_approval_minor=table.amount_or_none("return_approval"),
        member_day_limit=table.whole(
            "member_day_limit", least=1, most=DAY_LIMIT_MAX, default=standard.member_day_limit
        ),
        enrolment_day_limit=table.whole(
            "enrolment_day_limit", least=0, most=DAY_LIMIT_MAX, default=standard.enrolment_day_limit
        ),
        repeat_seconds=table.whole(
            "repeat_seconds", least=0, most=SECONDS_MAX, default=standard.repeat_seconds
        ),
        offline_points=table.whole(
            "offline_points", least=0, most=POINTS_MAX, default=standard.offline_points
        ),
        proof_points=table.whole_or_none("proof_points", least=0, most=POINTS_MAX),
        practice=table.flag("practice", default=standard.practice),
    )
