"""Commands of the counter: enrol, look, book, redeem, undo, sell, and what a card held when."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from passes.cli.opening import opened
from passes.loyalty.basket import Line
from passes.loyalty.money import parse_amount
from passes.settings import CannotStart

if TYPE_CHECKING:
    from passes.loyalty.receipt import Counter
    from passes.wiring import Installation


Add = Callable[..., argparse.ArgumentParser]
Group = Callable[[str, str], Any]


def register(add: Add, group: Group) -> None:
    """The counter's commands."""
    joining = add("enrol", enrol, "make a member with a card")
    joining.add_argument("programme")
    joining.add_argument("name")
    joining.add_argument("--email")
    joining.add_argument("--language", help="one of the programme's; its first if it has no such")
    joining.add_argument("--agree", action="append", default=[], metavar="PURPOSE", help="a consent given")
    showing = add("card", card, "show a card, or write its file")
    showing.add_argument("--output", type=Path, help="write the .pkpass here")
    earning = add("accrue", accrue, "book a purchase")
    quoting = add("quote", quote, "say what a purchase would come to, and why")
    guest = add("sale", sale, "book a sale without a member")
    spending = add("redeem", redeem, "exchange points for a reward")
    using = add("use", use, "use a reward that a member was given")
    holds = group("hold", "points set aside until a payment is done")
    holding = add("authorise", hold, "set points aside for a reward", holds)
    capturing = add("capture", capture, "the payment is done: spend what is held", holds)
    releasing = add("release", release, "the payment did not happen: give the points back", holds)
    claiming = add("claim", claim, "give a member the points of a sale that was booked without one")
    undoing = add("undo", undo, "reverse a receipt")
    explaining = add("explain", explain, "say why a receipt moved the points it did")
    explaining.add_argument("--language")

    for sub in (showing, earning, quoting, guest, claiming, spending, using, holding, capturing, releasing):
        sub.add_argument("programme")
    for sub in (undoing, explaining):
        sub.add_argument("programme")
        sub.add_argument("receipt", type=int)
    for sub in (showing, earning, quoting, claiming, spending, using, holding):
        sub.add_argument("code")
    claiming.add_argument("sale", type=int)
    claiming.add_argument("amount", help="the receipt's total")
    for sub in (earning, quoting, guest):
        sub.add_argument("amount", help="such as 12.40, in the programme's currency")
        sub.add_argument(
            "--line",
            action="append",
            default=[],
            metavar="QUANTITYxUNIT[:CATEGORY[:SKU]]",
            help="one line of the purchase, such as 2x3.50:coffee; all of them add up to the amount",
        )
    for sub in (earning, guest):
        sub.add_argument("--occurred-at", type=instant, help="when it happened at an offline till, ISO 8601")
    for sub in (earning, quoting):
        sub.add_argument("--offer-code", action="append", default=[], help="a code that the customer shows")
        sub.add_argument("--discounts", action="store_true", help="let offers reduce the amount")
    for sub in (spending, holding):
        sub.add_argument("reward")
        sub.add_argument("--points", type=int, help="how many, where points are paid as money")
        sub.add_argument("--basket", metavar="AMOUNT", help="what is to be paid, where it matters")
    using.add_argument("redemption", type=int)
    for sub in (spending, holding, using):
        sub.add_argument("--one-time", metavar="DIGITS", help="where the member has to prove who they are")
    for sub in (capturing, releasing):
        sub.add_argument("hold", type=int)
    capturing.add_argument("--purchase", type=int, metavar="RECEIPT", help="in which purchase it was used")
    named = (joining, earning, guest, claiming, spending, using, holding, capturing, releasing, undoing)
    for sub in named:
        sub.add_argument("--key", default=None, help="name this request, so that repeating it is harmless")
    for sub in (*named, quoting):
        sub.add_argument("--location", type=_short, help="the shop's key in the programme")
        sub.add_argument("--till", type=_short)


