"""Points that come with a day: birthdays, and coming back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BirthdaySpan(StrEnum):
    """How long a birthday lasts."""

    DAY = "day"
    DAYS = "days"  # so many days before and after
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Birthday:
    """A gift at the local beginning of a member's birthday, or of the days around it.

    `tier_days` gives tiers a longer span. `reward_key` names a reward that is
    issued free; `points` may come with it or instead.
    """

    points: int = 0
    reward_key: str | None = None
    span: BirthdaySpan = BirthdaySpan.DAY
    days: int = 0
    tiers: frozenset[str] = frozenset()
    tier_days: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class WinBack:
    """Points for returning after `idle_days`, when told so, at most once in `every_days`.

    The promise holds `valid_days`. Members in the holdout get none.
    """

    points: int
    idle_days: int = 90
    every_days: int = 180
    valid_days: int = 30
