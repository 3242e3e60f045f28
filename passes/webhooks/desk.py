"""What an owner does with webhooks: add, try, look, send again, change the secret, pause, remove."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from passes.loyalty.events import CHOOSABLE
from passes.loyalty.refusals import (
    DeliveryUnknown,
    WebhookEventUnknown,
    WebhookPaused,
    WebhooksTooMany,
    WebhookUnknown,
)
from passes.server_keys import ServerKeys
from passes.store import Read, Store, Work, alarms, club, deliveries, programmes, webhooks
from passes.store.deliveries import Delivery
from passes.store.ids import new_id
from passes.store.programmes import Loaded
from passes.store.webhooks import Webhook
from passes.webhooks import addresses, bodies, finding, signing
from passes.webhooks.sending import KEPT, PAUSED, alarm_name

WEBHOOKS_MAX = 20
PAGE = 25
_AT_ONCE = 500


class Which(TypedDict):
    """One webhook of a programme."""

    programme: str
    webhook_id: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A webhook and how it goes. `waiting` is counted up to `finding.HELD_MAX`."""

    webhook: Webhook
    waiting: int
    last: Delivery | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One delivery: the request as it is composed and signed for its last attempt, and what came back."""

    delivery: Delivery
    address: str
    headers: Mapping[str, str]
    body: str


def add(
    store: Store,
    *,
    programme: str,
    address: str,
    events: Collection[str],
    keys: ServerKeys,
    development: bool,
    by: str,
    now: datetime,
) -> int:
    """A new webhook: it is told of what happens from now on. Its number.

    Raises ProgrammeUnknown, WebhookAddressInvalid, WebhookEventUnknown, WebhooksTooMany.
    """
    address = address.strip()
    addresses.read(address, development=development)
    chosen = [kind for kind in CHOOSABLE if kind.value in set(events)]
    if not chosen or len(chosen) < len(set(events)):
        raise WebhookEventUnknown()
    webhook_id = new_id(now)

    def decide(work: Work) -> None:
        loaded = programmes.by_slug(work, programme)
        if len(webhooks.every(work, loaded.id)) >= WEBHOOKS_MAX:
            raise WebhooksTooMany(limit=WEBHOOKS_MAX)
        webhooks.add(
            work,
            programme_id=loaded.id,
            webhook_id=webhook_id,
            address=address,
            events=chosen,
            key_id=keys.current_id,
            now=now,
        )
        _note(work, loaded, by, "webhook.add", webhook_id, now)

    store.write(decide)
    return webhook_id


def every(store: Store, *, programme: str) -> list[Standing]:
    """All webhooks of a programme and how they go, oldest first. Raises ProgrammeUnknown."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        return [_standing(read, one) for one in webhooks.every(read, loaded.id)]


def show(store: Store, *, programme: str, webhook_id: int) -> Standing:
    """One webhook and how it goes. Raises ProgrammeUnknown, WebhookUnknown."""
    with store.read() as read:
        return _standing(read, _found(read, programme, webhook_id)[1])


def secret(store: Store, *, programme: str, webhook_id: int, keys: ServerKeys, by: str, now: datetime) -> str:
    """What its receiver verifies with. Somebody looked at it: that is written down. Raises WebhookUnknown."""

    def decide(work: Work) -> Webhook:
        loaded, found = _found(work, programme, webhook_id)
        _note(work, loaded, by, "webhook.secret", webhook_id, now)
        return found

    return signing.shown(signing.secrets_of(store.write(decide), keys, now=now)[0])


def both_until(found: Webhook, *, now: datetime) -> datetime | None:
    """Until when the secret before the last rotation signs, too; None when it does not."""
    if found.rotated_at is None or now >= found.rotated_at + signing.BOTH_SIGN:
        return None
    return found.rotated_at + signing.BOTH_SIGN


def rotate(store: Store, *, programme: str, webhook_id: int, keys: ServerKeys, by: str, now: datetime) -> str:
    """Let another secret sign, and the one before for 24 hours more. The new one. Raises WebhookUnknown."""

    def decide(work: Work) -> Webhook:
        loaded, found = _found(work, programme, webhook_id)
        webhooks.rotate(work, found, key_id=keys.current_id, now=now)
        _note(work, loaded, by, "webhook.rotate", webhook_id, now)
        return _found(work, programme, webhook_id)[1]

    return signing.shown(signing.secrets_of(store.write(decide), keys, now=now)[0])


def pause(store: Store, *, programme: str, webhook_id: int, by: str, now: datetime) -> None:
    """Tell it nothing until it may go on; nothing is lost for thirty days. Raises WebhookUnknown."""

    def decide(work: Work) -> None:
        loaded, found = _found(work, programme, webhook_id)
        webhooks.disable(work, found, why=PAUSED, now=now)
        _note(work, loaded, by, "webhook.pause", webhook_id, now)

    store.write(decide)


def resume(store: Store, *, programme: str, webhook_id: int, by: str, now: datetime) -> None:
    """Tell it again, first of what it missed. Raises WebhookUnknown."""

    def decide(work: Work) -> None:
        loaded, found = _found(work, programme, webhook_id)
        webhooks.resume(work, found, looked_at=max(found.looked_at, now - KEPT), now=now)
        deliveries.tried_now(work, found, since=found.created_at, now=now)
        alarms.clear(work, alarm_name(found), now=now)
        _note(work, loaded, by, "webhook.resume", webhook_id, now)

    store.write(decide)