def _short(text: str) -> str:
    """A name that fits its column."""
    if len(text) > 64:
        raise argparse.ArgumentTypeError("at most 64 characters")
    return text


def enrol(parsed: argparse.Namespace) -> object:
    """Make a member with a card."""
    from passes import enrolment

    with opened() as installation:
        return enrolment.join(
            installation.store,
            programme=parsed.programme,
            name=parsed.name,
            email=parsed.email,
            language=_language(installation, parsed.programme, parsed.language),
            consents=dict.fromkeys(parsed.agree, True),
            source=enrolment.Source("cli", location=parsed.location),
            key=_key(parsed),
            keys=installation.keys,
            now=installation.clock(),
        )


def card(parsed: argparse.Namespace) -> object:
    """Show a card; with `--output`, also write its file."""
    from passes import checkout, issuing

    with opened() as installation:
        now = installation.clock()
        view = checkout.look(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            language=_language(installation, parsed.programme),
            now=now,
        )
        if parsed.output is not None:
            bundle = issuing.export(
                installation.store,
                installation.office,
                programme=parsed.programme,
                card_id=view.card_id,
                now=now,
            )
            parsed.output.write_bytes(bytes(bundle))
        return view


def accrue(parsed: argparse.Namespace) -> object:
    """Book a purchase."""
    from passes import checkout

    with opened() as installation:
        return checkout.accrue(
            installation.store,
            code=parsed.code,
            amount_minor=_amount(installation, parsed),
            lines=_lines(installation, parsed),
            offer_codes=parsed.offer_code,
            takes_discounts=parsed.discounts,
            occurred_at=parsed.occurred_at,
            **_asked(installation, parsed),
        )


def quote(parsed: argparse.Namespace) -> object:
    """What a purchase would come to."""
    from passes import checkout

    with opened() as installation:
        return checkout.quote(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            amount_minor=_amount(installation, parsed),
            lines=_lines(installation, parsed),
            offer_codes=parsed.offer_code,
            takes_discounts=parsed.discounts,
            at=_counter(parsed),
            now=installation.clock(),
        )


def claim(parsed: argparse.Namespace) -> object:
    """Give a member the points of a sale that was booked without one."""
    from passes import checkout

    with opened() as installation:
        return checkout.claim(
            installation.store,
            code=parsed.code,
            sale_id=parsed.sale,
            amount_minor=_amount(installation, parsed),
            **_asked(installation, parsed),
        )


def explain(parsed: argparse.Namespace) -> object:
    """Why a receipt moved the points it did."""
    from passes import checkout

    with opened() as installation:
        told = checkout.why(
            installation.store,
            programme=parsed.programme,
            receipt_id=parsed.receipt,
            language=_language(installation, parsed.programme, parsed.language),
        )
        if parsed.json:
            return told
        return [f"{part.figure:>8}  {part.words}" for part in told.parts]


def redeem(parsed: argparse.Namespace) -> object:
    """Exchange points for a reward."""
    from passes import checkout

    with opened() as installation:
        return checkout.redeem(
            installation.store,
            proof=checkout.Proof(installation.keys, parsed.one_time),
            code=parsed.code,
            reward=parsed.reward,
            points=parsed.points,
            basket_minor=_money(installation, parsed.programme, parsed.basket),
            **_asked(installation, parsed),
        )


def use(parsed: argparse.Namespace) -> object:
    """Use a reward that the member was given."""
    from passes import checkout

    with opened() as installation:
        return checkout.use(
            installation.store,
            proof=checkout.Proof(installation.keys, parsed.one_time),
            code=parsed.code,
            redemption_id=parsed.redemption,
            **_asked(installation, parsed),
        )


def hold(parsed: argparse.Namespace) -> object:
    """Set points aside for a reward until a payment is done."""
    from passes import checkout

    with opened() as installation:
        return checkout.authorise(
            installation.store,
            proof=checkout.Proof(installation.keys, parsed.one_time),
            code=parsed.code,
            reward=parsed.reward,
            points=parsed.points,
            basket_minor=_money(installation, parsed.programme, parsed.basket),
            **_asked(installation, parsed),
        )


