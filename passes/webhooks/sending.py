"""Sending what is due: one webhook's turn after the other, or several side by side.

A turn sends what is due in order and ends with the first failure, after a few
seconds, or when nothing is left. A receiver that fails is left alone for a
while, longer each time; a single message that it does not like steps aside
meanwhile. What was sent is written down at once: a worker that dies in between
has it sent again, under the same `webhook-id`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from passes.clock import Clock
from passes.google.problems import retry_after_seconds
from passes.loyalty.events import EventKind
from passes.loyalty.refusals import Busy, StorageFull
from passes.server_keys import ServerKeys
from passes.store import Store, Work, alarms, deliveries, programmes, webhooks
from passes.store.deliveries import Attempt, Delivery
from passes.store.webhooks import Webhook
from passes.webhooks import bodies, finding, signing, waits
from passes.webhooks.door import Answer, Door, Line, Silence

log = logging.getLogger(__name__)

BATCH = 50
LEASE = timedelta(seconds=120)
"""Longer than a turn and the last message in it may take."""
TURN_SECONDS = 5.0
FAILING, GONE, PAUSED = "failing", "gone", "paused"
"""Why a webhook is told nothing: it failed for days, it said so itself, its owner did."""

OUTAGE = timedelta(minutes=10)
"""A receiver that was away for so long gets what it missed at once when it is back."""

_FIND_SECONDS, _SEND_SECONDS, _FORGET_SECONDS = 1.0, 0.2, 600.0
# Who is still sending at the end is waited for no longer; a lease brings what is left back.
_ENDS_SECONDS = 1.5
PLACES = 8
KEPT = timedelta(days=30)
_FORGET_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Sent:
    """What turns did: how many webhooks had one, and what became of deliveries."""

    turns: int = 0
    taken: int = 0
    failed: int = 0


def alarm_name(webhook: Webhook) -> str:
    """The alarm that says that nothing is sent to a webhook any more."""
    return f"webhook_disabled:{webhook.id}"


def send_due(
    store: Store,
    door: Door,
    *,
    keys: ServerKeys,
    clock: Clock,
    limit: int = 1,
    only: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Sent:
    """Give up to `limit` webhooks a turn, one after the other.

    No transaction is open while a receiver is spoken to. Any number of workers
    may do this at once. `only` is for one webhook. Ends early, between two
    messages, once `stopped` says so.
    """
    done = Sent()
    for webhook in _take(store, clock(), limit=limit, only=only):
        one = _turn(store, door, keys, webhook, clock, stopped)
        done = Sent(done.turns + 1, done.taken + one.taken, done.failed + one.failed)
    return done


def _take(
    store: Store, now: datetime, *, limit: int, failing: bool | None = None, only: int | None = None
) -> list[Webhook]:
    with store.read() as read:
        if not deliveries.is_any_due(read, now=now):
            return []
    return store.write(
        lambda work: deliveries.take_turns(
            work, now=now, lease_until=now + LEASE, limit=limit, failing=failing, only=only
        )
    )


# One turn -------------------------------------------------------------------------


def _turn(
    store: Store, door: Door, keys: ServerKeys, webhook: Webhook, clock: Clock, stopped: Callable[[], bool]
) -> Sent:
    ends_at = time.monotonic() + TURN_SECONDS
    taken = failed = 0
    is_failing = webhook.failures > 0
    try:
        with door.line(webhook.address) as line:
            while not failed and time.monotonic() < ends_at and not stopped():
                with store.read() as read:
                    # Whoever failed is tried with one message.
                    due = deliveries.due(read, webhook, now=clock(), limit=1 if is_failing else BATCH)
                if not due:
                    break
                for delivery in due:
                    if not _deliver(store, keys, webhook, delivery, line, clock):
                        failed = 1
                        break
                    taken += 1
                    if is_failing:
                        webhook, is_failing = replace(webhook, failures=0, failing_since=None), False
                    if time.monotonic() >= ends_at or stopped():
                        break
    finally:
        store.write(lambda work: deliveries.end_turn(work, webhook, now=clock()))
    return Sent(1, taken, failed)


def _deliver(
    store: Store, keys: ServerKeys, webhook: Webhook, delivery: Delivery, line: Line, clock: Clock
) -> bool:
    """Send one message and write down what came of it; whether it was taken."""
    now = clock()
    try:
        with store.read() as read:
            body = bodies.compose(read, programmes.by_id(read, webhook.programme_id), delivery.event)
        secrets = signing.secrets_of(webhook, keys, now=now)
        headers = signing.headers(bodies.message_id(delivery.event), body, secrets, now=now)
    except Exception:
        # One message that cannot be written must not keep the others waiting.
        log.exception("a message could not be composed")
        answer: Answer | Silence = Silence("It could not be composed; the log says why.", 0)
    else:
        answer = line.send(body, headers)
    status = answer.status if isinstance(answer, Answer) else None
    attempt = Attempt(now, status, answer.milliseconds, answer.words)
    if status is not None and 200 <= status < 300:
        store.write(lambda work: _taken(work, webhook, delivery, attempt))
        return True
    asked = _asked_wait(answer, now)
    store.write(lambda work: _failed(work, webhook, delivery, attempt, asked))
    return False


def _taken(work: Work, webhook: Webhook, delivery: Delivery, attempt: Attempt) -> None:
    deliveries.taken(work, delivery, attempt)
    if webhook.failing_since is not None:
        deliveries.recovered(work, webhook, now=attempt.at)
        if attempt.at - webhook.failing_since >= OUTAGE:
            deliveries.tried_now(work, webhook, since=webhook.failing_since, now=attempt.at)


def _failed(
    work: Work, webhook: Webhook, delivery: Delivery, attempt: Attempt, asked: timedelta | None
) -> None:
    now = attempt.at
    if delivery.event.kind is EventKind.PING:
        # It was to find out, and did.
        deliveries.failed(work, delivery, attempt, again_at=None)
        return
    wait = waits.wait(delivery.id, delivery.attempts + 1)
    rest = waits.rest(webhook.failures + 1)
    if asked is not None:
        rest = max(rest, asked)
        wait = None if wait is None else max(wait, asked)
    gone = attempt.status == 410
    # Whoever wants nothing more gets it if its owner lets it go on.
    again_at = now if gone else None if wait is None else now + wait
    deliveries.failed(work, delivery, attempt, again_at=again_at)
    since = deliveries.fails(work, webhook, quiet_until=now + rest, now=now)
    if gone:
        _disable(work, webhook, GONE, "said itself that it wants no more (410)", now)
    elif now - since >= waits.DISABLED_AFTER:
        _disable(work, webhook, FAILING, f"took nothing since {since:%Y-%m-%d %H:%M} UTC", now)


def _disable(work: Work, webhook: Webhook, why: str, words: str, now: datetime) -> None:
    webhooks.disable(work, webhook, why=why, now=now)
    said = (
        f"Webhook {webhook.id} gets nothing any more: its receiver {words}. "
        "Put it right, then let it go on at /console/webhooks or with: passes webhook resume"
    )
    alarms.sound(work, alarm_name(webhook), said, now=now)


def _asked_wait(answer: Answer | Silence, now: datetime) -> timedelta | None:
    """How long the receiver asks to be left alone."""
    if not isinstance(answer, Answer):
        return None
    seconds = retry_after_seconds(answer.retry_after, now=now)
    return None if seconds is None else min(timedelta(seconds=seconds), waits.ASKED_MAX)


# The worker's thread --------------------------------------------------------------


class Sender:
    """Finds and sends until it is told to stop; several receivers at a time.

    Half of the places are kept for receivers that did not fail last: those that
    hang or are away can never take them all.
    """

    def __init__(
        self,
        store: Store,
        door: Door,
        *,
        keys: ServerKeys,
        clock: Clock,
        stop: threading.Event,
        places: int = PLACES,
    ) -> None:
        self._store, self._door, self._keys, self._clock, self._stop = store, door, keys, clock, stop
        self._each = max(1, places // 2)
        self._running: dict[bool, list[threading.Thread]] = {False: [], True: []}

    def run(self) -> None:
        """Work until the event is set."""
        find_at = forget_at = time.monotonic()
        while not self._stop.is_set():
            wait = _SEND_SECONDS
            try:
                if time.monotonic() >= find_at:
                    finding.find_due(self._store, now=self._clock(), stopped=self._stop.is_set)
                    find_at = time.monotonic() + _FIND_SECONDS
                if time.monotonic() >= forget_at:
                    forget_due(self._store, now=self._clock())
                    forget_at = time.monotonic() + _FORGET_SECONDS
                self._begin_turns()
            except (Busy, StorageFull) as trouble:
                log.warning("webhooks wait: %s", trouble)
                wait = _FIND_SECONDS
            except Exception:
                if not self._stop.is_set():
                    log.exception("looking after webhooks failed")
                wait = _FIND_SECONDS
            self._stop.wait(wait)
        ends_at = time.monotonic() + _ENDS_SECONDS
        for thread in (*self._running[False], *self._running[True]):
            thread.join(max(0.0, ends_at - time.monotonic()))

    def _begin_turns(self) -> None:
        for failing in (False, True):
            running = self._running[failing] = [one for one in self._running[failing] if one.is_alive()]
            if len(running) >= self._each:
                continue
            for webhook in _take(
                self._store, self._clock(), limit=self._each - len(running), failing=failing
            ):
                thread = threading.Thread(target=self._turn, args=(webhook,), name="webhook", daemon=True)
                running.append(thread)
                thread.start()

    def _turn(self, webhook: Webhook) -> None:
        try:
            _turn(self._store, self._door, self._keys, webhook, self._clock, self._stop.is_set)
        except (Busy, StorageFull) as trouble:
            log.warning("a webhook waits: %s", trouble)
        except Exception:
            if not self._stop.is_set():
                log.exception("a webhook's turn failed")


def forget_due(store: Store, *, now: datetime) -> int:
    """Forget deliveries of more than thirty days ago; the books still know what happened. How many."""
    with store.read() as read:
        # Also where the last webhook is gone or paused.
        every = [loaded.id for loaded in programmes.every(read)]
    count = 0
    for programme_id in every:
        while gone := store.write(
            lambda work, programme_id=programme_id: deliveries.forget_old(  # type: ignore[misc]
                work, programme_id, before=now - KEPT, limit=_FORGET_AT_ONCE
            )
        ):
            count += gone
    return count