def remove(store: Store, *, programme: str, webhook_id: int, by: str, now: datetime) -> None:
    """Forget it, and what was delivered to it. Raises WebhookUnknown."""
    # First nothing more is sent; then little by little, for a till must not wait for a long deletion.
    pause(store, programme=programme, webhook_id=webhook_id, by=by, now=now)
    with store.read() as read:
        loaded, found = _found(read, programme, webhook_id)
    while store.write(lambda work: deliveries.forget_all(work, found, limit=_AT_ONCE)):
        pass

    def decide(work: Work) -> None:
        webhooks.remove(work, found)
        alarms.clear(work, alarm_name(found), now=now)
        _note(work, loaded, by, "webhook.remove", webhook_id, now)

    store.write(decide)


# Deliveries -----------------------------------------------------------------------


def last_deliveries(
    store: Store, *, programme: str, webhook_id: int, before: int | None = None, limit: int = PAGE
) -> list[Delivery]:
    """What was delivered or is to be, newest first; `before` is an event. Raises WebhookUnknown."""
    with store.read() as read:
        return deliveries.newest(read, _found(read, programme, webhook_id)[1], before=before, limit=limit)


def exchange(
    store: Store, *, programme: str, webhook_id: int, delivery_id: int, keys: ServerKeys, now: datetime
) -> Exchange:
    """One delivery with its request and answer. Raises WebhookUnknown, DeliveryUnknown."""
    with store.read() as read:
        loaded, found = _found(read, programme, webhook_id)
        delivery = _delivery(read, found, delivery_id)
        body = bodies.compose(read, loaded, delivery.event)
    at = delivery.tried_at or now
    signed = signing.headers(
        bodies.message_id(delivery.event), body, signing.secrets_of(found, keys, now=at), now=at
    )
    return Exchange(delivery, found.address, signed, body.decode())


def ping(store: Store, *, programme: str, webhook_id: int, now: datetime) -> int:
    """Send a message that only tries the way; the worker does. The delivery's number.

    Raises WebhookUnknown, WebhookPaused.
    """

    def decide(work: Work) -> int:
        found = _going(work, programme, webhook_id)
        webhooks.hurry(work, found, now=now)
        return deliveries.ping(work, found, now=now)

    return store.write(decide)


def again(store: Store, *, programme: str, webhook_id: int, delivery_id: int, now: datetime) -> None:
    """Send one delivery once more, under its own name.

    Raises WebhookUnknown, WebhookPaused, DeliveryUnknown.
    """

    def decide(work: Work) -> None:
        found = _going(work, programme, webhook_id)
        deliveries.again(work, _delivery(work, found, delivery_id), now=now)
        webhooks.hurry(work, found, now=now)

    store.write(decide)


def again_since(
    store: Store, *, programme: str, webhook_id: int, since: datetime, by: str, now: datetime
) -> int:
    """Send everything that happened since then once more, each under its own name.

    What was forgotten, or happened before the webhook was added, is found anew
    by the worker. Returns how many of what is remembered go out again.
    Raises WebhookUnknown, WebhookPaused.
    """
    with store.read() as read:
        found = _going(read, programme, webhook_id)

    def next_again(after: int) -> list[int]:
        return store.write(
            lambda work: deliveries.again_since(
                work, found, since=since, after=after, limit=_AT_ONCE, now=now
            )
        )

    after = count = 0
    while events := next_again(after):
        after = events[-1]
        count += len(events)

    def decide(work: Work) -> None:
        loaded, standing = _found(work, programme, webhook_id)
        if since < standing.looked_at:
            webhooks.looked(work, standing, at=since)
        webhooks.hurry(work, standing, now=now)
        _note(work, loaded, by, "webhook.replay", webhook_id, now)

    store.write(decide)
    return count


def _going(read: Read, programme: str, webhook_id: int) -> Webhook:
    found = _found(read, programme, webhook_id)[1]
    if found.disabled_at is not None:
        raise WebhookPaused()
    return found


def _found(read: Read, programme: str, webhook_id: int) -> tuple[Loaded, Webhook]:
    loaded = programmes.by_slug(read, programme)
    found = webhooks.one(read, loaded.id, webhook_id) if 0 < webhook_id < 2**63 else None
    if found is None:
        raise WebhookUnknown()
    return loaded, found


def _delivery(read: Read, found: Webhook, delivery_id: int) -> Delivery:
    delivery = deliveries.one(read, found, delivery_id) if 0 < delivery_id < 2**63 else None
    if delivery is None:
        raise DeliveryUnknown()
    return delivery


def _note(work: Work, loaded: Loaded, by: str, action: str, webhook_id: int, now: datetime) -> None:
    club.note(work, loaded.id, by=by, action=action, about=f"webhook {webhook_id}", detail="", now=now)


def _standing(read: Read, found: Webhook) -> Standing:
    waiting = webhooks.waiting(read, found.programme_id, found.id, most=finding.HELD_MAX)
    newest = deliveries.newest(read, found, before=None, limit=1)
    return Standing(found, waiting, newest[0] if newest else None)
