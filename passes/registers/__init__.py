"""Registers of other makers: what Shopify, Square and Odoo tell of orders becomes purchases and returns.

A maker's file reads its messages (bytes in, an event out); `taking` keeps each
once, `settling` books what an order's messages ask for, in whatever order they
come; `keeping` and `looking` are for the owner.
"""

from passes.registers.keeping import (
    NATURES,
    Kind,
    Opened,
    Places,
    Register,
    add,
    address,
    as_lines,
    change,
    every,
    is_genuine,
    knows_token,
    one,
    opened,
    remove,
    renew,
)
from passes.registers.looking import Message, latest
from passes.registers.orders import Event, Malformed
from passes.registers.settling import Books
from passes.registers.taking import Outcome, digest, forget_due, keep_malformed, retry, run_due, take

__all__ = [
    "NATURES",
    "Books",
    "Event",
    "Kind",
    "Malformed",
    "Message",
    "Opened",
    "Outcome",
    "Places",
    "Register",
    "add",
    "address",
    "as_lines",
    "change",
    "digest",
    "every",
    "forget_due",
    "is_genuine",
    "keep_malformed",
    "knows_token",
    "latest",
    "one",
    "opened",
    "remove",
    "renew",
    "retry",
    "run_due",
    "take",
]
