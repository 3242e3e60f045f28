"""Levels that members reach by spending."""

from __future__ import annotations

from fractions import Fraction

from passes.loyalty.programme import Programme, Tier


def tier_for(programme: Programme, spend_minor: int) -> Tier | None:
    """The level for a year's spending in minor units; None when the programme has no levels.

    A threshold counts from the exact amount on. Spending may be negative after
    returns and still gives the lowest level.
    """
    reached = None
    for tier in sorted(programme.tiers, key=lambda tier: tier.spend_minor):
        if reached is None or tier.spend_minor <= spend_minor:
            reached = tier
    return reached


def next_tier(programme: Programme, spend_minor: int) -> Tier | None:
    """The level above the present one; None at the top."""
    above = [tier for tier in programme.tiers if tier.spend_minor > max(spend_minor, 0)]
    return min(above, key=lambda tier: tier.spend_minor, default=None)


def multiplier_of(tier: Tier | None) -> Fraction:
    """What purchases of this level are multiplied by; 1 without a level."""
    return tier.multiplier if tier else Fraction(1)
