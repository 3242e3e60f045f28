"""Commands for webhooks: add, try, look at, send again, change the secret, pause, remove."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from passes.cli.counter import instant
from passes.cli.opening import opened

if TYPE_CHECKING:
    from passes.webhooks import Delivery

_BY = "command line"
_PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_LINES_MAX = 1_000
_SHOWN = ("state", "attempts", "due_at", "tried_at", "status", "milliseconds", "answer")


def register(add: Callable[..., argparse.ArgumentParser], group: Callable[[str, str], Any]) -> None:
    """Tell the parser of these commands."""
    hooks = group("webhook", "programs of the shop that are told what happens")

    def one(name: str, command: Callable[..., object], words: str) -> argparse.ArgumentParser:
        parser = add(name, command, words, hooks)
        parser.add_argument("programme")
        parser.add_argument("webhook", type=int, help="its number, as the list shows it")
        return parser

    adding = add("add", make, "tell an address of events from now on; its secret is shown", hooks)
    adding.add_argument("programme")
    adding.add_argument("address", help="https://…; in development also http on this machine")
    adding.add_argument(
        "--event",
        action="append",
        dest="events",
        metavar="EVENT",
        help="purchase.booked …; all without",
    )
    add("list", every, "all webhooks of a programme", hooks).add_argument("programme")
    one("test", test, "send a ping and say what came back")
    listing = one("deliveries", deliveries, "the last deliveries, newest first")
    listing.add_argument("--limit", type=int, default=25)
    replaying = one("replay", replay, "send deliveries once more, each under its own name")
    which = replaying.add_mutually_exclusive_group(required=True)
    which.add_argument("--delivery", type=int, help="one, by its number")
    which.add_argument("--since", type=instant, help="everything since then, ISO 8601 with a zone")
    one("secret", secret, "what its receiver verifies with")
    one("rotate", rotate, "change the secret; the one before signs for 24 hours more")
    one("pause", pause, "tell it nothing until it may go on")
    one("resume", resume, "tell it again, first of what it missed")
    one("remove", remove, "forget it and what was delivered")


def make(parsed: argparse.Namespace) -> object:
    """Make a webhook; its secret is shown."""
    from passes import webhooks

    with opened() as installation:
        now = installation.clock()
        webhook_id = webhooks.add(
            installation.store,
            programme=parsed.programme,
            address=parsed.address,
            events=parsed.events or [kind.value for kind in webhooks.CHOOSABLE],
            keys=installation.keys,
            development=installation.development,
            by=_BY,
            now=now,
        )
        shown = webhooks.secret(
            installation.store,
            programme=parsed.programme,
            webhook_id=webhook_id,
            keys=installation.keys,
            by=_BY,
            now=now,
        )
    return {"webhook": webhook_id, "secret": shown}


def every(parsed: argparse.Namespace) -> object:
    """All webhooks of a programme."""
    from passes import webhooks

    with opened() as installation:
        return [
            {
                "webhook": one.webhook.id,
                "address": one.webhook.address,
                "events": list(one.webhook.events),
                "waiting": one.waiting,
                "failing_since": one.webhook.failing_since,
                "paused_since": one.webhook.disabled_at,
                "paused_why": one.webhook.disabled_why,
                "last": None if one.last is None else _line(one.last),
            }
            for one in webhooks.every(installation.store, programme=parsed.programme)
        ]


def test(parsed: argparse.Namespace) -> object:
    """Send a ping from here, or wait until the worker has."""
    from passes import webhooks
    from passes.wiring import webhook_door

    with opened() as installation:
        store, door = installation.store, webhook_door(installation)
        which = _which(parsed)
        delivery_id = webhooks.ping(store, **which, now=installation.clock())
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            webhooks.send_due(
                store, door, keys=installation.keys, clock=installation.clock, only=parsed.webhook
            )
            sent = webhooks.exchange(
                store, **which, delivery_id=delivery_id, keys=installation.keys, now=installation.clock()
            ).delivery
            # Another worker may have the turn just now.
            if sent.state != webhooks.WAITING or time.monotonic() >= deadline:
                return _line(sent)
            time.sleep(_LOOK_SECONDS)


def deliveries(parsed: argparse.Namespace) -> object:
    """The last deliveries."""
    from passes import webhooks

    with opened() as installation:
        most = max(1, min(parsed.limit, _LINES_MAX))
        found = webhooks.last_deliveries(installation.store, **_which(parsed), limit=most)
    return [_line(one) for one in found]


def replay(parsed: argparse.Namespace) -> object:
    """Send one delivery, or everything since an instant, once more."""
    from passes import webhooks

    with opened() as installation:
        store, now = installation.store, installation.clock()
        if parsed.delivery is not None:
            webhooks.again(store, **_which(parsed), delivery_id=parsed.delivery, now=now)
            return {"again": 1}
        count = webhooks.again_since(store, **_which(parsed), since=parsed.since, by=_BY, now=now)
    return {"again": count, "since": parsed.since}


def secret(parsed: argparse.Namespace) -> object:
    """What its receiver verifies with."""
    from passes import webhooks

    return {"secret": _keyed(parsed, webhooks.secret)}


def rotate(parsed: argparse.Namespace) -> object:
    """Change the secret."""
    from passes import webhooks

    return {"secret": _keyed(parsed, webhooks.rotate)}


def pause(parsed: argparse.Namespace) -> object:
    """Tell it nothing until it may go on."""
    from passes import webhooks

    return {"paused": _done(parsed, webhooks.pause)}


def resume(parsed: argparse.Namespace) -> object:
    """Tell it again."""
    from passes import webhooks

    return {"resumed": _done(parsed, webhooks.resume)}


def remove(parsed: argparse.Namespace) -> object:
    """Forget it."""
    from passes import webhooks

    return {"removed": _done(parsed, webhooks.remove)}


def _which(parsed: argparse.Namespace) -> dict[str, Any]:
    return {"programme": parsed.programme, "webhook_id": parsed.webhook}


def _done(parsed: argparse.Namespace, change: Callable[..., None]) -> int:
    with opened() as installation:
        change(installation.store, **_which(parsed), by=_BY, now=installation.clock())
    webhook_id: int = parsed.webhook
    return webhook_id


def _keyed(parsed: argparse.Namespace, answer: Callable[..., str]) -> str:
    with opened() as installation:
        return answer(
            installation.store,
            **_which(parsed),
            keys=installation.keys,
            by=_BY,
            now=installation.clock(),
        )


def _line(delivery: Delivery) -> Mapping[str, object]:
    values = asdict(delivery)
    return {
        "delivery": delivery.id,
        "event": delivery.event.kind.value,
        "about": delivery.event.about,
        "happened_at": delivery.event.happened_at,
        **{
            name: values[name]
            for name in ("state", "attempts", "due_at", "tried_at", "status", "milliseconds", "answer")
        },
    }
