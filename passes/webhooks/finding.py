"""What happened and is owed to webhooks: found in the books and in the audit log, page by page.

Ids are ordered by time, but a transaction that began early may commit late, and
what falls due in a long run keeps the instant at which that began. So every
look begins some way before the last one ended: a little way always, further
with every new minute, and a day with every new hour. What was found before is
known by its kind and what it is about, and is not owed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from passes.store import Store, Work, webhooks
from passes.store.webhooks import Found, Webhook

PAGE = 500
HELD_MAX = 5_000
"""When so many deliveries wait for one webhook, no more are written down until it has taken some."""

_BACK = timedelta(seconds=20)
_BACK_EACH_MINUTE = timedelta(minutes=15)
_BACK_EACH_HOUR = timedelta(days=1)
_MINUTE_SECONDS, _HOUR_SECONDS = 60, 3600


def find_due(
    store: Store, *, now: datetime, page: int = PAGE, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Owe every webhook what happened since it was looked for. Returns how many deliveries are new.

    Any number of workers may do this at once. Ends early, between two pages,
    once `stopped` says so.
    """
    with store.read() as read:
        active = webhooks.active(read)
    return sum(_find(store, one, now, page, stopped) for one in active if not stopped())


def since(looked_at: datetime, now: datetime) -> datetime:
    """Where a look begins that follows one which ended at `looked_at`."""
    back = _BACK
    if _window(looked_at, _MINUTE_SECONDS) != _window(now, _MINUTE_SECONDS):
        back = _BACK_EACH_MINUTE
    if _window(looked_at, _HOUR_SECONDS) != _window(now, _HOUR_SECONDS):
        back = _BACK_EACH_HOUR
    return looked_at - back


def _find(store: Store, webhook: Webhook, now: datetime, page: int, stopped: Callable[[], bool]) -> int:
    begin, after, count = since(webhook.looked_at, now), 0, 0
    standing, is_more = webhook, True
    while is_more and not stopped():
        with store.read() as read:
            if webhooks.waiting(read, webhook.programme_id, webhook.id, most=HELD_MAX) >= HELD_MAX:
                return count
            found, is_more = webhooks.not_told(read, webhook, since=begin, after=after, limit=page)
        looked_at = _looked(standing, found, now, is_more=is_more)
        if found or looked_at is not None:
            _write(store, standing, found, looked_at, now)
            standing = replace(standing, looked_at=looked_at or standing.looked_at)
        if found:
            after = found[-1].place
            count += len(found)
    return count


def _looked(webhook: Webhook, found: list[Found], now: datetime, *, is_more: bool) -> datetime | None:
    """Up to when it is looked at now; None where that is not worth writing down."""
    if is_more:
        # What stands behind this page is not looked at yet.
        reached = min(found[-1].happened_at, now)
        return reached if reached > webhook.looked_at else None
    # When nothing happens, once a minute is enough.
    is_new = _window(webhook.looked_at, _MINUTE_SECONDS) != _window(now, _MINUTE_SECONDS)
    return now if is_new and now > webhook.looked_at else None


def _write(
    store: Store, webhook: Webhook, found: list[Found], looked_at: datetime | None, now: datetime
) -> None:
    def decide(work: Work) -> None:
        if found:
            webhooks.owe(work, webhook, found, now=now)
        if looked_at is not None:
            webhooks.looked(work, webhook, at=looked_at)

    store.write(decide)


def _window(at: datetime, seconds: int) -> int:
    return int(at.timestamp()) // seconds