def capture(parsed: argparse.Namespace) -> object:
    """The payment is done: spend what is held."""
    from passes import checkout

    with opened() as installation:
        return checkout.capture(
            installation.store,
            hold_id=parsed.hold,
            purchase_receipt_id=parsed.purchase,
            **_asked(installation, parsed),
        )


def release(parsed: argparse.Namespace) -> object:
    """The payment did not happen: the points go back."""
    from passes import checkout

    with opened() as installation:
        return checkout.release(
            installation.store,
            hold_id=parsed.hold,
            **_asked(installation, parsed),
        )


def undo(parsed: argparse.Namespace) -> object:
    """Reverse a receipt."""
    from passes import checkout

    with opened() as installation:
        return checkout.undo(
            installation.store,
            receipt_id=parsed.receipt,
            **_asked(installation, parsed),
        )


def sale(parsed: argparse.Namespace) -> object:
    """Book a sale without a member."""
    from passes import checkout

    with opened() as installation:
        return checkout.sale(
            installation.store,
            amount_minor=_amount(installation, parsed),
            lines=_lines(installation, parsed),
            occurred_at=parsed.occurred_at,
            **_asked(installation, parsed),
        )


def balance(parsed: argparse.Namespace) -> object:
    """What a card held at an instant, as known at another."""
    from passes import books

    with opened() as installation:
        now = installation.clock()
        at, known_at = parsed.at or now, parsed.known_at or now
        held = books.balance_as_of(
            installation.store, programme=parsed.programme, code=parsed.code, at=at, known_at=known_at
        )
    return {"balance": held, "at": at, "known_at": known_at}


def instant(text: str) -> datetime:
    """An instant from the command line, ISO 8601 with a zone. Raises ArgumentTypeError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise argparse.ArgumentTypeError("write day, time and zone, such as 2026-03-14T09:30-06:00")
    return at


def _asked(installation: Installation, parsed: argparse.Namespace) -> dict[str, Any]:
    """What every booking says of itself: where, by which request, and when."""
    return {
        "programme": parsed.programme,
        "key": _key(parsed),
        "at": _counter(parsed),
        "now": installation.clock(),
    }


def _counter(parsed: argparse.Namespace) -> Counter:
    from passes.loyalty.receipt import Counter

    return Counter(location=parsed.location, till=parsed.till or "command line")


def _key(parsed: argparse.Namespace) -> str:
    return parsed.key if parsed.key is not None else f"cli-{uuid4()}"


def _language(installation: Installation, programme: str, wanted: str | None = None) -> str:
    from passes.language import choose
    from passes.store import programmes

    with installation.store.read() as read:
        return choose(wanted, programmes.by_slug(read, programme).programme.languages)


def _amount(installation: Installation, parsed: argparse.Namespace) -> int:
    return parse_amount(parsed.amount, _currency(installation, parsed.programme))


def _money(installation: Installation, programme: str, text: str | None) -> int | None:
    return None if text is None else parse_amount(text, _currency(installation, programme))


def _currency(installation: Installation, programme: str) -> str:
    from passes.store import programmes

    with installation.store.read() as read:
        return programmes.by_slug(read, programme).programme.currency


def _lines(installation: Installation, parsed: argparse.Namespace) -> list[Line]:
    """`2x3.50:coffee:SKU` as a line of a purchase."""
    currency = _currency(installation, parsed.programme) if parsed.line else ""
    lines = []
    for text in parsed.line:
        price, _, rest = text.partition(":")
        category, _, sku = rest.partition(":")
        quantity, mark, unit = price.partition("x")
        if not (mark and quantity.isdecimal() and len(quantity) < 10):
            raise CannotStart(f"{text!r} is no line of a purchase: write it like 2x3.50:coffee.")
        lines.append(
            Line(
                quantity=int(quantity),
                unit_minor=parse_amount(unit, currency),
                category=category or None,
                sku=sku or None,
            )
        )
    return lines
