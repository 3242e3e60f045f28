"""Punch cards: so many visits or items make one reward."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from passes.loyalty.text import Text

STAMPS = "stamps"
"""The asset of a punch card."""


class StampFor(StrEnum):
    """What earns a stamp."""

    VISIT = "visit"
    ITEM = "item"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class StampRule:
    """`target` stamps make one reward called `name`.

    One stamp per visit, per item of `categories` (or `skus`), or per full
    `per_minor` spent: at most `day_limit` a local day and, for visits,
    `minutes_between` apart. What is over the target stays when `carries`. The
    reward is an item worth at most `reward_minor`; it comes by itself unless
    `on_request`. Stamps lapse after `months`, never when 0.
    """

    name: Text
    target: int
    earned_for: StampFor = StampFor.VISIT
    categories: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    per_minor: int = 0
    day_limit: int | None = None
    purchase_limit: int | None = None
    minutes_between: int = 0
    carries: bool = True
    on_request: bool = False
    reward_minor: int | None = None
    reward_valid_days: int | None = None
    months: int = 0
