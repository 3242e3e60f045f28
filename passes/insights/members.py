"""Members: who is active, in which tier, how far they came after joining, whose card is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from statistics import median

from passes.insights.naming import (
    in_order,
    instants,
)
from passes.loyalty.metrics import (
    CLOSED,
    JOINED,
    migration,
    share,
)
from passes.store import Store, insights, programmes
from passes.store.insights import (
    By,
    Steps,
    Window,
)

ACTIVE_DAYS = 90


@dataclass(frozen=True, slots=True)
class ActiveFigures:
    """Open members, and those of them who earned or burned in the last days."""

    at: datetime
    days: int
    active: int
    members: int
    rate: Fraction | None


def active(
    store: Store, *, programme: str, days: int = ACTIVE_DAYS, at: datetime | None = None, now: datetime
) -> ActiveFigures:
    """The active member rate at an instant: now, or an earlier one."""
    instant = at or now
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        found, everybody = insights.active_members(
            read, loaded.id, since=instant - timedelta(days=days), at=instant
        )
    return ActiveFigures(instant, days, found, everybody, share(found, everybody))


@dataclass(frozen=True, slots=True)
class TierFigures:
    """Members of one tier at the start of the window, and where they are at its end.

    Tier None is that of members without one. `(joined)` is the row of those
    who were no members yet, `(closed)` the column of those who are no longer.
    """

    tier: str | None
    members: int
    to: dict[str, int]


NO_TIER = "(none)"


def tiers(store: Store, *, programme: str, window: Window) -> list[TierFigures]:
    """The tier migration matrix of a window; each row adds up to the tier's size at its start."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        since, until = instants(window, loaded.programme.zone)
        moves = insights.tier_moves(read, loaded.id, since=since, until=until)
    matrix = migration(
        (
            JOINED if move.state_start == "joined" else move.tier_start or NO_TIER,
            CLOSED if move.state_end == "closed" else move.tier_end or NO_TIER,
            move.members,
        )
        for move in moves
        if move.state_start != "closed" and move.state_end != "joined"
    )
    order = [tier.key for tier in loaded.programme.tiers]
    order += sorted(set(matrix) - {*order, JOINED})
    return [
        TierFigures(None if tier == NO_TIER else tier, sum(matrix[tier].values()), matrix[tier])
        for tier in (*order, JOINED)
        if tier in matrix
    ]


_STEPS = ("joined", "issued", "installed", "scanned", "earned", "redeemed")


@dataclass(frozen=True, slots=True)
class FunnelFigures:
    """How far those came who joined in the window, in all (source None) or from one source.

    `views` and `forms` count page views, the others distinct members.
    `seconds_to` has the median time from one step to the next, of those who
    took both in that order.
    """

    source: str | None
    views: int
    forms: int
    joined: int
    issued: int
    installed: int
    scanned: int
    earned: int
    redeemed: int
    install_rate: Fraction | None
    seconds_to: dict[str, int | None]


def funnel(store: Store, *, programme: str, window: Window, by: By | None = None) -> list[FunnelFigures]:
    """From the join page to the first redemption. ValueError for any `by` but the source."""
    if by not in (None, By.SOURCE):
        raise ValueError("the funnel is told by source only")
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        since, until = instants(window, loaded.programme.zone)
        counts = insights.join_counts(read, loaded.id, window)
        taken = insights.steps(read, loaded.id, since=since, until=until)
    if by is None:
        pages = {
            step: sum(number for (_, name), number in counts.items() if name == step)
            for step in ("view", "send")
        }
        return [_funnel_row(None, pages["view"], pages["send"], taken)]
    sources: dict[str | None, list[Steps]] = {source: [] for source, _ in counts}
    for one in taken:
        sources.setdefault(one.source, []).append(one)
    return [
        _funnel_row(
            source, counts.get((source or "", "view"), 0), counts.get((source or "", "send"), 0), members
        )
        for source, members in in_order(sources.items(), lambda pair: pair[0])
    ]


def _funnel_row(source: str | None, views: int, forms: int, taken: Sequence[Steps]) -> FunnelFigures:
    reached = {step: sum(getattr(one, f"{step}_at") is not None for one in taken) for step in _STEPS}
    return FunnelFigures(
        source=source,
        views=views,
        forms=forms,
        **reached,
        install_rate=share(reached["installed"], reached["issued"]),
        seconds_to={step: _median_seconds(taken, before, step) for before, step in pairwise(_STEPS)},
    )


def _median_seconds(taken: Sequence[Steps], before: str, after: str) -> int | None:
    pairs = ((getattr(one, f"{before}_at"), getattr(one, f"{after}_at")) for one in taken)
    waits = [end - start for start, end in pairs if start is not None and end is not None and start <= end]
    return int(median(waits)) // 1_000_000 if waits else None


@dataclass(frozen=True, slots=True)
class RemovalFigures:
    """Cards on a phone when the window began, and those whose last phone let go of them in it."""

    installed_at_start: int
    removed: int
    uninstall_rate: Fraction | None


def removals(store: Store, *, programme: str, window: Window) -> RemovalFigures:
    """The uninstall rate of a window."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        since, until = instants(window, loaded.programme.zone)
        before, removed = insights.removals(read, loaded.id, since=since, until=until)
    return RemovalFigures(before, removed, share(removed, before))
