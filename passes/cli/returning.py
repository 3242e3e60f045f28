"""The command that takes goods back."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from passes.cli.opening import opened

if TYPE_CHECKING:
    from passes.wiring import Installation


def register(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Tell the parser of this command."""
    returning = add("return", take_back, "take back goods of a purchase: all that is left, or a part")
    returning.add_argument("programme")
    returning.add_argument("receipt", type=int, help="the receipt of the purchase")
    returning.add_argument("--sale", action="store_true", help="it is the id of a sale without a member")
    part = returning.add_mutually_exclusive_group()
    part.add_argument(
        "--line",
        action="append",
        default=[],
        type=_pieces,
        metavar="NUMBER[:QUANTITY]",
        help="pieces of a line, such as 2:1; may be given several times",
    )
    part.add_argument("--amount", help="money back without naming goods, such as 4.50")
    returning.add_argument("--preview", action="store_true", help="say what would happen, and change nothing")
    returning.add_argument("--reason", default="", help="why, for whoever reads the receipt")
    returning.add_argument("--key", help="name this request, so that repeating it is harmless")
    returning.add_argument("--location", type=_short, help="the shop's key in the programme")
    returning.add_argument("--till", type=_short)


def take_back(parsed: argparse.Namespace) -> object:
    """Take back goods of a member's purchase, or of a sale without a member."""
    from passes import checkout
    from passes.loyalty.receipt import Counter

    lines: dict[int, int] = {}
    for number, quantity in parsed.line:
        lines[number] = lines.get(number, 0) + quantity
    with opened() as installation:
        if parsed.preview and not parsed.sale:
            return checkout.preview_return(
                installation.store,
                programme=parsed.programme,
                receipt_id=parsed.receipt,
                lines=lines,
                amount_minor=_amount(installation, parsed.programme, parsed.amount),
                now=installation.clock(),
            )
        common: dict[str, Any] = {
            "programme": parsed.programme,
            "key": parsed.key if parsed.key is not None else f"cli-{uuid4()}",
            "at": Counter(location=parsed.location, till=parsed.till or "command line"),
            "lines": lines,
            "amount_minor": _amount(installation, parsed.programme, parsed.amount),
            "reason": parsed.reason,
            "now": installation.clock(),
        }
        if parsed.sale:
            return checkout.take_back_sale(installation.store, purchase_id=parsed.receipt, **common)
        return checkout.take_back(installation.store, receipt_id=parsed.receipt, **common)


def _pieces(text: str) -> tuple[int, int]:
    """A line's number and how many of its pieces, one if not said."""
    number, mark, quantity = text.partition(":")
    parts = (number, quantity) if mark else (number, "1")
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise argparse.ArgumentTypeError("write a line's number and how many pieces, such as 2:1")
    return int(parts[0]), int(parts[1])


def _short(text: str) -> str:
    """A name that fits its column."""
    if len(text) > 64:
        raise argparse.ArgumentTypeError("at most 64 characters")
    return text


def _amount(installation: Installation, programme: str, text: str | None) -> int | None:
    from passes.loyalty.money import parse_amount
    from passes.store import programmes

    if text is None:
        return None
    with installation.store.read() as read:
        return parse_amount(text, programmes.by_slug(read, programme).programme.currency)
