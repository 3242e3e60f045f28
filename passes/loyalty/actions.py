"""Club actions: points for acts that are no purchase."""

from __future__ import annotations

from dataclasses import dataclass

from passes.loyalty.text import Text


@dataclass(frozen=True, slots=True)
class Action:
    """An act that the club thanks for: one published rule, the same for everybody.

    At most `member_limit` times for one member within `member_days` (ever when
    None), and at most `day_limit` a local day for all together. Where
    `moderated`, a second person decides before points are given.
    """

    key: str
    name: Text
    points: int
    moderated: bool = True
    member_limit: int | None = None
    member_days: int | None = None
    day_limit: int | None = None


@dataclass(frozen=True, slots=True)
class AdjustmentRule:
    """What staff may give or take by hand: the reasons there are, and above what a second person approves.

    `person_day_points` bounds what one person moves on one local day.
    """

    reasons: tuple[str, ...] = ("goodwill", "correction")
    approval_points: int = 500
    person_day_points: int = 2_000
