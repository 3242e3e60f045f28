"""Webhooks: the shop's own programs are told what happened, signed, in order, and again until they took it.

Nobody who books sends anything. What happened is found in the books
(`finding`), owed to every webhook that wants it, and sent by the worker
(`sending`) through one door (`door`). Messages and signatures are those of the
Standard Webhooks specification 1.0.0.
"""

from passes.loyalty.events import CHOOSABLE, EventKind
from passes.store.deliveries import Delivery
from passes.store.webhooks import GIVEN_UP, TAKEN, WAITING, Webhook
from passes.webhooks.desk import (
    Exchange,
    Standing,
    Which,
    add,
    again,
    again_since,
    both_until,
    every,
    exchange,
    last_deliveries,
    pause,
    ping,
    remove,
    resume,
    rotate,
    secret,
    show,
)
from passes.webhooks.door import Door
from passes.webhooks.finding import find_due
from passes.webhooks.sending import FAILING, GONE, PAUSED, Sender, Sent, forget_due, send_due

__all__ = [
    "CHOOSABLE",
    "FAILING",
    "GIVEN_UP",
    "GONE",
    "PAUSED",
    "TAKEN",
    "WAITING",
    "Delivery",
    "Door",
    "EventKind",
    "Exchange",
    "Sender",
    "Sent",
    "Standing",
    "Webhook",
    "Which",
    "add",
    "again",
    "again_since",
    "both_until",
    "every",
    "exchange",
    "find_due",
    "forget_due",
    "last_deliveries",
    "pause",
    "ping",
    "remove",
    "resume",
    "rotate",
    "secret",
    "send_due",
    "show",
]
