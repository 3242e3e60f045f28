"""What time makes due: points open and lapse, levels end, birthdays come, members are told.

Every `…_due` does the next few of everything that is due at `now` in short
transactions and says how many; called again it goes on, and when nothing is
left it answers 0. Days on which nobody called are caught up in order. A crash
between two calls loses nothing and does nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from passes.due_work.birthdays import birthdays_due
from passes.due_work.levels import review_due
from passes.due_work.notices import notices_due
from passes.due_work.points import activate_due, expire_due, lapse_idle_due
from passes.due_work.rewards import lapse_rewards_due, release_holds_due
from passes.store import Store

__all__ = [
    "DueDone",
    "activate_due",
    "birthdays_due",
    "expire_due",
    "lapse_idle_due",
    "lapse_rewards_due",
    "notices_due",
    "release_holds_due",
    "review_due",
    "run_due",
]


@dataclass(frozen=True, slots=True)
class DueDone:
    """How many of each were due and are done."""

    activated: int = 0
    rewards_lapsed: int = 0
    levels: int = 0
    expired: int = 0
    idle: int = 0
    holds: int = 0
    birthdays: int = 0
    notices: int = 0


def run_due(store: Store, *, now: datetime, stopped: Callable[[], bool] = lambda: False) -> DueDone:
    """Do everything that is due, in the order in which it has to happen (reference: loyalty A19).

    Points open before levels are reviewed, and levels are reviewed before
    points lapse, because a level may suspend that. Ends early, between two
    transactions, once `stopped` says so.
    """
    steps: Mapping[str, Callable[..., int]] = {
        "activated": activate_due,
        "rewards_lapsed": lapse_rewards_due,
        "levels": review_due,
        "expired": expire_due,
        "idle": lapse_idle_due,
        "holds": release_holds_due,
        "birthdays": birthdays_due,
        "notices": notices_due,
    }
    counts = dict.fromkeys((field.name for field in fields(DueDone)), 0)
    for name, step in steps.items():
        while not stopped() and (done := step(store, now=now)):
            counts[name] += done
    return DueDone(**counts)
